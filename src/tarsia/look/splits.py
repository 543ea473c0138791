"""Which pictures are trained on: what lists say, or a draw that keeps films and nearly equal pictures together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tarsia.data._lists import read_names, read_pairs
from tarsia.data._names import Lookup
from tarsia.data._split import RandomSplit, divide
from tarsia.doctor.perceptual_hash import Hashes, matches
from tarsia.errors import DatasetError
from tarsia.look.arrangement import SPLITS
from tarsia.plain_text import number
from tarsia.yaml_tree import in_braces

_FILM = r"^(.*?)\d*\D*$"  # all before the last number of a name
_LISTED = 0.8  # share of a list's lines that must be pictures
_WITHIN = 0.8  # share of nearly equal pictures that must be of one film
_COMPARED = 4000  # pictures
_ALONE = 0.5  # share of the pictures from which on one group cannot be on one side


@dataclass(frozen=True)
class Division:
    """The key `split` or `splits` of a dataset.yaml: its lines, and why they are so."""

    key: str
    lines: tuple[str, ...]
    why: str


def listed(root: Path, names: Sequence[str]) -> Division | None:
    """Lists called train.txt, val.txt and so on, whose lines are pictures."""
    there: dict[str, dict[str, str]] = {}
    lookup = Lookup(names)
    for path in sorted(root.rglob("*.txt")):
        split = SPLITS.get(path.stem.lower())
        if split is None or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        try:
            pairs = read_pairs(path)
            rows = [Path(image.replace("\\", "/")).stem for image, _ in pairs] if pairs else read_names(path)
        except (DatasetError, OSError):
            continue
        if sum(lookup.find(row) is not None for row in rows) >= _LISTED * len(rows):
            relative = path.relative_to(root)
            there.setdefault(relative.parent.as_posix(), {}).setdefault(split, relative.as_posix())
    best = max(there.values(), key=len, default={})
    if "train" not in best:
        return None
    ordered = [split for split in ("train", "val", "test") if split in best]
    lines = [f"  {split}: {{list: {in_braces(best[split])}}}" for split in ordered]
    return Division("splits", ("splits:", *lines), "these lists name pictures that are here")


def drawn(names: Mapping[str, str], looks: Mapping[str, Hashes]) -> Division | None:
    """A random split of pictures (path -> name) that keeps together what is alike; None for fewer than two."""
    if len(names) < 2:
        return None
    every = [*names.values()]
    films = {name: match[1] if (match := re.match(_FILM, name)) else name for name in every}
    alike = _alike(names, looks)
    within = sum(films[one] == films[other] for one, other in alike)
    by_film = _films_tell(films) and alike and within >= _WITHIN * len(alike)
    left = [(one, other) for one, other in alike if not (by_film and films[one] == films[other])]
    together = _groups(left)
    largest = max(map(len, together), default=0)
    whys = []
    if largest > _ALONE * len(every):
        together = []
        whys.append(
            f"{largest} of the pictures are nearly the same, as frames of one film: cut it into a first and a last "
            "part, in folders or lists, for a score that tells more"
        )
    rule = RandomSplit(val=0.2, group_by=_FILM if by_film else None, together=tuple(map(tuple, together)))
    try:
        parts = divide(every, rule, [films[name] for name in every] if by_film else ())
        val = len(parts["val"])
    except DatasetError:
        rule, val = RandomSplit(val=0.2), max(1, round(0.2 * len(every)))
    if rule.group_by:
        whys.append(
            f"names before their last number are films, whose frames are alike: {len({*films.values()})} of them"
        )
    if rule.together:
        whys.append(f"{number(sum(map(len, together)), 'picture')} nearly the same as another stay on its side")
    why = "; ".join([f"none was there: {val} of {len(every)} pictures drawn to score on", *whys])
    return Division("split", _lines(rule), why)


def _lines(rule: RandomSplit) -> tuple[str, ...]:
    parts = [f"val: {rule.val:g}", *([f"group_by: {in_braces(rule.group_by)}"] if rule.group_by else [])]
    if not rule.together:
        return (f"split: {{{', '.join(parts)}}}",)
    groups = [f"    - [{', '.join(map(_name, group))}]" for group in rule.together]
    return ("split:", *(f"  {part}" for part in parts), "  together:", *groups)


def _name(text: str) -> str:
    """A name as YAML takes it for text: of digits in quotes, for 011 would be 9."""
    return f'"{text}"' if re.fullmatch(r"[\d_.+-]+", text) else in_braces(text)


def _films_tell(films: Mapping[str, str]) -> bool:
    counts = Counter(films.values())
    return len(counts) > 2 and max(counts.values()) > 1 and max(counts.values()) <= _ALONE * len(films)


def _alike(names: Mapping[str, str], looks: Mapping[str, Hashes]) -> list[tuple[str, str]]:
    """The names of pictures that are nearly the same, two at a time."""
    paths = [path for path in names if path in looks]
    if len(paths) > _COMPARED:
        return []
    hash_N = np.array([looks[path].hash for path in paths], np.uint64)
    mirrored_N = np.array([looks[path].mirrored for path in paths], np.uint64)
    thumb_NP = np.array([looks[path].thumb_N for path in paths], np.uint8).reshape(len(paths), -1)
    found = []
    for row in range(len(paths) - 1):
        rest = slice(row + 1, None)
        one = hash_N[row : row + 1], thumb_NP[row : row + 1]
        for others_M, mirrored in ((hash_N, False), (mirrored_N, True)):
            near_M = matches(*one, others_M[rest], thumb_NP[rest], mirrored) >= 0
            found += [(names[paths[row]], names[paths[row + 1 + int(k)]]) for k in np.flatnonzero(near_M)]
    return list(dict.fromkeys(found))


def _groups(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """What hangs together by pairs, in order."""
    home: dict[str, str] = {}

    def root(name: str) -> str:
        while home.setdefault(name, name) != name:
            name = home[name]
        return name

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        home[second] = first
    found: dict[str, list[str]] = {}
    for name in sorted(home):
        found.setdefault(root(name), []).append(name)
    return list(found.values())

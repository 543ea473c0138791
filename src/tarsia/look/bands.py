"""Files that differ in a band's name alone, as Sentinel-2's and Landsat's: the bands of one picture."""

from __future__ import annotations

import contextlib
import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tarsia.errors import ImageError
from tarsia.look.arrangement import Arrangement
from tarsia.look.described import Block
from tarsia.look.files import Found
from tarsia.pictures.headers import stored_size
from tarsia.plain_text import number
from tarsia.yaml_tree import in_braces

_BAND = re.compile(r"_(?:SR_|ST_)?(B\d{1,2}A?)(?:_\d\dm)?")  # as SR_B4 and B05_20m
_END = re.compile(f"{_BAND.pattern}$")


@dataclass(frozen=True)
class Bands:
    """The keys that say it, for those of a picture's one file: `bands`, and `images` where the folder is another."""

    blocks: tuple[Block, ...]

    def instead(self, blocks: list[Block]) -> list[Block]:
        """The keys of a data set whose pictures were taken to be of one band."""
        keys = {one.key for one in self.blocks}
        return [*self.blocks, *(one for one in blocks if one.key not in {*keys, "image_suffix"})]


def of_one_band(found: Found) -> Found:
    """The files without those of further bands; all of them where it is not bands that names end in.

    These are bands where there are several for a name, and a label of that name that is of none of them.
    """
    kinds: dict[str, dict[str, list[str]]] = {}  # by name, by band
    for path in (*found.pictures, *found.labels):
        stem = os.path.splitext(os.path.basename(path))[0]
        if end := _END.search(stem):
            kinds.setdefault(stem[: end.start()], {}).setdefault(end[0], []).append(path)
    banded = {path for one in kinds.values() for paths in one.values() for path in paths}
    labels = sorted(os.path.splitext(os.path.basename(one))[0] for one in found.labels if one not in banded)
    several = [name for name, one in kinds.items() if len(one) > 1 and _begins(labels, name)]
    if not several or 2 * len(several) < len(kinds):
        return found
    counts = Counter(end for name in several for end in kinds[name])
    first = min(counts, key=lambda end: (-counts[end], _number(end)))
    kept = {path for name in several for path in kinds[name].get(first, [])}
    return Found(
        found.root,
        sorted({*(one for one in found.pictures if one not in banded), *kept}),
        [one for one in found.labels if one not in banded],
    )


def _begins(names: Sequence[str], start: str) -> bool:
    """Whether any of sorted names begins so."""
    at = bisect_left(names, start)
    return at < len(names) and names[at].startswith(start)


def bands_of(found: Found, way: Arrangement) -> Bands | None:
    """What all pictures have two of or more, in one folder or in folders beside each other; None where that is not so.

    The finest comes first.
    """
    homes = way.folders.get("", [])
    if len(homes) != 1 or way.affixes.image_prefix or not _BAND.fullmatch(way.affixes.image_suffix):
        return None
    home = homes[0][0]
    files = {*found.pictures, *found.labels}
    own = {picture: _stem(picture, way.affixes.image_suffix) for picture, _ in way.pairs}
    picture = next(iter(own))
    shared = [
        kind
        for kind in _kinds(files, picture, own[picture])
        if all(_file(one, stem, kind) in files for one, stem in own.items())
    ]
    if len(shared) < 2:
        return None
    areas: dict[tuple[str, str], int] = {}
    for kind in shared:
        with contextlib.suppress(ImageError):
            height, width = stored_size(found.root / _file(picture, own[picture], kind))
            areas[kind] = height * width
    ordered = sorted(areas, key=lambda kind: (-areas[kind], _number(kind[1])))
    apart = len({folder for folder, _ in ordered}) > 1
    lines = [
        f"  - {{name: {_name(rest)}, file: {in_braces(f'{folder}/*{rest}' if apart else f'*{rest}')}}}"
        for folder, rest in ordered
    ]
    why = f"{number(len(ordered), 'file')} a picture, which differ in the band's name alone; a recipe for them says "
    blocks = [Block("bands", ("bands:", *lines), f"{why}model.bands: {len(ordered)}")]
    if apart and os.path.dirname(picture) == home:
        above = os.path.dirname(home) or "."
        blocks.append(Block("images", (f"images: {in_braces(above)}",), f"{number(len(own), 'picture')} with labels"))
    return Bands(tuple(blocks))


def _stem(picture: str, suffix: str) -> str:
    return os.path.splitext(os.path.basename(picture))[0].removesuffix(suffix)


def _kinds(files: set[str], picture: str, stem: str) -> list[tuple[str, str]]:
    """The bands that a picture may have: the last part of its folder or of one beside it, and what follows its name."""
    own = os.path.dirname(picture)
    found = []
    for one in files:
        place, name = os.path.split(one)
        rest = name.removeprefix(stem)
        beside = "/" in own and os.path.dirname(place) == os.path.dirname(own)
        if (place == own or beside) and name.startswith(stem) and _BAND.fullmatch(os.path.splitext(rest)[0]):
            found.append((os.path.basename(place), rest))
    return sorted(found)


def _file(picture: str, stem: str, kind: tuple[str, str]) -> str:
    """A picture's file of a band."""
    own = os.path.dirname(picture)
    folder = own if kind[0] == os.path.basename(own) else f"{os.path.dirname(own)}/{kind[0]}"
    return f"{folder}/{stem}{kind[1]}".removeprefix("/")


def _name(rest: str) -> str:
    found = _BAND.match(rest)
    return found[1] if found else rest


def _number(rest: str) -> tuple[int, str]:
    name = _name(rest)
    return int("".join(filter(str.isdigit, name)) or 0), name

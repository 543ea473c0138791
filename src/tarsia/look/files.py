"""Which files of a folder are pictures and which labels, by what they hold; by their names where that does not tell."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tarsia.data._affixes import common_ends
from tarsia.data._pairing import LABEL_SUFFIXES
from tarsia.doctor.sample import distinct
from tarsia.errors import DatasetError, TarsiaError
from tarsia.pictures import reader
from tarsia.pictures.find import walk
from tarsia.pictures.labels import read_label

_SAMPLED = 5  # files of a series that are opened
_MIXED = 0.2  # share of a series' labels from which on, and up to 1 less it, each file is looked at
_ROWS, _COLUMNS = 64, 2048  # of a file that are looked at
_FEW = 64  # values or colours of a label that was drawn
_FLAT, _VERY_FLAT = 0.5, 0.8  # share of neighbours that are equal: of a drawn label, of one with many values
_LABEL_WORDS = re.compile(
    r"(?i)(label|mask|annot|^ann_|^gt|[_-]gt$|truth|segm|^seg$|_seg$|trimap|semantic|classes|codes$|[_-]L$|[_-]P$)"
)
_PICTURE_WORDS = re.compile(r"(?i)(imag|img|photo|pict|jpeg|rgb|leftImg|^sat$|_sat$|input|tiles)")


@dataclass
class Found:
    """Pictures and labels below `root`, as paths relative to it with forward slashes."""

    root: Path
    pictures: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def find_files(root: Path) -> Found:
    """All pictures and labels below `root`; DatasetError where there is no such folder."""
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder, expected one with pictures and labels")
    found = Found(root)
    by_folder: dict[str, list[str]] = {}
    for relative in walk(root, LABEL_SUFFIXES):
        by_folder.setdefault(os.path.dirname(relative), []).append(relative.replace(os.sep, "/"))
    judged: list[tuple[list[str], float]] = []
    known: dict[tuple[str, ...], float] = {}
    for folder, files in by_folder.items():
        for series in _series(files):
            # Of many folders of one name (scenes, samples) the first few tell.
            key = (*_shape_of(folder), *_word_of(series))
            if key not in known or len(by_folder) < 2 * _SAMPLED:
                known[key] = _share_of_labels(root, series)
            if _MIXED < known[key] < 1 - _MIXED:
                judged += [([one], _share_of_labels(root, [one])) for one in series]
            else:
                judged.append((series, known[key]))
    _decide(found, judged)
    found.pictures.sort()
    found.labels.sort()
    return found


def _decide(found: Found, judged: Sequence[tuple[list[str], float]]) -> None:
    """Content decides; where it makes all of them one kind, the words in names do."""
    sides = {share >= 0.5 for _, share in judged}
    by_words = len(sides) == 1 and len(judged) > 1
    for series, share in judged:
        is_label = share >= 0.5
        if by_words:
            words = _hint(series[0])
            is_label = words > 0 if words else is_label
        (found.labels if is_label else found.pictures).extend(series)


def _hint(relative: str) -> int:
    """1 where the words of a path speak of labels, -1 of pictures, 0 of neither; the last word that does counts."""
    parts = [*relative.split("/")[:-1], *re.split(r"[_\-. ]", os.path.splitext(relative.rpartition("/")[2])[0])]
    for part in reversed(parts):
        if _LABEL_WORDS.search(part):
            return 1
        if _PICTURE_WORDS.search(part):
            return -1
    return 0


def speaks_of_labels(relative: str) -> bool:
    """Whether the words of a path do."""
    return _hint(relative) > 0


def _series(files: Sequence[str]) -> list[list[str]]:
    """The files of a folder by suffix, and by the word that many of their names end or begin with."""
    found: dict[tuple[str, str, str], list[str]] = {}
    stems = {relative: os.path.splitext(relative.rpartition("/")[2]) for relative in files}
    befores, afters = common_ends([stem for stem, _ in stems.values()], least=0.2)
    for relative, (stem, ending) in stems.items():
        after = max((one for one in afters if stem.endswith(one)), key=len, default="")
        before = max((one for one in befores if stem.startswith(one)), key=len, default="")
        found.setdefault((ending.lower(), before, after), []).append(relative)
    return list(found.values())


def _shape_of(folder: str) -> tuple[str, ...]:
    parts = folder.replace(os.sep, "/").split("/")
    return (str(len(parts)), parts[-1] if len(parts) > 1 else folder)


def _word_of(series: Sequence[str]) -> tuple[str, str]:
    stem, ending = os.path.splitext(series[0].rpartition("/")[2])
    return ending.lower(), re.sub(r"^.*\d[^_\-. ]*", "", stem)


def _share_of_labels(root: Path, series: Sequence[str]) -> float:
    """The share of a few files that look like labels; of those that nothing can be read of, half."""
    step = max(1, len(series) // _SAMPLED)
    told = [looks_like_label(root / one) for one in series[::step][:_SAMPLED]]
    known = [one for one in told if one is not None]
    return sum(known) / len(known) if known else 0.5 + 0.1 * _hint(series[0])


def looks_like_label(path: Path) -> bool | None:
    """Whether what a file holds was drawn, not taken; None where it cannot be read."""
    try:
        stored = read_label(path, lossy=True)
    except DatasetError:
        try:
            reader.read(path)
        except TarsiaError:
            return None
        return False
    step = max(1, stored.shape[0] // _ROWS)
    rows = stored[::step, :_COLUMNS]
    kinds = len(distinct(np.ascontiguousarray(rows))[0])
    same = rows[:, 1:] == rows[:, :-1]
    flat = float((same.all(2) if rows.ndim == 3 else same).mean()) if rows.shape[1] > 1 else 1.0
    return flat >= (_FLAT if kinds <= _FEW else _VERY_FLAT)

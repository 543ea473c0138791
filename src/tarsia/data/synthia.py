"""SYNTHIA video sequences: the same drives through drawn towns in every season, weather and light, 13 classes.

Ros et al., "The SYNTHIA dataset: a large collection of synthetic images for semantic segmentation of urban scenes",
CVPR 2016.  `root` holds the sequences (or is one), in each `RGB/CAMERA/NUMBER.png` and `GT/LABELS/CAMERA/NUMBER.png`:
PNGs of 16 bits a channel, whose first channel is the class, 1 .. 12 or 15; 0 (void) and 13, 14 (reserved) are ignored.

Sequences 01 and 06 are the highway, 02 and 05 the city like New York, 04 is an old European town.  Of the nine
conditions that Song, Zhang & Park (2021) score, 01 and 05 have all; 06 lacks fall, 02 winternight.  Which numbers they
took is not known here.

- `sequences`: which, by name or the end of it, letter case aside: 02-dawn is SYNTHIA-SEQS-02-DAWN, dawn is Dawn in
  every town, 01-* is one town in every condition.  Several are joined by +, as 01-dawn+06-dawn.
- `cameras`: which of the eight, Stereo_Left/Omni_F to Stereo_Right/Omni_R, in the same way: the front one on the left
  unless told, omni_f is both front ones, * is all.
- `domain_by`: the domain of a sample is the condition, the end of its sequence's name (dawn); or the sequence, all of
  its name.

SYNTHIA comes without splits.  Neighbouring frames look alike, so each camera's film is cut into ten equal runs: val is
the fifth, test the tenth, train the rest, and all is all of them.  To train on one condition and test on another, give
each its `sequences`, in a recipe by `val_options`.

Its single pictures, SYNTHIA-RAND-CITYSCAPES, are known by their folder, `RAND_CITYSCAPES` with `RGB/NUMBER.png` and
`GT/LABELS/NUMBER.png`: 22 classes with ids 1 .. 22, and by their names a tenth drawn for val and a tenth for test.
They have no sequences and cameras to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from tarsia.card import IGNORED, Classes
from tarsia.data import _synthia_rand
from tarsia.data._folders import nearby, require_root
from tarsia.data._labels import LabelTable
from tarsia.data._paired import PairedData
from tarsia.data._pairing import Pairing, pair, require_complete
from tarsia.errors import DatasetError, nearest
from tarsia.pictures.labels import read_label
from tarsia.plain_text import some

FRONT = "Stereo_Left/Omni_F"
SPLITS = ("train", "val", "test", "all")
RUNS = 10
HELD_OUT = {4: "val", 9: "test"}  # by run; the others are for training

# The classes of the video sequences, ids 1 .. 12 and 15.
IDS = (*range(1, 13), 15)
VOID = (0, 13, 14)
CLASSES = Classes(
    names=(
        "sky", "building", "road", "sidewalk", "fence", "vegetation", "pole", "car", "traffic_sign", "pedestrian",
        "bicycle", "lane_marking", "traffic_light",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (128, 64, 128), (0, 0, 192), (64, 64, 128), (128, 128, 0), (192, 192, 128),
        (64, 0, 128), (192, 128, 128), (64, 64, 0), (0, 128, 192), (0, 172, 0), (0, 128, 128),
    ),
)  # fmt: skip


class Data(PairedData):
    """One split of the chosen sequences and cameras below `root`; options as this module says.

    Raises DatasetError where files are missing or nothing fits an option.
    """

    def __init__(
        self,
        root: str | Path | None,
        split: str = "train",
        *,
        sequences: str = "*",
        cameras: str = FRONT,
        domain_by: Literal["condition", "sequence"] = "condition",
    ) -> None:
        if split not in SPLITS:
            raise DatasetError(f"synthia has no split {split}{nearest(split, SPLITS)}")
        folder = require_root(root, "synthia", "sequences such as SYNTHIA-SEQS-02-DAWN/ in it")
        if (single := _synthia_rand.find(folder)) is not None:
            if sequences != "*" or cameras != FRONT:
                raise DatasetError(f"{single}: single pictures, without sequences and cameras: leave both options out")
            super().__init__(_synthia_rand.frames(single, split), _synthia_rand.CLASSES, _synthia_rand.table())
            return
        found = {path.name: path for path in _sequences(folder)}
        pairing = Pairing()
        domains: list[str] = []
        sequences_of: list[str] = []
        for name in chosen(sequences, list(found), "-", f"{folder}: no sequence"):
            taken = _frames(found[name], cameras, split)
            pairing += taken
            domains += [name.lower().rpartition("-")[2] if domain_by == "condition" else name] * len(taken.pairs)
            sequences_of += [name] * len(taken.pairs)
        if not pairing.pairs:
            require_complete(pairing)  # the likelier reason
            raise DatasetError(f"{folder}: too few frames for a {split} split, one run of {RUNS}: use split=all")
        super().__init__(pairing, CLASSES, _table(), domains, sequences_of)

    def read_label(self, path: str) -> np.ndarray:
        """The class numbers in a label file, H x W: its first channel, or its only one."""
        stored = read_label(path, wide=True)
        return stored[..., 0] if stored.ndim == 3 else stored


def chosen(patterns: str, names: Sequence[str], separator: str, what: str) -> list[str]:
    """The names that one of `patterns` (joined by +) fits, or fits from some separator on; case does not matter.

    Raises DatasetError, beginning with `what`, for a pattern that fits none.
    """
    fitting: set[str] = set()
    for pattern in patterns.split("+"):
        fits = {name for name in names if any(fnmatchcase(end, pattern.lower()) for end in _ends(name, separator))}
        if not fits:
            raise DatasetError(f"{what} {pattern!r}: there are {some(names) or 'none'}")
        fitting |= fits
    return [name for name in names if name in fitting]


def _ends(name: str, separator: str) -> list[str]:
    parts = name.lower().split(separator)
    return [separator.join(parts[first:]) for first in range(len(parts))]


def _frames(sequence: Path, cameras: str, split: str) -> Pairing:
    """The frames of one sequence that belong to `split`, its folder's name and the camera before theirs."""
    images, labels = sequence / "RGB", sequence / "GT" / "LABELS"
    if not labels.is_dir():
        remedy = "get it, or leave the sequence out by `sequences`"
        raise DatasetError(f"{sequence}: no GT/LABELS/, which hold the classes (GT/COLOR is for looking at): {remedy}")
    there = sorted(path.relative_to(images).as_posix() for path in images.glob("*/*") if path.is_dir())
    frames = Pairing()
    for camera in chosen(cameras, there, "/", f"{images}: no camera"):
        film = pair(images / camera, labels / camera)
        taken = [
            one._replace(name=f"{sequence.name}/{camera}/{one.name}")
            for index, one in enumerate(film.pairs)
            if split in ("all", HELD_OUT.get(index * RUNS // len(film.pairs), "train"))
        ]
        frames += replace(film, pairs=taken)
    return frames


def _sequences(root: Path) -> list[Path]:
    """`root` if it is a sequence, else those in it, sorted by name."""
    if _is_sequence(root):
        return [root.absolute()]  # a name even for "."
    found = _below(root)
    if not found:
        hint = nearby(root, lambda other: _is_sequence(other) or bool(_below(other)))
        raise DatasetError(f"{root}: no sequences in it, which are folders with RGB/ and GT/LABELS/{hint}")
    return found


def _is_sequence(folder: Path) -> bool:
    return (folder / "RGB").is_dir()


def _below(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/RGB") if path.is_dir())


def _table() -> LabelTable:
    values = dict.fromkeys(VOID, IGNORED) | {value: label for label, value in enumerate(IDS)}
    remedy = (
        "GT/LABELS of the video sequences holds 0 to 15 in the first channel; for SYNTHIA's other parts, with more "
        "classes, make index masks and a dataset.yaml and use folder:ROOT"
    )
    return LabelTable(values, {}, remedy)

"""Any images and masks, with a `dataset.yaml` beside them that says what they are.

The smallest one, for `images/` and `labels/` whose masks hold 0 for background and 1 for road:

    classes: [background, road]
    split: {val: 0.2}

Everything it can say:

    classes:                          # in this order they are 0, 1, 2 ... in memory, reports and predictions
      - {name: background, values: [0]}
      - {name: road, values: [1, 3], color: [128, 64, 128]}
      - {name: car, values: [2], color: [64, 0, 128], colors: [[64, 0, 128], [64, 128, 192]]}
                                      # values, colors: all that mean this class in the masks (merging).  Values
                                      # default to the position in this list (all of them or none), colors to [color];
                                      # a name alone is a class too; colours not given are chosen;
                                      # '#804080' is a colour too
    ignore: [9, [0, 0, 0]]            # values and colours that are neither learned nor scored; 255 always is,
                                      # unless it is a class
    format: index                     # index: the masks' numbers (palette PNGs: their indices); rgb: their colours;
                                      # without it grey and palette masks are numbers and RGB masks are colours
    bands: 4                          # of the pictures, 1 to 64; without it 3, which are red, green and blue.  Other
                                      # numbers: TIFFs of so many bands, .npy files (uint8, height x width x bands),
                                      # and for 1 any grey pictures
    dtype: uint16                     # of the pictures' numbers: uint8, uint16, int16, float32; without it what those
                                      # for training hold.  Other than uint8, they reach the network with all levels
    range: {percentiles: [0.1, 99.9], per: band}
                                      # which values become 0 and 255 there: at percentiles of the training split
                                      # (this is what is done without it; `per: all`, the bands together, where there
                                      # are one or three), {low: 0, high: 3000}, {low: [..], high: [..]} one a band, or
                                      # limits: the least and largest of their kind
    alpha: none                       # a sample beyond the bands: none (it is a band), last (0: no data), drop; without
                                      # it it is transparency where it holds 0 and the maximum alone, else refused
    take: [4, 3, 2]                   # which samples of a file are the bands, counted from 1
    nodata: -9999                     # pixels that hold it in all bands have no data, and are not learned; without it
                                      # what a TIFF's tag says; `none` switches that off
    images: images                    # folders, relative to this file; subfolders are looked through
    labels: labels
    label_suffix: _mask               # a.jpg goes with a_mask.png; without it with a.png
    split: {val: 0.2, test: 0.1, seed: 0, group_by: "^(seq[0-9]+)"}
                                      # drawn at random, always the same; pictures whose names agree in the regular
                                      # expression's first group (a drive, a patient) are never divided
    domain_by: "^(night|day)"         # the domain of a sample, likewise from its name
    sequence_by: "^(seq[0-9]+)"       # pictures of one video, which resemble each other; default: split's group_by

or, instead of `split`, what belongs to each split:

    splits:
      train: {images: train, labels: trainannot}
      val: {list: val.txt}            # names, one a line, within `images` and `labels` above

A picture's name is its path below the image folder without suffix; image and label are matched by it.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from tarsia.card import Spec
from tarsia.data._folders import nearby, require_root
from tarsia.data._layout import Layout, divide
from tarsia.data._paired import PairedData
from tarsia.data._pairing import Pairing, pair, read_names, require_complete
from tarsia.errors import DatasetError, ImageError, NoSplitError, nearest
from tarsia.pictures.find import suffixes
from tarsia.pictures.labels import read_colors, read_label
from tarsia.pictures.reader import stored_kind
from tarsia.plain_text import number

NAME = "dataset.yaml"
UNDECIDED = "undecided.yaml"  # of a copy by `tarsia check --fix` whose labels may be meant in several ways
_EXAMPLE = ("classes: [background, thing]", "images: images", "labels: labels", "split: {val: 0.2}")


class Data(PairedData):
    """One split of the data set that `root` (a folder with dataset.yaml, or that file) describes.

    `split`: as dataset.yaml names them; `all` for every picture where it has none or draws them at random.  Raises
    RecipeError for faults in dataset.yaml, with lines, DatasetError for faults among the files.
    """

    def __init__(self, root: str | Path | None, split: str = "train") -> None:
        self.source = find(root)
        self.layout = Layout.load(self.source)
        pairing = _pairing(self.source, self.layout, split)
        names = [one.name for one in pairing.pairs]
        domains = [_part(self.source, "domain_by", self.layout.domain_by, name) for name in names]
        sequence_by = self.layout.sequence_by or (self.layout.split.group_by if self.layout.split else None)
        sequences = [_part(self.source, "sequence_by", sequence_by, name) for name in names]
        table = self.layout.table(str(self.source))
        super().__init__(pairing, self.layout.palette(), table, domains, sequences, self._spec(pairing, split))
        self.range_rule = self.layout.range_rule

    def _spec(self, pairing: Pairing, split: str) -> Spec:
        """How pictures are read: of the kind of numbers that dataset.yaml says, or that those for training are of.

        DatasetError where they are of several.
        """
        spec = self.layout.spec
        if self.layout.dtype is not None:
            return spec
        kinds = _kinds(pairing)
        if kinds.keys() <= {"uint8"}:
            return spec
        with contextlib.suppress(NoSplitError):
            if split != "train":
                kinds = _kinds(_pairing(self.source, self.layout, "train"))
        if len(kinds) > 1:
            found = ", ".join(f"{number(count, 'picture')} of {kind}" for kind, count in kinds.most_common())
            raise DatasetError(
                f"{self.source}: pictures of several kinds ({found}): save all of one kind, or say which in {NAME}: "
                "dtype: uint8 takes 16 bits by their upper byte, dtype: float32 takes all as they are"
            )
        return replace(spec, dtype=next(iter(kinds)))

    def read_label(self, path: str) -> np.ndarray:
        """The mask's values (H x W) or colours (H x W x 3), by `format` or by what the file holds."""
        if self.layout.format == "rgb":
            return self._colored(read_colors(path), path)
        stored = read_label(path)
        return self._colored(stored, path) if stored.ndim == 3 else stored

    def _colored(self, stored_HW3: np.ndarray, path: str) -> np.ndarray:
        grey = bool((stored_HW3 == stored_HW3[..., :1]).all())
        if self.layout.format == "index":
            if not grey:
                raise DatasetError(
                    f"{path}: an RGB mask with colours, but {self.source} says `format: index`: write `format: rgb` "
                    "and give each class its color"
                )
            return stored_HW3[..., 0]
        if not self.table.colors:
            remedy = (
                "its channels are equal: if they are class numbers, add `format: index`"
                if grey
                else ("give each class its color, as `- {name: road, color: [128, 64, 128]}`")
            )
            raise DatasetError(f"{path}: an RGB mask, but {self.source} gives no class a color; {remedy}")
        return stored_HW3


def _kinds(pairing: Pairing) -> Counter[str]:
    """How many pictures are of which kind of numbers, by their headers; those that cannot be read are left aside."""
    found: Counter[str] = Counter()
    for pair_ in pairing.pairs:
        with contextlib.suppress(ImageError):
            found[stored_kind(pair_.image)] += 1
    return found


def find(root: str | Path | None) -> Path:
    """The dataset.yaml that `root` is or holds; DatasetError where there is none."""
    path = require_root(root, "folder", f"a {NAME} in it")
    if path.is_file():
        if path.suffix not in (".yaml", ".yml"):
            raise DatasetError(f"{path}: a file, expected a folder with a {NAME} in it, or that file")
        return path
    if not (path / NAME).is_file():
        if (path / UNDECIDED).is_file():
            raise DatasetError(
                f"{path}: what its labels mean is not decided: put the lines of the right reading (of `tarsia check`) "
                f"into {path / UNDECIDED}, and rename that to {NAME}"
            )
        hint = nearby(path, lambda folder: (folder / NAME).is_file())
        fault = f"{path}: no {NAME} in it{hint}"
        if hint:
            raise DatasetError(fault)
        raise DatasetError(f"{fault}; write one that fits, such as", *_EXAMPLE)
    return path / NAME


def _pairing(source: Path, layout: Layout, split: str) -> Pairing:
    root, known = source.parent, suffixes(layout.spec)
    if layout.splits:
        if split not in layout.splits:
            raise NoSplitError(f"{source} has no split {split}{nearest(split, layout.splits)}")
        images, labels, listed = layout.place(split)
        only = read_names(root / listed) if listed else None
        return pair(root / images, root / labels, layout.label_suffix, _SUFFIX_REMEDY, only, suffixes=known)
    parts = ("train", "val", "test", "all")
    if split not in parts:
        raise NoSplitError(f"{source} has no split {split}{nearest(split, parts)}")
    share = getattr(layout.split, split, 1) if layout.split else split in ("train", "all")
    if not share:
        wish = "{test: 0.1}" if split == "test" else "{val: 0.2}"
        raise NoSplitError(f"{source} has no {split} split: add `split: {wish}`, or splits with folders of their own")
    pairing = pair(root / layout.images, root / layout.labels, layout.label_suffix, _SUFFIX_REMEDY, suffixes=known)
    if split == "all" or layout.split is None:
        return pairing
    pattern = layout.split.group_by
    names = [one.name for one in pairing.pairs]
    groups = [_part(source, "split.group_by", pattern, name) for name in names] if pattern else []
    try:
        drawn = divide(names, layout.split, groups)[split]
    except DatasetError as error:
        require_complete(pairing)  # the likelier reason
        raise DatasetError(f"{source}: {error}") from error
    return replace(pairing, pairs=[pairing.pairs[index] for index in drawn])


_SUFFIX_REMEDY = f"add `label_suffix: {{found}}` to {NAME}"


def _part(source: Path, key: str, pattern: str | None, name: str) -> str:
    """What `pattern` finds in a name: its first group, or all of it."""
    if pattern is None:
        return ""
    found = re.search(pattern, name)
    text = found[1 if found.re.groups else 0] if found else None
    if text is None:
        raise DatasetError(
            f"{source}: {key} {pattern!r} does not match {name}: it must match the name of every picture"
        )
    return text

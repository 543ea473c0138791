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
                                      # '#804080' is a colour too; other ways to write classes: docs/folder-data.md
    ignore: [9, [0, 0, 0]]            # values and colours that are neither learned nor scored; 255 always is,
                                      # unless it is a class
    format: index                     # index: the masks' numbers (palette PNGs: their indices); rgb: their colours;
                                      # without it grey and palette masks are numbers and RGB masks are colours
    bands: 4                          # of the pictures, 1 to 64; without it 3, which are red, green and blue.  Other
                                      # numbers: TIFFs of so many bands, .npy files (uint8, height x width x bands),
                                      # and for 1 any grey pictures; or, where each band is a file of its own, their
                                      # list, [{name: B02, file: "*_B02_10m.tif"}, ...], the finest first: * stands
                                      # for the picture's name
    dtype: uint16                     # of the pictures' numbers: uint8, uint16, int16, float32; without it what those
                                      # for training hold.  Other than uint8, they reach the network with all levels
    range: {percentiles: [0.1, 99.9], per: band}
                                      # which values become 0 and 255 there: at percentiles of the training split
                                      # (this is what is done without it; `per: all`, the bands together, where there
                                      # are one or three), {low: 0, high: 3000}, {low: [..], high: [..]} one a band,
                                      # limits: the least and largest of their kind, or {picture: [1, 99.8]}: at
                                      # percentiles of each picture itself (when to: docs/folder-data.md)
    bits: 12                          # of 16 that the values use, 9 to 16; without it what the files say, the same in
                                      # all.  A value beyond is an error; 16 takes all as stored
    alpha: none                       # a sample beyond the bands: none (it is a band), last (0: no data), drop; without
                                      # it it is transparency where it holds 0 and the maximum alone, else refused
    take: [4, 3, 2]                   # which samples of a file are the bands, counted from 1
    nodata: -9999                     # pixels that hold it in all bands have no data, and are not learned; without it
                                      # what a TIFF's tag says; `none` switches that off
    harmonise: sentinel2              # adds 1000 to pictures of Sentinel-2 products before baseline 04.00, where these
                                      # are not 0, by their MTD_MSI*.xml beside or above them; without it a split of
                                      # products before and since is an error
    tolerance: 30                     # of masks that were saved as JPEG: a value or colour that is so near to a class
                                      # (in each channel) is of it; what is farther from all is ignored
    images: images                    # folders, relative to this file; subfolders are looked through.  Several are a
    labels: labels                    # list, [day, night], or a pattern, Train/*/images, with labels Train/*/masks
    label_suffix: _mask               # a.jpg goes with a_mask.png; without it with a.png
    image_suffix: _sat                # a_sat.jpg; with a dot, .jpg or _sat.jpg, the end of the file's whole name
    label_prefix: gt_                 # likewise before the name; and image_prefix
    join_labels: true                 # a label is a folder of masks (beside the only picture of a folder, or of the
                                      # picture's name): the largest value of a pixel counts
    leave_out: {IMG 12: has no label} # names of pictures and labels that are not used, and why; or a list of them
    split: {val: 0.2, test: 0.1, seed: 0, group_by: "^(seq[0-9]+)"}
                                      # drawn at random, always the same; pictures whose names agree in the regular
                                      # expression's first group (a drive, a patient) are never divided, nor are
                                      # those of a list in `together: [[a, b], [c, d]]`
    domain_by: "^(night|day)"         # the domain of a sample, likewise from its name
    sequence_by: "^(seq[0-9]+)"       # pictures of one video, which resemble each other; default: split's group_by

or, instead of `split`, what belongs to each split:

    splits:
      train: {images: train, labels: trainannot}
      val: {list: val.txt}            # names, one a line, within `images` and `labels` above; or an image and its
                                      # label a line, wherever they are below the folder of this file

A picture's name is its path below the image folder without suffix and affixes, after what distinguishes that folder
from others of the split; image and label are matched by it, letters with accents in whatever way they are stored, and
by letter case where only one can be meant.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tarsia.card import Spec
from tarsia.data._affixes import Affixes
from tarsia.data._folders import nearby, require_root
from tarsia.data._layout import Layout
from tarsia.data._lists import listed_pairs, read_names, read_pairs
from tarsia.data._paired import PairedData
from tarsia.data._pairing import LABEL_SUFFIXES, Pairing, Rule, pair_folders, require_complete
from tarsia.data._places import folders
from tarsia.data._reading import kinds, several_kinds, two_scales
from tarsia.data._split import divide
from tarsia.errors import DatasetError, NoSplitError, nearest
from tarsia.pictures.find import suffixes, walk
from tarsia.pictures.headers import Numbers
from tarsia.pictures.labels import read_colors, read_label
from tarsia.plain_text import command, listed

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
        spec, fault = self._spec(pairing, split)
        if spec.dtype == "uint16" and not spec.harmonise and not fault:
            scales = two_scales(one.image for one in pairing.pairs)
            fault = scales and f"{self.source}: {scales}"
        super().__init__(pairing, self.layout.palette(), table, domains, sequences, spec)
        self.range_rule, self.kinds_fault = self.layout.range_rule, fault

    def _spec(self, pairing: Pairing, split: str) -> tuple[Spec, str]:
        """How pictures are read: of the kind of numbers that dataset.yaml says, or that those for training are of.

        And what is wrong where these are of several: then they are read as 8 bits.
        """
        layout, spec = self.layout, self.layout.spec
        if layout.dtype not in (None, "uint16") or (layout.dtype and layout.bits):
            return spec, ""
        found = kinds(path for one in pairing.pairs for path in spec.files_of(one.image))
        if layout.dtype is None and {one.kind for one in found} <= {"uint8"}:
            return spec, ""
        if split != "train":
            found = self._of_training() or found
        if layout.dtype is not None:  # of other kinds their reading says that they are
            found = Counter({one: count for one, count in found.items() if one.kind == layout.dtype})
        fault = several_kinds(found, layout.bits is not None)
        if fault or not found:
            return spec, fault and f"{self.source}: {fault}"
        kind, stored = next(iter(found))
        if kind != "uint16":
            fault = f"{self.source}: bits: of {kind} all are used: leave `bits` out" if layout.bits else ""
            return replace(spec, dtype=kind, bits=None), fault
        bits = layout.bits or stored
        return replace(spec, dtype=kind, bits=bits if bits < 16 else None), ""

    def _of_training(self) -> Counter[Numbers]:
        try:
            pairing = _pairing(self.source, self.layout, "train")
        except NoSplitError:
            return Counter()
        return kinds(path for one in pairing.pairs for path in self.layout.spec.files_of(one.image))

    def read_label(self, path: str) -> np.ndarray:
        """The mask's values (H x W) or colours (H x W x 3), by `format` or by what the file holds.

        Of a folder of them, of each pixel the largest value.
        """
        if self.layout.join_labels and os.path.isdir(path):
            return joined([self._read_file(os.path.join(path, name)) for name in walk(path, LABEL_SUFFIXES)], path)
        return self._read_file(path)

    def _read_file(self, path: str) -> np.ndarray:
        lossy = self.layout.tolerance > 0
        if self.layout.format == "rgb":
            return self._colored(read_colors(path, lossy), path)
        stored = read_label(path, lossy=lossy)
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


def described(path: Path) -> bool:
    """Whether a folder has a dataset.yaml, or is a copy that waits for one."""
    return (path / NAME).is_file() or (path / UNDECIDED).is_file()


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
        write = command("init", path)
        raise DatasetError(
            f"{fault}; `{write}` writes one from what lies there, or write one that fits, such as", *_EXAMPLE
        )
    return path / NAME


def _pairing(source: Path, layout: Layout, split: str) -> Pairing:
    root = source.parent
    if layout.splits:
        if split not in layout.splits:
            raise NoSplitError(f"{source} has no split {split}{nearest(split, layout.splits)}")
        images, labels, names = layout.place(split)
        if names and (rows := read_pairs(root / names)):
            return listed_pairs(root, root / names, rows, layout.leave_out)
        only = read_names(root / names) if names else None
        return pair_folders(folders(root, images, labels), _rule(layout, only))
    parts = ("train", "val", "test", "all")
    if split not in parts:
        raise NoSplitError(f"{source} has no split {split}{nearest(split, parts)}")
    share = getattr(layout.split, split, 1) if layout.split else split in ("train", "all")
    if not share:
        wish = "{test: 0.1}" if split == "test" else "{val: 0.2}"
        raise NoSplitError(f"{source} has no {split} split: add `split: {wish}`, or splits with folders of their own")
    pairing = pair_folders(folders(root, layout.images, layout.labels), _rule(layout, None))
    if split == "all" or layout.split is None:
        return pairing
    pattern = layout.split.group_by
    known = [one.name for one in pairing.pairs]
    groups = [_part(source, "split.group_by", pattern, name) for name in known] if pattern else []
    try:
        drawn = divide(known, layout.split, groups)[split]
    except DatasetError as error:
        require_complete(pairing)  # the likelier reason
        raise DatasetError(f"{source}: {error}") from error
    return replace(pairing, pairs=[pairing.pairs[index] for index in drawn])


def _rule(layout: Layout, only: Sequence[str] | None) -> Rule:
    """How names are matched by dataset.yaml."""
    found = suffixes(layout.spec)
    return Rule(
        layout.affixes,
        only,
        layout.leave_out,
        layout.join_labels,
        layout.spec.files[0].folder if layout.spec.files else "",
        found,
        lambda other: _affix_remedy(other, layout.affixes),
    )


def _affix_remedy(found: Affixes, said: Affixes) -> str:
    known = said.keys()
    keys = [f"`{key}: {value}`" for key, value in found.keys().items() if known.get(key) != value]
    return f"add {listed(keys)} to {NAME}" if keys else ""


def joined(stored: Sequence[np.ndarray], path: str) -> np.ndarray:
    """Several masks of one picture as one: the largest value of each pixel.  DatasetError where they differ in size."""
    if not stored:
        raise DatasetError(f"{path}: no label files in it, but `join_labels: true` says there are")
    if len({one.shape for one in stored}) > 1 or stored[0].ndim != 2:
        shapes = sorted({"x".join(map(str, one.shape)) for one in stored})
        raise DatasetError(f"{path}: its label files are {', '.join(shapes)}, expected numbers of one height x width")
    return np.maximum.reduce(stored)


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

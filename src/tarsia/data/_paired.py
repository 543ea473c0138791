"""Images and labels on disk, matched by name, as a data set: what all but the drawn ones have in common."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tarsia.card import Classes, Spec
from tarsia.data._dataset import Sample, check_sample
from tarsia.data._labels import LabelTable
from tarsia.data._pairing import LABEL_SUFFIXES, Pairing
from tarsia.errors import DatasetError
from tarsia.pictures.find import walk
from tarsia.pictures.labels import read_label
from tarsia.pictures.reader import RGB, Picture, masked, read
from tarsia.pictures.sentinel2 import metadata_of


class PairedData:
    """Pairs of files as a data set: read, mapped by the table and checked one at a time.

    It has the pairs there are; `data.open` requires that `pairing` is complete, the doctor does not.
    """

    def __init__(
        self,
        pairing: Pairing,
        classes: Classes,
        table: LabelTable,
        domains: Sequence[str] = (),
        sequences: Sequence[str] = (),
        spec: Spec = RGB,
    ) -> None:
        self.classes = classes
        self.kinds_fault = ""  # what is wrong where pictures are of several kinds of numbers
        self.range_rule: Any = None  # of dataset.yaml: which values become 0 and 255 (data/_range.py)
        self.spec, self.bands = spec, spec.bands
        self.pairing = pairing
        self.pairs = pairing.pairs
        self.table = table
        self.domains = list(domains) or [""] * len(self.pairs)
        self.sequences = list(sequences) or [""] * len(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; ImageError or DatasetError naming the file where it is damaged or strange."""
        name, image, label = self.pairs[index]
        picture = self.picture(index)
        image_HWC = picture.warned()
        stored = self.read_label(label)
        if image_HWC.shape[:2] != stored.shape[:2]:
            raise DatasetError(
                f"{image} is {_size(image_HWC)} but its label {label} is {_size(stored)} (height x width): "
                "resize one of the two files, labels with nearest neighbour"
            )
        label_HW = masked(self.table(stored, label), picture.valid_HW)
        sample = Sample(image_HWC, label_HW, name, self.domains[index], self.sequences[index], picture.levels)
        return check_sample(sample, self.classes, self.spec)

    def picture(self, index: int) -> Picture:
        """The picture of sample `index`."""
        return read(self.pairs[index].image, self.spec)

    def read_as(self, spec: Spec) -> Self:
        """The same with pictures read by `spec`."""
        other = copy.copy(self)
        other.spec, other.bands = spec, spec.bands
        return other

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        return self.pairs[index].name

    def read_label(self, path: str) -> np.ndarray:
        """What stands in a label file: H x W values or H x W x 3 colours."""
        return read_label(path)

    def fingerprint(self) -> str:
        """Hex digest that changes with classes, table, bands and names, and with the size or date of any file."""
        table = [sorted(self.table.values.items()), sorted(self.table.colors.items())]
        more: tuple[object, ...] = () if self.spec == RGB else (self.spec,)
        more += (self.table.tolerance,) if self.table.tolerance else ()
        digest = hashlib.sha256(repr((self.classes, table, *more)).encode())
        for index, (name, image, label) in enumerate(self.pairs):
            try:
                states = [os.stat(path) for path in (*self._picture_files(image), *_files(label))]
            except OSError as error:
                raise DatasetError(f"{error.filename}: cannot be read ({error.strerror})") from error
            kept = [name, self.domains[index], self.sequences[index]]
            digest.update(repr([*kept, *((state.st_size, state.st_mtime_ns) for state in states)]).encode())
        return digest.hexdigest()

    def _picture_files(self, image: str) -> list[str]:
        """All that decides what a picture is read as: its files, and what its product says of them."""
        said = metadata_of(image) if self.spec.harmonise else None
        return [*map(str, self.spec.files_of(image)), *([] if said is None else [str(said)])]


def _files(path: str) -> list[str]:
    """The file, or those of a label's folder."""
    if not os.path.isdir(path):
        return [path]
    return [path, *(os.path.join(path, name) for name in walk(path, LABEL_SUFFIXES))]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"

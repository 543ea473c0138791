"""Pictures of a new condition: of a folder, or of a data set whose labels are never read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tarsia import data
from tarsia.card import Spec
from tarsia.data._dataset import Dataset, evenly, read_as
from tarsia.data._paired import PairedData
from tarsia.data.folder import NAME as DATASET_FILE
from tarsia.errors import DatasetError
from tarsia.pictures.find import walk
from tarsia.pictures.reader import RGB, read

_HASHED = 256  # pictures that tell one collection from another


class Unlabelled:
    """`pictures[index]` -> H x W x 3 uint8 RGB.  `source`: how it was asked for; `names`: one for each picture."""

    def __init__(self, source: str, names: list[str], read: Callable[[int], np.ndarray]) -> None:
        if not names:
            raise DatasetError(f"{source}: no pictures in it, and adapting needs some of the new condition")
        self.source, self.names, self._read = source, names, read

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`; ImageError naming the file where it is damaged."""
        return self._read(index)

    def spread(self, count: int) -> Iterator[np.ndarray]:
        """Up to `count` pictures, evenly spaced over all."""
        for index in evenly(count, len(self)):
            yield self[index]

    def hash(self) -> str:
        """sha256 of all names, and of the pixels of up to 256 pictures, evenly spaced."""
        digest = hashlib.sha256(os.fsencode("\n".join(self.names)))
        for image_HW3 in self.spread(_HASHED):
            digest.update(repr(image_HW3.shape).encode())
            digest.update(np.ascontiguousarray(image_HW3).data)
        return digest.hexdigest()


def open_unlabelled(source: str | Path) -> Unlabelled:
    """A folder of pictures, or what `data.meant` takes (train, unless it says its split) -> its pictures.

    A folder with a dataset.yaml is that data set.  Labels on disk are not opened; a data set that draws its pictures
    draws their labels too, which are dropped here.  Raises DatasetError where there is nothing, or no picture.
    """
    folder = Path(source).expanduser()
    if folder.is_dir() and not (folder / DATASET_FILE).is_file() and source not in data.known():
        names = walk(folder)
        return Unlabelled(str(source), names, _Files([os.path.join(folder, name) for name in names]))
    if not folder.exists() and str(source).startswith((".", "/", "~")):
        raise DatasetError(f"{source}: no such folder; expected a folder of pictures or NAME[:ROOT][,key=value...]")
    dataset = read_as(data.open_spec(data.meant(source), default_split="train"), RGB)
    names = [dataset.name(index) for index in range(len(dataset))]
    if isinstance(dataset, PairedData):
        return Unlabelled(str(source), names, _Files([pair.image for pair in dataset.pairs], dataset.spec))
    return Unlabelled(str(source), names, _Drawn(dataset))


class _Files:
    def __init__(self, paths: list[str], spec: Spec = RGB) -> None:
        self.paths, self.spec = paths, spec

    def __call__(self, index: int) -> np.ndarray:
        return read(self.paths[index], self.spec).warned()


class _Drawn:
    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __call__(self, index: int) -> np.ndarray:
        return self.dataset[index].image

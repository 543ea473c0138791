"""Samples at the size at which a network learns them, read once as far as memory is given for them."""

from __future__ import annotations

import numpy as np

from tarsia.card import Input
from tarsia.data._dataset import Dataset
from tarsia.pictures import rgb as pictures
from tarsia.pictures.ranges import Levels, levels_of
from tarsia.prediction.network_input import network_size

Found = tuple[np.ndarray, np.ndarray, Levels | None, str]


class Resized:
    """`resized[index]` -> image, label, the whole picture's levels, name; up to `keep` bytes of them stay in memory."""

    def __init__(self, dataset: Dataset, settings: Input, keep: int) -> None:
        self.dataset, self.settings, self._room = dataset, settings, keep
        self._kept: dict[int, Found] = {}

    def __getitem__(self, index: int) -> Found:
        """Its arrays are read-only where they are kept: what augments must not change them."""
        return self._kept.get(index) or self._read(index)

    def _read(self, index: int) -> Found:
        sample = self.dataset[index]
        image, label = sample.image, sample.label
        levels = levels_of(self.settings.range, image, sample.levels)  # of the whole picture
        size = network_size(label.shape, self.settings)
        if size != label.shape:
            image, label = pictures.resize(image, size), pictures.resize_label(label, size)
        found = image.view(), label.view(), levels, sample.name
        if (size_bytes := image.nbytes + label.nbytes) <= self._room:
            self._room -= size_bytes
            self._kept[index] = found
            for array in found[:2]:
                array.setflags(write=False)
        return found

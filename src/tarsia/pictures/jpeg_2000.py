"""JPEG 2000 read by rows: a tile of Sentinel-2 has 120 million pixels, and a file for each band."""

from __future__ import annotations

from typing import Any

import numpy as np

from tarsia.card import Spec
from tarsia.pictures.by_rows import ByRows
from tarsia.pictures.deep import Samples, jpeg_2000_lies, jpeg_2000_rows
from tarsia.pictures.kinds import Data
from tarsia.pictures.of_samples import of_samples


class Jpeg2000(ByRows):
    """A file that GDAL has open, its pieces decoded as their rows are asked for and kept until later ones are."""

    def __init__(self, raster: Any, spec: Spec, where: str) -> None:
        self.where, self.size, self._raster, self._spec = where, (raster.height, raster.width), raster, spec
        self._step = int(raster.block_shapes[0][0])  # rows that are decoded together
        self._pieces: dict[int, Samples] = {}
        self._remarks: list[str] | None = None  # as long as each part was remarked on
        self.lies = jpeg_2000_lies(raster)

    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        wanted = range(top // self._step, -(-bottom // self._step))
        self._pieces = {piece: self._pieces.get(piece) or self._piece(piece) for piece in wanted}
        first = self._pieces[wanted[0]]
        values_HWC = np.concatenate([self._pieces[piece].values_HWC for piece in wanted])
        start = wanted[0] * self._step
        found = of_samples(first._replace(values_HWC=values_HWC[top - start : bottom - start]), self._spec, self.where)
        said = found.remarks()
        self._remarks = said if self._remarks is None or not said else self._remarks and said
        return found.values_HWC, found.data

    def remarks(self) -> list[str]:
        return list(self._remarks or [])

    def _piece(self, piece: int) -> Samples:
        top = piece * self._step
        return jpeg_2000_rows(self._raster, top, min(self.size[0], top + self._step), self.where)

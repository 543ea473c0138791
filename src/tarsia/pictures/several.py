"""A picture whose bands are files of their own, as Sentinel-2's and Landsat's: one file a band, read as one.

The first file's size is the picture's.  Another band may be smaller by a whole factor, the same in both directions (20
and 60 m beside 10): its pixels are repeated.  Any other size, and files that lie elsewhere on earth by their tags, are
refused.  There is no data where all bands hold their value for that, and where one of them is no number or masked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tarsia.card import Spec
from tarsia.errors import ImageError
from tarsia.pictures import kinds
from tarsia.pictures.by_rows import ByRows
from tarsia.pictures.kinds import Data


class Joined(ByRows):
    """`bands`, open pictures of one band each, as one; ImageError where they do not fit together."""

    def __init__(self, bands: Sequence[ByRows], spec: Spec) -> None:
        self.where, self.size, self.lies = bands[0].where, bands[0].size, bands[0].lies
        self._bands, self._spec = bands, spec
        self._factors = [self._factor(one) for one in bands]

    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        values_HWN = np.empty((bottom - top, self.size[1], len(self._bands)), self._spec.dtype)
        seen = [self._band(k, top, bottom, values_HWN) for k in range(len(self._bands))]
        sound_HW = seen[0].sound_HW
        for one in seen[1:]:
            sound_HW = kinds.both(sound_HW, one.sound_HW)
        held = [one.held_HW for one in seen if one.held_HW is not None]
        held_HW = np.logical_and.reduce(held) if len(held) == len(seen) else None
        data = Data(sound_HW, held_HW)
        for band, one in enumerate(seen):
            self._put_back(values_HWN[..., band], one, data.valid_HW)
        return kinds.emptied(values_HWN, data.valid_HW), data

    def remarks(self) -> list[str]:
        return [remark for one in self._bands for remark in one.remarks()]

    def _factor(self, band: ByRows) -> int:
        """How many of the picture's pixels one of a band's is wide and high."""
        (height, width), (rows, columns) = self.size, band.size
        factor = height // rows
        if (height, width) == (rows * factor, columns * factor):
            ours, theirs = self.lies, band.lies
            if ours is not None and theirs is not None and ours.elsewhere(theirs, factor, self.size):
                raise ImageError(
                    f"{band.where}: lies elsewhere ({theirs}) than {self.where} ({ours}), whose band it is: expected "
                    "one place for all bands: warp the file (gdalwarp)"
                )
            return factor
        raise ImageError(
            f"{band.where}: {rows}x{columns} (height x width), and {self.where} is {height}x{width}: expected that "
            "size, or one smaller by a whole factor: list the finest band first, or resample the file (gdal_translate "
            "-outsize)"
        )

    def _band(self, band: int, top: int, bottom: int, values_HWN: np.ndarray) -> Data:
        """Rows of one band into their place; where it has data."""
        factor = self._factors[band]
        first = top // factor
        values, data = self._bands[band].parts(first, -(-bottom // factor))

        def spread(small: np.ndarray) -> np.ndarray:
            if factor == 1:
                return small
            inside = slice(top - first * factor, bottom - first * factor)
            return small.repeat(factor, axis=0)[inside].repeat(factor, axis=1)

        values_HWN[..., band] = spread(values[..., 0])
        return data.each(spread)

    def _put_back(self, values_HW: np.ndarray, data: Data, valid_HW: np.ndarray | None) -> None:
        """The value for no data where other bands have data: there it is a value like any other."""
        if data.held_HW is None or data.value is None or data.value.dtype.itemsize <= 2:
            return
        alone_HW = data.held_HW if valid_HW is None else data.held_HW & valid_HW
        if alone_HW.any():
            stored = np.full((1, 1, 1), data.value)
            values_HW[alone_HW] = kinds.converted(stored, 8 * stored.itemsize, self._spec.dtype, self.where)[0, 0, 0]

"""A picture that is open, read by rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tarsia.pictures.kinds import Data


class Lies(NamedTuple):
    """Where on earth a file says that it lies: `crs`, as EPSG:32633 where it has such a number; None: not said.

    `affine`: (a, b, c, d, e, f), x = a column + b row + c, y = d column + e row + f, from the pixels' corners.
    """

    crs: str | None
    affine: tuple[float, ...] | None

    def elsewhere(self, other: Lies, factor: int, size: tuple[int, int]) -> bool:
        """Whether `other`, whose pixels are `factor` of these wide and high, does not cover these (height, width)."""
        if self.crs and other.crs and self.crs != other.crs:
            return True
        if self.affine is None or other.affine is None:
            return False
        a, b, _, d, e, _ = self.affine
        least = (abs(a) + abs(b) + abs(d) + abs(e)) / 20  # a tenth of a pixel, upright or turned
        corners = ((0, 0), (size[1], 0), (0, size[0]))
        pairs = [
            (_at(self.affine, column, row), _at(other.affine, column / factor, row / factor)) for column, row in corners
        ]
        return any(abs(one - two) > least for here, there in pairs for one, two in zip(here, there, strict=True))

    def __str__(self) -> str:
        at = "" if self.affine is None else f" at {self.affine[2]:.10g}, {self.affine[5]:.10g}"
        return f"{self.crs or 'no coordinate system'}{at}"


def _at(affine: Sequence[float], column: float, row: float) -> tuple[float, float]:
    a, b, c, d, e, f = affine
    return a * column + b * row + c, d * column + e * row + f


class ByRows(ABC):
    """A picture that is open: `where`, its name in messages; `size`, (height, width); `lies`: where on earth."""

    where: str
    size: tuple[int, int]
    lies: Lies | None = None

    @abstractmethod
    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        """(bottom - top) x W x bands of the spec's kind, and what says where there is data."""

    @abstractmethod
    def remarks(self) -> list[str]:
        """What a person should know once all is read."""

    def rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(bottom - top) x W x bands of the spec's kind, and where there is data (None: everywhere)."""
        values, data = self.parts(top, bottom)
        return values, data.valid_HW


class Whole(ByRows):
    """A picture that is held in memory."""

    def __init__(self, where: str, values_HWC: np.ndarray, data: Data | None = None, said: Sequence[str] = ()) -> None:
        self.where, self.values_HWC, self.data, self._said = where, values_HWC, data or Data(), tuple(said)
        self.size: tuple[int, int] = (values_HWC.shape[0], values_HWC.shape[1])

    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        return self.values_HWC[top:bottom], self.data.each(lambda mask: mask[top:bottom])

    def remarks(self) -> list[str]:
        return list(self._said)

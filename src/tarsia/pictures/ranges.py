"""The range rule: values of any kind -> 0 .. 255, alike in training, prediction, service and exported graphs.

    y = min(max((float32(x) - low) / step, 0), 255)        step = float32((float64(high) - float64(low)) / 255)

Subtracted, then divided: no reciprocal, no product, since these round otherwise.  numpy, torch and ONNX Runtime on a
CPU give the same bits (tests/pictures/test_ranges.py).  models/_ranged.py is the same in torch.

Low and high are one pair for all pictures, or each picture's own (the rule `picture`): percentiles of all its pixels
with data, counted when it is read, before anything is resized or cut.  From there `Levels` go with it to the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Self

import numpy as np

from tarsia.card import Range

BINS = {"uint8": 2**8, "uint16": 2**16, "int16": 2**16, "float32": 2**20}
_FLOAT_SHIFT = 12  # of a float32's 32 bits the upper 20 make the bin: its width is a 2^-11 of the value
_COUNTED_PIXELS = 2**20  # at a time


def step_of(low: float, high: float) -> np.float32:
    """What one of 255 steps is."""
    return np.float32((np.float64(np.float32(high)) - np.float64(np.float32(low))) / 255)


class Levels(NamedTuple):
    """What 0 is in values as stored, and one of the 255 steps above it: of B pictures, or of one for all, C bands.

    Float32, B x C both, as an exported graph takes them.
    """

    low_BC: np.ndarray
    step_BC: np.ndarray

    @classmethod
    def between(cls, low: Sequence[float], high: Sequence[float]) -> Self:
        """Of one picture, by the values of each band that become 0 and 255."""
        steps = [step_of(*ends) for ends in zip(low, high, strict=True)]
        return cls(np.array([low], np.float32), np.array([steps], np.float32))

    @classmethod
    def as_stored(cls, bands: int) -> Self:
        """Under which values 0 .. 255 stay what they are."""
        return cls.between([0.0] * bands, [255.0] * bands)

    def of(self, count: int) -> Levels:
        """For `count` pictures; those of one, for as many parts of it.  ValueError for any other number."""
        shape = count, self.low_BC.shape[1]
        return Levels(*(np.array(np.broadcast_to(one, shape), order="C") for one in self))


def together(those: Iterable[Levels | None]) -> Levels | None:
    """Those of several pictures, in their order; None where any is not known."""
    known = list(those)
    found = [one for one in known if one is not None]
    if not found or len(found) < len(known):
        return None
    return Levels(np.concatenate([one.low_BC for one in found]), np.concatenate([one.step_BC for one in found]))


def levels_of(rule: Range | None, values_HWC: np.ndarray, known: Levels | None = None) -> Levels | None:
    """Those of a whole picture by a card's range: of all pictures, or its own, `known` or counted; None without one."""
    if rule is None:
        return None
    if not rule.by_picture:
        return Levels.between(rule.low, rule.high)
    if known is not None:
        return known
    return counted(in_rows(values_HWC, None), values_HWC, rule.percentiles or (), rule.per or "")


def counted(
    rows: Iterable[tuple[np.ndarray, np.ndarray | None]], like_C: np.ndarray, percentiles: Sequence[str], per: str
) -> Levels:
    """A picture's own levels, from all its rows (values, and where there is data): exact percentiles of its values.

    `like_C`: any array of as many bands and the kind.  Values that are no numbers or infinite do not count.  Without
    any value that does, 0 .. 255 stay as they are.  Where both percentiles are one value, 255 is the next one.
    """
    bands = like_C.shape[-1]
    found = Histogram(bands, str(like_C.dtype))
    for values_HWC, valid_HW in rows:
        if values_HWC.dtype.kind == "f":
            finite_HW = np.isfinite(values_HWC).all(axis=2)
            valid_HW = finite_HW if valid_HW is None else finite_HW & valid_HW
        found.add(values_HWC, valid_HW)
    if not found.counts[0].any():
        return Levels.as_stored(bands)
    counts = found.together() if per == "all" else found.counts
    ends = [found.ends(one, (percentiles[0], percentiles[1])) for one in counts] * (bands // len(counts))
    low_BC, step_BC = Levels.between([low for low, _ in ends], [high for _, high in ends])
    # Processors may take numbers below the least normal one for 0, and nothing can be divided by that.
    return Levels(low_BC, np.maximum(step_BC, np.finfo(np.float32).tiny))


def in_rows(values_HWC: np.ndarray, valid_HW: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """A picture in memory, some rows at a time, so that what is counted of it takes little beside it."""
    height, width = values_HWC.shape[:2]
    some = max(1, _COUNTED_PIXELS // width)
    for top in range(0, height, some):
        rows = slice(top, top + some)
        yield values_HWC[rows], None if valid_HW is None else valid_HW[rows]


def scaled(values_HWC: np.ndarray, levels: Levels | None) -> np.ndarray:
    """A picture's values of any kind -> float32, 0 .. 255, by its `levels`; 8 bits without any as they are.

    What is no number becomes `low`.
    """
    if levels is None:
        return values_HWC
    low, step = levels.low_BC[0], levels.step_BC[0]
    values = values_HWC.astype(np.float32)
    if values_HWC.dtype.kind == "f":
        values = np.where(np.isnan(values), low, values)
    return np.clip((values - low) / step, np.float32(0), np.float32(255))


class Histogram:
    """How often values occur, band by band; it depends on no order, so that histograms may be added."""

    def __init__(self, bands: int, dtype: str) -> None:
        self.dtype = dtype
        self.counts = np.zeros((bands, BINS[dtype]), np.int64)

    def add(self, values_HWC: np.ndarray, valid_HW: np.ndarray | None) -> None:
        """All values of a picture where it has data."""
        for band in range(values_HWC.shape[2]):
            values = values_HWC[..., band] if valid_HW is None else values_HWC[..., band][valid_HW]
            bins = _bins(np.ascontiguousarray(values).ravel(), self.dtype)
            self.counts[band] += np.bincount(bins, minlength=self.counts.shape[1])

    def together(self) -> np.ndarray:
        """The counts of all bands as of one."""
        return self.counts.sum(0, keepdims=True)

    def ends(self, counts: np.ndarray, percentiles: tuple[str, str]) -> tuple[float, float]:
        """The values at two percentiles of one band's counts, its inverted cumulative distribution, exact for integers.

        Of float32 the lower edge of one bin and the upper edge of the other.
        """
        lower, upper = (_bin_at(counts, percent) for percent in percentiles)
        low, high = _edge(lower, self.dtype), _edge(upper, self.dtype)
        if self.dtype == "float32":
            high = min(_edge(upper + 1, self.dtype), float(np.finfo(np.float32).max))
        elif low == high:
            high += 1
        return low, high

    def beyond(self, band: int, low: float, high: float) -> tuple[int, int]:
        """How many values of a band are below `low`, and above `high`."""
        counts = self.counts[band]
        if self.dtype == "float32":
            first, last = (int(one) for one in _bins(np.array([low, high], np.float32), self.dtype))
            return int(counts[:first].sum()), int(counts[last + 1 :].sum())
        values = np.arange(len(counts)) + _edge(0, self.dtype)
        return int(counts[values < low].sum()), int(counts[values > high].sum())


def _bins(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "int16":
        return values.astype(np.int64) + 2**15
    if dtype != "float32":
        return values.astype(np.int64)
    bits = values.view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(2**31))  # as the numbers are ordered
    return (ordered >> _FLOAT_SHIFT).astype(np.int64)


def _edge(index: int, dtype: str) -> float:
    """The least value of a bin."""
    if dtype != "float32":
        return float(index - (2**15 if dtype == "int16" else 0))
    ordered = np.array([min(index, 2**20 - 1) << _FLOAT_SHIFT], np.uint32)
    bits = np.where(ordered >> 31, ordered & np.uint32(2**31 - 1), ~ordered)
    return float(bits.astype(np.uint32).view(np.float32)[0])


def _bin_at(counts: np.ndarray, percent: str) -> int:
    """The first bin up to which so many per cent of the values lie; in whole numbers, so that no rounding decides."""
    total = int(counts.sum())
    rank = max(1, math.ceil(total * Fraction(percent) / 100))
    return int(np.searchsorted(np.cumsum(counts), rank))

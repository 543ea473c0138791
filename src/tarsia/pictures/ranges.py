"""The range rule: values of any kind -> 0 .. 255, alike in training, prediction, service and exported graphs.

    y = min(max((float32(x) - low) / step, 0), 255)        step = float32((float64(high) - float64(low)) / 255)

Subtracted, then divided: no reciprocal, no product, since these round otherwise.  numpy, torch and ONNX Runtime on a
CPU give the same bits (tests/pictures/test_ranges.py).  models/_ranged.py is the same in torch.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from tarsia.card import Range

BINS = {"uint8": 2**8, "uint16": 2**16, "int16": 2**16, "float32": 2**20}
_FLOAT_SHIFT = 12  # of a float32's 32 bits the upper 20 make the bin: its width is a 2^-11 of the value


def step_of(low: float, high: float) -> np.float32:
    """What one of 255 steps is."""
    return np.float32((np.float64(np.float32(high)) - np.float64(np.float32(low))) / 255)


def scaled(values_HWC: np.ndarray, rule: Range | None) -> np.ndarray:
    """Values of any kind -> float32, 0 .. 255, by `rule`; 8 bits without a rule as they are.

    What is no number becomes `low`.
    """
    if rule is None:
        return values_HWC
    low = np.array(rule.low, np.float32)
    step = np.array([step_of(*ends) for ends in zip(rule.low, rule.high, strict=True)], np.float32)
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

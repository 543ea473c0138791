"""Kinds of numbers: what a file stores -> the kind that a model, or a data set, takes.

| stored | is of the kind |
|---|---|
| 1 to 8 bits | uint8; to a model of uint8, n < 8 bits are times 255 / (2^n - 1) |
| 8 bits, signed | int16 |
| 9 to 16 bits | uint16, as stored; to a model of uint8 the upper 8 of them |
| 16 bits, signed | int16 |
| floating point of 16, 32, 64 bits | float32, rounded to nearest; refused where it overflows |
| integers of 32 and 64 bits | float32 where none is beyond 2^24; else refused |

A kind that is not the model's is refused (8 bits to a model of 16 would be a wrong scale), but float32 takes all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tarsia.errors import ImageError

_EXACT = 2**24  # to which float32 has all whole numbers
_DARK = 4096  # of 16 bits: what fits in 12 comes out nearly black


def kind_of(stored: np.dtype[Any]) -> str:
    """uint8, uint16, int16 or float32: what samples stored so are of."""
    if stored.kind in "bu" and stored.itemsize <= 2:
        return "uint16" if stored.itemsize == 2 else "uint8"
    if stored.kind == "i" and stored.itemsize <= 2:
        return "int16"
    return "float32"


def converted(values: np.ndarray, bits: int, dtype: str, where: str) -> np.ndarray:
    """Stored samples of `bits` bits as `dtype`; ImageError as this module's docstring says."""
    found = kind_of(values.dtype)
    if dtype == "float32":
        return _as_float(values, where)
    if found == dtype == "uint8":
        return _eight_bits(values, bits)
    if dtype == "uint8" and found == "uint16":
        return (values >> max(0, bits - 8)).astype(np.uint8)
    if found == "float32" and values.dtype.kind in "ui":
        found = f"{values.dtype.itemsize * 8}-bit integers"
    if found != dtype:
        remedy = (
            "nothing says which value is white: scale it to 8 or 16 bits, the same way for all pictures, or learn from "
            f"the values as they are: dtype: {kind_of(values.dtype)} in dataset.yaml"
            if dtype == "uint8"
            else f"save it as {dtype}, without scaling"
        )
        raise ImageError(f"{where}: its values are {found}, expected {dtype}: {remedy}")
    return values.astype(dtype, copy=False)


def said_bits(
    values_HWC: np.ndarray, bits: int, said: int | None, where: str, valid_HW: np.ndarray | None = None
) -> int:
    """How many bits samples of 9 to 16 are of: as the file says (`bits`), or as was `said` for all files.

    ImageError where a pixel with data holds more than these.
    """
    if said is None or values_HWC.dtype != np.uint16:
        return bits
    values = values_HWC if valid_HW is None else values_HWC[valid_HW]
    if values.size and (largest := int(values.max())) > 2**said - 1:
        raise ImageError(
            f"{where}: holds {largest}, more than the {2**said - 1} of {said} bits, of which the other pictures are: "
            f"bring it to their scale, the same way for all of its kind"
        )
    return said


def held(value: str | float, kind: np.dtype[Any]) -> np.generic | None:
    """A value of no data, a number or its text, as samples of `kind` hold it; None where none of them can."""
    text = str(value).strip()
    try:
        if kind.kind == "f":
            with np.errstate(all="ignore"):
                found: np.generic = kind.type(float(text))
            return found
        number = int(text) if text.lstrip("+-").isascii() and text.lstrip("+-").isdigit() else float(text)
        if number != number or number in (float("inf"), float("-inf")) or number != int(number):
            return None
    except ValueError:
        return None
    if kind.kind == "b":
        return np.bool_(number) if number in (0, 1) else None
    limits = np.iinfo(kind)
    return kind.type(int(number)) if limits.min <= number <= limits.max else None


class Data(NamedTuple):
    """Where a picture has data: where `sound_HW` (by masks, transparency and numbers), but not where `held_HW`.

    `held_HW`: where all bands hold `value`, which says that there is none.  None: sound everywhere, held nowhere.
    """

    sound_HW: np.ndarray | None = None
    held_HW: np.ndarray | None = None
    value: np.generic | None = None

    @property
    def valid_HW(self) -> np.ndarray | None:
        """Where there is data; None for everywhere."""
        there = None if self.held_HW is None else ~self.held_HW
        if self.sound_HW is not None:
            there = self.sound_HW if there is None else there & self.sound_HW
        return None if there is None or bool(there.all()) else there

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Data:
        """The same with both masks changed alike, as the picture's rows are."""
        sound, held = (None if one is None else change(one) for one in (self.sound_HW, self.held_HW))
        return Data(sound, held, self.value)


def data_of(values_HWC: np.ndarray, nodata: str | float | None, sound_HW: np.ndarray | None) -> Data:
    """Where there is data: as `sound_HW` says, not where all bands are `nodata`, nor where one is no number."""
    value = None if nodata is None or nodata == "none" else held(nodata, values_HWC.dtype)
    held_HW = None if value is None else (values_HWC == value).all(axis=2)
    if values_HWC.dtype.kind == "f":
        sound_HW = both(sound_HW, np.isfinite(values_HWC).all(axis=2))
    return Data(sound_HW, held_HW, value)


def both(sound_HW: np.ndarray | None, other_HW: np.ndarray | None) -> np.ndarray | None:
    """Where two agree that there is data; None: everywhere."""
    if sound_HW is None or other_HW is None:
        return other_HW if sound_HW is None else sound_HW
    return sound_HW & other_HW


def emptied(values_HWC: np.ndarray, valid_HW: np.ndarray | None) -> np.ndarray:
    """0 where there is no data, of numbers that may not fit in float32: what is no data need not."""
    if valid_HW is None or values_HWC.dtype.itemsize <= 2:
        return values_HWC
    return np.where(valid_HW[..., None], values_HWC, values_HWC.dtype.type(0))


def dark(largest: int, bits: int, where: str) -> list[str]:
    """The remark on 16 bits of which few are used, to a model of 8."""
    if bits != 16 or not 0 < largest < _DARK:
        return []
    return [
        f"{where}: 16-bit picture whose largest value is {largest} of 65535: it comes out nearly black to this model "
        "of 8 bits; spread its values over 0 .. 65535 in the file, by the same factor for all pictures, or train a "
        "model of 16 bits"
    ]


def _eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    if values.dtype == bool or bits < 8:
        whitest = 2**bits - 1
        return ((values.astype(np.uint16) * 255 + whitest // 2) // whitest).astype(np.uint8)
    return values


def _as_float(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind in "ui" and values.dtype.itemsize > 2 and values.size:
        largest = max(int(values.max()), -int(values.min()))
        if largest > _EXACT:
            raise ImageError(f"{where}: holds {largest}, and beyond {_EXACT} not every whole number is a float32")
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    if values.dtype == np.float64 and bool((np.isinf(found) & ~np.isinf(values)).any()):
        raise ImageError(f"{where}: holds values beyond the largest of float32; scale them, or make them no data (NaN)")
    return found

"""Which values of a data set become 0 and 255: said by dataset.yaml, or counted over the train split."""

from __future__ import annotations

import math
from typing import Any

from tarsia import console
from tarsia.card import Range
from tarsia.data._dataset import Dataset, picture_of, spec_of
from tarsia.data._reading import of_picture, usual_per
from tarsia.errors import DatasetError
from tarsia.pictures.ranges import Histogram

_LIMITS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65_535.0), "int16": (-32_768.0, 32_767.0)}
USUAL = ("0.1", "99.9")  # percentiles


def settled(train: Dataset, counted: Histogram | None = None) -> Range | None:
    """The range that a training on this split goes by; None for 8 bits as they are.

    `train.range_rule`, of dataset.yaml: "limits", or what `Range` takes.  Without one 8 bits have none, others the
    percentiles 0.1 and 99.9, of all bands together where there are one or three (so that colours keep their balance).
    `counted`: the histogram of the split, where it is there already.
    Raises DatasetError where there is nothing to count, or limits of float32 are asked for.
    """
    spec, rule = spec_of(train), getattr(train, "range_rule", None)
    bands = spec.bands
    if rule is None and spec.dtype == "uint8":
        return None
    if rule == "limits":
        if spec.dtype == "uint8":
            return None
        if spec.dtype not in _LIMITS:
            raise DatasetError("range: limits: float32 has none: give {low: ..., high: ...}, or percentiles")
        low, high = _LIMITS[spec.dtype]
        if spec.bits is not None:
            high = float(2**spec.bits - 1)
        return Range(rule="limits", low=(low,) * bands, high=(high,) * bands)
    given: dict[str, Any] = rule or {}
    if "low" in given:
        return Range(rule="fixed", low=_each(given["low"], bands, "low"), high=_each(given["high"], bands, "high"))
    per = given.get("per") or usual_per(bands)
    if "picture" in given:
        return of_picture(given["picture"], per, bands)
    percentiles = tuple(str(one) for one in given.get("percentiles", USUAL))
    return _counted(counted or histogram(train), (percentiles[0], percentiles[1]), per)


def _each(given: Any, bands: int, end: str) -> tuple[float, ...]:
    found = tuple(given) if isinstance(given, list | tuple) else (given,) * bands
    if len(found) != bands:
        raise DatasetError(f"range.{end}: {len(found)} values, and the pictures have {bands} bands: give one for each")
    return found


def histogram(train: Dataset) -> Histogram:
    """How often values occur in all pixels with data, whatever their label."""
    spec = spec_of(train)
    found = Histogram(spec.bands, spec.dtype)
    for index in console.track(range(len(train)), len(train), "counting the range of the values"):
        picture = picture_of(train, index)
        found.add(picture.values_HWC, picture.valid_HW)
    return found


def _counted(found: Histogram, percentiles: tuple[str, str], per: str) -> Range:
    """By percentiles of what occurs."""
    total = int(found.counts[0].sum())
    if not total:
        raise DatasetError("no pixel of the training split has data, so that no range of values can be counted")
    counted = found.together() if per == "all" else found.counts
    ends = [found.ends(one, percentiles) for one in counted]
    ends = ends * (len(found.counts) // len(ends))
    beyond = [found.beyond(band, *both) for band, both in enumerate(ends)]
    if any(not (math.isfinite(low) and low < high) for low, high in ends):
        what = f"percentiles {percentiles[0]} and {percentiles[1]} are {ends[0][0]:g} and {ends[0][1]:g}"
        raise DatasetError(f"range: {what}: no range for a network; say it in dataset.yaml, or which value is nodata")
    return Range(
        rule="percentiles",
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
        percentiles=percentiles,
        per="all" if per == "all" else "band",
        pixels=total,
        below=tuple(low for low, _ in beyond),
        above=tuple(high for _, high in beyond),
    )

"""Pictures of more than 8 bits: whether the range of their values leaves the network enough to see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tarsia.card import Range
from tarsia.data._dataset import picture_of, spec_of
from tarsia.data._range import histogram, settled
from tarsia.doctor.dataset import Check, CheckedData
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.errors import TarsiaError
from tarsia.pictures.ranges import Histogram, Levels, scaled
from tarsia.plain_text import number

_CLIPPED = 0.01  # of a band's values, at one end
_FEW_LEVELS = 64  # of 256 that a picture of 8 bits has, between the 1st percentile and the 99th
_NEARLY_ALL, _DARK = 0.9, 16  # of 255
_WHY = "what lies beyond becomes one value, and what is left of the range stays unused: the network sees less"
_REMEDY = (
    "say in dataset.yaml which values are 0 and 255 to the network, as one of\n"
    "range: {percentiles: [0.1, 99.9], per: band}\nrange: {low: 0, high: 3000}"
)


def narrow_range(data: CheckedData) -> Iterator[Finding]:
    """Of the split that is trained on; of 8 bits nothing is said."""
    split = data.training() or next(iter(data.splits.values()))
    if spec_of(split.dataset).percentiles:
        yield from _flat_pictures(split)
        return
    if spec_of(split.dataset).percentiles:
        yield from _flat_pictures(split)
        return
    if spec_of(split.dataset).dtype == "uint8":
        return
    try:
        found = histogram(split.dataset)
        rule = settled(split.dataset, found)
    except TarsiaError:  # a picture that cannot be read is another finding
        return
    if rule is None:
        return
    told = [(band, what) for band in range(len(found.counts)) for what in _faults(found, band, rule)]
    if told:
        places = [Place(split.name, f"band {band + 1}", what) for band, what in told]
        title = (
            f"the range of the values leaves little of {len({band for band, _ in told})} of {len(found.counts)} bands"
        )
        yield Finding("value-range", "warning", title, _WHY, _REMEDY, places)


def _flat_pictures(split: CheckedSplit) -> Iterator[Finding]:
    """Where pictures have a range each: those with a band that is nearly all one value."""
    places = []
    for index in np.flatnonzero(split.seen_N).tolist():
        try:
            picture = picture_of(split.dataset, index)
        except TarsiaError:  # another finding
            continue
        if picture.levels is None or (picture.valid_HW is not None and not picture.valid_HW.any()):
            continue
        low, width = picture.levels.low_BC[0], picture.levels.step_BC[0] * 255
        least = 1.001 if picture.values_HWC.dtype.kind != "f" else np.abs(low) * 2.0**-10 + 2.0**-110
        flat = [str(band + 1) for band in np.flatnonzero(width <= least)]
        if flat:
            places.append(split.place(index, f"band {', '.join(flat)}"))
    if places:
        title = f"{number(len(places), 'picture')} with a band of one value, or hardly more, and a range of its own"
        why = "its range is as narrow as that: the network sees black, or noise as large as another picture's content"
        yield Finding("value-range", "warning", title, why, _REMEDY, places)


def _faults(found: Histogram, band: int, rule: Range) -> Iterator[str]:
    counts = found.counts[band]
    total = max(1, int(counts.sum()))
    below, above = found.beyond(band, rule.low[band], rule.high[band])
    for count, end in ((below, f"below {rule.low[band]:g}"), (above, f"above {rule.high[band]:g}")):
        if count > _CLIPPED * total:
            yield f"{100 * count / total:.1f} % of its values are {end}"
    low, high = found.ends(counts, ("1", "99"))
    of_band = Levels.between([rule.low[band]], [rule.high[band]])
    values = np.array([low, high], np.float32).reshape(2, 1, 1)
    darkest, lightest = scaled(values, of_band).ravel()
    if lightest - darkest < _FEW_LEVELS:
        yield f"nearly all of its values, {low:g} to {high:g}, are {lightest - darkest:.0f} of 255 steps"
    _, upper = found.ends(counts, ("0", str(100 * _NEARLY_ALL)))
    if scaled(np.array([[[upper]]], np.float32), of_band).item() < _DARK:
        yield f"{100 * _NEARLY_ALL:.0f} % of its values are below {upper:g}, nearly black"


CHECKS: tuple[Check, ...] = (narrow_range,)

"""What is counted in a data set before a recipe is derived from it: the facts that auto/rules.py asks for."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tarsia import console
from tarsia.card import IGNORED, Spec
from tarsia.data._dataset import Dataset, spec_of
from tarsia.evaluation import objects

MOST = 100  # pictures looked at
LEAST_TO_TELL = 8  # pictures, from which on a difference of halves is one of the data set
_SURE = 4.0  # times its standard error that a difference is no chance
_MATTERS = 0.01  # share of the picture by which halves differ
_PIXELS = 4096  # of a picture, evenly spaced, whose colours are counted
_SPECK = 9  # pixels of an object at least
SCALES = (1.0, 0.5, 0.25, 0.125)  # at which pictures may be learned
_RESOLUTIONS = (2, 4, 8, 16, 32)  # 1 / that of the finest map, in parts of the whole picture's
_CEILING_PICTURES = 8
_CEILING_SIDE = 1024
_SIDES = re.compile(
    r"(?i)(?:^|[^a-z])(left|right|links?|rechts?|gauche|droite?|izquierd[ao]|derech[ao]|sinistr[ao]|destr[ao])(?:$|[^a-z])"
)


@dataclass(frozen=True)
class Facts:
    """What was counted, on `looked` of the `pictures` of the training split.

    `size`: median height and width.  `shares`: of each class, of the labelled pixels.  `object_size`, `object_spread`:
    median diameter of what hangs together, in pixels, and how much its median differs from picture to picture (standard
    deviation / mean).  `colour_tells`: the share of a band's variance that lies between classes, of the band with most.
    `upright`, `sided`: what shows that pictures have a top and a bottom, a left and a right; "" where nothing does.
    `ceiling`: (scale, finest) -> the mIoU of a perfect answer at that resolution.
    """

    pictures: int
    looked: int
    size: tuple[int, int]
    sizes: int
    shares: Mapping[str, float]
    ignored: float
    object_size: float
    object_spread: float
    grey: bool
    colour_tells: float
    upright: str
    sided: str
    spec: Spec
    ceiling: Mapping[tuple[float, int], float]

    @property
    def rarest(self) -> tuple[str, float]:
        """The class with the fewest pixels of those that are shown, and its share."""
        shown = {name: share for name, share in self.shares.items() if share > 0}
        return min(shown.items(), key=lambda item: item[1])


@dataclass
class _Sums:
    """What is summed up over pictures."""

    classes: int
    bands: int
    pixels_K: np.ndarray = field(init=False)
    ignored: int = 0
    total: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    halves: list[np.ndarray] = field(default_factory=list)  # 2 x (K + 1): top - bottom, left - right; last: brightness
    diameters: list[np.ndarray] = field(default_factory=list)
    grey: bool = True
    colours_KC3: np.ndarray = field(init=False)  # count, sum, sum of squares
    right_SK3: np.ndarray = field(init=False)  # of each ceiling and class: both, answer, truth
    ceilings: int = 0

    def __post_init__(self) -> None:
        self.pixels_K = np.zeros(self.classes, np.int64)
        self.colours_KC3 = np.zeros((self.classes, self.bands, 3))
        self.right_SK3 = np.zeros((len(_RESOLUTIONS), self.classes, 3))


def count(dataset: Dataset, seconds: float) -> Facts:
    """Look at up to 100 pictures of a training split, evenly spaced, for about so many seconds; at eight at least."""
    names, spec = dataset.classes.names, spec_of(dataset)
    sums = _Sums(len(names), spec.bands)
    started, looked = time.monotonic(), 0
    for index in console.track(_spread(len(dataset)), min(MOST, len(dataset)), "looking"):
        sample = dataset[index]
        _add(sums, sample.image, sample.label)
        looked += 1
        if looked >= LEAST_TO_TELL and time.monotonic() - started > seconds:
            break
    medians = np.array([np.median(one) for one in sums.diameters if len(one)] or [math.nan])
    every = np.concatenate([*sums.diameters, np.zeros(0)])
    labelled = max(1, int(sums.pixels_K.sum()))
    return Facts(
        pictures=len(dataset),
        looked=looked,
        size=tuple(int(side) for side in np.median(np.array(sums.sizes), 0)),  # type: ignore[arg-type]
        sizes=len({*sums.sizes}),
        shares={name: float(pixels) / labelled for name, pixels in zip(names, sums.pixels_K, strict=True)},
        ignored=sums.ignored / max(1, sums.total),
        object_size=float(np.median(every)) if len(every) else math.nan,
        object_spread=float(np.std(medians) / np.mean(medians)),
        grey=sums.grey and spec.bands == 3,
        colour_tells=_between(sums.colours_KC3),
        upright=_upright(sums, names),
        sided=_sided(sums, names),
        spec=spec,
        ceiling=_ceilings(sums),
    )


def _spread(of: int) -> list[int]:
    """Up to 100 samples in an order in which any first part of them is spread over all."""
    chosen = np.linspace(0, of - 1, min(MOST, of)).round().astype(int)
    return chosen[np.random.default_rng(0).permutation(len(chosen))].tolist()


def _add(sums: _Sums, image_HWC: np.ndarray, label_HW: np.ndarray) -> None:
    height, width = label_HW.shape
    counts = np.bincount(label_HW.ravel(), minlength=256)
    sums.pixels_K += counts[: sums.classes]
    sums.ignored += int(counts[IGNORED])
    sums.total += label_HW.size
    sums.sizes.append((height, width))
    found = objects.count(label_HW, label_HW)[:, 1]
    sums.diameters.append(np.sqrt(found[found >= _SPECK]))
    bands = image_HWC.astype(np.float32)
    sums.halves.append(
        np.stack(
            [_difference(bands, label_HW, sums.classes), _difference(bands.swapaxes(0, 1), label_HW.T, sums.classes)]
        )
    )
    sums.grey = sums.grey and bool((image_HWC == image_HWC[..., :1]).all())
    step = max(1, label_HW.size // _PIXELS)
    labels, colours = label_HW.ravel()[::step], bands.reshape(-1, bands.shape[2])[::step].astype(float)
    for k in range(sums.classes):
        mine = colours[labels == k]
        sums.colours_KC3[k] += np.stack([np.full(bands.shape[2], len(mine)), mine.sum(0), (mine**2).sum(0)], 1)
    if sums.ceilings < _CEILING_PICTURES:
        sums.ceilings += 1
        top, left = (max(0, side - _CEILING_SIDE) // 2 for side in label_HW.shape)
        cut = label_HW[top : top + _CEILING_SIDE, left : left + _CEILING_SIDE]
        for place, coarse in enumerate(_RESOLUTIONS):
            sums.right_SK3[place] += _perfect(cut, 1 / coarse, sums.classes)


def _difference(bands: np.ndarray, label_HW: np.ndarray, classes: int) -> np.ndarray:
    """How much more of each class, and of light (in deviations), the first half of the rows has than the second."""
    middle = label_HW.shape[0] // 2
    first, second = (
        np.bincount(half.ravel(), minlength=256)[:classes] / max(1, half.size)
        for half in (label_HW[:middle], label_HW[-middle:] if middle else label_HW)
    )
    light = (bands[:middle].mean() - bands[-middle:].mean()) / (bands.std() + 1e-6) if middle else 0.0
    return np.append(first - second, light)


def _certainty(sums: _Sums, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each class, and of light: the mean difference of the halves, and that in standard errors."""
    found_NK = np.stack(sums.halves)[:, axis]
    mean = found_NK.mean(0)
    return mean, mean / (found_NK.std(0, ddof=1) / math.sqrt(len(found_NK)) + 1e-9)


def _upright(sums: _Sums, names: Sequence[str]) -> str:
    if len(sums.halves) < LEAST_TO_TELL:
        return f"fewer than {LEAST_TO_TELL} pictures cannot tell, so it is taken for granted"
    mean, errors = _certainty(sums, 0)
    sure = [k for k in range(len(names)) if abs(errors[k]) > _SURE and abs(mean[k]) > _MATTERS]
    if sure:
        most = max(sure, key=lambda k: abs(mean[k]))
        return f"{names[most]} lies {'above' if mean[most] > 0 else 'below'}"
    if abs(errors[-1]) > _SURE and abs(mean[-1]) > 0.2:
        return f"pictures are lighter {'above' if mean[-1] > 0 else 'below'}"
    return ""


def _sided(sums: _Sums, names: Sequence[str]) -> str:
    named = [name for name in names if _SIDES.search(name)]
    if named:
        return f"{named[0]} names a side"
    if len(sums.halves) < LEAST_TO_TELL:
        return ""
    mean, errors = _certainty(sums, 1)
    sure = [k for k in range(len(names)) if abs(errors[k]) > _SURE and abs(mean[k]) > _MATTERS]
    for one in sure:
        for other in sure:
            if mean[one] > 0 > mean[other] and 0.5 < -mean[one] / mean[other] < 2 and names[other] != names[0]:
                like = sums.pixels_K[one] / max(1, sums.pixels_K[other])
                if 0.67 < like < 1.5:
                    return f"{names[one]} lies left where {names[other]} lies right"
    return ""


def _between(colours_KC3: np.ndarray) -> float:
    """The share of the variance that lies between classes, of the band that has most of it."""
    total_C3 = colours_KC3.sum(0)
    n = max(1.0, float(total_C3[0, 0]))
    mean_C = total_C3[:, 1] / n
    variance_C = total_C3[:, 2] / n - mean_C**2
    counts_K1 = colours_KC3[:, :, 0]
    means_KC = colours_KC3[:, :, 1] / np.maximum(1, counts_K1)
    between_C = (counts_K1 * (means_KC - mean_C) ** 2).sum(0) / n
    return float((between_C / np.maximum(variance_C, 1e-9)).max())


def _perfect(label_HW: np.ndarray, resolution: float, classes: int) -> np.ndarray:
    """A label reduced to `resolution` and brought back bilinearly -> K x (right, answered, true) pixels."""
    import cv2

    height, width = label_HW.shape
    small = (max(1, round(width * resolution)), max(1, round(height * resolution)))
    best_HW, answer_HW = np.full(label_HW.shape, -1.0, np.float32), np.zeros(label_HW.shape, np.uint8)
    for k in np.unique(label_HW[label_HW != IGNORED]).tolist():
        reduced = cv2.resize((label_HW == k).astype(np.float32), small, interpolation=cv2.INTER_AREA)
        back = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR)
        answer_HW[back > best_HW] = k
        best_HW = np.maximum(best_HW, back)
    labelled = label_HW != IGNORED
    truth, answer = label_HW[labelled], answer_HW[labelled]
    counts = (np.bincount(one, minlength=256)[:classes] for one in (truth[truth == answer], answer, truth))
    return np.stack([*counts], 1).astype(float)


def _ceilings(sums: _Sums) -> dict[tuple[float, int], float]:
    found = {}
    for place, coarse in enumerate(_RESOLUTIONS):
        right, answered, true = sums.right_SK3[place].T
        shown = true > 0
        found[coarse] = float(np.mean(right[shown] / (answered + true - right)[shown])) if shown.any() else 1.0
    return {(scale, finest): found[round(finest / scale)] for scale in SCALES for finest in (2, 4)}

"""Details: what mIoU hides, counted per picture beside the confusion; `finer.py` takes the figures from it.

Borders, of all classes at once.  Distances are Chebyshev's: a pixel is within d of another where both coordinates
differ by at most d.  Pixels whose truth is ignored are as if outside the picture, in the prediction too: they count
nowhere, and neither they nor the picture's own sides make a border.  A labelled pixel predicted as ignored is of no
class and counts in no band, but borders the classes beside it.

- Boundary IoU (Cheng et al., "Boundary IoU", CVPR 2021): the band of a class is its pixels that have another label
  within 2 % of the picture's diagonal, at least 1.
- Boundary F1 (Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013): a border
  pixel has another label among its 8 neighbours; it is matched where the other map has a border pixel of the same
  class within 0.75 % of the diagonal, at least 1.

Objects are the connected components of each class of the truth, 8 neighbours to a pixel.  Calibration sorts labelled
pixels by the confidence of their prediction into bins of equal width (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tarsia.card import IGNORED
from tarsia.errors import DatasetError, ModelFileError
from tarsia.evaluation import finer

KEYS = ("boundary_iou", "boundary_f1", "objects", "calibration")
BAND, TOLERANCE = 0.02, 0.0075  # of the picture's diagonal
BINS = 15  # Guo et al., table 1
_OUTSIDE = 0  # among labels counted from 1
_BITS = 64  # classes that are looked for at once


class Details:
    """The counts of `pictures` pictures of K classes as they come in, in order; nothing else of a picture is kept."""

    def __init__(self, pictures: int, class_count: int) -> None:
        self._boundary_iou = np.zeros((pictures, 2, class_count), np.int64)
        self._boundary_f1 = np.zeros((pictures, 4, class_count), np.int64)
        self._calibration = np.zeros((pictures, BINS, 3))
        self._objects: list[np.ndarray] = []
        self._confident = True

    def add(self, truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray | None) -> None:
        """Count the next picture: two uint8 label maps, and the probability of what was predicted where it is known."""
        index, class_count = len(self._objects), self._boundary_iou.shape[2]
        self._boundary_iou[index], self._boundary_f1[index] = boundary_counts(truth_HW, predicted_HW, class_count)
        found_M3 = objects(truth_HW, predicted_HW)
        self._objects.append(np.insert(found_M3, 0, index, axis=1))
        self._confident &= confidence_HW is not None
        if confidence_HW is not None:
            self._calibration[index] = calibration_counts(truth_HW, predicted_HW, confidence_HW)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a report keeps, as finer.py lists it; no calibration where a confidence was missing."""
        arrays = {
            "boundary_iou": self._boundary_iou,
            "boundary_f1": self._boundary_f1,
            "objects": np.concatenate([np.zeros((0, 4), np.int64), *self._objects]),
        }
        return arrays | ({"calibration": self._calibration} if self._confident else {})


def figures(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, float]:
    """The arrays of a report -> each figure of finer.FIGURES that they have the counts of, NaN where not defined."""
    sums = _sums(details, class_count)
    return {key: float(one.of(sums[one.source])) for key, one in finer.FIGURES.items() if one.source in sums}


def described(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, Any]:
    """What report.json says of them: the figures, how many objects are of which size, the bins of calibration."""
    sums, found = _sums(details, class_count), dict[str, Any](figures(details, class_count))
    if "objects" in sums:
        counts = sums["objects"][..., 0].sum(1).astype(int)
        found["objects"] = {name: int(count) for name, count in zip(finer.SIZES, counts, strict=True)}
    if "calibration" in sums:
        names = ("share", "confidence", "accuracy")
        found["reliability"] = [dict(zip(names, row, strict=True)) for row in finer.reliability(sums["calibration"])]
    return found


def check(details: Mapping[str, np.ndarray], pictures: int, class_count: int, where: str) -> None:
    """Raise DatasetError naming `where` unless the arrays are of so many pictures and classes."""
    shapes = {"boundary_iou": (pictures, 2, class_count), "boundary_f1": (pictures, 4, class_count)}
    shapes["calibration"] = (pictures, BINS, 3)
    for key, values in details.items():
        expected = (len(values), 4) if key == "objects" else shapes[key]
        if values.shape != expected or values.dtype.kind not in "iuf":
            raise DatasetError(f"{where}: {key} is {values.dtype} {values.shape}, expected {expected}: evaluate again")
        if key == "objects" and ((values < 0) | (values[:, :1] >= pictures) | (values[:, 1:2] >= class_count)).any():
            raise DatasetError(f"{where}: objects of pictures or classes that are not there: evaluate again")


def _sums(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, np.ndarray]:
    """The arrays over all pictures, as finer.py has them of one."""
    one = {key: values.sum(0, keepdims=True) for key, values in details.items() if key != "objects"}
    if "objects" in details:
        one["objects"] = details["objects"] * np.array([0, 1, 1, 1])  # all in picture 0
    return {key: values[0] for key, values in finer.per_picture(one, 1, class_count, "details").items()}


def boundary_counts(truth_HW: np.ndarray, predicted_HW: np.ndarray, class_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two uint8 label maps of one picture -> int64 counts along the borders of its K classes.

    2 x K: pixels in the intersection and in the union of a class's two bands.  4 x K: border pixels that are predicted
    and matched, predicted, true and matched, true.
    """
    truth, predicted = _from_one(truth_HW, predicted_HW, class_count)
    reach = _share_of_diagonal(BAND, truth.shape)
    bands = [label * _has_other(label, reach) for label in (truth, predicted)]
    intersection = _by_class(bands[0][bands[0] == bands[1]], class_count)
    union = _by_class(bands[0], class_count) + _by_class(bands[1], class_count) - intersection
    reach = _share_of_diagonal(TOLERANCE, truth.shape)
    border, found = (label * _has_other(label, 1) for label in (truth, predicted))
    lines = (_matched(found, border, reach), found, _matched(border, found, reach), border)
    return np.stack([intersection, union]), np.stack([_by_class(line, class_count) for line in lines])


def _from_one(truth_HW: np.ndarray, predicted_HW: np.ndarray, class_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes as 1 .. K, ignored truth as _OUTSIDE in both maps, labelled pixels predicted as ignored as K + 1."""
    kind = np.uint8 if class_count + 1 < 256 else np.uint16
    outside = truth_HW == IGNORED
    maps = []
    for label_HW in (truth_HW, predicted_HW):
        label = np.add(label_HW, 1, dtype=kind)
        label[label_HW == IGNORED] = class_count + 1
        label[outside] = _OUTSIDE
        maps.append(label)
    return maps[0], maps[1]


def _share_of_diagonal(share: float, size: tuple[int, ...]) -> int:
    return max(1, round(share * math.hypot(*size)))


def _has_other(label_HW: np.ndarray, reach: int) -> np.ndarray:
    """Where two different labels lie within `reach`; _OUTSIDE is none."""
    # The negative of an unsigned label falls as it rises, and 0 stays 0: the smallest label is a maximum as well.
    return _gathered(label_HW, reach, np.maximum) != -_gathered(-label_HW, reach, np.maximum)


def _matched(border_HW: np.ndarray, other_HW: np.ndarray, reach: int) -> np.ndarray:
    """The labels of those border pixels that find their own label in `other_HW` within `reach`."""
    place = np.flatnonzero(border_HW)
    labels, others = border_HW.ravel()[place], other_HW[other_HW > 0]
    count = int(max(border_HW.max(), other_HW.max())) + 1
    present = np.flatnonzero(np.bincount(labels, minlength=count) * np.bincount(others, minlength=count))
    matched = np.zeros(labels.shape, bool)
    for start in range(0, len(present), _BITS):
        part = present[start : start + _BITS]
        kind = next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if len(part) <= kind(0).nbytes * 8)
        bit = np.zeros(count, kind)
        bit[part] = np.left_shift(1, np.arange(len(part)), dtype=kind, casting="unsafe")
        around = _gathered(bit.take(other_HW), reach, np.bitwise_or)
        matched |= (around.ravel()[place] & bit[labels]) != 0
    return labels[matched]


def _gathered(values_HW: np.ndarray, reach: int, combine: Callable[..., np.ndarray]) -> np.ndarray:
    """`combine` over the square of 2 reach + 1 pixels around each pixel, what lies outside being 0.

    One axis after the other, with spans that double: the number of passes is the logarithm of `reach`.
    """
    for axis in (0, 1):
        values = np.moveaxis(values_HW, axis, 0)
        count, window = len(values), 2 * reach + 1
        values = np.pad(values, ((reach, reach), (0, 0)))
        span = 1
        while 2 * span <= window:
            values = combine(values[:-span], values[span:])
            span *= 2
        values = combine(values[:count], values[window - span : window - span + count])
        values_HW = np.moveaxis(values, 0, axis)
    return values_HW


def _by_class(labels: np.ndarray, class_count: int) -> np.ndarray:
    return np.bincount(labels[labels > 0], minlength=class_count + 2)[1 : class_count + 1]


def objects(truth_HW: np.ndarray, predicted_HW: np.ndarray) -> np.ndarray:
    """Two uint8 label maps -> M x 3 int64, for each connected component of a class of the truth: class, area, right.

    Areas are pixels; 8 neighbours to a pixel; in the order of their first pixels; ignored pixels are of no component.
    """
    if truth_HW.size == 0:
        return np.zeros((0, 3), np.int64)
    starts_HW = np.ones(truth_HW.shape, bool)  # of runs: neighbours of one label in a row
    starts_HW[:, 1:] = truth_HW[:, 1:] != truth_HW[:, :-1]
    starts_R = np.flatnonzero(starts_HW)
    root_R = _roots(*_touching_runs(truth_HW, starts_HW), len(starts_R))
    component_R = np.cumsum(root_R == np.arange(len(root_R)))[root_R] - 1
    length_R = np.diff(starts_R, append=truth_HW.size)
    right_R = np.add.reduceat((truth_HW == predicted_HW).ravel(), starts_R, dtype=np.int64)
    area_M, right_M = (np.bincount(component_R, weights=values).astype(np.int64) for values in (length_R, right_R))
    class_M = truth_HW.ravel()[starts_R[root_R == np.arange(len(root_R))]].astype(np.int64)
    return np.stack([class_M, area_M, right_M], 1)[class_M != IGNORED]


def _touching_runs(truth_HW: np.ndarray, starts_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs of one label that touch from row to row, as indices of runs: enough of them to connect all."""
    run_HW = np.cumsum(starts_HW.ravel()).reshape(starts_HW.shape) - 1
    upper, lower = truth_HW[:-1], truth_HW[1:]
    # One below the other: where either begins, for between beginnings the pair stays the same.
    straight = (upper == lower) & (starts_HW[:-1] | starts_HW[1:])
    # Corner to corner, where one ends as the other begins; any other diagonal neighbours are also one below the other.
    turn = starts_HW[:-1, 1:] & starts_HW[1:, 1:]
    right, left = turn & (upper[:, :-1] == lower[:, 1:]), turn & (upper[:, 1:] == lower[:, :-1])
    above, below = run_HW[:-1], run_HW[1:]
    return (
        np.concatenate([above[straight], above[:, :-1][right], above[:, 1:][left]]),
        np.concatenate([below[straight], below[:, 1:][right], below[:, :-1][left]]),
    )


def _roots(one_E: np.ndarray, other_E: np.ndarray, count: int) -> np.ndarray:
    """Pairs of connected things among `count` -> for each thing the smallest that it is connected with.

    Union-find with all pairs at once: the larger of two roots hangs itself under the smaller until no pair has two.
    """
    parent = np.arange(count)
    while one_E.size:
        one_E, other_E = parent[one_E], parent[other_E]
        apart = one_E != other_E
        one_E, other_E = one_E[apart], other_E[apart]
        np.minimum.at(parent, np.maximum(one_E, other_E), np.minimum(one_E, other_E))
        while not np.array_equal(parent, above := parent[parent]):
            parent = above
    return parent


def calibration_counts(truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray) -> np.ndarray:
    """Label maps and the predicted classes' probability -> BINS x (labelled pixels, sum of confidence, right pixels).

    Bin b holds confidences in (b / BINS, (b + 1) / BINS].  Raises ModelFileError where one is no probability.
    """
    labelled = truth_HW != IGNORED
    return reliability_counts(confidence_HW[labelled], (truth_HW == predicted_HW)[labelled])


def reliability_counts(confidence_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
    """The same of P pixels: their confidence, and whether they are right."""
    if confidence_P.size and not (confidence_P.min() >= 0 and confidence_P.max() <= 1.001):  # NaN is neither
        raise ModelFileError(
            f"the network's confidence lies between {confidence_P.min():.3g} and {confidence_P.max():.3g}, expected "
            "0 to 1: its scores are not finite, use the model of another epoch"
        )
    # Sums of float32 exceed 1 by a hair.
    place = np.ceil(confidence_P * BINS).clip(1, BINS).astype(np.intp) - 1
    confidence = np.bincount(place, confidence_P, BINS)
    wrong, right = np.bincount(place + BINS * right_P, minlength=2 * BINS).reshape(2, BINS)
    return np.stack([wrong + right, confidence, right], 1)

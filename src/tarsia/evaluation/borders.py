"""Borders: how well the lines between classes are met, which mIoU hides in the middle of large regions.

Distances are Chebyshev's: a pixel is within d of another where both coordinates differ by at most d.  Pixels whose
truth is ignored are as if outside the picture, in the prediction too: they count nowhere, and neither they nor the
picture's own sides make a border.  A labelled pixel predicted as ignored is of no class and counts in no band, but
borders the classes beside it.

- Boundary IoU (Cheng et al., "Boundary IoU", CVPR 2021): the band of a class is its pixels that have another label
  within 2 % of the picture's diagonal, at least 1.
- Boundary F1 (Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013): a border
  pixel has another label among its 8 neighbours; it is matched where the other map has a border pixel of the same
  class within 0.75 % of the diagonal, at least 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tarsia.card import IGNORED
from tarsia.evaluation.confusion import mean, ratio

BAND, TOLERANCE = 0.02, 0.0075  # of the picture's diagonal
_OUTSIDE = 0  # among labels counted from 1
_BITS = 64  # classes that are looked for at once


def boundary_iou(sums_X2K: np.ndarray) -> np.ndarray:
    """... x 2 x K -> ... mean over the classes that have a border in truth or prediction."""
    return mean(ratio(sums_X2K[..., 0, :], sums_X2K[..., 1, :]))


def boundary_f1(sums_X4K: np.ndarray) -> np.ndarray:
    """... x 4 x K -> ... mean over the classes' F1 of precision and recall; 0 for a class with one of both alone."""
    near_truth, predicted, near_prediction, true = np.moveaxis(sums_X4K, -2, 0)
    precision, recall = np.nan_to_num(ratio(near_truth, predicted)), np.nan_to_num(ratio(near_prediction, true))
    both = precision + recall
    f1_XK = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return mean(np.where(predicted + true > 0, f1_XK, np.nan))


def count(truth_HW: np.ndarray, predicted_HW: np.ndarray, class_count: int) -> tuple[np.ndarray, np.ndarray]:
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

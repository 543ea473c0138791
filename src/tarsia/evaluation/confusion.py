"""Confusion counts of a picture, and the figures that follow from them.

One definition for training, evaluation and comparison (Long et al. 2015 for the accuracies and the frequency weighted
IoU).  A confusion matrix is K x (K + 1): rows are the truth, columns the prediction, and the last column holds labelled
pixels that were predicted as ignored.  It is summed over the whole split before a figure is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tarsia.card import IGNORED, MAX_CLASSES

ABSENT_CLASS_RULE = (
    "a class with neither truth nor prediction is left out of every mean; a class with predictions but no truth counts "
    "as 0 in mIoU and Dice and is left out of MPA"
)
_CHUNK_PIXELS = 1 << 19  # even; what one chunk needs stays near the cache


def count(truth_HW: np.ndarray, predicted_HW: np.ndarray, class_count: int) -> np.ndarray:
    """Two uint8 label maps of one picture -> its K x (K + 1) int64 confusion counts.

    Rows are the truth, columns the prediction; the last column counts labelled pixels predicted as 255.  Pixels whose
    truth is 255 are left out.  Raises ValueError for other shapes or types, and for a value that is neither a class
    nor 255.
    """
    _check_maps(truth_HW, predicted_HW, class_count)
    side = class_count + 1
    cells = side * side
    truth, predicted = truth_HW.reshape(-1), predicted_HW.reshape(-1)
    paired = cells * cells <= truth.size // 4  # below this the pair table costs more than it saves
    total = np.zeros(cells * cells if paired else cells, np.int64)
    for start in range(0, truth.size, _CHUNK_PIXELS):
        # Adding 1 wraps 255 to 0: ignored becomes row and column 0, and one maximum tells whether all values are known.
        rows = _from_one(truth[start : start + _CHUNK_PIXELS], class_count, "truth")
        columns = _from_one(predicted[start : start + _CHUNK_PIXELS], class_count, "prediction")
        even, odd = _pair_indices(rows, columns, side)
        if paired:  # two neighbours are one index: half the increments, which are what counting costs
            both = odd.astype(np.uint32)
            both *= np.uint32(cells)
            both += even
            total += np.bincount(both, minlength=total.size)
        else:
            total += np.bincount(even, minlength=cells)
            total += np.bincount(odd, minlength=cells)
    if paired:
        table = total.reshape(cells, cells)
        total = table.sum(0) + table.sum(1)
    return np.roll(total.reshape(side, side)[1:], -1, axis=1)


def _check_maps(truth: np.ndarray, predicted: np.ndarray, class_count: int) -> None:
    if not 1 <= class_count <= MAX_CLASSES:
        raise ValueError(f"{class_count} classes; expected 1 to {MAX_CLASSES}")
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} but prediction {predicted.shape}: sizes must be equal")
    if truth.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"truth is {truth.dtype} and prediction {predicted.dtype}; expected uint8")


def _from_one(values: np.ndarray, class_count: int, what: str) -> np.ndarray:
    """0 .. K-1 and 255 -> 1 .. K and 0, with an ignored pixel added where the number of pixels is odd."""
    moved = np.zeros(values.size + values.size % 2, np.uint8)
    np.add(values, np.uint8(1), out=moved[: values.size])
    if int(moved.max()) > class_count:
        strange = int(moved.max()) - 1
        raise ValueError(f"{what} value {strange} is neither a class (0 to {class_count - 1}) nor ignored ({IGNORED})")
    return moved


def _pair_indices(rows: np.ndarray, columns: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """row * side + column of the even and of the odd pixels, uint16, computed two pixels at a time in uint16 words."""
    rows, columns = rows.view(np.uint16), columns.view(np.uint16)
    low = np.uint16(255)
    even = rows & low
    even *= np.uint16(side)
    even += columns & low
    rows >>= np.uint16(8)
    rows *= np.uint16(side)
    columns >>= np.uint16(8)
    rows += columns
    return even, rows


@dataclass(frozen=True, eq=False)
class Metrics:
    """The figures of one confusion matrix, 0 .. 1, NaN where not defined (see `ABSENT_CLASS_RULE`)."""

    pixel_accuracy: float
    mpa: float
    miou: float
    fwiou: float
    dice: float
    iou_K: np.ndarray
    accuracy_K: np.ndarray
    dice_K: np.ndarray


def metrics(counts_KK1: np.ndarray) -> Metrics:
    """K x (K + 1) confusion counts -> every figure.

    PA = sum m_ii / sum m_ij; MPA = mean_i m_ii / sum_j m_ij; IoU_i = m_ii / (sum_j m_ij + sum_j m_ji - m_ii);
    mIoU = mean_i IoU_i; FWIoU weights IoU_i by the share of truth pixels; Dice_i = 2 m_ii / (sum_j m_ij + sum_j m_ji).
    """
    right = np.diagonal(counts_KK1).astype(np.float64)
    truth = counts_KK1.sum(1, dtype=np.int64).astype(np.float64)
    predicted = counts_KK1[:, :-1].sum(0, dtype=np.int64).astype(np.float64)
    iou = ratio(right, truth + predicted - right)
    accuracy, dice = ratio(right, truth), ratio(2 * right, truth + predicted)
    pixels = truth.sum()
    present = truth > 0
    return Metrics(
        pixel_accuracy=float(right.sum() / pixels) if pixels else float("nan"),
        mpa=float(mean(accuracy)),
        miou=float(mean(iou)),
        fwiou=float((truth[present] * iou[present]).sum() / pixels) if pixels else float("nan"),
        dice=float(mean(dice)),
        iou_K=iou,
        accuracy_K=accuracy,
        dice_K=dice,
    )


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` / `whole`, NaN where there is nothing of the whole."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def mean(values_XK: np.ndarray) -> np.ndarray:
    """... x K -> ... the mean of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values_XK)
    return ratio(np.where(defined, values_XK, 0.0).sum(-1), defined.sum(-1))

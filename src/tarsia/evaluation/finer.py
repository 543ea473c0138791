"""Finer figures: what mIoU hides, from what an evaluation counts of each picture besides the confusion.

A report's `details` may hold, of N pictures and K classes:

    boundary_iou  N x 2 x K  pixels in the intersection and in the union of the two bands along a class's borders
                             (Cheng et al., "Boundary IoU", CVPR 2021)
    boundary_f1   N x 4 x K  border pixels: predicted near a true one, predicted, true near a predicted one, true
                             (Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013)
    objects       M x 4      of each connected component of the truth: picture, class, pixels, pixels predicted right
    calibration   N x bins x 3  pixels, sum of their confidence, number of them right, by confidence
                             (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tarsia.errors import DatasetError

SIZES = ("small", "medium", "large")
FOUND = 0.5  # an object is found where more than this share of its pixels is right


class Finer(NamedTuple):
    """A figure: its `words`, the counts it is taken from, the function of their sums, and whether more is better."""

    words: str
    source: str
    of: Callable[[np.ndarray], np.ndarray]
    more_is_better: bool = True


def boundary_iou(sums_X2K: np.ndarray) -> np.ndarray:
    """... x 2 x K -> ... mean over the classes that have a border in truth or prediction."""
    return _mean(_ratio(sums_X2K[..., 0, :], sums_X2K[..., 1, :]))


def boundary_f1(sums_X4K: np.ndarray) -> np.ndarray:
    """... x 4 x K -> ... mean over the classes' F1 of precision and recall; 0 for a class with one of both alone."""
    near_truth, predicted, near_prediction, true = np.moveaxis(sums_X4K, -2, 0)
    precision, recall = np.nan_to_num(_ratio(near_truth, predicted)), np.nan_to_num(_ratio(near_prediction, true))
    both = precision + recall
    f1_XK = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return _mean(np.where(predicted + true > 0, f1_XK, np.nan))


def recall(sums_X3K2: np.ndarray) -> np.ndarray:
    """... x sizes x K x (objects, found) -> ... x sizes: share found, the mean over the classes with such objects."""
    return _mean(_ratio(sums_X3K2[..., 1], sums_X3K2[..., 0]))


def ece(sums_Xb3: np.ndarray) -> np.ndarray:
    """... x bins x (pixels, confidence, right) -> ... expected calibration error (Guo et al., eq. 3)."""
    pixels, confidence, right = np.moveaxis(sums_Xb3, -1, 0)
    return _ratio(np.abs(confidence - right).sum(-1), pixels.sum(-1))


def reliability(sums_b3: np.ndarray) -> np.ndarray:
    """bins x (pixels, confidence, right) -> bins x (share of the pixels, mean confidence, share right)."""
    pixels, confidence, right = sums_b3.T
    share = pixels / max(float(pixels.sum()), 1.0)
    return np.stack([share, _ratio(confidence, pixels), _ratio(right, pixels)], 1)


def _recall_of(size: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda sums_X3K2: recall(sums_X3K2)[..., size]


FIGURES = {
    "boundary_iou": Finer("boundary IoU", "boundary_iou", boundary_iou),
    "boundary_f1": Finer("boundary F1", "boundary_f1", boundary_f1),
    **{f"recall_{name}": Finer(f"recall, {name}", "objects", _recall_of(size)) for size, name in enumerate(SIZES)},
    "ece": Finer("ECE", "calibration", ece, more_is_better=False),
}


def per_picture(details: Mapping[str, np.ndarray], pictures: int, classes: int, where: str) -> dict[str, np.ndarray]:
    """A report's `details` -> float64 arrays by picture: as they are, but for objects: N x sizes x K x (all, found).

    Raises DatasetError naming `where` for a shape that does not fit.
    """
    found = {}
    for key in dict.fromkeys(figure.source for figure in FIGURES.values()):
        if key not in details:
            continue
        values = np.asarray(details[key])
        expected: dict[str, tuple[int | None, ...]] = {
            "boundary_iou": (pictures, 2, classes),
            "boundary_f1": (pictures, 4, classes),
            "objects": (None, 4),
            "calibration": (pictures, None, 3),
        }
        shape = expected[key]
        if len(values.shape) != len(shape) or any(b not in (None, a) for a, b in zip(values.shape, shape, strict=True)):
            shown = " x ".join("any" if side is None else str(side) for side in shape)
            raise DatasetError(f"{where}: {key} is {values.shape}, expected {shown}: evaluate again")
        found[key] = _sized(values, pictures, classes) if key == "objects" else values.astype(np.float64)
    return found


def _sized(objects_M4: np.ndarray, pictures: int, classes: int) -> np.ndarray:
    """Objects -> N x sizes x K x (all, found); sizes are thirds of a class's objects, equal areas stay together."""
    counted = np.zeros((pictures, len(SIZES), classes, 2))
    for k in np.unique(objects_M4[:, 1]):
        picture, _, area, right = objects_M4[objects_M4[:, 1] == k].T
        size = np.searchsorted(np.quantile(area, [1 / 3, 2 / 3]), area, side="left")
        np.add.at(counted[:, :, k, 0], (picture, size), 1)
        np.add.at(counted[:, :, k, 1], (picture, size), right > FOUND * area)
    return counted


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _mean(values_XK: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values_XK)
    return _ratio(np.where(defined, values_XK, 0.0).sum(-1), defined.sum(-1))

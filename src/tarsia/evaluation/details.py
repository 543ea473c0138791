"""The figures beyond mIoU: which there are, and what a report keeps to take them from.

A report's `details` may hold, of N pictures and K classes:

    boundary_iou  N x 2 x K  pixels in the intersection and in the union of the two bands along a class's borders
    boundary_f1   N x 4 x K  border pixels: predicted and matched, predicted, true and matched, true
    objects       M x 4      of each object of the truth: picture, class, pixels, pixels predicted right
    calibration   N x bins x 3  pixels, sum of their confidence, number of them right, by confidence

`borders.py`, `objects.py` and `reliability.py` count them and have the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tarsia.errors import DatasetError
from tarsia.evaluation import borders, objects, reliability

KEYS = ("boundary_iou", "boundary_f1", "objects", "calibration")


class Detail(NamedTuple):
    """A figure: its `words`, the counts it is taken from, and the function of their sums."""

    words: str
    source: str
    of: Callable[[np.ndarray], np.ndarray]


FIGURES = {
    "boundary_iou": Detail("boundary IoU", "boundary_iou", borders.boundary_iou),
    "boundary_f1": Detail("boundary F1", "boundary_f1", borders.boundary_f1),
    **{
        f"recall_{name}": Detail(f"recall, {name}", "objects", partial(objects.recall, size=size))
        for size, name in enumerate(objects.SIZES)
    },
    "ece": Detail("ECE", "calibration", reliability.ece),
}


class Details:
    """The counts of `pictures` pictures of K classes as they come in, in order; nothing else of a picture is kept."""

    def __init__(self, pictures: int, class_count: int) -> None:
        self._boundary_iou = np.zeros((pictures, 2, class_count), np.int64)
        self._boundary_f1 = np.zeros((pictures, 4, class_count), np.int64)
        self._calibration = np.zeros((pictures, reliability.BINS, 3))
        self._objects: list[np.ndarray] = []
        self._confident = True

    def add(self, truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray | None) -> None:
        """Count the next picture: two uint8 label maps, and the probability of what was predicted where it is known."""
        index, class_count = len(self._objects), self._boundary_iou.shape[2]
        self._boundary_iou[index], self._boundary_f1[index] = borders.count(truth_HW, predicted_HW, class_count)
        self._objects.append(np.insert(objects.count(truth_HW, predicted_HW), 0, index, axis=1))
        self._confident &= confidence_HW is not None
        if confidence_HW is not None:
            self._calibration[index] = reliability.count(truth_HW, predicted_HW, confidence_HW)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a report keeps, by KEYS; no calibration where a confidence was missing."""
        arrays = {
            "boundary_iou": self._boundary_iou,
            "boundary_f1": self._boundary_f1,
            "objects": np.concatenate([np.zeros((0, 4), np.int64), *self._objects]),
        }
        return arrays | ({"calibration": self._calibration} if self._confident else {})


def figures(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, float]:
    """The arrays of a report -> each figure of FIGURES that they have the counts of, NaN where not defined."""
    sums = _sums(details, class_count)
    return {key: float(one.of(sums[one.source])) for key, one in FIGURES.items() if one.source in sums}


def described(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, Any]:
    """What report.json says of them: the figures, how many objects are of which size, the bins of calibration."""
    sums, found = _sums(details, class_count), dict[str, Any](figures(details, class_count))
    if "objects" in sums:
        counts = sums["objects"][..., 0].sum(1).astype(int)
        found["objects"] = {name: int(count) for name, count in zip(objects.SIZES, counts, strict=True)}
    if "calibration" in sums:
        names = ("share", "confidence", "accuracy")
        found["reliability"] = [
            dict(zip(names, row, strict=True)) for row in reliability.curve(sums["calibration"]).tolist()
        ]
    return found


def check(details: Mapping[str, np.ndarray], pictures: int, class_count: int, where: str) -> None:
    """Raise DatasetError naming `where` unless the arrays are of so many pictures and classes."""
    shapes: dict[str, tuple[int | None, ...]] = {
        "boundary_iou": (pictures, 2, class_count),
        "boundary_f1": (pictures, 4, class_count),
        "objects": (None, 4),
        "calibration": (pictures, None, 3),
    }
    for key in KEYS:
        if key not in details:
            continue
        values, shape = details[key], shapes[key]
        fits = values.ndim == len(shape) and all(b in (None, a) for a, b in zip(values.shape, shape, strict=True))
        if not fits or values.dtype.kind not in "iuf":
            expected = " x ".join("any" if side is None else str(side) for side in shape)
            raise DatasetError(
                f"{where}: {key} is {values.dtype} {values.shape}, expected {expected} numbers: evaluate again"
            )
        if key == "objects" and ((values < 0) | (values[:, :1] >= pictures) | (values[:, 1:2] >= class_count)).any():
            raise DatasetError(f"{where}: objects of pictures or classes that are not there: evaluate again")


def per_picture(
    details: Mapping[str, np.ndarray], pictures: int, class_count: int, where: str
) -> dict[str, np.ndarray]:
    """A report's `details` -> float64 arrays by picture: as they are, but for objects: N x sizes x K x (all, found).

    Raises DatasetError naming `where` for a shape that does not fit.
    """
    check(details, pictures, class_count, where)
    return {
        key: objects.by_size(details[key], pictures, class_count)
        if key == "objects"
        else details[key].astype(np.float64)
        for key in KEYS
        if key in details
    }


def _sums(details: Mapping[str, np.ndarray], class_count: int) -> dict[str, np.ndarray]:
    """The arrays over all pictures, as `per_picture` has them of one."""
    one = {key: values.sum(0, keepdims=True) for key, values in details.items() if key != "objects"}
    if "objects" in details:
        one["objects"] = details["objects"] * np.array([0, 1, 1, 1])  # all in picture 0
    return {key: values[0] for key, values in per_picture(one, 1, class_count, "details").items()}

"""Objects: how many are found, small ones by themselves, which mIoU hides behind the pixels of the large ones.

An object is a connected component of a class of the truth, 8 neighbours to a pixel.  It is found where more than half
of its pixels are right.
"""

from __future__ import annotations

import numpy as np

from tarsia.card import IGNORED
from tarsia.evaluation.confusion import mean, ratio

SIZES = ("small", "medium", "large")
_FOUND = 0.5  # share of its pixels


def recall(sums_X3K2: np.ndarray, size: int) -> np.ndarray:
    """... x sizes x K x (objects, found) -> ... share found of one size, mean over the classes with such objects."""
    counted = sums_X3K2[..., size, :, :]
    return mean(ratio(counted[..., 1], counted[..., 0]))


def by_size(objects_M4: np.ndarray, pictures: int, classes: int) -> np.ndarray:
    """Objects -> N x sizes x K x (all, found); sizes are thirds of a class's objects, equal areas stay together."""
    counted = np.zeros((pictures, len(SIZES), classes, 2))
    for k in np.unique(objects_M4[:, 1]):
        picture, _, area, right = objects_M4[objects_M4[:, 1] == k].T
        size = np.searchsorted(np.quantile(area, [1 / 3, 2 / 3]), area, side="left")
        np.add.at(counted[:, :, k, 0], (picture, size), 1)
        np.add.at(counted[:, :, k, 1], (picture, size), right > _FOUND * area)
    return counted


def count(truth_HW: np.ndarray, predicted_HW: np.ndarray) -> np.ndarray:
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

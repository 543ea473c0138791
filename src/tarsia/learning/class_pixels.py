"""How many pixels each class of a data set has: what class weights follow from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tarsia import console
from tarsia.data._dataset import Dataset


def class_pixel_counts(dataset: Dataset, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a data set -> two int64 arrays of K: pixels of each class, and labelled pixels of its pictures.

    The second counts every pixel that is not ignored in the pictures where the class is present: their ratio is the
    class's frequency of median frequency balancing (Eigen and Fergus 2015, section 6.3.2).
    """
    count = len(dataset.classes)
    counts_K, image_pixels_K = np.zeros(count, np.int64), np.zeros(count, np.int64)
    indices: Iterable[int] = range(len(dataset))
    if progress:
        indices = console.track(indices, len(dataset), "counting classes")
    for index in indices:
        pixels_K = np.bincount(dataset[index].label.ravel(), minlength=256)[:count]
        counts_K += pixels_K
        image_pixels_K[pixels_K > 0] += pixels_K.sum()
    return counts_K, image_pixels_K

"""How many pixels each class of a data set has, and the class weights that follow from it."""

from __future__ import annotations

import numpy as np

from tarsia import console
from tarsia.data._dataset import Dataset


def class_pixel_counts(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a data set -> two int64 arrays of K: pixels of each class, and labelled pixels of its pictures.

    The second counts every pixel that is not ignored in the pictures where the class is present.
    """
    count = len(dataset.classes)
    pixels_K, image_pixels_K = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for index in console.track(range(len(dataset)), len(dataset), "counting classes"):
        seen_K = np.bincount(dataset[index].label.ravel(), minlength=256)[:count]
        pixels_K += seen_K
        image_pixels_K[seen_K > 0] += seen_K.sum()
    return pixels_K, image_pixels_K


def class_weights(kind: str, pixels_K: np.ndarray, image_pixels_K: np.ndarray) -> list[float]:
    """Weights from the data: median frequency balancing (Eigen & Fergus 2015, section 6.3.2), or its square root.

    `pixels_K`: pixels of each class; `image_pixels_K`: labelled pixels of the pictures that show it.  A class that no
    picture shows has no frequency and gets weight 1.
    """
    shown = pixels_K > 0
    frequency = np.where(shown, pixels_K / np.maximum(image_pixels_K, 1), 1.0)
    weights = np.where(shown, np.median(frequency[shown]) / frequency, 1.0) if shown.any() else np.ones(len(pixels_K))
    if kind == "root_median_frequency":
        weights = np.sqrt(weights)
    return [float(f"{weight:.6g}") for weight in weights]

"""Reliability: whether a network is as sure as it is right.

Labelled pixels are sorted by the confidence of their prediction into bins of equal width (Guo et al., "On Calibration
of Modern Neural Networks", ICML 2017, section 2).
"""

from __future__ import annotations

import numpy as np

from tarsia.card import IGNORED
from tarsia.errors import ModelFileError
from tarsia.evaluation.confusion import ratio

BINS = 15  # Guo et al., table 1


def ece(sums_Xb3: np.ndarray) -> np.ndarray:
    """... x bins x (pixels, confidence, right) -> ... expected calibration error (Guo et al., eq. 3)."""
    pixels, confidence, right = np.moveaxis(sums_Xb3, -1, 0)
    return ratio(np.abs(confidence - right).sum(-1), pixels.sum(-1))


def curve(sums_b3: np.ndarray) -> np.ndarray:
    """bins x (pixels, confidence, right) -> bins x (share of the pixels, mean confidence, share right)."""
    pixels, confidence, right = sums_b3.T
    share = pixels / max(float(pixels.sum()), 1.0)
    return np.stack([share, ratio(confidence, pixels), ratio(right, pixels)], 1)


def count(truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray) -> np.ndarray:
    """Label maps and the predicted classes' probability -> BINS x (labelled pixels, sum of confidence, right pixels).

    Bin b holds confidences in (b / BINS, (b + 1) / BINS].  Raises ModelFileError where one is no probability.
    """
    labelled = truth_HW != IGNORED
    return count_pixels(confidence_HW[labelled], (truth_HW == predicted_HW)[labelled])


def count_pixels(confidence_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
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

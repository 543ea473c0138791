"""Calibration: the temperature at which a network's scores are as sure as they are right.

One number for the whole network (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2):
scores divided by it become probabilities under which the labels of a split are most likely.  The order of the classes,
and so every label, stays as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tarsia.card import IGNORED, Calibration
from tarsia.engines.engine import Engine
from tarsia.errors import DatasetError
from tarsia.evaluation import reliability

PIXELS = 200_000  # of the split that are looked at, as many of every picture
LARGEST = 50.0  # a temperature beyond it, or below 1 / LARGEST, is none
_DIGITS = 4  # of a temperature
_TINY = np.finfo(np.float32).tiny  # probabilities below it have no logarithm


class TemperatureFit:
    """Gathers labelled pixels, the same ones every time, and finds their temperature; `add` can `observe` evaluate."""

    def __init__(self, engine: Engine, pictures: int) -> None:
        self._engine = engine
        self._wanted = max(1, PIXELS // pictures)  # pixels of a picture
        self._scores: list[np.ndarray] = []
        self._truths: list[np.ndarray] = []

    def add(self, scores: Any, truths: list[np.ndarray]) -> None:
        """An engine's scores of some pictures and their label maps of one size."""
        probabilities_BKHW = self._engine.probabilities(scores, truths[0].shape)
        for probabilities_KHW, truth_HW in zip(probabilities_BKHW, truths, strict=True):
            labelled = np.flatnonzero(truth_HW != IGNORED)
            if labelled.size > self._wanted:
                labelled = np.random.default_rng(len(self._truths)).choice(labelled, self._wanted, replace=False)
            chosen_KP = probabilities_KHW.reshape(len(probabilities_KHW), -1)[:, labelled]
            self._scores.append(np.log(np.maximum(chosen_KP, _TINY)).T)  # the scores, but for a number added to all
            self._truths.append(truth_HW.ravel()[labelled].astype(np.intp))

    def result(self, dataset: str, split: str, data_hash: str) -> Calibration:
        """The temperature, and what comes of it on the pixels gathered; DatasetError where none is to be found."""
        scores_PK, truth_P = np.concatenate(self._scores), np.concatenate(self._truths)
        if scores_PK.shape[1] == 1:
            raise DatasetError("a model of one class is always sure: there is nothing to calibrate")
        if not truth_P.size:
            raise DatasetError("the split has no labelled pixels: calibrate on another")
        temperature = float(f"{fit(scores_PK, truth_P):.{_DIGITS}g}")
        before, after = _judged(scores_PK, truth_P, 1.0), _judged(scores_PK, truth_P, temperature)
        return Calibration(
            temperature=temperature,
            dataset=dataset,
            split=split,
            data_hash=data_hash,
            pixels=truth_P.size,
            nll_before=before[0],
            nll_after=after[0],
            ece_before=before[1],
            ece_after=after[1],
        )


def fit(scores_PK: np.ndarray, truth_P: np.ndarray) -> float:
    """Scores and classes of P pixels -> the temperature that makes their negative log-likelihood smallest.

    That is convex in 1 / temperature: Newton's steps, and bisection where one would leave what is left of the range.
    Raises DatasetError where the smallest is not between 1 / LARGEST and LARGEST.
    """
    low, high, inverse = 1 / LARGEST, LARGEST, 1.0
    if not _slopes(scores_PK, truth_P, low)[0] < 0 < _slopes(scores_PK, truth_P, high)[0]:
        raise DatasetError(
            f"no temperature between {low:g} and {high:g} fits the scores: nearly every pixel is right, or the scores "
            "tell nothing of the classes; calibrate on a split with more pictures that were not trained on"
        )
    for _ in range(60):
        slope, curvature = _slopes(scores_PK, truth_P, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else low
        new = step if low < step < high else float(np.sqrt(low * high))
        if abs(new - inverse) <= 1e-7 * inverse:
            break
        inverse = new
    return 1 / inverse


def _slopes(scores_PK: np.ndarray, truth_P: np.ndarray, inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood by the inverse temperature."""
    weights_PK = _softmax(scores_PK, inverse)
    mean_P = (weights_PK * scores_PK).sum(1)
    true_P = np.take_along_axis(scores_PK, truth_P[:, None], 1)[:, 0]
    spread_P = (weights_PK * (scores_PK - mean_P[:, None]) ** 2).sum(1)
    return float((mean_P - true_P).mean(dtype=np.float64)), float(spread_P.mean(dtype=np.float64))


def _softmax(scores_PK: np.ndarray, inverse: float) -> np.ndarray:
    raised = np.exp(np.float32(inverse) * (scores_PK - scores_PK.max(1, keepdims=True)))
    return raised / raised.sum(1, keepdims=True)


def _judged(scores_PK: np.ndarray, truth_P: np.ndarray, temperature: float) -> tuple[float, float]:
    """Mean negative log-likelihood and expected calibration error at a temperature."""
    probabilities_PK = _softmax(scores_PK, 1 / temperature)
    true_P = np.take_along_axis(probabilities_PK, truth_P[:, None], 1)[:, 0]
    right_P = scores_PK.argmax(1) == truth_P
    error = reliability.ece(reliability.count_pixels(probabilities_PK.max(1), right_P))
    return float(-np.log(np.maximum(true_P, _TINY)).mean(dtype=np.float64)), float(error)

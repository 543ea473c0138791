"""Losses: scores_BKHW and label_BHW (uint8, 255 ignored) -> scalar.  A batch with nothing to learn costs zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inlay.card import IGNORED


class CrossEntropy:
    """Mean over the labelled pixels of -w_y log p_y, divided by the sum of their weights.

    With label smoothing e the target is (1 - e) for the true class plus e / K for every class (Szegedy et al. 2016,
    section 7), each term weighted by its class.
    """

    def __init__(self, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing

    def __call__(self, scores_BKHW: Tensor, label_BHW: Tensor) -> Tensor:
        label = label_BHW.long()
        weights = None if self.class_weights is None else self.class_weights.to(scores_BKHW.device)
        total = functional.cross_entropy(
            scores_BKHW.float(),
            label,
            weight=weights,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        labelled = label != IGNORED
        if weights is None:
            count = labelled.sum().to(total.dtype)
        else:
            count = (torch.bincount(label[labelled], minlength=len(weights)) * weights).sum()
        # Nothing labelled: total is 0, and 0 / 1 keeps the loss defined with gradients of zero.
        return total / torch.where(count > 0, count, torch.ones_like(count))


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

"""Self-training: what a model is sure of in unlabelled pictures, as labels to learn from."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from tarsia.card import IGNORED, Card
from tarsia.data._unlabelled import Unlabelled
from tarsia.engines.torch_engine import TorchEngine
from tarsia.models._segmenter import Segmenter
from tarsia.prediction.predictor import Predictor

_LOOKED_AT = 64  # pictures that the thresholds are taken from
_KEPT = 0.5  # of each class's pixels, at least


class PseudoLabels:
    """uint8 B x 3 x H x W -> uint8 labels B x H x W of a frozen copy of a model where it is sure, 255 elsewhere.

    Sure is a probability of `least_confidence`, or of the median over a class's pixels where that is lower: without it
    the rare and difficult classes would get no labels, and be forgotten (class-balanced self-training, Zou et al., ECCV
    2018, section 3.2; median and cap as Li et al., CVPR 2019, have them in "Bidirectional Learning").
    """

    def __init__(self, model: Segmenter, card: Card, target: Unlabelled, least_confidence: float, device: str) -> None:
        self.model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
        teacher = Predictor(TorchEngine(self.model, card, device, memory_format=model.memory_format or "auto"))
        found = class_thresholds(teacher, target, least_confidence)
        self.thresholds_K = torch.from_numpy(found).to(device)

    @torch.no_grad()
    def __call__(self, image_B3HW: Tensor) -> Tensor:
        confidence_BHW, label_BHW = self.model(image_B3HW).float().softmax(1).max(1)
        sure_BHW = confidence_BHW >= self.thresholds_K[label_BHW]
        return torch.where(sure_BHW, label_BHW, torch.full_like(label_BHW, IGNORED)).to(torch.uint8)


def class_thresholds(teacher: Predictor, target: Unlabelled, least_confidence: float) -> np.ndarray:
    """K float32: the least probability of a label of each class, from up to 64 pictures of `target`."""
    pixels: list[list[np.ndarray]] = [[] for _ in teacher.classes.names]
    teacher = teacher.at_temperature(1.0)  # the scores are compared as they are, when labels are given
    for image_HW3 in target.spread(_LOOKED_AT):
        label_BHW, confidence_BHW = teacher.labels_and_confidence(image_HW3[None])
        for index in np.unique(label_BHW):
            pixels[index].append(confidence_BHW[label_BHW == index])
    medians = [np.quantile(np.concatenate(one), 1 - _KEPT) if one else least_confidence for one in pixels]
    return np.minimum(medians, least_confidence).astype(np.float32)

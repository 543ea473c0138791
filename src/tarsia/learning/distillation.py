"""Learning from a model, or the mean of several, beside the labels.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2, at every pixel.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tarsia.card import Card
from tarsia.data._dataset import check_same_classes
from tarsia.engines.model_file import find_model_file
from tarsia.engines.weights import load_model
from tarsia.errors import RecipeError
from tarsia.models._segmenter import Segmenter
from tarsia.recipe import TeacherRecipe


class Teacher:
    """What a `teacher` section of a recipe adds to the loss of each batch.

    The teachers see the very pictures that the network sees, augmented as they are, and are not changed by it.
    """

    def __init__(self, recipe: TeacherRecipe, card: Card, device: str, memory_format: str) -> None:
        """Raises ModelFileError, DatasetError or RecipeError for models that cannot teach the network of `card`."""
        self.recipe = recipe
        self.models = [_open(Path(path), card).to(device) for path in recipe.models]
        for model in self.models:
            model.arrange(memory_format)

    @torch.no_grad()
    def probabilities(self, image_B3HW: Tensor) -> Tensor:
        """uint8 -> B x K x H x W, each pixel's sum 1: the mean of the models' softmax at the temperature."""
        found = [_scores(model, image_B3HW).float() / self.recipe.temperature for model in self.models]
        return torch.stack([scores_BKHW.softmax(1) for scores_BKHW in found]).mean(0)

    def loss(self, scores_BKHW: Tensor, image_B3HW: Tensor, pixels: float) -> Tensor:
        """A batch's share of weight T^2 KL(teacher || network), the mean over the `pixels` of a whole step.

        Labelled or not: a teacher knows an answer everywhere.  T^2 keeps its gradients as large at any temperature.
        """
        p_BKHW = self.probabilities(image_B3HW)
        log_q_BKHW = (scores_BKHW.float() / self.recipe.temperature).log_softmax(1)
        divergence = functional.kl_div(log_q_BKHW, p_BKHW, reduction="sum")
        return self.recipe.weight * self.recipe.temperature**2 * divergence / pixels


def _open(path: Path, card: Card) -> Segmenter:
    file = find_model_file(path)
    if file.suffix != ".safetensors":
        raise RecipeError(f"teacher.models: {file}: give the .safetensors model that it was exported from")
    model, its = load_model(file)
    remedy = "choose a teacher of the same data set"
    check_same_classes(its.classes, card.classes, (f"teacher {path}", "the data set"), remedy)
    if its.bands != card.bands:
        raise RecipeError(f"teacher.models: {path} takes {its.bands} bands, the pictures have {card.bands}: {remedy}")
    return model.eval().requires_grad_(False)


def _scores(model: Segmenter, image_B3HW: Tensor) -> Tensor:
    """B x K x H x W, also where the model's stride is a larger one: its picture is continued by its last pixels."""
    height, width = image_B3HW.shape[-2:]
    right, below = -width % model.stride, -height % model.stride
    if right or below:
        image_B3HW = functional.pad(image_B3HW.float(), (0, right, 0, below), mode="replicate")
    return model(image_B3HW)[..., :height, :width]

"""Learning for another condition: labelled pictures in the look of unlabelled ones, or those with pseudo-labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from tarsia.adaptation.pseudo_labels import PseudoLabels
from tarsia.adaptation.recolor import match_histogram, swap_amplitudes
from tarsia.adaptation.style import StyleNetwork, load_style
from tarsia.card import IGNORED, Card
from tarsia.data._unlabelled import Unlabelled, open_unlabelled
from tarsia.learning.adaptation import Extended
from tarsia.learning.loader import TargetBatch
from tarsia.models._segmenter import Criterion, Segmenter
from tarsia.recipe import AdaptRecipe

_Recolor = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
_RECOLOR: dict[str, _Recolor] = {"histogram": match_histogram, "fourier": swap_amplitudes}


class Restyling:
    """What an `adapt` section of a recipe adds to the loss of each batch.  `target`: the unlabelled pictures."""

    def __init__(self, recipe: AdaptRecipe, model: Segmenter, card: Card, device: str) -> None:
        """`model` is the network at its start, of which self-training takes a copy."""
        self.recipe = recipe
        self.target: Unlabelled = open_unlabelled(recipe.target)
        self.network: StyleNetwork | None = load_style(recipe.style)[0].to(device) if recipe.style else None
        self.teacher: PseudoLabels | None = None
        if recipe.method == "self-training":
            self.teacher = PseudoLabels(model, card, self.target, recipe.least_confidence, device)

    def extended(self, image_B3HW: Tensor, label_BHW: Tensor, target: TargetBatch) -> Extended:
        """A batch and as many more pictures as `share` says, with labels.

        Self-training: they are target pictures with pseudo-labels.  Else they are the batch's first pictures restyled,
        with their labels.
        """
        rows = math.ceil(self.recipe.share * len(image_B3HW))
        if rows == 0:
            return Extended(image_B3HW, label_BHW, len(image_B3HW))
        wanted = TargetBatch(*(part[:rows] for part in target))
        if self.teacher is not None:
            more = wanted.image_B3HW
            its_label = torch.where(wanted.mask_BHW, self.teacher(more), torch.full_like(label_BHW[:rows], IGNORED))
        else:
            more, its_label = self.restyled(image_B3HW[:rows], wanted.image_B3HW), label_BHW[:rows]
        images, labels = torch.cat([image_B3HW, more]), torch.cat([label_BHW, its_label])
        return Extended(images, labels, len(image_B3HW))

    def loss(
        self, model: Segmenter, given: Extended, criterion: Criterion, tied: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """As Segmenter.loss, of all pictures; the scores are those of the batch's own.

        Where they are restyled, `kl` is `kl_weight` times KL(p_original || p_restyled), which both sides learn from:
        the mean over the `tied` pixels of the whole step, of which the batch has `given.tied`.
        """
        terms, scores = model.loss(given.image_B3HW, given.label_BHW, criterion)
        own, rows = given.own, len(scores) - given.own
        if rows and self.teacher is None and self.recipe.kl_weight:
            share = self.recipe.kl_weight * (given.tied / tied)
            terms = terms | {"kl": share * divergence(scores[:rows], scores[own:])}
        return terms, scores[:own]

    def restyled(self, image_B3HW: Tensor, reference_B3HW: Tensor) -> Tensor:
        """uint8 pictures in the look of as many references of their size -> uint8, on their device."""
        if self.network is not None:
            return self.network.restyle(image_B3HW, reference_B3HW, self.recipe.strength)
        recolor = _RECOLOR[self.recipe.method]
        pairs = zip(*(one.permute(0, 2, 3, 1).cpu().numpy() for one in (image_B3HW, reference_B3HW)), strict=True)
        found_BHW3 = np.stack([recolor(image, reference, self.recipe.strength) for image, reference in pairs])
        return torch.from_numpy(found_BHW3).permute(0, 3, 1, 2).to(image_B3HW.device)


def divergence(original_BKHW: Tensor, restyled_BKHW: Tensor) -> Tensor:
    """Scores -> KL(p_original || p_restyled) with p their softmax, the mean over pixels; gradients go to both.

    Song et al. tie the two segmentations by this term and stop neither gradient.
    """
    log_p, log_q = (scores.float().log_softmax(1) for scores in (original_BKHW, restyled_BKHW))
    return (log_p.exp() * (log_p - log_q)).sum(1).mean()

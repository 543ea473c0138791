"""Optimizers, learning-rate schedules by step, and the moving average of the weights.

torch's schedulers count steps of their own; a function of the step has nothing to save and resume.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tarsia.learning import limit
from tarsia.models._segmenter import Segmenter
from tarsia.recipe_train import TrainRecipe


def create(model: Segmenter, settings: TrainRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the model's trainable parameters; each group remembers its `base_lr`."""
    groups = model.parameter_groups(settings.learning_rate, settings.weight_decay, settings.encoder_multiplier)
    for group in groups:
        group["base_lr"] = group["lr"]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=settings.learning_rate, fused=True)


def factor(settings: TrainRecipe, step: int, total_steps: int) -> float:
    """What the base learning rates are multiplied by in `step` (from 0) of `total_steps`.

    poly: (1 - step / total)^power; cosine: half a period to 0; both after a linear warm-up from 1 / warmup_steps.
    Where `replan` has changed the total, the schedule goes on from where it was, to its end.
    """
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    progress = limit.share_done(settings.replan, step, total_steps, settings.warmup_steps)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return (1 - progress) ** settings.power


def set_learning_rate(optimizer: torch.optim.Optimizer, scale: float) -> float:
    """Scale every group's base learning rate; returns the largest."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * scale
    return max(group["lr"] for group in optimizer.param_groups)


class Average:
    """Exponential moving average of a model's weights, and statistics: a += (1 - d) (w - a); whole numbers are copied.

    The decay grows with the steps, min(decay, (1 + n) / (10 + n)), so that early weights are soon forgotten.  The
    running statistics of batch normalisation are averaged too: those of the last steps are of other weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(list(self.model.parameters()), list(model.parameters()), step)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)

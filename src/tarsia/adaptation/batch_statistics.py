"""Batch normalisation's statistics, taken anew from pictures of another condition."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from tarsia.card import Input
from tarsia.data._unlabelled import Unlabelled
from tarsia.errors import RecipeError
from tarsia.models._segmenter import Segmenter
from tarsia.pictures import rgb as pictures
from tarsia.prediction.network_input import network_size


@torch.no_grad()
def take_statistics(model: Segmenter, target: Unlabelled, settings: Input, count: int, batch: int, device: str) -> int:
    """Give `model` the batch normalisation statistics of up to `count` pictures; no weight changes -> how many.

    AdaBN (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016): every mean and variance
    becomes the average of those of the target's batches.  Pictures are seen as in prediction.  A layer that sees a
    single value per channel in every batch keeps what it had (models/_blocks.Norm).  Raises RecipeError where the
    network has no batch normalisation.
    """
    layers = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    if not layers:
        raise RecipeError("method batch-norm: this network has no batch normalisation: choose another method")
    momenta = [layer.momentum for layer in layers]
    model.to(device).eval()
    for layer in layers:
        layer.train()
        layer.momentum = None  # the average over batches, counted from 0: the first one replaces what was there
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.zero_()
    seen = 0
    for images_BHW3 in _batches(target, settings, count, batch):
        model(torch.from_numpy(images_BHW3).permute(0, 3, 1, 2).to(device))
        seen += len(images_BHW3)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()
    return seen


def _batches(target: Unlabelled, settings: Input, count: int, batch: int) -> Iterator[np.ndarray]:
    """Evenly spaced pictures as the network sees them, consecutive ones of one size together, up to `batch`."""
    group: list[np.ndarray] = []
    for image_HW3 in target.spread(count):
        resized = pictures.resize(image_HW3, network_size(image_HW3.shape[:2], settings))
        seen = pictures.pad_to_multiple(resized[None], settings.stride)[0]
        if group and (len(group) == batch or seen.shape != group[0].shape):
            yield np.stack(group)
            group = []
        group.append(seen)
    if group:
        yield np.stack(group)

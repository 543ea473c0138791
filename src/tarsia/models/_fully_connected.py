"""VGG's fully connected layers as convolutions, for the networks that keep them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tarsia import console
from tarsia.errors import ModelFileError
from tarsia.models._blocks import kaiming
from tarsia.models._weights import encoder_weights

_PREFIX = "pre_logits."  # of timm's names of these layers


class FullyConnected(nn.Module):
    """B x `inputs` x H x W -> B x `channels` x H x W: fc6 (`kernel`, `dilation`) and fc7 (1x1), each ReLU and dropout.

    Long, Shelhamer & Darrell, "Fully Convolutional Networks", CVPR 2015, section 3.1.  VGG's own are 7x7 and 4096.
    """

    def __init__(self, inputs: int, channels: int, kernel: int = 7, dilation: int = 1, dropout: float = 0.5) -> None:
        super().__init__()
        self.fc6 = nn.Conv2d(inputs, channels, kernel, padding="same", dilation=dilation)
        self.fc7 = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)
        kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.fc6, self.fc7):
            x = self.dropout(layer(x).relu())
        return x

    def take(self, name: str, weights: str, options: dict[str, Any]) -> None:
        """Take the layers of timm's VGG `name` from `weights` (see encoder_weights).

        A smaller kernel or fewer channels take evenly spaced ones (Chen et al., DeepLab, ICLR 2015, section 3.2).
        Weights of convolutions alone leave them as they start, with a note.  Raises ModelFileError where the weights
        have a part of the layers, or fewer channels than are wanted.
        """
        tensors = encoder_weights(name, weights, options)
        if not any(key.startswith(_PREFIX) for key in tensors):
            console.note(f"model.weights: {weights} has no fully connected layers: fc6 and fc7 start anew")
            return
        for own, key in ((self.fc6, f"{_PREFIX}fc1"), (self.fc7, f"{_PREFIX}fc2")):
            for kind, parameter in own.named_parameters():
                stored = tensors.get(f"{key}.{kind}")
                if stored is None or any(a < b for a, b in zip(stored.shape, parameter.shape, strict=True)):
                    found = "missing" if stored is None else tuple(stored.shape)
                    raise ModelFileError(
                        f"model.weights: {key}.{kind} of {name} is {found}, expected at least {tuple(parameter.shape)}"
                    )
                with torch.no_grad():
                    parameter.copy_(_evenly(stored, parameter.shape))


def is_vgg(encoder: str) -> bool:
    """Whether timm's network `encoder` has fully connected layers to take."""
    return encoder.startswith("vgg")


def _evenly(tensor: Tensor, shape: torch.Size) -> Tensor:
    """`tensor` with as many evenly spaced entries along each axis as `shape` says, the first and last included."""
    for axis, (there, wanted) in enumerate(zip(tensor.shape, shape, strict=True)):
        if wanted < there:
            tensor = tensor.index_select(axis, torch.linspace(0, there - 1, wanted).round().long())
    return tensor

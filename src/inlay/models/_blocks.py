"""Pieces that several networks share."""

from __future__ import annotations

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional


class Norm(nn.BatchNorm2d):
    """Batch normalisation that has an answer for one value per channel.

    A batch of one picture pooled to 1x1 has no variance; torch raises there.  This uses the running statistics
    for such a batch instead, so that a last batch of one picture trains.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and _is_single(x):
            assert self.running_mean is not None and self.running_var is not None
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            return functional.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(x)


class NormAct(BatchNormAct2d):
    """timm's batch normalisation with its activation, with the same answer for one value per channel."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and _is_single(x)):
            return super().forward(x)
        self.training = False
        try:
            return super().forward(x)
        finally:
            self.training = True


class ConvNormReLU(nn.Sequential):
    """Convolution without bias (same size at stride 1), batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1, groups: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False),
            Norm(outputs),
            nn.ReLU(inplace=True),
        )


def _is_single(x: Tensor) -> bool:
    return x.shape[0] * x.shape[2] * x.shape[3] == 1


def resize_as(x: Tensor, like: Tensor) -> Tensor:
    """`x` resized bilinearly to the height and width of `like`."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def kaiming(module: nn.Module) -> None:
    """He initialisation of a decoder's convolutions (He et al. 2015, eq. 10), zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)

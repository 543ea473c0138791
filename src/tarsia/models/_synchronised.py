"""Batch normalisation over the pictures of several processes, on any device; torch's own is for GPUs alone."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Across(Protocol):
    """The processes whose pictures are normalised together."""

    count: int
    counts: bool  # whether this process's pictures are of the statistics: not where it only keeps the others company

    def sum(self, numbers: Tensor) -> Tensor:
        """The sums over all processes of what each gives here."""
        ...


def normalised(norm: nn.BatchNorm2d, x: Tensor, across: Across) -> Tensor | None:
    """`x` by the mean and variance of all processes' pictures, running statistics updated; None for a single value.

    The mean first, then the mean of squared deviations from it: E[x^2] - E[x]^2 would lose digits.
    """
    count = float(across.counts)
    values = x.detach().float() if x.dtype != torch.float64 else x.detach()
    own = torch.cat([values.sum((0, 2, 3)).double(), values.new_tensor([values[:, 0].numel()]).double()])
    *_, total = sums = across.sum(own * count)
    if total <= 1:
        return None
    mean_C = sums[:-1] / total
    deviations_C = (values - mean_C.to(values.dtype)[:, None, None]).square().sum((0, 2, 3))
    variance_C = across.sum(deviations_C.double() * count) / total
    with torch.no_grad():
        if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            unbiased_C = variance_C * (total / (total - 1))
            norm.running_mean.lerp_(mean_C.to(norm.running_mean.dtype), momentum)
            norm.running_var.lerp_(unbiased_C.to(norm.running_var.dtype), momentum)
    scale_C = (variance_C + norm.eps).rsqrt().to(values.dtype)
    normal: Tensor = _Normal.apply(x, mean_C.to(values.dtype), scale_C, float(total), across)
    shape = (1, -1, 1, 1)
    return normal if norm.weight is None else (normal * norm.weight.view(shape) + norm.bias.view(shape)).to(x.dtype)


class _Normal(torch.autograd.Function):
    """(x - mean) / deviation, whose gradient goes through both, which all processes' pictures have a part in."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean_C: Tensor, scale_C: Tensor, total: float, across: Across) -> Tensor:
        normal = (x.to(mean_C.dtype) - mean_C[:, None, None]) * scale_C[:, None, None]
        ctx.save_for_backward(normal, scale_C)
        ctx.total, ctx.across, ctx.counts, ctx.type = total, across, across.counts, x.dtype
        return normal

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (slope,), (normal, scale_C) = slopes, ctx.saved_tensors
        own = torch.stack([slope.sum((0, 2, 3)), (slope * normal).sum((0, 2, 3))])
        plain_C, along_C = (ctx.across.sum(own.double()) / ctx.total).to(slope.dtype)
        if ctx.counts:
            slope = slope - plain_C[:, None, None] - normal * along_C[:, None, None]
        return (slope * scale_C[:, None, None]).to(ctx.type), None, None, None, None

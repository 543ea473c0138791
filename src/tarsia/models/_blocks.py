"""Pieces that several networks share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional

from tarsia.errors import RecipeError, nearest
from tarsia.models import HeadStart
from tarsia.models._attention import Attended
from tarsia.models._synchronised import Across, normalised
from tarsia.plain_text import listed

_POSITIONS_A_CHANNEL = 8


class Norm(nn.BatchNorm2d):
    """Batch normalisation that has an answer for one value per channel.

    A batch of one picture pooled to 1x1 has no variance; torch raises there.  This uses the running statistics
    for such a batch instead, so that a last batch of one picture trains.  `across`: the processes whose batches are
    normalised together.
    """

    across: Across | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.across is not None and self.across.count > 1:
            together = normalised(self, x, self.across)
            return self._by_running(x) if together is None else together
        return self._by_running(x) if self.training and _is_single(x) else super().forward(x)

    def _by_running(self, x: Tensor) -> Tensor:
        assert self.running_mean is not None and self.running_var is not None
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)


class NormAct(BatchNormAct2d):
    """timm's batch normalisation with its activation, with the same answer for one value per channel, and `across`."""

    across: Across | None = None

    def forward(self, x: Tensor) -> Tensor:
        single = self.training and _is_single(x)
        if self.training and self.across is not None and self.across.count > 1:
            together = normalised(self, x, self.across)
            if together is not None:
                found: Tensor = self.act(self.drop(together))
                return found
            single = True
        if not single:
            return super().forward(x)
        self.training = False
        try:
            return super().forward(x)
        finally:
            self.training = True


class ConvNormReLU(nn.Sequential):
    """Convolution without bias (same size at stride 1), batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1, groups: int = 1, stride: int = 1
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
            Norm(outputs),
            nn.ReLU(inplace=True),
        )


class ConvReLU(nn.Sequential):
    """3x3 convolution (same size) with a bias, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True))


class SqueezeExcitation(nn.Module):
    """B x C x H x W -> the same, each channel weighted by what all channels are on average.

    Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018; Shen & Sun eq. 1 to 3, Song et al. eq. 3 to 5: z = mean
    over H x W, s = sigmoid(W2 relu(W1 z)), x = s u; W1 brings C channels to C / `reduction`, at least 4.  The equations
    show no biases, Hu et al.'s released network has them, and Shen & Sun's number of parameters is met with them alone.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def weights(self, x: Tensor) -> Tensor:
        """B x C x H x W -> s, B x C x 1 x 1, each 0 .. 1 (eq. 1, 2)."""
        return self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)

    def attended(self, x: Tensor) -> Attended:
        """Each channel's weight."""
        return Attended(weights_BC=self.weights(x).flatten(1))


class SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: the same map seen by convolutions of several dilations, and as a whole.

    Chen et al., "Rethinking Atrous Convolution", 2017, section 3.3: a 1x1 and one 3x3 convolution per rate, and the
    map's mean through a 1x1 convolution (image pooling), concatenated and projected by 1x1.
    """

    def __init__(self, channels: int, branch_channels: int, rates: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.point = ConvNormReLU(channels, branch_channels, kernel=1)
        self.dilated = nn.ModuleList(ConvNormReLU(channels, branch_channels, dilation=rate) for rate in rates)
        self.pooled = ConvNormReLU(channels, branch_channels, kernel=1)
        self.projection = ConvNormReLU(branch_channels * (len(rates) + 2), outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        whole = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.projection(torch.cat([self.point(x), *(branch(x) for branch in self.dilated), whole], 1))


class Freezable(nn.Module):
    """A part of a network that stays, or its statistics do, as `model.freeze` and `train.encoder_statistics` say."""

    _frozen: list[nn.Module]
    _fixed: list[nn.Module]

    def __init__(self) -> None:
        super().__init__()
        self._frozen, self._fixed = [], []

    def freezable(self) -> nn.Module:
        """The module whose parts go by the names that `freeze` takes."""
        return self

    def freeze(self, parts: tuple[str, ...]) -> None:
        """Keep the named parts (module names, as `layer1` or `blocks.0`; `all`) as they are, statistics included."""
        whole = self.freezable()
        named = dict(whole.named_modules())
        for part in parts:
            if part != "all" and part not in named:
                known = [name for name, _ in whole.named_children()]
                raise RecipeError(f"model.freeze: the encoder has no part {part}{nearest(part, ['all', *known])}")
            self._frozen.append(whole if part == "all" else named[part])
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def fix_statistics(self) -> None:
        """Have batch normalisation use its running statistics in training too, and keep them; scale and shift learn.

        Raises RecipeError where there is none.
        """
        self._fixed = [part for part in self.modules() if isinstance(part, nn.BatchNorm2d)]
        if not self._fixed:
            raise RecipeError("train.encoder_statistics: the encoder has no batch normalisation: leave it out")
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        for module in self._fixed:
            module.training = False  # not its activation, which is within it in timm's
        return self


def synchronise(model: nn.Module, across: Across) -> None:
    """Have every batch normalisation see the batches of all processes.

    Raises RecipeError for a network that has none, or one of another kind.
    """
    parts = list(model.modules())
    ours = [part for part in parts if isinstance(part, Norm | NormAct)]
    others = {type(part).__name__ for part in parts if "BatchNorm" in type(part).__name__ and part not in ours}
    if others or not ours:
        found = f"has {listed(sorted(others))}, of another kind" if others else "has no batch normalisation"
        raise RecipeError(f"train.sync_batch_norm: the network {found}: leave it out")
    for part in ours:
        part.across = across


def _is_single(x: Tensor) -> bool:
    return x.shape[0] * x.shape[2] * x.shape[3] == 1


def resize_as(x: Tensor, like: Tensor) -> Tensor:
    """`x` resized bilinearly to the height and width of `like`."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def convolve_upsampled(x: Tensor, skip: Tensor | None, weight: Tensor) -> Tensor:
    """3x3 convolution (padding 1, no bias) of `x` at twice its size, every value repeated, with `skip` beside it.

    x: B x C x H x W, skip: B x S x 2H x 2W, weight: K x (C + S) x 3 x 3 -> B x K x 2H x 2W, equal up to rounding to
    conv2d(cat([interpolate(x, nearest), skip])).  Repeating and convolving are linear: together they are a transposed
    convolution by 4x4 at stride 2 with the sums of neighbouring weights, 4/9 of the multiplications, and nothing is
    repeated or concatenated.  Forward and backward pass take 0.3 to 0.6 of the time, but for small maps of many
    channels, where arranging the weights anew costs more than it saves; these are computed as they are written.
    """
    if x.shape[0] * x.shape[2] * x.shape[3] < _POSITIONS_A_CHANNEL * x.shape[1]:
        repeated = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return functional.conv2d(repeated if skip is None else torch.cat([repeated, skip], 1), weight, padding=1)
    of_x = weight[:, : x.shape[1]].flip(2, 3)
    of_x = functional.pad(of_x, (1, 0)) + functional.pad(of_x, (0, 1))
    of_x = functional.pad(of_x, (0, 0, 1, 0)) + functional.pad(of_x, (0, 0, 0, 1))
    out = functional.conv_transpose2d(x, of_x.transpose(0, 1), stride=2, padding=1)
    return out if skip is None else out + functional.conv2d(skip, weight[:, x.shape[1] :], padding=1)


class Classifier(nn.Conv2d):
    """A layer that gives scores, B x C x H x W -> B x K x H x W.  How it starts is the recipe's choice: start_heads."""


def start_heads(model: nn.Module, start: HeadStart) -> None:
    """Draw the weights of every Classifier of `model` from a Gaussian of mean 0, as `model.head_start` says; no biases.

    A number is its standard deviation.  `fan_in`: 1 / sqrt(N), where N values come into a score, so that scores vary as
    the features do.  `he`: sqrt(2 / M), where M values come of a feature (He et al. 2015, eq. 14): in layers with many
    outputs this keeps gradients as large as they are, in one with a few classes it makes large scores of any features.
    """
    for head in model.modules():
        if isinstance(head, Classifier):
            nn.init.normal_(head.weight, std=_deviation(head.weight, start))
            if head.bias is not None:
                nn.init.zeros_(head.bias)


def _deviation(weight_KChw: Tensor, start: HeadStart) -> float:
    if start == "fan_in":
        return weight_KChw[0].numel() ** -0.5
    if start == "he":
        return (2 / weight_KChw[:, 0].numel()) ** 0.5
    if isinstance(start, int | float) and start >= 0:
        return start
    raise RecipeError(f"model.head_start: {start}: expected a standard deviation from 0 up, fan_in or he")


def convolutions(module: nn.Module) -> Iterator[nn.Conv2d | nn.ConvTranspose2d]:
    """The convolutions that start as the network says: all but the classifiers."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and not isinstance(part, Classifier):
            yield part


def kaiming(module: nn.Module) -> None:
    """He initialisation of the convolutions (He et al. 2015, eq. 14), zero biases."""
    for part in convolutions(module):
        nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)

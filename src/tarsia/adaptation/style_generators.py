"""Generators of a style network: the code, and what may stand beside it -> a normalised picture.

`Mirrored` is Song, Zhang & Park's, "symmetrical to the encoder": every block of the encoder once more, last to first,
each convolution with its channels exchanged, and enlarged where the encoder's makes smaller.  What a block adds to its
input, the mirrored block adds to its own.  Batch normalisation has no mirror: the statistics that it would take away
are the style (Huang and Belongie 2017, section 7.1).  `Plain` has the encoder's levels and widths alone, two
convolutions a level, and is what was trained before there was a choice.

Both enlarge by repetition and pad by reflection: no checkerboard, no frame of other colours.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tarsia.errors import RecipeError
from tarsia.models._encoders import Encoder

Skips = Literal["none", "maps", "picture"]
Form = Literal["mirrored", "plain"]


class Convolution(NamedTuple):
    """One convolution of an encoder: `factor` is how much smaller it makes a side."""

    inputs: int
    outputs: int
    kernel: int
    groups: int
    factor: int


class Part(NamedTuple):
    """A convolution that stands by itself, or a block of several, in the encoder's working order."""

    convolutions: tuple[Convolution, ...]
    reduction: int  # of its input
    reduced: int  # of its output
    residual: bool = False  # it adds to its input
    linear: bool = False  # nothing follows its last convolution (inverted residuals)

    @property
    def channels(self) -> tuple[int, int]:
        """Of its input and its output."""
        return self.convolutions[0].inputs, self.convolutions[-1].outputs


def generator(form: Form, encoder: Encoder, skips: Skips) -> nn.Module:
    """The generator for an encoder: [picture, map, ..., code] -> normalised picture of the picture's size."""
    return Mirrored(encoder, skips) if form == "mirrored" else Plain(encoder, skips)


class Mirrored(nn.Module):
    """The encoder mirrored, block by block; RecipeError for one that is no chain of convolutions."""

    def __init__(self, encoder: Encoder, skips: Skips) -> None:
        super().__init__()
        self.skips = skips
        parts = parts_of(encoder)
        reached = [1, *(part.reduced for part in parts)]
        self.parts = nn.ModuleList(
            _MirroredPart(part, part.reduction // before, last=k == 0)
            for k, (part, before) in reversed([*enumerate(zip(parts, reached, strict=False))])
        )
        ends = {}  # which part a map comes from -> which map
        for index, found in enumerate(zip(encoder.channels, encoder.reductions, strict=True)):
            ends[max(k for k, part in enumerate(parts) if (part.channels[1], part.reduced) == found)] = index
        ends.pop(len(parts) - 1)  # the code
        self.beside = [ends.get(k) for k in reversed(range(len(parts)))]

    def forward(self, maps: list[Tensor]) -> Tensor:
        picture, *finer, x = maps
        for part, index in zip(self.parts, self.beside, strict=True):
            if self.skips != "none" and index is not None:
                x = x + finer[index]
            x = part(x)
        return x + picture if self.skips == "picture" else x


class _MirroredPart(nn.Module):
    """One part of the encoder the other way round, then enlarged by what a pooling before it has made smaller."""

    def __init__(self, part: Part, pooled: int, last: bool) -> None:
        super().__init__()
        inner = math.prod(one.factor for one in part.convolutions)
        # Where no convolution has made the map smaller, an average of the block has.
        self.first, self.pooled = part.reduced // part.reduction // inner, pooled
        self.linear = part.linear or last
        self.factors = [one.factor for one in reversed(part.convolutions)]
        convolutions = [
            _convolution(one.outputs, one.inputs, one.kernel | 1, one.groups) for one in reversed(part.convolutions)
        ]
        self.convolutions = nn.ModuleList(convolutions)
        self.shortcut: nn.Module | None = None
        if part.residual:
            inputs, outputs = part.channels
            self.shortcut = nn.Identity() if inputs == outputs else _convolution(outputs, inputs, 1)
            nn.init.zeros_(convolutions[-1].weight)  # each block begins as its shortcut: deep, and still learns

    def forward(self, x: Tensor) -> Tensor:
        y = _larger(x, self.first)
        for k, (convolution, factor) in enumerate(zip(self.convolutions, self.factors, strict=True)):
            y = convolution(_larger(y, factor))
            if k + 1 < len(self.factors):
                y = y.relu()
        if self.shortcut is not None:
            y = y + _larger(self.shortcut(x), y.shape[-1] // x.shape[-1])
        return _larger(y if self.linear else y.relu(), self.pooled)


class Plain(nn.Module):
    """Two 3x3 convolutions for each of the encoder's levels, at its widths."""

    def __init__(self, encoder: Encoder, skips: Skips) -> None:
        super().__init__()
        self.skips = skips
        channels, reductions = encoder.channels, encoder.reductions
        self.steps = [coarse // fine for fine, coarse in zip([1, *reductions], reductions, strict=False)][::-1]
        widths = [max(16, channels[0] // 4), *channels]
        levels = range(len(channels), 0, -1)
        self.before = nn.ModuleList(_plain(widths[k], widths[k - 1]) for k in levels)
        self.after = nn.ModuleList(_plain(widths[k - 1], widths[k - 1]) for k in levels)
        self.last = _plain(widths[0], 3)

    def forward(self, maps: list[Tensor]) -> Tensor:
        picture, *finer, x = maps
        beside = [*reversed(finer), None]
        for step, before, after, skip in zip(self.steps, self.before, self.after, beside, strict=True):
            x = functional.interpolate(before(x).relu(), scale_factor=step, mode="nearest")
            if self.skips != "none" and skip is not None:
                x = x + skip
            x = after(x).relu()
        found: Tensor = self.last(x)
        return found + picture if self.skips == "picture" else found


def _plain(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


def _convolution(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    found = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="reflect", groups=groups)
    nn.init.kaiming_normal_(found.weight, nonlinearity="relu")
    assert found.bias is not None
    nn.init.zeros_(found.bias)
    return found


def _larger(x: Tensor, factor: int) -> Tensor:
    return x if factor == 1 else functional.interpolate(x, scale_factor=factor, mode="nearest")


@torch.no_grad()
def parts_of(encoder: Encoder) -> list[Part]:
    """The parts of an encoder up to its last map, in working order; RecipeError where they are no chain.

    They are found by listening: a small picture goes through, and every convolution says what it was given and made.
    A timm block is known by its `drop_path`; its downsampling shortcut and its squeeze-and-excitation are no part of
    the chain, and are not mirrored.
    """
    height, width = 4 * encoder.stride, 6 * encoder.stride
    blocks: list[Any] = [part for part in encoder.modules() if hasattr(part, "drop_path")]
    home = {part: block for block in blocks for part in block.modules() if isinstance(part, nn.Conv2d)}
    shortcuts = [block.downsample for block in blocks if getattr(block, "downsample", None) is not None]
    aside = {part for one in shortcuts for part in one.modules()}
    within: dict[nn.Module, list[Convolution]] = {block: [] for block in blocks}
    found: list[Part] = []

    def convolved(part: Any, given: tuple[Tensor, ...], made: Tensor) -> None:
        if part in aside or tuple(given[0].shape[-2:]) == (1, 1):  # squeezed
            return
        factor = given[0].shape[-2] // made.shape[-2]
        one = Convolution(part.in_channels, part.out_channels, part.kernel_size[0], part.groups, factor)
        if part in home:
            within[home[part]].append(one)
        else:
            found.append(Part((one,), height // given[0].shape[-2], height // made.shape[-2]))

    def passed(block: Any, given: tuple[Tensor, ...], made: Tensor) -> None:
        if within[block]:
            sizes = height // given[0].shape[-2], height // made.shape[-2]
            skips = getattr(block, "has_skip", None)  # None: a residual block that says nothing has a shortcut always
            found.append(Part(tuple(within[block]), *sizes, residual=skips is not False, linear=skips is not None))

    listening = [part.register_forward_hook(convolved) for part in encoder.modules() if isinstance(part, nn.Conv2d)]
    listening += [block.register_forward_hook(passed) for block in blocks]
    encoder.eval()
    try:
        encoder(torch.zeros(1, 3, height, width))
    finally:
        for handle in listening:
            handle.remove()
    return _chain(found, encoder)


def _chain(found: list[Part], encoder: Encoder) -> list[Part]:
    """The parts up to the code, which has to be what the last of them makes of what the one before it made."""
    code = encoder.channels[-1], encoder.reductions[-1]
    ends = [k for k, part in enumerate(found) if (part.channels[1], part.reduced) == code]
    parts = found[: ends[-1] + 1] if ends else []
    widths = [3, *(part.channels[1] for part in parts)]
    inner = [pair for part in parts for pair in zip(part.convolutions, part.convolutions[1:], strict=False)]
    if (
        not parts
        or any(part.channels[0] != width for part, width in zip(parts, widths, strict=False))
        or any(one.outputs != other.inputs for one, other in inner)
    ):
        raise RecipeError(
            "generator='mirrored': the encoder is no chain of convolutions that could be gone through backwards: "
            "choose another, as resnet50, or generator='plain'"
        )
    return parts

"""A network that takes pictures of any kind: the range rule (pictures/ranges.py) in torch, before the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tarsia.card import Card, Range
from tarsia.pictures.ranges import Levels


class RangedByPicture(nn.Module):
    """B x C x H x W pictures of the card's kind, and their levels -> what `inner` makes of them, of values 0 .. 255.

    `low_BC`, `step_BC`: float32, as `Levels` (pictures/ranges.py).
    """

    def __init__(self, inner: nn.Module, of_floats: bool) -> None:
        super().__init__()
        self.inner, self.of_floats = inner, of_floats

    def scaled(self, image_BCHW: Tensor, low_BC: Tensor, step_BC: Tensor) -> Tensor:
        """Values as stored -> float32, 0 .. 255; what is no number becomes `low`."""
        return _scaled(image_BCHW, low_BC[:, :, None, None], step_BC[:, :, None, None], self.of_floats)

    def forward(self, image_BCHW: Tensor, low_BC: Tensor, step_BC: Tensor) -> Tensor:
        found: Tensor = self.inner(self.scaled(image_BCHW, low_BC, step_BC))
        return found


class Ranged(nn.Module):
    """B x C x H x W pictures of the card's kind -> what `inner` makes of them, by the one range of all pictures."""

    low: Tensor
    step: Tensor

    def __init__(self, inner: nn.Module, rule: Range, of_floats: bool) -> None:
        super().__init__()
        self.inner, self.of_floats = inner, of_floats
        levels = Levels.between(rule.low, rule.high)
        self.register_buffer("low", torch.from_numpy(levels.low_BC)[..., None, None], persistent=False)
        self.register_buffer("step", torch.from_numpy(levels.step_BC)[..., None, None], persistent=False)

    def scaled(self, image_BCHW: Tensor) -> Tensor:
        """Values as stored -> float32, 0 .. 255; what is no number becomes `low`."""
        return _scaled(image_BCHW, self.low, self.step, self.of_floats)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        found: Tensor = self.inner(self.scaled(image_BCHW))
        return found


def _scaled(image_BCHW: Tensor, low: Tensor, step: Tensor, of_floats: bool) -> Tensor:
    values = image_BCHW.to(torch.float32)
    if of_floats:
        values = torch.where(torch.isnan(values), low, values)
    return torch.clamp((values - low) / step, 0, 255)


def ranged(model: nn.Module, card: Card) -> nn.Module:
    """The network as it takes pictures of the card's kind: itself for 8 bits without a range."""
    rule, of_floats = card.input.range, card.input.dtype == "float32"
    if rule is None:
        return model
    return RangedByPicture(model, of_floats) if rule.by_picture else Ranged(model, rule, of_floats)

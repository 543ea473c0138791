"""A network that takes pictures of any kind: the range rule (pictures/ranges.py) in torch, before the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tarsia.card import Card, Range
from tarsia.pictures.ranges import step_of


class Ranged(nn.Module):
    """B x C x H x W pictures of the card's kind -> what `inner` makes of them, of values 0 .. 255."""

    low: Tensor
    step: Tensor

    def __init__(self, inner: nn.Module, rule: Range, of_floats: bool) -> None:
        super().__init__()
        self.inner, self.of_floats = inner, of_floats
        step = [float(step_of(*ends)) for ends in zip(rule.low, rule.high, strict=True)]
        self.register_buffer("low", torch.tensor(rule.low, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("step", torch.tensor(step, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def scaled(self, image_BCHW: Tensor) -> Tensor:
        """Values as stored -> float32, 0 .. 255; what is no number becomes `low`."""
        values = image_BCHW.to(torch.float32)
        if self.of_floats:
            values = torch.where(torch.isnan(values), self.low, values)
        return torch.clamp((values - self.low) / self.step, 0, 255)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        found: Tensor = self.inner(self.scaled(image_BCHW))
        return found


def ranged(model: nn.Module, card: Card) -> nn.Module:
    """The network as it takes pictures of the card's kind: itself for 8 bits without a range."""
    rule = card.input.range
    return model if rule is None else Ranged(model, rule, card.input.dtype == "float32")

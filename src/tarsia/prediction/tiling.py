"""The tiles that a large picture is cut into: their size and how far neighbours overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tarsia.card import Input
from tarsia.errors import RecipeError


@dataclass(frozen=True)
class Tiling:
    """Side of the tiles and how many pixels neighbours share at least, both multiples of `stride`."""

    side: int
    overlap: int
    stride: int

    @classmethod
    def of(cls, settings: Input, side: int | None = None, overlap: float | None = None) -> Tiling:
        """Tiles of `side` (brought up to a multiple of the stride) sharing the part `overlap` of it; else the card's.

        RecipeError for a network that brings whole pictures to a size of its own, and values out of range.
        """
        if settings.size or settings.short_side:
            wants = f"{settings.size}" if settings.size else f"a short side of {settings.short_side}"
            raise RecipeError(
                f"`tile`: this model brings every picture to {wants} and would see tiles at another scale than it "
                "learned: train with data at full size (crops) for pictures this large"
            )
        overlap = settings.overlap if overlap is None else overlap
        if side is None:
            side = max(settings.tile) if settings.tile else 512
        if not 0 <= overlap <= 0.5 or side < 2 * settings.stride:
            raise RecipeError(
                f"`tile={side}` with `overlap={overlap:g}`: expected tiles of {2 * settings.stride} pixels or more "
                "(twice the model's stride) and an overlap of 0 to 0.5"
            )
        side = math.ceil(side / settings.stride) * settings.stride
        return cls(side, math.ceil(side * overlap / settings.stride) * settings.stride, settings.stride)

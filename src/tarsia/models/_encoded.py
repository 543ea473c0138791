"""What a decoder takes in place of a picture: its encoder's maps, one after the other in a row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """How the maps of a picture of `size`, H x W, lie in a row; those that the decoder does not use are left out."""

    size: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...]  # C x h x w of each map, fine to coarse
    used: tuple[bool, ...]

    @property
    def length(self) -> int:
        """Numbers in a row."""
        return sum(self._lengths)

    def rows(self, maps: Sequence[Tensor]) -> Tensor:
        """Each B x C x h x w -> B x L."""
        return torch.cat([one.flatten(1) for one, used in zip(maps, self.used, strict=True) if used], 1)

    def maps(self, rows_BL: Tensor, memory_format: torch.memory_format) -> list[Tensor]:
        """What `rows` was given, in float32; of maps that are not used the shape alone."""
        parts = zip(rows_BL.split(self._lengths, 1), self.shapes, self.used, strict=True)
        nothing = rows_BL.new_zeros((), dtype=torch.float32)
        return [
            part.unflatten(1, shape).to(torch.float32, memory_format=memory_format)
            if used
            else nothing.expand(len(rows_BL), *shape)
            for part, shape, used in parts
        ]

    @property
    def _lengths(self) -> list[int]:
        return [prod(shape) if used else 0 for shape, used in zip(self.shapes, self.used, strict=True)]

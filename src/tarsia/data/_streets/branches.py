"""Bare trees: branches where the leaves were, and through them what stands behind.

A crown keeps the outline that its leaves have, so that the label is the same in any season: within it, branches and
twigs are drawn over what is behind, and a haze of those too fine to draw, so that no part of it is without tree.
"""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Faces, Kind, Stuff, limbs
from tarsia.data._streets.world import Thing

TWIGS = np.array([96.0, 84.0, 76.0], np.float32)


def add_branches(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """The branches of a tree without leaves, four generations of them; conifers have none to show."""
    if thing.variant == 1:
        return
    top, radius = thing.height, thing.width / 2
    many = (7, 4, 3, 3) if thing.z < 16 else (6, 4, 3) if thing.z < 34 else (5, 3) if thing.z < 70 else (5,)
    start, heading = np.array([[thing.s, top - radius * 1.35, thing.z]]), np.array([[0.0, 1.0, 0.0]])
    before = np.zeros((1, 3))
    thick, reach = 0.030 * top, radius * 0.8
    for generation, number in enumerate(many):
        start, heading, before = (np.repeat(part, number, axis=0) for part in (start, heading, before))
        # The first fork spreads wide, later ones follow the branch they come from.
        heading = heading + rng.normal(size=heading.shape) * (0.8, 0.55, 0.4) if generation else _spread(number, rng)
        heading[:, 1] += 0.1
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        start = start - rng.uniform(0, 0.7, (len(start), 1)) * before
        before = heading * reach * rng.uniform(0.7, 1.15, (len(start), 1))
        quads = limbs(start, start + before, thick, thick * 0.5)
        color = np.array(thing.accent) * (0.62 + 0.08 * generation)
        faces.add(quads, color, Kind.TREE, gain=rng.uniform(0.75, 1.1, len(quads)), stuff=Stuff.BRANCH)
        start = start + before
        thick, reach = max(thick * 0.5, 0.012), reach * 0.62


def _spread(number: int, rng: np.random.Generator) -> np.ndarray:
    """Directions that fan out from the trunk, one of them straight up."""
    angle = (np.arange(number) - number / 2 + 0.5) * (2.3 / number) + rng.normal(0, 0.12, number)
    return np.stack([np.sin(angle), np.cos(angle), rng.normal(0, 0.4, number)], axis=1)


def see_through(
    painted_HW: np.ndarray, filled_HW: np.ndarray, crown_M: np.ndarray, behind_M: np.ndarray, noise: np.ndarray
) -> None:
    """Put into the samples `crown_M` (flat numbers) what is `behind` them (0: sky) under a haze of twigs.

    `painted` and `behind` are colours and a code, a byte each; `painted` and `filled` (0 .. 255) are changed.  `noise`
    is smooth and of mean 0, with a side that is a power of two: its contours are the twigs.
    """
    height, width = painted_HW.shape
    row, column = np.divmod(crown_M.astype(np.int32), width)
    last = len(noise) - 1
    # The same twigs at any size: the noise repeats a few times over the picture's height.
    step = np.float32(2.5 * len(noise) / height)
    down, right = (row * step).astype(np.int32), (column * step).astype(np.int32)
    first, second = noise[down & last, right & last], noise[(right + 91) & last, (-down - 17) & last]
    haze = np.where(np.minimum(np.abs(first), np.abs(second)) < 0.035, np.float32(0.7), np.float32(0.1))
    mixed = behind_M.view(np.uint8).reshape(-1, 4) * (1 - haze)[:, None]
    mixed[:, :3] += TWIGS * haze[:, None]
    painted_HW.reshape(-1)[crown_M] = mixed.astype(np.uint8).view(np.uint32).ravel()
    filled_HW.reshape(-1)[crown_M] = np.where(behind_M > 0, 255, 255 * haze)

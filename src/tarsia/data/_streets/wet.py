"""What a wet street mirrors: the picture above it, upside down and smeared, most at a grazing look."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.world import View


def mirrored(
    light_3HW: np.ndarray, sky_3HW: np.ndarray, at_N: np.ndarray, depth_N: np.ndarray, view: View, first: int
) -> np.ndarray:
    """3 x R x W: what a level mirror on the street shows at each pixel of the rows from `first` on.

    What stands at the pixels `at` (flat numbers), `depth` metres away, near ones first, mirrors as far below its foot
    as it is above it; elsewhere the sky mirrors about the horizon.
    """
    rows = np.arange(first, view.height)
    image = np.take(sky_3HW, np.clip((2 * view.horizon - rows).astype(int), 0, max(first - 1, 0)), axis=1)
    flat = image.reshape(3, -1)
    row, column = np.divmod(at_N, view.width)
    foot = np.float32(view.horizon) + np.float32(view.camera.height * view.camera.focal * view.unit) / depth_N
    target = (2 * foot - row.astype(np.float32) - 0.5).astype(np.int32)
    # Far things first: nearer ones stand before them in the mirror too.
    falls = np.flatnonzero((target >= first) & (target < view.height) & (row + 0.5 < foot))[::-1]
    goal = (target[falls] - first) * view.width + column[falls]
    for channel in range(3):
        flat[channel, goal] = light_3HW[channel].ravel()[at_N[falls]]
    return _smeared(image, max(round(view.unit * 0.028), 1))


def _smeared(image_3RW: np.ndarray, radius: int) -> np.ndarray:
    """Means along the columns, twice, so that lamps become streaks."""
    for _ in range(2):
        above, below = image_3RW[:, :1].repeat(radius + 1, 1), image_3RW[:, -1:].repeat(radius, 1)
        total = np.cumsum(np.concatenate([above, image_3RW, below], axis=1), axis=1, dtype=np.float32)
        image_3RW = (total[:, 2 * radius + 1 :] - total[:, : -2 * radius - 1]) / np.float32(2 * radius + 1)
    return image_3RW


def fresnel(view: View) -> np.ndarray:
    """How much a level water's surface mirrors in each row of the picture, H (Schlick's approximation)."""
    y = (np.arange(view.height) + 0.5 - view.horizon) / (view.camera.focal * view.unit)
    cosine = np.clip(y, 0, None) / np.sqrt(1 + y * y)
    return (0.02 + 0.98 * (1 - cosine) ** 5).astype(np.float32)

"""The sky of a condition, in linear light: gradient, sun, clouds in perspective, stars."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.triangles import picked
from tarsia.data._streets.world import Scene, View

COARSE = 3  # the sky is smooth: drawn at a third of the size


def fractal(rng: np.random.Generator, size: int = 256, slope: float = 1.7) -> np.ndarray:
    """Smooth noise, size x size, of mean 0 and deviation 0.25, that repeats without a seam."""
    waves = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    steps = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    waves *= np.where(steps > 0, 1, 0) / np.maximum(steps, 2.0) ** slope
    noise = np.fft.irfft2(waves, s=(size, size))
    smooth: np.ndarray = (noise * (0.25 / noise.std())).astype(np.float32)
    return smooth


def draw_sky(
    scene: Scene,
    condition: Condition,
    view: View,
    sun: tuple[float, float, float],
    noise: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """3 x H x W of linear light; below the horizon it goes on as its haze."""
    rows, columns = -(-view.height // COARSE), -(-view.width // COARSE)
    scale = view.camera.focal * view.unit
    x = ((np.arange(columns) + 0.5) * COARSE - view.width / 2)[None].astype(np.float32) / scale
    y = (view.horizon - (np.arange(rows) + 0.5) * COARSE)[:, None].astype(np.float32) / scale
    length = np.sqrt(x * x + y * y + 1)
    up = np.maximum(y / length, 0)
    toward = np.maximum((x * sun[0] + y * sun[1] + sun[2]) / length, 0)
    zenith, horizon, glow = (np.array(c, np.float32) for c in (condition.zenith, condition.horizon, condition.glow))
    light = zenith + (horizon - zenith) * np.exp(-up * 6.0)[..., None]
    near = 0.22 * toward**5 * np.exp(-up * 2.2) + 0.5 * toward**40 + 1.6 * toward**700
    cover, lit = _clouds(scene, condition, (x, y), noise, sun)
    white = np.array(condition.cloud_dark, np.float32) + lit[..., None] * np.subtract(
        condition.cloud_light, condition.cloud_dark, dtype=np.float32
    )
    light = light + near[..., None] * glow
    light += cover[..., None] * (white + (0.45 * toward**6)[..., None] * glow - light)
    full = np.stack([_grown(light[..., channel], view) for channel in range(3)])
    if condition.stars:
        _stars(full, condition, view, cover, rng)
    return full


def _clouds(
    scene: Scene, condition: Condition, rays: tuple[np.ndarray, np.ndarray], noise: np.ndarray, sun: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """How much of the sky is cloud, and how far that is lit: a flat layer above, which thins towards the horizon."""
    x, y = rays
    size, flat = len(noise), noise.ravel()
    high = np.maximum(y, 0) + 0.10
    across, ahead = x / high, 1 / high

    def at(right: float, on: float) -> np.ndarray:
        down, aside = (ahead * 0.55 + on) * (size / 9) + 0 * across, (across * 0.55 + right) * (size / 9)
        row, column = np.floor(down), np.floor(aside)
        part, share = down - row, aside - column
        i, j = row.astype(np.int32) & (size - 1), column.astype(np.int32) & (size - 1)
        k, m = (i + 1) & (size - 1), (j + 1) & (size - 1)
        upper = picked(flat, i * size + j) * (1 - share) + picked(flat, i * size + m) * share
        lower = picked(flat, k * size + j) * (1 - share) + picked(flat, k * size + m) * share
        return upper * (1 - part) + lower * part

    share = np.clip(condition.clouds + 0.3 * (scene.clouds - 0.42), 0, 1)
    here = at(0, 0)
    cover = np.clip((here + (share - 0.5) * 1.1) * 3.2, 0, 1) * np.clip(y * 9, 0, 1) * 0.94
    # A cloud is bright where it is thinner towards the sun.
    lit = np.clip(0.55 + (here - at(0.12 * sun[0], 0.12 * sun[2])) * 3.5 - 0.5 * np.clip(here, 0, 1), 0, 1)
    return cover, lit


def _grown(coarse: np.ndarray, view: View) -> np.ndarray:
    size = (coarse.shape[1] * COARSE, coarse.shape[0] * COARSE)
    grown = Image.fromarray(np.ascontiguousarray(coarse, np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grown)[: view.height, : view.width]


def _stars(light: np.ndarray, condition: Condition, view: View, cover: np.ndarray, rng: np.random.Generator) -> None:
    place = rng.random((90, 2))
    # A star is a point: a smaller picture shows it dimmer, not larger.
    bright = condition.stars * (0.02 + 0.3 * rng.random(90) ** 5) * min(view.unit / 400, 1.0) ** 2
    row = (place[:, 0] * max(view.horizon, 0) * 0.92).astype(int)
    column = (place[:, 1] * view.width).astype(int)
    inside = row < view.height
    row, column, bright = row[inside], column[inside], bright[inside]
    clear = (1 - cover[row // COARSE, column // COARSE]) * np.clip(1.1 - row / max(view.horizon, 1), 0, 1)
    light[:, row, column] += np.array([[0.9], [0.95], [1.0]]) * (bright * clear)

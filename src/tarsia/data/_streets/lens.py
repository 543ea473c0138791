"""From linear light to a photograph: glow around what is bright, falling snow, exposure, film curve, noise."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.triangles import picked

WHITE = 60.0  # the brightest light that a film's curve is tabulated for
STEPS = 4096
VEIL = 0.45  # of what exceeds white, the share that a lens spreads


def developed(light_3HW: np.ndarray, condition: Condition, rng: np.random.Generator) -> np.ndarray:
    """3 x H x W of linear light -> H x W x 3 uint8; `light` is used up."""
    _, height, width = light_3HW.shape
    light = light_3HW
    light *= np.float32(condition.exposure)
    _bloom(light)
    if condition.saturation != 1:
        grey = light.mean(axis=0)
        light = grey + (light - grey) * np.float32(condition.saturation)
    shown = picked(_film(), np.sqrt(np.clip(light, 0, WHITE) * np.float32(STEPS**2 / WHITE)).astype(np.intp))
    noise = rng.standard_normal((height, width), dtype=np.float32)
    # Noise of light is strongest, for the eye, where little of it was amplified.
    shown += noise * (condition.grain * (1.1 - 0.5 / 255 * shown[1]))
    if condition.grain > 3:
        tint = rng.standard_normal((3, -(-height // 2), -(-width // 2)), dtype=np.float32)
        tint *= np.float32(0.4 * condition.grain)
        shown += tint.repeat(2, 1).repeat(2, 2)[:, :height, :width]
    return np.ascontiguousarray(np.clip(shown + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _film() -> np.ndarray:
    """0 .. 255 as shown of light 0 .. WHITE, in even steps of its square root.

    A film's curve: nearly straight in the shadows, bending towards white (Narkowicz's fit to ACES, 2015).
    """
    light = WHITE * (np.arange(STEPS + 1) / STEPS) ** 2
    film = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    shown: np.ndarray = (255 * np.minimum(film, 1) ** (1 / 2.2)).astype(np.float32)
    return shown


def _bloom(light_3HW: np.ndarray) -> None:
    """Add the veil of a lens: what exceeds white, spread over ever wider surroundings, each twice the last."""
    _, height, width = light_3HW.shape
    steps = max(int(np.log2(max(min(height, width), 1))) - 3, 1)
    for channel in range(3):
        over = np.clip(light_3HW[channel] - np.float32(0.9), 0, 24)
        if not over.any():
            continue
        levels = [Image.fromarray(over)]
        for _ in range(steps):
            size = -(-levels[-1].width // 2), -(-levels[-1].height // 2)
            levels.append(levels[-1].resize(size, Image.Resampling.BOX))
        veil = np.zeros(levels[-1].size[::-1], np.float32)
        # Enlarged step by step, which keeps it round.
        for level, wider in zip(levels[-2::-1], levels[:0:-1], strict=True):
            veil = veil + np.float32(VEIL / steps) * np.asarray(wider)
            veil = np.asarray(Image.fromarray(veil).resize(level.size, Image.Resampling.BILINEAR))
        light_3HW[channel] += veil


def snowfall(light_3HW: np.ndarray, depth_HW: np.ndarray, unit: float, share: float, rng: np.random.Generator) -> None:
    """Add flakes between the camera and what is seen, lit as what is around them."""
    _, height, width = light_3HW.shape
    count = int(280 * share)
    x, y = rng.random(count), rng.random(count)
    depth = 1.5 + 16 * rng.random(count) ** 1.4
    row, column = (y * height).astype(int), (x * width).astype(int)
    around = np.asarray(Image.fromarray(light_3HW[1]).reduce(8))
    bright = around[np.minimum(row // 8, around.shape[0] - 1), np.minimum(column // 8, around.shape[1] - 1)]
    radius = 0.011 * unit / depth
    for index in np.flatnonzero((depth_HW[row, column] > depth) & (radius > 0.25)).tolist():
        reach = int(np.ceil(radius[index] * 1.5))
        top, left = max(row[index] - reach, 0), max(column[index] - reach, 0)
        part = light_3HW[:, top : row[index] + reach + 1, left : column[index] + reach + 1]
        v = np.arange(part.shape[1])[:, None] + top + 0.5 - y[index] * height
        u = np.arange(part.shape[2])[None] + left + 0.5 - x[index] * width
        fall = np.exp(-(u * u + v * v) / max(radius[index], 0.45) ** 2) * min(radius[index] / 0.45, 1.0)
        part += fall * (0.25 * bright[index] + 0.06)

"""Weather, light and a shaken camera: uint8 picture H x W x 3 -> another of its size; labels stay as they are.

Whatever has a size (streaks, flakes, blurs) has it as a share of the picture's height, so that a recipe looks alike at
every size.  A `strength` of 0 .. 1 is the most that is drawn, a quarter of it the least.  None of this is physics: a
picture has no depth, so every function says what it takes the scene for.
"""

from __future__ import annotations

import math
import statistics

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])  # grey value of RGB, ITU-R BT.601
_FAINTEST = 0.25  # of the strength asked for: less would hardly be seen

_NORMAL = np.array([statistics.NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256)])
_NORMAL /= _NORMAL.std()

# (length, thickness, opacity, how many in a square), sizes in picture heights: drops far away, nearer, before the lens.
_STREAKS = ((0.04, 0.0014, 0.35, 1400), (0.10, 0.0024, 0.38, 420), (0.24, 0.0050, 0.24, 60))
# (radius, opacity, how many in a square)
_FLAKES = ((0.0016, 0.60, 2200), (0.0035, 0.80, 450), (0.0100, 0.55, 45))


def rain(image_HW3: np.ndarray, strength: float, angle: float, random: np.random.Generator) -> np.ndarray:
    """Streaks of falling drops up to `angle` degrees off the vertical, a veil of spray, less light, softer edges.

    A drop gathers the light of a wide field, the sky included (Garg and Nayar, Vision and Rain, IJCV 2007), so streaks
    have the brightness of the picture's brightest parts: plain on the road, hardly seen before the sky.
    """
    strength, unit = _drawn(strength, random), _unit(image_HW3.shape)
    slant = random.uniform(-angle, angle)
    streaks: np.ndarray = np.zeros(image_HW3.shape[:2], np.uint8)
    for length, thickness, opacity, count in _STREAKS:
        streaks = cv2.max(streaks, _streaks(streaks.shape, length, thickness, opacity, strength * count, slant, random))
    sheets = np.clip(0.25 + 0.75 * _clouds(streaks.shape, random), 0, 1)  # rain comes in sheets, here more, there less
    dimmed = cv2.GaussianBlur(cv2.convertScaleAbs(image_HW3, alpha=1 - 0.3 * strength), (0, 0), 0.002 * unit * strength)
    light = _brightest(dimmed)
    veil = 0.15 * strength
    cover = veil + (1 - veil) * streaks * (sheets / np.float32(255))
    return _covered(dimmed, cover, light)


def snow(image_HW3: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Flakes of three sizes, the near ones large and out of focus, and a whitish veil."""
    strength, unit = _drawn(strength, random), _unit(image_HW3.shape)
    height, width = image_HW3.shape[:2]
    cover: np.ndarray = np.full((height, width), 0.25 * strength, np.float32)
    for radius, opacity, count in _FLAKES:
        sigma, many = radius * unit, _how_many(strength * count, (height, width))
        flakes: np.ndarray = np.zeros((height, width), np.float32)
        rows, columns = (random.random((many, 2)) * (height, width)).astype(int).T
        # The blur spreads a point over 2 pi sigma^2 pixels: so much makes its middle as opaque as wanted, and a flake
        # smaller than a pixel a fainter pixel.
        flakes[rows, columns] = random.uniform(0.3, 1.6, many) * opacity * math.tau * sigma**2
        flakes = cv2.GaussianBlur(flakes, (0, 0), sigma, sigmaY=1.3 * sigma)
        cover = np.maximum(cover, np.minimum(flakes, opacity))
    return _covered(image_HW3, cover, (_brightest(image_HW3) + 255) / 2)


def fog(image_HW3: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Haze I = J t + A (1 - t) with t = exp(-b d) (Koschmieder), A nearly the grey of the brightest parts of J.

    The prior for the unknown depth d: it is constant along a row.  Below a horizon, drawn between 0.35 and 0.5 of the
    height, d falls as on flat ground before an upright camera; from the horizon upwards it stays at its largest.  What
    stands upright gets the depth of the ground behind it.  Low frequencies make b uneven, as drifting fog does.
    """
    strength = _drawn(strength, random)
    height, width = image_HW3.shape[:2]
    horizon = random.uniform(0.35, 0.5)
    below = np.clip(((np.arange(height) + 0.5) / height - horizon) / (1 - horizon), 0, 1)  # 1 at the camera's feet
    depth_H1 = (1 / (1 + 3 * below)).astype(np.float32)[:, None]
    uneven = np.maximum(0.75 + 0.5 * _clouds((height, width), random), 0.2)
    through = np.exp(math.log(1 - 0.95 * strength) * depth_H1 * uneven)
    return _covered(image_HW3, 1 - through, 0.92 * _brightest(image_HW3))


def motion_blur(image_HW3: np.ndarray, length: float, angle: float, random: np.random.Generator) -> np.ndarray:
    """The mean over a straight path of up to `length` picture heights, up to `angle` degrees off the horizontal."""
    path = _unit(image_HW3.shape) * length * random.uniform(_FAINTEST, 1)
    turn = math.radians(random.uniform(-angle, angle))
    steps = np.linspace(-path / 2, path / 2, 4 * math.ceil(path) + 1)
    columns, rows = steps * math.cos(turn), steps * math.sin(turn)
    reach = math.ceil(path / 2)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for down in (0, 1):
        for right in (0, 1):  # each point of the path is shared out among the four pixels around it
            row, column = np.floor(rows) + down, np.floor(columns) + right
            share = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
            inside = (np.abs(row) <= reach) & (np.abs(column) <= reach)  # beyond lie shares of nothing
            place = (row[inside].astype(int) + reach, column[inside].astype(int) + reach)
            np.add.at(kernel, place, share[inside])
    return cv2.filter2D(image_HW3, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def shadow(image_HW3: np.ndarray, strength: float, count: int, random: np.random.Generator) -> np.ndarray:
    """One to `count` polygons with soft edges, mostly on the ground, where `strength` of the light is missing at most.

    Sky light still reaches a shadow: it is bluer than the ground around it.  Shadows that meet are one, as all are of
    one sun.
    """
    strength, unit = _drawn(strength, random), _unit(image_HW3.shape)
    height, width = image_HW3.shape[:2]
    within: np.ndarray = np.zeros((height, width), np.uint8)
    for _ in range(random.integers(1, count + 1)):
        middle = random.uniform((0, 0.6), (1, 1)) * (width, height)
        reach = random.uniform((0.2, 0.06), (0.6, 0.25)) * (width, height)
        corners = middle + reach * random.uniform(-1, 1, (random.integers(4, 8), 2))
        cv2.fillConvexPoly(within, cv2.convexHull(corners.round().astype(np.int32)), 255)
    within = cv2.GaussianBlur(within, (0, 0), unit * random.uniform(0.004, 0.015))
    lost = strength * np.array([1.0, 0.96, 0.88])  # of red, green, blue
    dark = cv2.LUT(image_HW3, _tables(np.arange(256)[:, None] * (1 - lost)))
    share = within * np.float32(1 / 255)
    return cv2.blendLinear(image_HW3, dark, 1 - share, share)


def darkening(image_HW3: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Towards night: less light (more so where there is little), cooler, less saturated, and a sensor's noise."""
    strength = _drawn(strength, random)
    saturation = 1 - 0.5 * strength
    faded = saturation * np.eye(3) + (1 - saturation) * LUMA
    gain = (1 - 0.6 * strength) * (1 + strength * np.array([-0.2, -0.05, 0.15]))
    curves = 255 * (np.arange(256)[:, None] / 255) ** (1 + 0.5 * strength) * gain
    return add_noise(cv2.LUT(cv2.transform(image_HW3, faded), _tables(curves)), 6 * strength, random)


def add_noise(image_HW3: np.ndarray, std: float, random: np.random.Generator) -> np.ndarray:
    """Normal noise from a table of 256 equally likely values: one random byte per value, a tenth of the time."""
    table = np.rint(_NORMAL * std).astype(np.int16)
    words = random.integers(2**64, size=-(-image_HW3.size // 8), dtype=np.uint64)
    which = words.view(np.uint8)[: image_HW3.size].reshape(image_HW3.shape)
    if image_HW3.dtype != np.uint8:
        return image_HW3 + table[which]
    return cv2.add(image_HW3, cv2.LUT(which, table), dtype=cv2.CV_8U)


def _drawn(strength: float, random: np.random.Generator) -> float:
    return strength * random.uniform(_FAINTEST, 1)


def _unit(size: tuple[int, ...]) -> float:
    """The picture's height, but never so little that a strip would hold thousands of squares of that side."""
    return max(size[0], size[1] / 4)


def _how_many(in_a_square: float, size: tuple[int, ...]) -> int:
    return round(in_a_square * size[0] * size[1] / _unit(size) ** 2)


def _streaks(
    size: tuple[int, ...],
    length: float,
    thickness: float,
    opacity: float,
    in_a_square: float,
    slant: float,
    random: np.random.Generator,
) -> np.ndarray:
    """Opacity H x W (0 .. 255) of straight streaks in nearly one direction; sizes in picture heights."""
    (height, width), unit, many = size, _unit(size), _how_many(in_a_square, size)
    directions = np.radians(slant + random.normal(0, 1.5, many))
    halves = unit * length * random.uniform(0.25, 0.75, many)
    middles = random.uniform((0, 0), (width, height), (many, 2))
    along = np.stack([np.sin(directions), np.cos(directions)], 1) * halves[:, None]
    ends = np.stack([middles - along, middles + along], 1)  # N x 2 ends x (column, row)
    pixels = unit * thickness
    layer = np.zeros((height, width), np.uint8)
    grey = 255 * opacity * min(1.0, pixels)  # a line thinner than a pixel is a pixel of less opacity
    sixteenths = list((ends * 16).round().astype(np.int32))  # the last 4 bits are a coordinate's fraction
    cv2.polylines(layer, sixteenths, False, grey, max(1, round(pixels)), cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(layer, (0, 0), max(0.4 * pixels, 0.1))


def _clouds(size: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Smooth float32 noise H x W about 0.5, mostly within 0 .. 1, in blots of a third and a seventh of the height."""
    height, width = size
    clouds = np.zeros((height, width), np.float32)
    for blots, weight in ((3, 0.7), (7, 0.3)):
        grid = random.random([math.ceil(side / _unit(size) * blots) + 1 for side in size])
        clouds += weight * cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return clouds


def _brightest(image_HW3: np.ndarray) -> float:
    """The grey value that a twentieth of the picture passes, seen coarsely so that single pixels do not matter."""
    height, width = image_HW3.shape[:2]
    coarse = cv2.resize(image_HW3, (min(width, 64), min(height, 64)), interpolation=cv2.INTER_AREA)
    return float(np.quantile(coarse @ LUMA, 0.95))


def _covered(image_HW3: np.ndarray, cover_HW: np.ndarray, grey: float) -> np.ndarray:
    """The picture behind a layer of one grey; `cover_HW` float 0 .. 1 is the layer's share of what is seen."""
    layer = np.full_like(image_HW3, round(min(grey, 255)))
    cover_HW = cover_HW.astype(np.float32, copy=False)
    return cv2.blendLinear(image_HW3, layer, 1 - cover_HW, cover_HW)


def _tables(values_256x3: np.ndarray) -> np.ndarray:
    """A table of 256 values for each of three channels, as OpenCV's LUT has it."""
    return np.clip(np.rint(values_256x3), 0, 255).astype(np.uint8)[None]

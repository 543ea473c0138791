"""Regions of a picture as runs of pixels: polygons, circles, bitmaps and COCO's run lengths in, a label map out.

A pixel belongs to a region where its centre lies inside.  Coordinates are (x, y) in pixels, not rounded, from the upper
left corner of the picture: the centre of its first pixel is (0.5, 0.5).  A centre exactly on an outline belongs where
the inside is to its right or below, so that two regions with a common edge neither overlap nor leave a gap.  Edges are
computed in float64: a centre nearer to an edge than its rounding (1e-12 of a picture's size) may fall on either side.
By hand, for Pillow and OpenCV paint the outline too, and pycocotools rounds corners to fifths of a pixel.

Runs are N x 2 integers, [start, stop) of the positions row * W + column: sorted, none overlapping another, none empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Size = tuple[int, int]  # height, width

_MAX_CHARACTERS = 7  # of one number in COCO's string: 5 bits each, more than any picture's count of pixels needs
_NOTHING = np.empty((0, 2), np.int64)


class Shape(NamedTuple):
    """What one annotation covers: `draw` gives its runs in a picture of a size; `label` is 0 .. K-1 or 255."""

    label: int
    draw: Callable[[Size], np.ndarray]


def paint(regions: Sequence[Shape], size: Size, fill: int, by_area: bool = True) -> tuple[np.ndarray, int]:
    """Regions -> label map H x W uint8, `fill` where there is none; and how many cover no pixel's centre.

    With `by_area` those that cover more pixels are painted first, those that cover as many in the order given: what is
    small stays visible.  Without it all are painted in the order given.
    """
    label_HW = np.full(size, fill, np.uint8)
    flat = label_HW.reshape(-1)
    drawn = [(region.label, region.draw(size)) for region in regions]
    areas = [int((runs[:, 1] - runs[:, 0]).sum()) for _, runs in drawn]
    for index in sorted(range(len(drawn)), key=lambda index: -areas[index] if by_area else index):
        label, runs = drawn[index]
        for start, stop in runs.tolist():
            flat[start:stop] = label
    return label_HW, areas.count(0)


def polygon_runs(rings: Sequence[np.ndarray], size: Size) -> np.ndarray:
    """Polygons, each N x 2 (x, y), -> the runs of all of them together.

    Inside one polygon the even-odd rule holds: where its outline crosses itself, what is enclosed twice is outside.
    """
    return _united([even_odd_runs([ring_N2], size) for ring_N2 in rings])


def even_odd_runs(rings: Sequence[np.ndarray], size: Size) -> np.ndarray:
    """One polygon of several rings, each N x 2 (x, y), -> its runs: what an even number of them encloses is outside."""
    height, width = size
    ends = np.stack([np.concatenate(rings), np.concatenate([np.roll(ring_N2, -1, axis=0) for ring_N2 in rings])])
    # From the upper end to the lower, so that neighbours that share an edge compute the very same crossings.
    (x, y), (x_low, y_low) = np.where(ends[0, :, 1] <= ends[1, :, 1], ends.transpose(0, 2, 1), ends[::-1].mT)
    # Of the rows' centres r + 0.5, an edge crosses those from its upper end (with it) to its lower end (without it).
    first = np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64)
    counts = np.clip(np.ceil(y_low - 0.5), 0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    # Multiplied before divided: with coordinates of few binary digits a crossing on a centre is found exactly.
    crossing = x[edge] + (row + 0.5 - y[edge]) * (x_low - x)[edge] / (y_low - y)[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    # Each ring crosses a row an even number of times, so sorted positions alternate between entering and leaving.
    runs = np.sort(row * width + column).reshape(-1, 2)
    return runs[runs[:, 1] > runs[:, 0]]


def circle_runs(center: tuple[float, float], radius: float, size: Size) -> np.ndarray:
    """A disc around (x, y) -> its runs."""
    (x, y), (height, width) = center, size
    row = np.arange(*np.clip(np.ceil([y - radius - 0.5, y + radius - 0.5]), 0, height).astype(np.int64))
    half = np.sqrt(np.maximum(radius**2 - (row + 0.5 - y) ** 2, 0.0))
    columns = np.clip(np.ceil(np.stack([x - half, x + half], axis=1) - 0.5), 0, width).astype(np.int64)
    runs = row[:, None] * width + columns
    return runs[runs[:, 1] > runs[:, 0]]


def ellipse_runs(center: tuple[float, float], radii: tuple[float, float], angle: float, size: Size) -> np.ndarray:
    """An ellipse around (x, y), its first radius turned by `angle` (radians, clockwise on the screen) -> its runs."""
    (x, y), (first, second), (height, width) = center, radii, size
    if first <= 0 or second <= 0:
        return _NOTHING
    c, s = np.cos(angle), np.sin(angle)
    # Inside: a u^2 + 2 b u v + d v^2 <= 1, of u = column - x and v = row - y.
    a, b, d = (
        (c / first) ** 2 + (s / second) ** 2,
        c * s * (first**-2 - second**-2),
        (s / first) ** 2 + (c / second) ** 2,
    )
    reach = first * second * np.sqrt(a)
    row = np.arange(*np.clip(np.ceil([y - reach - 0.5, y + reach - 0.5]), 0, height).astype(np.int64))
    v = row + 0.5 - y
    half = np.sqrt(np.maximum((b * v) ** 2 - a * (d * v**2 - 1), 0.0)) / a
    middle = x - b * v / a
    columns = np.clip(np.ceil(np.stack([middle - half, middle + half], axis=1) - 0.5), 0, width).astype(np.int64)
    runs = row[:, None] * width + columns
    return runs[runs[:, 1] > runs[:, 0]]


def bitmap_runs(mask_HW: np.ndarray, top_left: tuple[int, int], size: Size) -> np.ndarray:
    """A mask whose first pixel is at (row, column) of the picture -> its runs; what lies outside is cut off."""
    (top, left), (height, width) = top_left, size
    inside_HW = mask_HW[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    steps = np.diff(np.pad(inside_HW, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, columns = np.nonzero(steps)  # in every row by turns into the mask and out of it
    return ((rows + max(0, top)) * width + columns + max(0, left)).reshape(-1, 2)


def rle_runs(counts: np.ndarray, size: Size) -> np.ndarray:
    """COCO's run lengths (pixels outside, inside, outside ... down the columns, H * W in all) -> runs."""
    height, width = size
    column_major = np.repeat(np.arange(len(counts)).astype(np.uint8) & 1, counts)
    return bitmap_runs(column_major.reshape(width, height).T, (0, 0), size)


def rle_counts(text: str) -> list[int]:
    """COCO's compressed run lengths -> the numbers; ValueError where the text is not of that kind.

    A number is written in digits of five bits, lowest first, each as the character 48 + digit, plus 32 where another
    follows; the fifth bit of the last is its sign.  From the fourth number on it is the difference to the number two
    places before (pycocotools, common/maskApi.c).
    """
    counts: list[int] = []
    number = digits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or digits == _MAX_CHARACTERS:
            raise ValueError(f"not COCO's compressed run lengths (at {character!r})")
        number |= (code & 31) << (5 * digits)
        digits += 1
        if code & 32:
            continue
        if code & 16:
            number -= 1 << (5 * digits)
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = digits = 0
    if digits:
        raise ValueError("cut off within a number")
    return counts


def _united(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Runs of several regions -> the runs of all together."""
    runs = np.concatenate(parts) if parts else _NOTHING
    if not len(runs):
        return _NOTHING
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(runs[:, 1])  # the farthest stop so far; a start beyond it begins a new run
    first = np.flatnonzero(np.concatenate([[True], runs[1:, 0] > reach[:-1]]))
    return np.stack([runs[first, 0], reach[np.append(first[1:], len(runs)) - 1]], axis=1)

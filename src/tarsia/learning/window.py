"""The window on a picture and its label that scale, rotation and crop ask for: where it lies, and what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from tarsia.card import IGNORED

Pair = tuple[np.ndarray, np.ndarray]  # image H x W x 3 (or however many bands it has), label H x W

BORDER_COLOR = (124, 116, 104)  # beyond the picture: ImageNet's mean, close to zero once the network has normalised
BORDER_VALUE = 128  # of pictures that are not RGB, close to zero likewise


class Window(NamedTuple):
    """A rectangle of the picture, or larger, turned by `angle` degrees about its centre and shown at size `out`."""

    top: int
    left: int
    height: int
    width: int
    angle: float
    out: tuple[int, int]


def between(slack: int, fraction: float) -> int:
    """A whole number between 0 and `slack` (which may be negative), all alike for a uniform `fraction` in [0, 1)."""
    offset = int(fraction * (abs(slack) + 1))
    return offset if slack >= 0 else -offset


def showing_a_class(label: np.ndarray, window: Window, random: np.random.Generator) -> Window:
    """The window moved to show a pixel of a class, drawn evenly from those in the picture: first the class, then one
    of its pixels, then one of the places that show it.

    A place is one that a plain crop could have too, but for a pixel so near the picture's corner that only a turned
    window further out shows it.  A picture that is ignored everywhere leaves the window where it is.
    """
    counts = np.bincount(label.ravel(), minlength=IGNORED + 1)[:IGNORED]
    if not counts.any():
        return window
    chosen = random.choice(np.flatnonzero(counts))
    pixel = divmod(int(random.choice(np.flatnonzero(label.ravel() == chosen))), label.shape[1])
    # Within an upright rectangle this much smaller than the window, a pixel is seen however the window is turned.
    cos, sin = (abs(part(math.radians(window.angle))) for part in (math.cos, math.sin))
    height, width = window.height, window.width
    shrink = 1 / max(cos + sin * height / width, cos + sin * width / height)
    starts = []
    for at, side, length in zip(pixel, label.shape, (height, width), strict=True):
        margin = min(math.ceil((1 - shrink) * length / 2), (length - 1) // 2)
        first, last = at - length + 1 + margin, at - margin  # where the window may start to show the pixel
        least, most = min(0, side - length), max(0, side - length)  # where a plain crop starts
        starts.append(int(random.integers(min(max(first, least), last), max(min(last, most), first) + 1)))
    return window._replace(top=starts[0], left=starts[1])


def flip(image: np.ndarray, label: np.ndarray, horizontal: bool, vertical: bool) -> Pair:
    """Picture and label mirrored; themselves where neither is asked for."""
    if not horizontal and not vertical:
        return image, label
    code = -1 if horizontal and vertical else 1 if horizontal else 0
    return by_bands(lambda part: cv2.flip(part, code), image), cv2.flip(label, code)


def by_bands(change: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """`change` of a picture, each band's where it is not RGB: OpenCV drops the axis of one and takes four at most."""
    if image.shape[2] == 3:
        return change(image)
    return np.stack([change(np.ascontiguousarray(image[..., band])) for band in range(image.shape[2])], axis=2)


def cut(image: np.ndarray, label: np.ndarray, window: Window) -> Pair:
    """What the window shows of picture and label, at the window's size `out`."""
    return _cut_turned(image, label, window) if window.angle else _cut_upright(image, label, window)


def _cut_upright(image: np.ndarray, label: np.ndarray, window: Window) -> Pair:
    """The window by slicing and one resize of the part that lies within the picture."""
    rows, out_rows = _inside(label.shape[0], window.top, window.height, window.out[0])
    columns, out_columns = _inside(label.shape[1], window.left, window.width, window.out[1])
    size = (out_columns.stop - out_columns.start, out_rows.stop - out_rows.start)  # (width, height), as OpenCV has it
    part, part_label = image[rows, columns], label[rows, columns]
    if part_label.shape != size[::-1]:
        shrinks = size[0] * size[1] < part_label.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        part = by_bands(lambda one: cv2.resize(one, size, interpolation=how), part)
        part_label = cv2.resize(part_label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    if size[::-1] == window.out:
        return np.ascontiguousarray(part), np.ascontiguousarray(part_label)
    new_image = np.empty((*window.out, image.shape[2]), image.dtype)
    new_image[:] = np.array(BORDER_COLOR if image.shape[2] == 3 else BORDER_VALUE, np.uint8)
    new_label = np.full(window.out, IGNORED, np.uint8)
    new_image[out_rows, out_columns] = part
    new_label[out_rows, out_columns] = part_label
    return new_image, new_label


def _inside(side: int, start: int, length: int, out: int) -> tuple[slice, slice]:
    """Along one axis: the pixels of the picture within the window, and where in the output they go."""
    first, last = max(start, 0), min(start + length, side)
    ratio = out / length
    begin, end = round((first - start) * ratio), round((last - start) * ratio)
    begin = min(begin, out - 1)
    return slice(first, last), slice(begin, max(end, begin + 1))


def _cut_turned(image: np.ndarray, label: np.ndarray, window: Window) -> Pair:
    """The window by one affine resampling; strong shrinking is averaged first, which linear alone would not see."""
    (out_height, out_width), (height, width) = window.out, label.shape
    vertical, horizontal = window.height / out_height, window.width / out_width
    cos, sin = math.cos(math.radians(window.angle)), math.sin(math.radians(window.angle))
    turn = np.array([[cos, -sin], [sin, cos]]) * (horizontal, vertical)  # output (x, y) -> picture (x, y)
    # Pixel centres lie at halves: the output's centre goes to the window's centre.
    centre = np.array([window.left + window.width / 2, window.top + window.height / 2])
    shift = centre - turn @ (out_width / 2, out_height / 2)
    label = _warp(label, turn, shift, window.out, cv2.INTER_NEAREST, IGNORED)
    if min(vertical, horizontal) > 2:  # linear interpolation sees 2 x 2 pixels
        size = (max(1, round(width / horizontal)), max(1, round(height / vertical)))
        image = by_bands(lambda part: cv2.resize(part, size, interpolation=cv2.INTER_AREA), image)
        ratio = np.array([size[0] / width, size[1] / height])
        turn, shift = turn * ratio[:, None], shift * ratio
    border = BORDER_COLOR if image.shape[2] == 3 else BORDER_VALUE
    return by_bands(lambda part: _warp(part, turn, shift, window.out, cv2.INTER_LINEAR, border), image), label


def _warp(
    array: np.ndarray, turn: np.ndarray, shift: np.ndarray, out: tuple[int, int], how: int, border: Any
) -> np.ndarray:
    """Resample by the map from output to input, given for centres at halves; OpenCV's lie at whole numbers."""
    matrix = np.column_stack([turn, turn @ (0.5, 0.5) + shift - 0.5])
    flags = how | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(array, matrix, out[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border)

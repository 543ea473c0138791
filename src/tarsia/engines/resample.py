"""Scores at another size, and the labels and probabilities they give: numpy alone, a strip of rows at a time.

The base install has neither torch nor OpenCV, which hold these.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_STRIP_PIXELS = 1 << 14  # of the result at a time: what a strip needs for twenty classes stays near the cache


def labels(scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 scores -> B x h x w uint8 class of the largest at `size`, the first where several are."""
    label_BHW = np.empty((len(scores_BKHW), *size), np.uint8)
    for scores_KHW, label_HW in zip(scores_BKHW, label_BHW, strict=True):
        for rows, strip_KhW in _strips(scores_KHW, size):
            _largest(strip_KhW, label_HW[rows])
    return label_BHW


def probabilities(scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 scores -> B x K x h x w float32 that sum to 1 over the classes, at `size`."""
    shares_BKHW = np.empty((*scores_BKHW.shape[:2], *size), np.float32)
    for scores_KHW, shares_KHW in zip(scores_BKHW, shares_BKHW, strict=True):
        for rows, strip_KhW in _strips(scores_KHW, size):
            raised_KhW = np.exp(strip_KhW - strip_KhW.max(0))
            np.divide(raised_KhW, raised_KhW.sum(0), out=shares_KHW[:, rows])
    return shares_BKHW


def _strips(scores_KHW: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of a strip of the result, and the scores there: bilinear by pixel centres, smaller sizes not smoothed.

    What torch's interpolate does with align_corners=False, to rounding.
    """
    height, width = size
    step = max(1, _STRIP_PIXELS // width)
    same = scores_KHW.shape[1:] == (height, width)
    up_H, down_H, part_H = _neighbours(scores_KHW.shape[1], height)
    left_W, right_W, part_W = _neighbours(scores_KHW.shape[2], width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        if same:
            yield rows, scores_KHW[:, rows]
            continue
        first = up_H[rows][0]
        source_KhW = scores_KHW[:, first : down_H[rows][-1] + 1]
        across_KhW = _between(source_KhW.take(left_W, 2), source_KhW.take(right_W, 2), part_W)
        upper, lower = across_KhW.take(up_H[rows] - first, 1), across_KhW.take(down_H[rows] - first, 1)
        yield rows, _between(upper, lower, part_H[rows, None])


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `new` positions along a side of `old`: the ones before and after it, and how far it is in between."""
    place = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5)
    place = np.maximum(place, 0)
    before = place.astype(np.intp)
    return before, np.minimum(before + 1, old - 1), place - before.astype(np.float32)


def _between(first: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(1 - part) first + part second, in their memory."""
    first *= 1 - part
    second *= part
    first += second
    return first


def _largest(scores_KhW: np.ndarray, out_hW: np.ndarray) -> None:
    """Write the class of the largest score, class by class: in bytes, several times as fast as argmax."""
    best_hW = scores_KhW[0].copy()
    out_hW[:] = 0
    for k in range(1, len(scores_KhW)):
        larger_hW = scores_KhW[k] > best_hW
        np.maximum(out_hW, larger_hW.view(np.uint8) * np.uint8(k), out=out_hW)  # k is above all classes before it
        np.maximum(best_hW, scores_KhW[k], out=best_hW)

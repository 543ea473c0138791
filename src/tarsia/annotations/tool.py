"""A program that people annotate with, as one that label maps are written for: its shapes and its file.

Each file of annotations/tools/ has one, `TOOL`.  Shapes are plain values of JSON, for they may be kept in a journal
until the file of all pictures is written, a picture at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TextIO

import numpy as np

from tarsia.card import IGNORED, Classes
from tarsia.polygons.fill import Size
from tarsia.polygons.outlines import outlines


class Listed(NamedTuple):
    """A picture in a tool's file: its name there, its size, what gives its shapes, its split."""

    name: str
    size: Size
    shapes: Callable[[], list[dict[str, Any]]]
    split: str = ""


@dataclass(frozen=True)
class Tool:
    """`file`: the one of all pictures; "" where each has its own.  `beside`: other files, by name, with their content.

    `shapes(label_HW, classes, tolerance)`: a label map's, exact where `tolerance` is 0.  `write(file, classes,
    pictures, predicted)`: `pictures()` gives them, as often as it is called; `predicted`: by a model, not by a person.
    `holds_ignored`: pixels of 255 are not lost.
    """

    name: str
    title: str
    file: str
    shapes: Callable[[np.ndarray, Classes, float], list[dict[str, Any]]]
    write: Callable[[TextIO, Classes, Callable[[], Iterable[Listed]], bool], None]
    beside: Callable[[Classes], dict[str, str]] = lambda _: {}
    holds_ignored: bool = False


class Piece(NamedTuple):
    """Pixels of one label: a polygon's corners N x 2 (x, y), or a mask whose first pixel is at (row, column)."""

    label: int
    ring_N2: np.ndarray | None
    mask_HW: np.ndarray
    top_left: tuple[int, int]


_NO_MASK = np.zeros((0, 0), bool)


def pieces(label_HW: np.ndarray, tolerance: float, ignored: bool = False) -> list[Piece]:
    """A label map as one mask for each label; with a `tolerance` in pixels as outlines of that many corners fewer.

    A region with holes, which a polygon cannot have, is a mask all the same.  With `ignored`, that of 255 too.
    """
    if not tolerance:
        values = [value for value in np.unique(label_HW).tolist() if ignored or value != IGNORED]
        return [_cropped(value, label_HW == value) for value in values]
    found = outlines(label_HW, tolerance)
    runs = found.runs[np.argsort(found.runs[:, 0], kind="stable")]
    made = []
    for region in sorted(found.regions, key=lambda region: region.label):
        if region.label == IGNORED and not ignored:
            continue
        if not region.holes:
            made.append(Piece(region.label, region.outer, _NO_MASK, (0, 0)))
            continue
        first, last = np.searchsorted(runs[:, 0], [region.number, region.number + 1])
        made.append(_of_runs(region.label, runs[first:last, 1:], label_HW.shape[0]))
    return made


def _cropped(label: int, mask_HW: np.ndarray) -> Piece:
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    top, left = int(rows[0]), int(columns[0])
    return Piece(label, None, mask_HW[top : rows[-1] + 1, left : columns[-1] + 1], (top, left))


def _of_runs(label: int, runs_N2: np.ndarray, height: int) -> Piece:
    """Runs down the columns -> a mask."""
    columns, rows = np.divmod(runs_N2[:, 0], height)
    stops = rows + runs_N2[:, 1]
    top, left = int(rows.min()), int(columns.min())
    mask_HW = np.zeros((int(stops.max()) - top, int(columns.max()) - left + 1), bool)
    for column, start, stop in zip(
        (columns - left).tolist(), (rows - top).tolist(), (stops - top).tolist(), strict=True
    ):
        mask_HW[start:stop, column] = True
    return Piece(label, None, mask_HW, (top, left))

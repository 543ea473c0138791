"""CVAT for images 1.1: one XML, a mask for each class of a picture, or polygons.  Its labels must be in the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from tarsia.annotations.tool import Listed, Piece, Tool, pieces
from tarsia.card import Classes


def shapes(label_HW: np.ndarray, classes: Classes, tolerance: float) -> list[dict[str, Any]]:
    """A mask for each class; with a tolerance, polygons, and masks of what has holes."""
    return [_shape(piece, classes) for piece in pieces(label_HW, tolerance)]


def _shape(piece: Piece, classes: Classes) -> dict[str, Any]:
    named = {"label": classes.names[piece.label]}
    if piece.ring_N2 is not None:
        return {"polygon": {**named, "points": ";".join(f"{x:.2f},{y:.2f}" for x, y in piece.ring_N2.tolist())}}
    flat = piece.mask_HW.reshape(-1)
    turns = np.flatnonzero(np.diff(flat)) + 1  # along the rows; the first count is of what is outside
    edges = [0, *([0] if flat[0] else []), *turns.tolist(), flat.size]
    counts = ", ".join(map(str, np.diff(edges).tolist()))
    (top, left), (height, width) = piece.top_left, piece.mask_HW.shape
    return {"mask": {**named, "rle": counts, "left": left, "top": top, "width": width, "height": height}}


def write(file: TextIO, classes: Classes, pictures: Callable[[], Iterable[Listed]], predicted: bool) -> None:
    """The whole file, a picture at a time; splits are subsets."""
    file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><labels>\n')
    for name, color in zip(classes.names, classes.colors, strict=True):
        hexed = "#{:02x}{:02x}{:02x}".format(*color)
        file.write(f"<label><name>{escape(name)}</name><color>{hexed}</color></label>\n")
    file.write("</labels></task></meta>\n")
    for number, one in enumerate(pictures()):
        subset = f" subset={quoteattr(one.split)}" if one.split else ""
        size = f'width="{one.size[1]}" height="{one.size[0]}"'
        file.write(f'<image id="{number}" name={quoteattr(one.name)}{subset} {size}>\n')
        for shape in one.shapes():
            for kind, attributes in shape.items():
                written = " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
                source = "auto" if predicted else "manual"
                file.write(f'<{kind} source="{source}" occluded="0" z_order="0" {written}/>\n')
        file.write("</image>\n")
    file.write("</annotations>\n")


TOOL = Tool("cvat", "CVAT", "cvat.xml", shapes, write)

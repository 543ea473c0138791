"""Label Studio: one JSON of tasks, a brush for each class of a picture, or polygons.

Besides, the labelling configuration that a project needs for them: its controls are called `brush` and `polygon`, its
picture `image`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO
from xml.sax.saxutils import quoteattr

import numpy as np

from tarsia.annotations import brush
from tarsia.annotations.tool import Listed, Piece, Tool, pieces
from tarsia.card import Classes
from tarsia.polygons.fill import Size


def shapes(label_HW: np.ndarray, classes: Classes, tolerance: float) -> list[dict[str, Any]]:
    """A brush for each class; with a tolerance, polygons, and brushes of what has holes."""
    size = (label_HW.shape[0], label_HW.shape[1])
    return [_result(number, piece, size, classes) for number, piece in enumerate(pieces(label_HW, tolerance))]


def _result(number: int, piece: Piece, size: Size, classes: Classes) -> dict[str, Any]:
    control = "brush" if piece.ring_N2 is None else "polygon"
    value: dict[str, Any] = {f"{control}labels": [classes.names[piece.label]]}
    if piece.ring_N2 is None:
        (top, left), (height, width) = piece.top_left, piece.mask_HW.shape
        whole_HW = np.zeros(size, bool)
        whole_HW[top : top + height, left : left + width] = piece.mask_HW
        value = {"format": "rle", "rle": brush.encode(whole_HW), **value}
    else:
        per_cent_N2 = piece.ring_N2 * np.array([100 / size[1], 100 / size[0]])
        value = {"points": per_cent_N2.tolist(), "closed": True, **value}
    return {
        "id": f"r{number}",
        "type": f"{control}labels",
        "from_name": control,
        "to_name": "image",
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        "value": value,
    }


def write(file: TextIO, classes: Classes, pictures: Callable[[], Iterable[Listed]], predicted: bool) -> None:
    """The whole file, a task a line."""
    file.write("[")
    for number, one in enumerate(pictures()):
        result: dict[str, Any] = {"model_version": "tarsia"} if predicted else {}
        result |= {"result": one.shapes()}
        task: dict[str, Any] = {
            "data": {"image": f"/data/local-files/?d={one.name}"},
            "predictions" if predicted else "annotations": [result],
        }
        file.write(("," if number else "") + "\n" + json.dumps(task, ensure_ascii=False, separators=(",", ":")))
    file.write("\n]\n")


def beside(classes: Classes) -> dict[str, str]:
    """The labelling configuration."""
    lines = ["<View>", '  <Image name="image" value="$image"/>']
    for control, tag in (("brush", "BrushLabels"), ("polygon", "PolygonLabels")):
        lines.append(f'  <{tag} name="{control}" toName="image">')
        for name, color in zip(classes.names, classes.colors, strict=True):
            hexed = "#{:02x}{:02x}{:02x}".format(*color)
            lines.append(f'    <Label value={quoteattr(name)} background="{hexed}"/>')
        lines.append(f"  </{tag}>")
    return {"label-studio.xml": "\n".join([*lines, "</View>"]) + "\n"}


TOOL = Tool("label-studio", "Label Studio", "label-studio.json", shapes, write, beside)

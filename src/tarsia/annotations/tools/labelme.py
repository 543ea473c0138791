"""labelme: a JSON for each picture, a mask for each class, or polygons; what is ignored is called `__ignore__`.

Besides, labels.txt: what `labelme --labels` takes, and the order of the classes when they are read again.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import numpy as np
from PIL import Image

from tarsia.annotations.tool import Listed, Piece, Tool, pieces
from tarsia.card import IGNORED, Classes

_IGNORE = "__ignore__"


def shapes(label_HW: np.ndarray, classes: Classes, tolerance: float) -> list[dict[str, Any]]:
    """A mask for each class; with a tolerance, polygons, and masks of what has holes."""
    return [_shape(piece, classes) for piece in pieces(label_HW, tolerance, ignored=True)]


def _shape(piece: Piece, classes: Classes) -> dict[str, Any]:
    name = _IGNORE if piece.label == IGNORED else classes.names[piece.label]
    points, mask = [], None
    if piece.ring_N2 is not None:
        points = piece.ring_N2.tolist()
    else:
        (top, left), (height, width) = piece.top_left, piece.mask_HW.shape
        points = [[left, top], [left + width - 1, top + height - 1]]  # the first and the last pixel, both within
        buffer = io.BytesIO()
        Image.fromarray(piece.mask_HW).save(buffer, "PNG")
        mask = base64.b64encode(buffer.getvalue()).decode()
    kind = "polygon" if mask is None else "mask"
    more: dict[str, Any] = {"group_id": None, "description": "", "shape_type": kind, "flags": {}, "mask": mask}
    return {"label": name, "points": points, **more}


def write(file: TextIO, classes: Classes, pictures: Callable[[], Iterable[Listed]], predicted: bool) -> None:
    """The file of the one picture, whose name leads from it to the picture."""
    (one,) = pictures()
    tree: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": one.shapes(),
        "imagePath": one.name,
        "imageData": None,
    }
    tree |= {"imageHeight": one.size[0], "imageWidth": one.size[1]}
    file.write(json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


def beside(classes: Classes) -> dict[str, str]:
    return {"labels.txt": "".join(f"{name}\n" for name in (_IGNORE, *classes.names))}


TOOL = Tool("labelme", "labelme", "", shapes, write, beside, holds_ignored=True)

"""Label maps drawn of Cityscapes' polygons, as its published ones were.

A file has `imgHeight`, `imgWidth` and `objects`, each a `label` and a `polygon` of [x, y], from the bottom to the top;
what none covers is 0.  Points are centres of pixels and the outline belongs to the object, as Pillow draws them.  What
is `deleted` or has a negative id is left out; a group, as cargroup, is of the class of its members.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tarsia.card import MAX_PIXELS
from tarsia.errors import DatasetError, nearest
from tarsia.plain_text import shortened

_FARTHEST = 1e6  # pixels from the corner


def drawn(path: str, ids: Mapping[str, int]) -> np.ndarray:
    """H x W uint8 ids; DatasetError naming the file, and the object, where it is damaged or of an unknown label."""
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
        height, width, objects = tree["imgHeight"], tree["imgWidth"], tree["objects"]
        sound = type(height) is type(width) is int and isinstance(objects, list)
        if not (sound and height > 0 and width > 0 and height * width <= MAX_PIXELS):
            raise ValueError("expected imgHeight and imgWidth in pixels, and a list of objects")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: no polygons of a picture ({reason}): get the file again") from error
    picture = Image.new("L", (width, height), 0)
    canvas = ImageDraw.Draw(picture)
    for number, entry in enumerate(objects):
        points = _outline(entry, f"{path}: object {number}", ids)
        if points is not None:
            canvas.polygon(points[1], fill=points[0])
    return np.array(picture)


def _outline(entry: Any, where: str, ids: Mapping[str, int]) -> tuple[int, list[tuple[float, float]]] | None:
    """The id of an object and its points; None for what is not drawn."""
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        raise DatasetError(f"{where} is {shortened(repr(entry))}, expected a label and a polygon")
    label = entry["label"]
    found = ids.get(label, ids.get(label.removesuffix("group")))
    if found is None:
        raise DatasetError(f"{where}: its label is {label!r}{nearest(label, ids)}")
    if entry.get("deleted") or found < 0:
        return None
    try:
        points = [(float(x), float(y)) for x, y in entry["polygon"]]
        if not all(abs(part) <= _FARTHEST for point in points for part in point):  # not even for NaN
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        text = shortened(repr(entry.get("polygon")))
        raise DatasetError(f"{where} ({label}): its polygon is {text}, expected points [x, y]") from error
    return (found, points) if len(points) > 2 else None

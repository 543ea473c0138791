"""COCO instances, as `annotations/forms/coco.py` reads them: a line of the file for each picture and region."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import numpy as np

from tarsia.annotations.tool import Listed, Tool
from tarsia.card import Classes
from tarsia.polygons.formats import coco_annotations, coco_categories


def shapes(label_HW: np.ndarray, classes: Classes, tolerance: float) -> list[dict[str, Any]]:
    """Every region: a polygon, or run lengths where it has holes."""
    return coco_annotations(label_HW, classes, tolerance=tolerance)


def write(file: TextIO, classes: Classes, pictures: Callable[[], Iterable[Listed]], predicted: bool) -> None:
    """The whole file, a line at a time: polygons can be more than memory holds."""
    info = {"description": "predicted by Tarsia" if predicted else "written by Tarsia"}
    file.write(f'{{"info":{_dumped(info)},\n"categories":{_dumped(coco_categories(classes))},\n"images":[')
    for number, one in enumerate(pictures(), 1):
        image = {"id": number, "file_name": one.name, "height": one.size[0], "width": one.size[1]}
        file.write(("," if number > 1 else "") + "\n" + _dumped(image))
    file.write('],\n"annotations":[')
    count = 0
    for number, one in enumerate(pictures(), 1):
        for annotation in one.shapes():
            count += 1
            file.write(("," if count > 1 else "") + "\n")
            file.write(_dumped({"id": count, "image_id": number} | annotation))
    file.write("]}\n")


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


TOOL = Tool("coco", "COCO", "coco.json", shapes, write)

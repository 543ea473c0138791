"""The results of one picture that is held in memory: label map, overlay, confidence, polygons, attention."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.annotations.tool import Listed
from tarsia.annotations.tools import all_tools
from tarsia.card import Classes
from tarsia.drawing import paint
from tarsia.drawing.heat import attention_sheet
from tarsia.engines.engine import AttentionMap
from tarsia.errors import ImageError
from tarsia.files import write_text, writing
from tarsia.output.label_files import LabelFiles
from tarsia.output.sources import Source, text
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import shown
from tarsia.polygons.formats import geojson


@dataclass(frozen=True)
class Segmented:
    """A picture, its labels as they are to be written, and what else was asked of the network."""

    image_HW3: np.ndarray
    label_HW: np.ndarray
    confidence_HW: np.ndarray | None = None
    maps: list[AttentionMap] = field(default_factory=list)


def write(one: Segmented, source: Source, out: Path, what: WhatToWrite, classes: Classes) -> dict[str, Any]:
    """Write the results of one picture, the label map last; what the journal needs besides.

    Raises ImageError, before anything is written, where a result cannot hold the picture.
    """
    save = what.save
    if "overlay" in save:
        sheet = paint.overlay(one.image_HW3, one.label_HW, classes)
        if max(sheet.size) > paint.LARGEST_JPEG_SIDE:
            raise ImageError(
                f"{shown(source.path)}: its overlay is too large for a JPEG ({paint.LARGEST_JPEG_SIDE} pixels a side): "
                "leave `overlay` out of what is saved"
            )
        save_jpeg(source.output(out, "overlay"), sheet)
    if "attention" in save:
        save_jpeg(source.output(out, "attention"), attention_sheet(one.image_HW3, one.maps, what.attention_at))
    if "confidence" in save:
        assert one.confidence_HW is not None
        with writing(source.output(out, "confidence")) as part:
            Image.fromarray(as_bytes(one.confidence_HW)).save(part, format="PNG")
    more = write_polygons(one.label_HW, source, out, what, classes)
    if "label" in save:
        LabelFiles(classes, what.coding).save(source.output(out, "label"), one.label_HW)
    return more


def write_polygons(
    label_HW: np.ndarray, source: Source, out: Path, what: WhatToWrite, classes: Classes, **on_earth: Any
) -> dict[str, Any]:
    """Write the GeoJSON, in the coordinates that `on_earth` gives `geojson`, and labelme's file.

    For the journal: the shapes of the tools whose file is one for all pictures.
    """
    if "geojson" in what.save:
        found = geojson(label_HW, classes, tolerance=what.simplify, **on_earth)
        write_text(source.output(out, "geojson"), json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n")
    more = {}
    for tool in (tool for name, tool in all_tools().items() if name in what.save):
        shapes = tool.shapes(label_HW, classes, what.simplify)
        if tool.file:
            more[tool.name] = shapes
            continue
        path = source.output(out, tool.name)
        name = text(os.path.relpath(source.path, path.parent))
        one = Listed(name, (label_HW.shape[0], label_HW.shape[1]), lambda: shapes)  # noqa: B023
        with writing(path) as part, part.open("w", encoding="utf-8") as file:
            tool.write(file, classes, lambda: [one], True)  # noqa: B023
    return more


def as_bytes(confidence_HW: np.ndarray) -> np.ndarray:
    """Probabilities 0 .. 1 -> 0 .. 255, rounded."""
    scaled = confidence_HW * np.float32(255)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8)


def save_jpeg(path: Path, sheet: Image.Image) -> None:
    """Write a picture as JPEG, whole or not at all."""
    with writing(path) as part:  # given a file, Pillow's JPEG writer takes a full disk for success
        part.write_bytes(paint.jpeg(sheet))

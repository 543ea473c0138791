"""datumaro's own JSON: one file a subset, with items, and the classes by their place in a list.

Format: its documentation and source.  Polygons, boxes and masks (COCO's run lengths) are regions, painted by their
z_order; what has no area is left out, which is noted.  Several files are splits, called by their names.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, polygon, rectangle
from tarsia.annotations.source import Annotations, Notes
from tarsia.annotations.trees import entries, read_json
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError
from tarsia.pictures.files import MAX_PIXELS
from tarsia.polygons.fill import Size, rle_counts, rle_runs


def read(source: Found, reading: Reading) -> Annotations:
    """Files of subsets -> their pictures, which lie below the project's folder or `reading.images`."""
    notes, records = Notes(), []
    names: list[Any] = []
    colors: dict[str, Rgb] = {}
    for path in source.files:
        tree = read_json(path)
        found = _names(tree, path)
        if names and names != found:
            raise DatasetError(f"{path}: its labels are not those of {source.files[0]}: convert the files one by one")
        names = found
        colors |= _colors(tree, names)
        split = path.stem if len(source.files) > 1 else ""
        for number, item in enumerate(entries(tree, "items", str(path))):
            with reading.faults.of(f"{path}: item {number}"):
                records.append(_record(path, item, names, split))
    root = source.root.parent if source.one_file and source.root.name == "annotations" else source.root
    splits = tuple(path.stem for path in source.files) if len(source.files) > 1 else ()
    return assemble(records, [root], reading, list(source.files), notes, names=names, colors=colors, splits=splits)


def _names(tree: dict[str, Any], path: Path) -> list[Any]:
    found = tree["categories"]
    found = found.get("label") if isinstance(found, dict) else None
    return [entry.get("name") for entry in entries(found if isinstance(found, dict) else {}, "labels", str(path))]


def _colors(tree: dict[str, Any], names: list[Any]) -> dict[str, Rgb]:
    listed = (tree["categories"].get("mask") or {}).get("colormap") or []
    found: dict[str, Rgb] = {}
    for entry in listed:
        color = tuple(entry.get(key) for key in "rgb")
        if type(entry.get("label_id")) is int and 0 <= entry["label_id"] < len(names) and None not in color:
            found[str(names[entry["label_id"]])] = (color[0], color[1], color[2])
    return found


def _record(path: Path, item: dict[str, Any], names: list[Any], split: str) -> Record:
    called, image = item.get("id"), item.get("image") or {}
    where = f"{path}: item {called}"
    text = image.get("path") or str(called)
    record = Record(where, f"{path.stem}/{text}", split=split, stem=not image.get("path"))
    size = image.get("size")
    if size is not None:
        if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
            raise DatasetError(f"{where}: its size is {size!r:.60}, expected [height, width]")
        record.size = (size[0], size[1])

    def layer(entry: dict[str, Any]) -> float:
        return entry["z_order"] if isinstance(entry.get("z_order"), int | float) else 0

    listed = entries(item, "annotations", where)
    for entry in sorted(listed, key=layer):

        def make(entry: dict[str, Any] = entry) -> Shape | None:
            return _shape(entry, names, f"{where}: annotation {entry.get('id')}", record.notes)

        record.add(make)
    return record


def _shape(entry: dict[str, Any], names: list[Any], where: str, notes: Notes) -> Shape | None:
    number, kind = entry.get("label_id"), entry.get("type")
    if kind not in ("polygon", "bbox", "mask"):
        notes.add(f"annotations of type {kind}, which have no area, left out", where)
        return None
    if number is None:
        notes.add("annotations without a label, left out", where)
        return None
    if type(number) is not int or not 0 <= number < len(names):
        raise DatasetError(f"{where}: its label_id is {number!r}, expected 0 to {len(names) - 1}")
    label, where = str(names[number]), f"{where} ({names[number]})"
    if kind == "polygon":
        return polygon(label, where, [entry.get("points")], notes)
    if kind == "bbox":
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
            raise DatasetError(f"{where}: its bbox is {box!r:.60}, expected [x, y, width, height]")
        return rectangle(label, where, box[0], box[1], box[0] + box[2], box[1] + box[3])
    counts, size = _counts(entry.get("rle"), where)
    return Shape(label, where, partial(_runs, counts, size, where))


def _counts(found: Any, where: str) -> tuple[np.ndarray, Size]:
    counts, size = (found.get("counts"), found.get("size")) if isinstance(found, dict) else (None, None)
    try:
        numbers = rle_counts(counts) if isinstance(counts, str) else list(counts or ())
        if not isinstance(size, list) or len(size) != 2 or not 0 < size[0] * size[1] <= MAX_PIXELS:
            raise ValueError(f"of a picture of {size!r:.60}")
        if not all(type(n) is int and n >= 0 for n in numbers) or sum(numbers) != size[0] * size[1]:
            raise ValueError(f"they are not {size[0] * size[1]} pixels")
        return np.array(numbers, np.int64), (size[0], size[1])
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: its run lengths are damaged ({error}): export it again") from error


def _runs(counts: np.ndarray, stored: Size, where: str, size: Size) -> np.ndarray:
    if stored != size:
        raise DatasetError(f"{where}: its run lengths are for a picture of {stored}, but it is {size} (height, width)")
    return rle_runs(counts, size)


def _is_one(look: Look) -> bool:
    if {"images[]", "annotations[]", "categories[]"} & look.keys:  # of COCO, however large
        return False
    return {"items[]", "categories.label"} <= look.more


FORM = Form(
    "datumaro",
    "datumaro",
    "a JSON with categories and items",
    _is_one,
    read,
)

"""Supervisely: meta.json with the classes, and a JSON for each picture, whose objects lie in the order of the list.

Format: its SDK and documentation.  Bitmaps, polygons (with holes), rectangles and alpha masks are regions; what has no
area is left out, which is noted.  A picture img/NAME has its objects in ann/NAME.json beside that folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tarsia.annotations.finding import Place
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, bitmap, decoded_png, polygon, rectangle
from tarsia.annotations.source import Annotations, Notes, declared_size, is_file
from tarsia.annotations.trees import entries, read_json
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError

_AREALESS = ("point", "line", "graph", "cuboid", "polyline", "cuboid_3d", "any")


def read(source: Found, reading: Reading) -> Annotations:
    """A project, or files of it -> their pictures."""
    notes, records = Notes(), []
    names: list[Any] | None = None
    colors: dict[str, Rgb] = {}
    for path in source.files:
        tree: dict[str, Any] = {}
        with reading.faults.of(path):
            tree = read_json(path)
            if "classes" in tree and "objects" not in tree:
                names = [*(names or ()), *(entry.get("title") for entry in entries(tree, "classes", str(path)))]
                colors |= _colors(tree)
                continue
            records.append(_record(path, tree, source.root, reading))
    if names is not None:
        names = list(dict.fromkeys(names))
    return assemble(records, [source.root], reading, list(source.files), notes, names=names, colors=colors)


def _colors(tree: dict[str, Any]) -> dict[str, Rgb]:
    found: dict[str, Rgb] = {}
    for entry in tree["classes"]:
        try:
            red, green, blue = bytes.fromhex(str(entry.get("color")).removeprefix("#"))
            found[str(entry.get("title"))] = (red, green, blue)
        except ValueError:
            continue
    return found


def _record(path: Path, tree: dict[str, Any], root: Path, reading: Reading) -> Record:
    name = path.name.removesuffix(".json")
    file = path.parent.parent / "img" / name
    record = Record(str(path), f"{path.parent.parent.name}/img/{name}")
    if reading.images is None and is_file(file):
        record.place = Place(file, os.path.relpath(file, root).replace(os.sep, "/"))
    size = tree.get("size")
    record.size = declared_size(size if isinstance(size, dict) else {}, "height", "width", str(path))
    for number, entry in enumerate(entries(tree, "objects", str(path))):

        def make(entry: dict[str, Any] = entry, where: str = f"{path}: object {number}") -> list[Shape]:
            return _shapes(entry, where, record.notes)

        record.add(make)
    return record


def _shapes(entry: dict[str, Any], where: str, notes: Notes) -> list[Shape]:
    label, kind = entry.get("classTitle"), entry.get("geometryType")
    if not isinstance(label, str) or not label:
        raise DatasetError(f"{where}: its classTitle is {label!r}, expected a name")
    where = f"{where} ({label})"
    if kind in _AREALESS:
        notes.add(f"objects of type {kind}, which have no area, left out", where)
        return []
    if kind in ("bitmap", "alpha_mask"):
        return [_bitmap(entry.get("bitmap") or entry.get(kind), label, where)]
    parts = entry.get("parts") or [entry]
    if kind not in ("polygon", "multipolygon", "rectangle") or not isinstance(parts, list):
        raise DatasetError(f"{where}: its geometryType is {kind!r}, expected bitmap, polygon, rectangle or alpha_mask")
    found = [_part(part, kind, label, where, notes) for part in parts]
    return [shape for shape in found if shape is not None]


def _part(part: Any, kind: str, label: str, where: str, notes: Notes) -> Shape | None:
    points = part.get("points", part) if isinstance(part, dict) else None
    if not isinstance(points, dict) or not isinstance(points.get("exterior"), list):
        raise DatasetError(f"{where}: its points are {points!r:.60}, expected an object with exterior")
    if kind == "rectangle":
        corners = points["exterior"]
        if len(corners) != 2 or not all(isinstance(corner, list) and len(corner) == 2 for corner in corners):
            raise DatasetError(f"{where}: a rectangle of {len(corners)} points, expected 2 corners")
        (left, top), (right, bottom) = corners
        return rectangle(label, where, left, top, right, bottom)
    return polygon(label, where, [points["exterior"], *(points.get("interior") or ())], notes)


def _bitmap(found: Any, label: str, where: str) -> Shape:
    origin = found.get("origin") if isinstance(found, dict) else None
    if not isinstance(origin, list) or len(origin) != 2 or not all(type(number) is int for number in origin):
        raise DatasetError(f"{where}: its bitmap has the origin {origin!r:.60}, expected [x, y]")
    return bitmap(label, where, lambda: decoded_png(found.get("data"), where, packed=True), (origin[1], origin[0]))


def _is_one(look: Look) -> bool:
    of_meta = "classes[].title" in look.keys and "classes[].shape" in look.keys
    return of_meta or {"size.height", "size.width", "objects[]"} <= look.keys


FORM = Form(
    "supervisely",
    "Supervisely",
    "JSON files with objects and size, and meta.json",
    _is_one,
    read,
    per_picture=True,
)

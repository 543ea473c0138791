"""VIA 1 and 2 (VGG Image Annotator): a project, an export of its regions as JSON, or as CSV.

Format: its source and the data sets made with it.  Polygons, rectangles, circles and ellipses are regions, of which
small ones lie above large ones.  The class is an attribute that people name as they like: where there are several,
`class_from` says which.  Where there is none, all regions are of one class.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, ellipse, polygon, rectangle
from tarsia.annotations.source import Annotations, Notes
from tarsia.annotations.trees import read_json
from tarsia.errors import DatasetError, nearest

ONE_CLASS = "object"
_AREALESS = ("polyline", "point", "line")
_NEEDED = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}


def read(source: Found, reading: Reading) -> Annotations:
    """Projects and exports -> their pictures, which lie below the files' folder or `reading.images`."""
    notes, files = Notes(), []
    options: list[str] = []
    for path in source.files:
        table = path.suffix.lower() == ".csv"
        tree = {} if table else read_json(path)
        files += [(path, entry) for entry in (_of_table(path) if table else _entries(path, tree))]
        for attribute in (tree.get("_via_attributes") or {}).get("region", {}).items():
            if attribute[0] == (reading.class_from or attribute[0]) and isinstance(attribute[1].get("options"), dict):
                options += list(attribute[1]["options"])
    attribute = _attribute([entry for _, entry in files], reading.class_from, str(source.files[0]))
    if attribute is None:
        notes.add(f"no region has an attribute: all are of one class, {ONE_CLASS}, to be renamed in dataset.yaml", "")
    records = [_record(path, entry, attribute) for path, entry in files]
    used = {shape.label for record in records for shape in record.shapes}
    names = [*dict.fromkeys(options), *sorted(used - set(options))] if used & set(options) else None
    return assemble(records, [source.root], reading, list(source.files), notes, names=names, by_area=True)


def _entries(path: Path, tree: dict[str, Any]) -> list[dict[str, Any]]:
    """The pictures' entries: below `_via_img_metadata` of a project, the whole of an export."""
    found = tree.get("_via_img_metadata", tree)
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise DatasetError(f"{path}: its pictures are {found!r:.60}, expected an object of them")
    return list(found.values())


def _of_table(path: Path) -> list[dict[str, Any]]:
    """The same of a CSV, a region a line."""
    found: dict[str, dict[str, Any]] = {}
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                number += 1
                row = {str(key).lstrip("#"): value for key, value in row.items()}
                entry = found.setdefault(row["filename"], {"filename": row["filename"], "regions": []})
                region = {key: json.loads(row[f"region_{key}"] or "{}") for key in ("shape_attributes", "attributes")}
                if region["shape_attributes"]:
                    region = {"shape_attributes": region["shape_attributes"], "region_attributes": region["attributes"]}
                    entry["regions"].append(region)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"{path}:{number}: no table of VIA ({error}): export it again") from error
    return list(found.values())


def _regions(entry: Mapping[str, Any]) -> list[Any]:
    found = entry.get("regions") or []
    return list(found.values()) if isinstance(found, dict) else list(found)  # numbered, in VIA 1


def _attribute(entries: list[dict[str, Any]], asked: str | None, where: str) -> str | None:
    """The attribute that says the class; DatasetError where there are several, or not the one that is asked for."""
    found: dict[str, None] = {}
    for entry in entries:
        for region in _regions(entry):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            found |= dict.fromkeys(attributes if isinstance(attributes, dict) else ())
    if asked is not None:
        if asked not in found:
            raise DatasetError(f"{where}: no region has the attribute {asked}{nearest(asked, found)}")
        return asked
    if len(found) > 1:
        raise DatasetError(
            f"{where}: regions have several attributes ({', '.join(found)}): say with `class_from` which"
        )
    return next(iter(found), None)


def _record(path: Path, entry: dict[str, Any], attribute: str | None) -> Record:
    name = entry.get("filename")
    record = Record(f"{path}: {name}", str(name or ""))
    for number, region in enumerate(_regions(entry)):

        def make(region: Any = region, where: str = f"{record.where}: region {number}") -> Shape | None:
            return _shape(region, attribute, where, record.notes)

        record.add(make)
    return record


def _class(region: dict[str, Any], attribute: str | None) -> str:
    """A text, or the one flag that is true."""
    if attribute is None:
        return ONE_CLASS
    value = (region.get("region_attributes") or {}).get(attribute)
    if isinstance(value, dict):
        value = next((name for name, on in value.items() if on), "")
    return str(value).strip() if value is not None else ""


def _shape(region: Any, attribute: str | None, where: str, notes: Notes) -> Shape | None:
    shape = region.get("shape_attributes") if isinstance(region, dict) else None
    if not isinstance(shape, dict):
        raise DatasetError(f"{where} is {region!r:.60}, expected an object with shape_attributes")
    label, kind = _class(region, attribute), shape.get("name")
    if not label:
        notes.add(f"regions without {attribute}, left out", where)
        return None
    where = f"{where} ({label})"
    if kind in _AREALESS:
        notes.add(f"regions of type {kind}, which have no area, left out", where)
        return None
    if kind == "polygon":
        x, y = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise DatasetError(f"{where}: its all_points_x and all_points_y are no two lists of one length")
        return polygon(label, where, [[[a, b] for a, b in zip(x, y, strict=True)]], notes)
    if kind not in _NEEDED:
        raise DatasetError(
            f"{where}: its type is {kind!r}, expected one of polygon, {', '.join((*_NEEDED, *_AREALESS))}"
        )
    numbers = [shape.get(key) for key in _NEEDED[kind]]
    if not all(isinstance(number, int | float) for number in numbers):
        raise DatasetError(f"{where}: its {', '.join(_NEEDED[kind])} are {numbers}, expected numbers")
    if kind == "rect":
        left, top, width, height = (float(number) for number in numbers if number is not None)
        return rectangle(label, where, left, top, left + width, top + height)
    x, y, *radii = (float(number) for number in numbers if number is not None)
    turned = shape.get("theta") or 0.0  # radians
    return ellipse(label, where, x, y, radii[0], radii[-1], math.degrees(turned))


def _is_one(look: Look) -> bool:
    if look.path.suffix.lower() == ".csv":
        return {"region_shape_attributes", "region_attributes"} <= set(look.columns)
    return "_via_img_metadata" in look.keys or (
        {"*.filename", "*.regions"} <= look.keys and not {"images[]", "shapes[]"} & look.keys
    )


FORM = Form(
    "via",
    "VIA",
    "a project or export of VIA 2",
    _is_one,
    read,
    suffixes=(".json", ".csv"),
    takes=("images", "classes", "background", "class_from"),
)

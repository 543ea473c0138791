"""Label Studio: one JSON of tasks, each with a picture and the results of those who annotated it; JSON-MIN too.

Format: its converter and documentation.  Coordinates are per cent of the picture as it is shown, upright.  Polygons,
rectangles, ellipses, brushes and bitmaps are regions, painted in the order of the list; what has no area is left out,
which is noted.  Of several annotations of a task the one marked as ground truth is taken, else the newest.  Where no
task has any, its predictions are.  Classes are sorted, or as a labelling configuration beside the file lists them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.annotations import brush
from tarsia.annotations.finding import path_of
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, bitmap, decoded_png, ellipse, polygon, rectangle
from tarsia.annotations.source import Annotations, Notes, declared_size
from tarsia.annotations.trees import load_json, load_xml
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError
from tarsia.pictures.find import SUFFIXES
from tarsia.polygons.fill import Size

_LISTS = ("annotations", "completions")
_COLOR = re.compile(r"#([0-9a-fA-F]{6})$")
_NO_AREA = (
    "keypoint",
    "vector",
    "choices",
    "textarea",
    "rating",
    "relation",
    "number",
    "taxonomy",
    "pairwise",
    "video",
)


def read(source: Found, reading: Reading) -> Annotations:
    """Tasks -> their pictures, which lie below the file's folder or `reading.images`."""
    notes, records = Notes(), []
    for path in source.files:
        tasks = load_json(path)
        if not isinstance(tasks, list):
            raise DatasetError(f"{path}: holds a {type(tasks).__name__}, expected a list of tasks")
        key = next((key for key in _LISTS if any(isinstance(t, dict) and t.get(key) for t in tasks)), "predictions")
        for number, task in enumerate(tasks):
            where = f"{path}: task {task.get('id', number) if isinstance(task, dict) else number}"
            with reading.faults.of(where):
                records += _records(task, key, where, notes)
    names, colors = _configured(source.root, {shape.label for record in records for shape in record.shapes}, notes)
    files = list(source.files)
    return assemble(records, [source.root], reading, files, notes, names=names, colors=colors)


def _records(task: Any, key: str, where: str, notes: Notes) -> list[Record]:
    """The picture of a task; none of one that nobody annotated."""
    if not isinstance(task, dict):
        raise DatasetError(f"{where} is {task!r:.60}, expected an object")
    if "data" not in task:  # JSON-MIN: what is annotated stands in the task itself, by the name of its control
        results = [one for value in task.values() if isinstance(value, list) for one in value if isinstance(one, dict)]
        record = Record(where, _picture(task, where))
        return [_filled(record, [{"value": one, **one} for one in results])]
    record = Record(where, _picture(task["data"], where))
    found = [one for one in task.get(key) or () if isinstance(one, dict)]
    found = [one for one in found if not (one.get("was_cancelled") or one.get("skipped"))]
    if not found:
        notes.add("tasks that nobody annotated, left out", where)
        return []
    best = max(found, key=lambda one: (bool(one.get("ground_truth")), str(one.get("created_at") or "")))
    notes.add("annotations beside the one taken (ground truth, or the newest), left out", where, len(found) - 1)
    if key == "predictions":
        notes.add("tasks whose predictions are taken, for no task has annotations", where)
    result = best.get("result")
    if not isinstance(result, list):
        raise DatasetError(f"{where}: its result is {result!r:.60}, expected a list")
    return [_filled(record, result)]


def _picture(data: Any, where: str) -> str:
    """The picture of a task's data: the only text that names one, or that called image."""
    found = {
        key: value
        for key, value in (data.items() if isinstance(data, dict) else ())
        if isinstance(value, str) and Path(path_of(value)).suffix.lower() in SUFFIXES
    }
    chosen = [found[key] for key in ("image", "img") if key in found] or list(found.values())
    if not chosen:
        raise DatasetError(f"{where}: its data names no picture, expected one as data.image")
    if len(set(chosen)) > 1 and not {"image", "img"} & found.keys():
        raise DatasetError(f"{where}: its data names several pictures ({', '.join(found)}): keep one, called image")
    return chosen[0]


def _filled(record: Record, results: Sequence[Any]) -> Record:
    """The record with the shapes of its results."""
    labels: dict[str, list[str]] = {}  # of results that are told apart by their id alone
    for one in results:
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            labels.setdefault(one["id"], []).extend(_labels(one))
    done: set[str] = set()
    for number, one in enumerate(results):
        where = f"{record.where}: result {one.get('id', number) if isinstance(one, dict) else number}"

        def make(one: Any = one, where: str = where) -> Shape | None:
            return _shape(one, labels, done, record, where)

        record.add(make)
    return record


def _labels(one: dict[str, Any]) -> list[str]:
    value = one.get("value")
    found = value if isinstance(value, dict) else {}
    named = [names for key, names in found.items() if key.endswith("labels") and isinstance(names, list)]
    return [name for names in named for name in names if isinstance(name, str) and name.strip()]


def _shape(one: Any, labels: dict[str, list[str]], done: set[str], record: Record, where: str) -> Shape | None:
    if not isinstance(one, dict) or not isinstance(one.get("value", {}), dict):
        raise DatasetError(f"{where} is {one!r:.60}, expected an object with a value")
    value, kind, notes = one.get("value", {}), str(one.get("type", "")), record.notes
    if kind.startswith(_NO_AREA) or not _has_area(value):
        notes.add(f"results of type {kind or 'unknown'}, which have no area, left out", where)
        return None
    number = one.get("id")
    if isinstance(number, str) and number in done:  # the same region once more, with its labels or without
        return None
    named = list(dict.fromkeys(labels.get(number, []) if isinstance(number, str) else _labels(one)))
    if not named:
        notes.add("regions without a label, left out", where)
        return None
    done |= {number} if isinstance(number, str) else set()
    notes.add("regions of several labels, of which the first is taken", where, int(len(named) > 1))
    if one.get("image_rotation"):
        raise DatasetError(
            f"{where}: was drawn on a view turned by {one['image_rotation']!r} degrees, which is not read: turn it back"
        )
    size = declared_size(one, "original_height", "original_width", where)
    if size is None or (record.size is not None and record.size != size):
        found = f"{size}, and others of the task of {record.size}" if size else "missing"
        raise DatasetError(f"{where}: its original_height and original_width are {found}: expected the picture's")
    record.size = size
    return _region(value, named[0], size, f"{where} ({named[0]})", notes)


def _has_area(value: dict[str, Any]) -> bool:
    return bool({"points", "rle", "imageDataURL", "radiusX"} & value.keys() or {"x", "width", "height"} <= value.keys())


def _region(value: dict[str, Any], label: str, size: Size, where: str, notes: Notes) -> Shape | None:
    per_cent = size[1] / 100, size[0] / 100
    if "rle" in value:
        return bitmap(label, where, lambda: _brush(value["rle"], size, where))
    if "imageDataURL" in value:
        return bitmap(label, where, lambda: decoded_png(value["imageDataURL"], where, size=size))
    if "points" in value:
        return polygon(label, where, [value["points"]], notes, per_cent)
    keys = ("x", "y", "radiusX", "radiusY") if "radiusX" in value else ("x", "y", "width", "height")
    numbers = [value.get(key) for key in keys] + [value.get("rotation") or 0]
    if not all(isinstance(number, int | float) for number in numbers):
        raise DatasetError(f"{where}: its {', '.join(keys)} are {numbers[:4]}, expected numbers")
    x, y, width, height, turned = (float(number or 0) for number in numbers)
    x, y, width, height = x * per_cent[0], y * per_cent[1], width * per_cent[0], height * per_cent[1]
    if "radiusX" in value:
        return ellipse(label, where, x, y, width, height, turned)
    return rectangle(label, where, x, y, x + width, y + height, turned, (x, y))


def _brush(found: Any, size: Size, where: str) -> np.ndarray:
    try:
        return brush.decode(found, size) > 0
    except (ValueError, TypeError, OverflowError) as error:
        raise DatasetError(f"{where}: its run lengths are damaged ({error}): export it again") from error


def _configured(root: Path, used: set[str], notes: Notes) -> tuple[list[str] | None, dict[str, Rgb]]:
    """Classes and colours of a labelling configuration in the folder, where it lists all that are used."""
    for path in sorted(root.glob("*.xml")):
        if Look(path).elements[:1] != ["View"]:
            continue
        colors: dict[str, Rgb] = {}
        names = []
        for label in load_xml(path).iter("Label"):
            names.append(label.get("value", ""))
            if found := _COLOR.match(label.get("background", "")):
                red, green, blue = bytes.fromhex(found[1])
                colors[names[-1]] = (red, green, blue)
        names = list(dict.fromkeys(names))
        if names and used <= set(names):
            notes.add("classes in the order of a labelling configuration that lies beside the file", str(path))
            return names, colors
    return None, {}


def _is_one(look: Look) -> bool:
    if look.start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"[":
        return False
    of_task = {"[].annotations[]", "[].completions[]", "[].predictions[]"}
    if look.keys & of_task and ("[].data" in look.keys or "[].data" in look.more):
        return True
    keys = look.more if {"[].annotation_id", "[].annotator", "[].id"} & look.keys else look.keys
    return {"[].annotation_id", "[].annotator"} <= keys


FORM = Form("label-studio", "Label Studio", "a JSON list of tasks, with annotations", _is_one, read)

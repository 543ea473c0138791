"""Tables of run lengths as Kaggle's competitions have them: a picture and `start length start length ...` a row.

Pixels are counted from 1, down the columns; Carvana's go along the rows, and SIIM's starts are relative to the end of
the run before: `run_order` says so.  Several rows of a picture are its objects, an empty one has none.  The class is a
column, or stands in the picture's column after its name, as `a.jpg_2`; where there is none, all is of one class.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble
from tarsia.annotations.source import Annotations, Notes
from tarsia.errors import DatasetError, RecipeError, nearest
from tarsia.pictures.find import SUFFIXES
from tarsia.polygons.fill import Size, bitmap_runs

ORDERS = ("columns", "rows", "relative")
ONE_CLASS = "object"
_PICTURE = ("imageid", "image", "img", "id", "filename", "imageidclassid", "imagelabel", "imagename", "name")
_RUNS = ("encodedpixels", "rlemask", "rle", "annotation", "segmentation", "pixels")
_CLASS = ("classid", "class", "label", "category", "classname", "attribute")
_BOTH = re.compile(r"(.+\.[A-Za-z]{3,4})_([^_]+)$")
_NONE = ("", "-1", "nan", "NaN")


def read(source: Found, reading: Reading) -> Annotations:
    """Tables -> their pictures, which lie below the files' folder or `reading.images`, and say how large they are."""
    order = reading.run_order or "columns"
    if order not in ORDERS:
        raise RecipeError(f"run_order={order!r}{nearest(order, ORDERS)}: expected one of {', '.join(ORDERS)}")
    notes = Notes()
    records: dict[str, Record] = {}
    for path in source.files:
        picture, runs, named = _columns(path, reading.class_from)
        for number, row in _rows(path):
            where = f"{path}:{number}"
            if len(row) <= max(picture, runs, named if named is not None else 0):
                reading.faults.add(f"{where}: {len(row)} columns, expected as many as in the first line")
                continue
            name, label = row[picture].strip(), ONE_CLASS if named is None else _class(row[named])
            if named is None and (both := _BOTH.match(name)):
                name, label = both[1], _class(both[2])
            stem = Path(name).suffix.lower() not in SUFFIXES
            record = records.setdefault(name, Record(f"{path}: {name}", name, stem=stem))
            if row[runs].strip() not in _NONE and label:
                record.shapes.append(Shape(label, f"{where} ({label})", partial(_drawn, row[runs], order, where)))
    labels = {shape.label for record in records.values() for shape in record.shapes}
    if labels <= {ONE_CLASS}:
        notes.add(f"no column says a class: all are of one, {ONE_CLASS}, to be renamed in dataset.yaml", "")
    found = list(records.values())
    return assemble(found, [source.root], reading, list(source.files), notes, names=sorted(labels, key=_by_number))


def _by_number(name: str) -> tuple[int, str]:
    digits = name.removeprefix("class_")
    return (int(digits) if digits.isdecimal() else 0, name)


def _class(text: str) -> str:
    text = text.strip()
    return f"class_{text}" if text.isdecimal() else text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _columns(path: Path, class_from: str | None) -> tuple[int, int, int | None]:
    """Which columns hold the picture, the run lengths, and the class."""
    names = Look(path).columns
    plain = [_plain(name) for name in names]
    picture = next((plain.index(name) for name in _PICTURE if name in plain), None)
    runs = next((plain.index(name) for name in _RUNS if name in plain), None)
    if picture is None or runs is None:
        raise DatasetError(f"{path}: its columns are {', '.join(names)}, expected a picture's and its run lengths'")
    if class_from is not None:
        if class_from not in names:
            raise DatasetError(f"{path}: no column is called {class_from}{nearest(class_from, names)}")
        return picture, runs, names.index(class_from)
    return picture, runs, next((plain.index(name) for name in _CLASS if name in plain), None)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines below the first with their numbers."""
    csv.field_size_limit(1 << 30)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file)
            next(table, None)
            for row in table:
                if row:
                    yield table.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _drawn(text: str, order: str, where: str, size: Size) -> np.ndarray:
    """Starts and lengths -> runs along the rows of a picture."""
    starts, lengths = _numbers(text.split(), where)
    pixels = size[0] * size[1]
    if order == "relative":
        starts = np.cumsum(starts) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    else:
        starts = starts - 1
    stops = starts + lengths
    wrong = "its runs overlap, or are not in order" if (starts[1:] < stops[:-1]).any() else ""
    if (starts < 0).any() or (stops > pixels).any():
        wrong = f"a run goes from {starts[0] + 1} to {stops.max()}, the picture has {pixels} pixels"
    if wrong:
        how = "of another picture's size, or counted otherwise: say with `run_order` (columns, rows, relative)"
        raise DatasetError(f"{where}: {wrong}: {how}")
    if order == "rows":
        return np.stack([starts, stops], axis=1)
    turns = np.zeros(pixels + 1, np.int8)
    np.add.at(turns, starts, 1)
    np.add.at(turns, stops, -1)
    mask_WH = np.cumsum(turns[:-1], dtype=np.int8).reshape(size[1], size[0])
    return bitmap_runs(mask_WH.T.astype(bool), (0, 0), size)


def _numbers(words: Sequence[str], where: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        numbers = np.array([int(word) for word in words], np.int64)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: its run lengths are {' '.join(words)!r:.60}, expected whole numbers") from error
    if len(numbers) % 2 or (numbers[1::2] < 1).any() or (np.abs(numbers) > 1 << 40).any():
        raise DatasetError(
            f"{where}: its run lengths are {' '.join(words)!r:.60}, expected starts and lengths by turns"
        )
    return numbers[::2], numbers[1::2]


def _is_one(look: Look) -> bool:
    plain = {_plain(name) for name in look.columns}
    return bool(plain & {"encodedpixels", "rlemask", "rle"}) or {"id", "annotation"} <= plain


FORM = Form(
    "run-lengths",
    "tables of run lengths",
    "a CSV with EncodedPixels, rle_mask or rle",
    _is_one,
    read,
    suffixes=(".csv",),
    takes=("images", "classes", "background", "class_from", "run_order"),
)

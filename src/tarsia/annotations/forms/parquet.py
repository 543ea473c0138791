"""Hugging Face's parquet: a picture and its mask in each row, as files within the table.  Needs the extra `parquet`.

Format: the source of its `Image` feature: a struct of bytes and path, of which one may be missing, or plain bytes.  The
column of masks is called label, annotation, mask or segmentation, or as `class_from` says.  Names of classes come from
the features that the file describes, or from `classes`.  Files called train-00000-of-00002 are of one split.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.source import Annotations, Frame, Notes, Picture, frame, plain_name
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import LabelTable, distinct_colors
from tarsia.errors import DatasetError, nearest, needs
from tarsia.pictures.labels import read_label

_PICTURES = ("image", "pixel_values", "picture", "img", "photo")
_MASKS = ("label", "annotation", "mask", "segmentation", "labels", "segmentation_mask", "gt", "annotated")
_PART = re.compile(r"-\d+-of-\d+.*$")


class _Row(NamedTuple):
    """A row of a file, and what its columns are called."""

    path: Path
    number: int
    picture: str
    mask: str
    split: str
    place: int  # among the rows of its split

    @property
    def where(self) -> str:
        return f"{self.path}: row {self.number}"


def read(source: Found, reading: Reading) -> Annotations:
    """Parquet files -> their rows, each with the picture's file within."""
    notes, rows = Notes(), []
    names: list[str] = []
    counts: Counter[str] = Counter()
    for path in source.files:
        columns, own = _columns(path, reading.class_from)
        names, split = names or own, _PART.sub("", path.stem)
        rows += [_Row(path, number, *columns, split, counts[split] + number) for number in range(_count(path))]
        counts[split] += _count(path)
    parts = tuple(counts) if len(counts) > 1 else ()
    highest, found = 0, []
    for row in rows:
        split = row.split if parts else ""
        with reading.faults.of(row.where):
            stored, seen, file = _checked(row, notes)
            highest = max(highest, int(stored[stored != IGNORED].max(initial=0)))
            name = plain_name(f"{_stem(row)}{file}", row.where)
            found.append((row, name, file, seen, split))
    given = reading.classes or _classes(names, highest, notes)
    pictures = []
    for row, name, file, seen, split in found:
        with reading.faults.of(row.where):
            given.table(_mask(row), row.where)
            content = partial(_content, row.path, row.picture, row.number)
            draw = partial(_drawn, row, given, seen)
            pictures.append(Picture(name, Path(name + file), draw, 0, split, content))
    return Annotations(given.classes, pictures, list(source.files), notes, parts)


def _drawn(row: _Row, given: ClassList, seen: Frame) -> np.ndarray:
    return seen.upright(given.table(_mask(row), row.where))


def _checked(row: _Row, notes: Notes) -> tuple[np.ndarray, Frame, str]:
    """The mask, how it lies on its picture, and the suffix of the picture's file."""
    stored = _mask(row)
    content = _content(row.path, row.picture, row.number)
    seen = frame(row.path, (stored.shape[0], stored.shape[1]), row.where, notes, content)
    for start, suffix in ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"II*\0", ".tif"), (b"MM\0*", ".tif")):
        if content.startswith(start):
            return stored, seen, suffix
    return stored, seen, ".webp" if content[8:12] == b"WEBP" else ".bin"


def _stem(row: _Row) -> str:
    """What a picture is called: by its path, where that is one, else by its row."""
    value = _table(row.path).column(row.picture)[row.number].as_py()
    text = value.get("path") if isinstance(value, dict) else None
    stem = PurePosixPath(str(text).replace("\\", "/")).stem if text else ""
    return f"{row.split}-{row.place:06d}" + (f"-{stem}" if stem else "")


def _mask(row: _Row) -> np.ndarray:
    try:
        stored = read_label(_content(row.path, row.mask, row.number))
    except DatasetError as error:
        told = " ".join(error.args)
        raise DatasetError(told if row.where in told else f"{row.where}: its {row.mask}: {told}") from error
    if stored.ndim != 2:
        raise DatasetError(f"{row.where}: its {row.mask} is in colours, expected one band of class numbers")
    return stored


def _content(path: Path, column: str, number: int) -> bytes:
    value = _table(path).column(column)[number].as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise DatasetError(f"{path}: row {number}: its {column} has no bytes, only {value!r:.60}: embed the files")
    return content


@lru_cache(maxsize=1)
def _table(path: Path) -> Any:
    with needs("parquet", "parquet"):
        import pyarrow.parquet as parquet
    try:
        return parquet.read_table(path, memory_map=True)
    except Exception as error:  # whatever pyarrow raises of a damaged file
        raise DatasetError(f"{path}: damaged, or no parquet ({error}): get the file again") from error


def _count(path: Path) -> int:
    return int(_table(path).num_rows)


def _columns(path: Path, class_from: str | None) -> tuple[tuple[str, str], list[str]]:
    """The columns of pictures and of masks, and the classes' names where the file describes them."""
    schema = _table(path).schema
    features = _features(schema.metadata or {})
    likely = [
        name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") == "Image"
    ]
    likely = likely or list(schema.names)
    picture = next((name for name in _PICTURES if name in likely), likely[0])
    masks = [name for name in _MASKS if name in likely and name != picture]
    masks = masks or [name for name in likely if name != picture]
    if class_from is not None:
        if class_from not in schema.names:
            raise DatasetError(f"{path}: no column is called {class_from}{nearest(class_from, schema.names)}")
        masks = [class_from]
    if len(masks) != 1:
        listed = ", ".join(schema.names)
        raise DatasetError(f"{path}: which of {listed} holds the masks? Say with `class_from`")
    names = list(_named(features))
    return (picture, masks[0]), names


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(features: Any) -> Iterator[str]:
    """The names of the first list of classes that the features describe."""
    for feature in features.values() if isinstance(features, dict) else features if isinstance(features, list) else ():
        if (
            isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and isinstance(feature.get("names"), list)
        ):
            yield from map(str, feature["names"])
            return
        if isinstance(feature, dict | list) and (found := list(_named(feature))):
            yield from found
            return


def _classes(names: list[str], highest: int, notes: Notes) -> ClassList:
    if not names:
        if highest >= MAX_CLASSES:
            raise DatasetError(f"a mask holds the value {highest}: say with `classes` what each value means")
        names = [f"class_{number}" for number in range(highest + 1)]
        notes.add("classes named by their number, to be renamed in dataset.yaml", names[0], len(names))
    table = {index: index for index in range(len(names))} | {IGNORED: IGNORED}
    classes = Classes(names=tuple(names), colors=tuple(distinct_colors(len(names))))
    return ClassList(classes, LabelTable(table, {}, ""), False, dict(enumerate(names)))


def _is_one(look: Look) -> bool:
    return look.start.startswith(b"PAR1")


FORM = Form(
    "parquet",
    "parquet",
    "parquet files with pictures and masks",
    _is_one,
    read,
    suffixes=(".parquet",),
    takes=("classes", "class_from"),
    refusals={
        "images": "`images` is not for parquet, which holds its pictures",
        "background": "`background` is for polygons: masks have a class everywhere; edit dataset.yaml afterwards",
    },
)

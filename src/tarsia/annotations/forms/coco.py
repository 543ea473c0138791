"""COCO instances: one JSON for all pictures, with polygons or run lengths.

Format: cocodataset.org, "Data format", object detection.  Classes are in the order of the categories' ids, which may
be text.  The polygons of one annotation belong together; what `iscrowd` regions are, crowds.py says.  Run lengths are
unpacked only where they are for the picture's size.  A picture that is named as on another machine, or by a URL, is
looked for by the last parts of its path.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.annotations.anew import Anew
from tarsia.annotations.crowds import Crowds, is_crowd
from tarsia.annotations.faults import Faults
from tarsia.annotations.finding import Place
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.forms._coco_file import CocoFile, called
from tarsia.annotations.forms._coco_lists import INSTANCES, Id, categories, id_of, in_order, splits_of
from tarsia.annotations.forms._coco_places import Places
from tarsia.annotations.forms._coco_regions import regions
from tarsia.annotations.look import Look
from tarsia.annotations.source import (
    TOO_SMALL,
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    declared_size,
    frame,
    plain_name,
    require_file,
    without_objects,
)
from tarsia.card import IGNORED
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError
from tarsia.polygons.fill import Shape, paint

_TABLES = (
    "CREATE TABLE sound(place INTEGER PRIMARY KEY, name, path, height, width, orientation, objects)",
    "CREATE TABLE noted(place INTEGER PRIMARY KEY)",  # drawn once, with regions without a pixel
)


@dataclass
class _Together:
    """What is the same for all files of a data set, and what they have in common."""

    images: Path | None
    faults: Faults
    notes: Notes = field(default_factory=Notes)
    names: dict[Id, Any] = field(default_factory=dict)
    labels: dict[Id, int] = field(default_factory=dict)
    crowds: Crowds = field(default_factory=Crowds)
    crowds_taken: bool = True
    fill: int = 0


def read(source: Found, asked: Reading) -> Annotations:
    """COCO files -> their pictures; several files are splits of one data set, with the same categories.

    Pictures are looked for in `asked.images`, in its subfolder named like the split, or without it near the file.
    What regions marked iscrowd are, `asked.crowd` says, or `Crowds` finds out.  `asked.faults` takes whatever is
    missing, unknown or malformed, with the file and the entry.  Raises DatasetError for what concerns all pictures.

    Memory holds none of the images and annotations: these are read once to know where they stand, once to be checked,
    and again where they are drawn.
    """
    files, faults = source.files, asked.faults
    reading, found, numbering = _Together(asked.images, faults), list[_Sound](), None
    splits = splits_of(files)
    colors: dict[str, Rgb] = {}
    for left_out in source.left_out:
        reading.notes.add("COCO files that are no instances_*.json, left out", str(left_out))
    for path, split in zip(files, splits, strict=True):
        file: CocoFile | None = None
        with faults.of() if len(files) > 1 else contextlib.nullcontext():
            file = CocoFile(path)
        if file is None:
            continue
        names, own_colors = categories(path, file.tree)
        colors |= own_colors
        if numbering is not None and names != reading.names:
            raise DatasetError(f"{path}: its categories are not those of {files[0]}: convert the two files one by one")
        numbering = Numbering([names[number] for number in in_order(names)], asked.background, str(path), colors)
        reading.names, reading.labels = names, {number: numbering.of[name] for number, name in names.items()}
        found.append(_Sound(file, split, split if len(files) > 1 else "", reading))
    if numbering is None:
        raise DatasetError(f"none of {len(files)} COCO files could be read")
    reading.fill = numbering.fill
    reading.crowds_taken = reading.crowds.objects(asked.crowd, reading.names, asked.typed, reading.notes)
    for one in found:
        one.note_empty()
    pictures = Anew(sum(map(len, found)), lambda: itertools.chain.from_iterable(found))
    parts = tuple(splits) if len(files) > 1 else ()
    return Annotations(numbering.classes(), pictures, list(files), reading.notes, parts, numbering.added)


def _chosen(files: list[Path], others: list[Path]) -> tuple[list[Path], list[Path]]:
    """The files of regions, and those of captions and keypoints beside them.

    An empty or damaged file that stands for a split is one of the first, and a fault.
    """
    names = {path.name for path in files}
    wanted = [path for path in others if not files or path.name.startswith(INSTANCES) or path.name in names]
    files = sorted([*files, *wanted])
    instances = [path for path in files if path.name.startswith(INSTANCES)] or files
    return instances, [path for path in files if path not in instances]


class _Sound:
    """The pictures of a file in which nothing is wrong, made when they are asked for, their regions when drawn."""

    def __init__(self, file: CocoFile, split: str, part: str, reading: _Together) -> None:
        self._file, self._part, self._reading = file, part, reading
        for table in _TABLES:
            file.scratch.do(table)
        file.require_images(reading.faults)
        places = Places(file, split, reading.images, reading.faults)
        if next(iter(places), None) is not None:
            file.require_known(reading.faults)
        for place, entry, found in places:
            self._check(place, entry, found)

    def _check(self, place: int, entry: dict[str, Any], found: Place) -> None:
        """Keep a picture, but where something is wrong with it or one of its regions."""
        faults, notes, where = self._reading.faults, Notes(), f"{self._file.path}: image {entry['id']}"
        picture = f"{found.path} ({self._part})" if self._part else str(found.path)
        objects = 0
        with faults.of(picture):
            require_file(found.path, where)
            name = plain_name(found.relative, where)
            seen = frame(found.path, declared_size(entry, "height", "width", where), where, notes)
            for annotation in self._file.annotations(place):
                with faults.of(picture):
                    of, category, crowd = self._kind(annotation)
                    self._reading.crowds.add(category, crowd, of)
                    objects += len(regions(annotation, self._reading.labels[category], seen, of, notes))
            if picture not in faults:
                self._reading.notes.take(notes)
                both = (os.fsencode(name), os.fsencode(found.path))
                self._file.scratch.add("sound", place, *both, *seen.size, seen.orientation, objects)

    def _kind(self, annotation: dict[str, Any]) -> tuple[str, Id, bool]:
        """Where an annotation stands, its category, and whether it is marked iscrowd."""
        where = f"{self._file.path}: {called(annotation)}"
        category = id_of(annotation.get("category_id"))
        if category is None or category not in self._reading.labels:
            found = annotation.get("category_id")
            raise DatasetError(f"{where}: its category is {found!r}, which is not among the categories")
        return where, category, is_crowd(annotation.get("iscrowd"), where)

    def note_empty(self) -> None:
        """Note the pictures without regions."""
        empty = "FROM sound WHERE objects = 0"
        count, first = self._file.scratch.one(f"SELECT count(*), min(place) {empty}")
        if count:
            name = self._file.scratch.one("SELECT name FROM sound WHERE place = ?", first)
            self._reading.notes.add(without_objects(self._reading.fill), os.fsdecode(name), count)

    def __len__(self) -> int:
        return int(self._file.scratch.one("SELECT count(*) FROM sound"))

    def __iter__(self) -> Iterator[Picture]:
        for place, *kept, height, width, orientation, count in self._file.scratch.rows("SELECT * FROM sound"):
            name, path = map(os.fsdecode, kept)
            draw = partial(self._draw, place, name, Frame((height, width), orientation))
            yield Picture(name, Path(path), draw, count, self._part)

    def _draw(self, place: int, name: str, seen: Frame) -> np.ndarray:
        found: list[Shape] = []
        for annotation in self._file.annotations(place):
            where, category, crowd = self._kind(annotation)
            label = IGNORED if crowd and not self._reading.crowds_taken else self._reading.labels[category]
            found += regions(annotation, label, seen, where, Notes())
        label_HW, empty = paint(found, seen.size, self._reading.fill)
        if empty and not self._file.scratch.one("SELECT count(*) FROM noted WHERE place = ?", place):
            self._reading.notes.add(TOO_SMALL, name, empty)
            self._file.scratch.do("INSERT INTO noted VALUES (?)", place)
        return seen.upright(label_HW)


def _is_one(look: Look) -> bool:
    found = look.keys if look.keys & {"images[]", "annotations[]", "categories[]"} else look.more
    if not found & {"images[]", "annotations[]", "categories[]"} or found & {"items[]", "shapes[]"}:
        return False
    return not look.contains(b'"segments_info"') and not ("images[]" not in found and b'"Label Studio"' in look.start)


FORM = Form(
    "coco",
    "COCO",
    "a JSON with images, annotations and categories",
    _is_one,
    read,
    takes=("images", "background", "crowd"),
    refusals={"classes": "`classes` is not for COCO: its file names the categories; edit dataset.yaml afterwards"},
    chosen_of=_chosen,
)

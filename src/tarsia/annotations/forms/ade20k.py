"""The whole ADE20K: beside each picture NAME.jpg a NAME_seg.png, and its objects in NAME.json or NAME_atr.txt.

Format: groups.csail.mit.edu/vision/datasets/ADE20K.  A pixel's number is red // 10 * 256 + green; 0 is nothing.  Since
2020 `name_ndx` of an object is the number of its name.  In 2016 and 2017 lines say

    instance # level of part # occluded # names # raw name # "attributes"

and the instance k is where blue holds the k-th of its values above 0: the number of its name is the one that the most
of these pixels have.  There are thousands of classes: `classes` lists those to keep, by numbers
or by names (a whole name, or the first of its words before a comma), and everything else is the background.  JSON files
are Latin-1.  Folders called training and validation are the splits train and val.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.annotations.class_list import ClassList
from tarsia.annotations.finding import Pictures, Place
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.source import Annotations, Notes, Numbering, Picture, frame, is_file, plain_name
from tarsia.annotations.trees import entries
from tarsia.card import IGNORED, MAX_CLASSES
from tarsia.errors import DatasetError
from tarsia.pictures.labels import read_label

_NUMBERS = 26 * 256  # that red and green can say
_SPLITS = {"training": "train", "validation": "val"}


_LINES = "_atr"  # the end of the name of their file
_LINE = re.compile(r"\s*(\d+) # (\d+) # [01] # ([^#]+) # ")


class _Scene(NamedTuple):
    """A file of objects: its picture, mask, split, and the numbers and names of its objects (not of their parts)."""

    path: Path
    place: Place
    mask: Path
    split: str
    names: dict[int, str]


def read(source: Found, reading: Reading) -> Annotations:
    """Files of objects below a folder -> their pictures, which lie beside them or below `reading.images`."""
    notes, scenes = Notes(), []
    pictures = Pictures([reading.images or source.root])
    files = [path for path in source.files if path.suffix.lower() != ".txt" or path.stem.endswith(_LINES)]
    for path in files:
        with reading.faults.of(path):
            scenes.append(_scene(path, source.root, pictures, reading.images is None))
    names: dict[int, str] = {}
    for scene in scenes:
        names |= {number: name for number, name in scene.names.items() if number not in names}
    numbering, table = _numbered(names, reading, str(source.root), notes)
    there = {scene.split for scene in scenes}
    splits = tuple(split for split in _SPLITS.values() if split in there) if len(there) > 1 else ()
    found: list[Picture] = []
    for scene in console.track(scenes, len(scenes), "reading masks"):
        with reading.faults.of(str(scene.place.path)):
            found.append(_picture(scene, table, scene.split if splits else "", names, notes))
    return Annotations(numbering.classes(), found, files, notes, splits, numbering.added)


def _scene(path: Path, root: Path, pictures: Pictures, beside: bool) -> _Scene:
    if path.suffix.lower() == ".txt":
        stem = path.stem.removesuffix(_LINES)
        name, mask = f"{stem}.jpg", path.with_name(f"{stem}_seg.png")
        names = _of_lines(path, mask)
    else:
        name, names = _of_json(path)
        mask = path.with_name(f"{path.stem}_seg.png")
    own = path.parent / name
    if beside and own.parent == path.parent and is_file(own):
        place = Place(own, own.relative_to(root).as_posix())
    else:
        place = pictures.find(f"{path.parent.name}/{name}", str(path))
    split = next((_SPLITS[part] for part in path.relative_to(root).parts if part in _SPLITS), "")
    return _Scene(path, place, mask, split, names)


def _of_lines(path: Path, mask: Path) -> dict[int, str]:
    """The names of NAME_atr.txt by the numbers that their instances have in the mask."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    read = [(number, _LINE.match(line)) for number, line in enumerate(lines, 1) if line.strip()]
    wrong = next((number for number, found in read if found is None), None)
    if wrong is not None:
        raise DatasetError(f"{path}:{wrong}: no object of ADE20K ({lines[wrong - 1][:60]!r}): get the file again")
    objects = {int(found[1]): found[3].strip() for _, found in read if found and found[2] == "0"}
    numbers_HW, blue_HW = _numbers(mask), read_label(mask)[..., 2]
    names: dict[int, str] = {}
    for instance, value in enumerate(np.unique(blue_HW[blue_HW > 0]).tolist(), 1):
        seen, counts = np.unique(numbers_HW[blue_HW == value], return_counts=True)
        if instance in objects:
            names.setdefault(int(seen[counts.argmax()]), objects[instance])
    return names


def _of_json(path: Path) -> tuple[str, dict[int, str]]:
    """The picture's file name, and the names of its objects by their numbers."""
    try:
        tree = json.loads(path.read_bytes().decode("latin-1"))["annotation"]
        name, objects = tree["filename"], entries(tree, "object", str(path))
        if not isinstance(name, str):
            raise TypeError(f"its filename is {name!r:.60}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path}: no objects of ADE20K ({error}): get the file again") from error
    names: dict[int, str] = {}
    for number, entry in enumerate(objects):
        index, called = entry.get("name_ndx"), entry.get("name")
        if type(index) is not int or not 0 <= index < _NUMBERS or not isinstance(called, str):
            raise DatasetError(f"{path}: object {number}: {called!r:.60} has the number {index!r:.20}")
        if not _level(entry):
            names[index] = called.strip()
    return name, names


def _level(entry: dict[str, Any]) -> int:
    """0 for an object, more for a part of one."""
    parts = entry.get("parts")
    level = parts.get("part_level") if isinstance(parts, dict) else 0
    return level if isinstance(level, int) else 0


def _numbered(names: Mapping[int, str], reading: Reading, where: str, notes: Notes) -> tuple[Numbering, np.ndarray]:
    """The classes, and the label of every number that a mask may hold."""
    given, short = reading.classes, _short(names)
    of: dict[int, str | None]
    if given is None:
        most = MAX_CLASSES - (reading.background is not None)
        if len(names) > most:
            raise DatasetError(
                f"{where}: {len(names)} classes, and {most} are the most that a model has: list those to keep, by "
                "names or numbers, in a file, and say with `classes` where it is"
            )
        of = dict(sorted(short.items()))
        listed = [short[number] for number in of]
    else:
        of, listed = _listed(given, names, short), list(given.classes.names)
        for name in listed:
            notes.add("classes of the list that no picture has", name, int(name not in of.values()))
    numbering = Numbering(listed, reading.background, where)
    table = np.full(_NUMBERS, numbering.fill, np.uint8)
    for number, kept in of.items():
        table[number] = IGNORED if kept is None else numbering.of[kept]
    return numbering, table


def _short(names: Mapping[int, str]) -> dict[int, str]:
    """The first word of each name, or all of it where several begin so."""
    first = {number: name.partition(",")[0].strip() for number, name in names.items()}
    count = Counter(first.values())
    return {number: word if count[word] == 1 else names[number] for number, word in first.items()}


def _listed(given: ClassList, names: Mapping[int, str], short: Mapping[int, str]) -> dict[int, str | None]:
    """What the numbers that a list keeps are called; None for what it ignores."""
    if given.numbered:
        return {number: name for number, name in given.numbers.items() if 0 < number < _NUMBERS}
    wanted: dict[str, str | None] = {name: name for name in given.classes.names} | dict.fromkeys(given.ignored)
    both = {number: next((one for one in (names[number], short[number]) if one in wanted), None) for number in names}
    return {number: wanted[word] for number, word in both.items() if word is not None}


def _picture(scene: _Scene, table: np.ndarray, split: str, names: Mapping[int, str], notes: Notes) -> Picture:
    own, where = Notes(), str(scene.path)
    numbers_HW = _numbers(scene.mask)
    seen = frame(scene.place.path, (numbers_HW.shape[0], numbers_HW.shape[1]), str(scene.mask), own)
    strange = sorted(set(np.unique(numbers_HW).tolist()) - names.keys() - {0})
    if strange and scene.names and not set(np.unique(numbers_HW).tolist()) & names.keys():
        raise DatasetError(f"{where}: no object of {scene.mask} has a number of its names: they are of two releases")
    notes.take(own)
    notes.add("numbers in masks that no object has", f"{scene.mask}: {strange[:1]}", len(strange))
    name = plain_name(scene.place.relative, where)
    return Picture(name, scene.place.path, partial(_drawn, scene.mask, table, seen.upright), len(scene.names), split)


def _drawn(mask: Path, table: np.ndarray, upright: Any) -> np.ndarray:
    label_HW: np.ndarray = upright(table[_numbers(mask)])
    return label_HW


def _numbers(mask: Path) -> np.ndarray:
    """H x W numbers of classes."""
    if not is_file(mask):
        raise DatasetError(f"{mask}: no such mask: get the files again")
    stored = read_label(mask)
    if stored.ndim != 3:
        raise DatasetError(f"{mask}: one number a pixel, expected red and green: get the file again")
    return stored[..., 0].astype(np.uint16) // 10 * 256 + stored[..., 1]


def _is_one(look: Look) -> bool:
    if look.path.suffix.lower() == ".txt":
        return _LINE.match(look.start.decode("utf-8", "replace")) is not None
    if b'"annotation"' not in look.start:  # else the whole of every large JSON would be looked at
        return False
    return {"annotation.filename", "annotation.scene"} <= look.keys or "annotation.object[].name_ndx" in look.more


FORM = Form(
    "ade20k",
    "the whole ADE20K",
    "JSON files, or _atr.txt, beside pictures and their _seg.png",
    _is_one,
    read,
    suffixes=(".json", ".txt"),
    per_picture=True,
)

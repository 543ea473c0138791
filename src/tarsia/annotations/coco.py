"""COCO instances: one JSON for all pictures, with polygons or run lengths.

Format: cocodataset.org, "Data format", object detection.  Classes are in the order of the categories' ids.  The
polygons of one annotation belong together; what `iscrowd` regions are, crowds.py says.  Run lengths are unpacked only
where they are for the picture's size.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from tarsia.annotations.crowds import Crowds, is_crowd
from tarsia.annotations.detect import INSTANCES, Asked, Source
from tarsia.annotations.faults import Faults
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    check_extent,
    coordinates,
    declared_size,
    entries,
    frame,
    inside,
    is_file,
    painted,
    plain_name,
    read_json,
    require_file,
)
from tarsia.card import IGNORED
from tarsia.errors import DatasetError
from tarsia.pictures.files import shown
from tarsia.plain_text import some
from tarsia.polygons.fill import Shape, Size, polygon_runs, rle_counts, rle_runs


class _Found(NamedTuple):
    """A picture whose regions are known; `crowds`: which of them are marked iscrowd."""

    name: str
    path: Path
    regions: list[Shape]
    crowds: list[bool]
    frame: Frame
    split: str


@dataclass
class _Reading:
    """What is the same for all files of a data set, and what they have in common."""

    images: Path | None
    faults: Faults
    notes: Notes = field(default_factory=Notes)
    names: dict[int, Any] = field(default_factory=dict)
    labels: dict[int, int] = field(default_factory=dict)
    crowds: Crowds = field(default_factory=Crowds)


def read(source: Source, asked: Asked, faults: Faults) -> Annotations:
    """COCO files -> their pictures; several files are splits of one data set, with the same categories.

    Pictures are looked for in `asked.images`, in its subfolder named like the split, or without it near the file.
    `faults` takes whatever is missing, unknown or malformed, with the file and the entry.  Raises DatasetError for what
    concerns all pictures.
    """
    files = source.coco
    reading, found, numbering = _Reading(asked.images, faults), [], None
    splits = _splits(files)
    for path, split in zip(files, splits, strict=True):
        tree: dict[str, Any] | None = None
        with faults.of() if len(files) > 1 else contextlib.nullcontext():
            tree = read_json(path)
        if tree is None:
            continue
        names = _categories(path, tree)
        if numbering is not None and names != reading.names:
            raise DatasetError(f"{path}: its categories are not those of {files[0]}: convert the two files one by one")
        numbering = Numbering([names[number] for number in sorted(names)], asked.background, str(path))
        reading.names, reading.labels = names, {number: numbering.of[name] for number, name in names.items()}
        found += _pictures(path, tree, split, split if len(files) > 1 else "", reading)
    if numbering is None:
        raise DatasetError(f"none of {len(files)} COCO files could be read")
    objects = reading.crowds.objects(asked.crowd, reading.names, asked.words, reading.notes)
    pictures = []
    for one in found:
        marked = zip(one.regions, one.crowds, strict=True)
        regions = [region._replace(label=IGNORED) if crowd and not objects else region for region, crowd in marked]
        pictures.append(painted(one.name, one.path, regions, one.frame, numbering.fill, reading.notes, one.split))
    for left_out in source.left_out:
        reading.notes.add("COCO files that are no instances_*.json, left out", str(left_out))
    parts = tuple(splits) if len(files) > 1 else ()
    return Annotations(numbering.classes(), pictures, list(files), reading.notes, parts)


def _splits(files: Sequence[Path]) -> list[str]:
    """What each file's split is called: by its own name, or by its folder's where the files' names are equal."""
    stems = [path.stem.removeprefix(INSTANCES) for path in files]
    if len(set(stems)) < len(files):
        stems = [path.absolute().parent.name for path in files]
    if len(set(stems)) < len(files):
        listed = ", ".join(str(path) for path in files)
        raise DatasetError(f"{listed}: which split is which? Name the files differently, or convert them one by one")
    return stems


def _pictures(path: Path, tree: dict[str, Any], split: str, part: str, reading: _Reading) -> list[_Found]:
    """The pictures of a file in which nothing is wrong."""
    faults = reading.faults
    listed, left_out = _images(path, tree, faults)
    relative: dict[int, str] = {}
    for number, entry in listed.items():
        with faults.of(f"{path}: image {number}"):
            relative[number] = inside(entry.get("file_name"), f"{path}: image {number}")
    if not relative:
        return []
    root = _root(path, split, reading.images, list(relative.values()))
    annotations: dict[int, list[dict[str, Any]]] = {}
    for entry in _objects(path, tree, "annotations", faults):
        of: Any = entry.get("image_id")
        if isinstance(of, int) and of in listed:
            annotations.setdefault(of, []).append(entry)
        elif not isinstance(of, int) or of not in left_out:
            faults.add(f"{path}: {_called(entry)} is of image {of!r}, which is not among its images")
    found = []
    for number, name in relative.items():
        picture = _picture(path, listed[number], root / name, name, annotations.pop(number, []), part, reading)
        found += [picture] if picture else []
    return found


def _picture(
    path: Path,
    entry: dict[str, Any],
    place: Path,
    relative: str,
    annotations: Sequence[dict[str, Any]],
    part: str,
    reading: _Reading,
) -> _Found | None:
    """A picture and its regions; None where something is wrong with one of them."""
    faults, notes, where = reading.faults, Notes(), f"{path}: image {entry['id']}"
    picture = f"{place} ({part})" if part else str(place)
    regions: list[Shape] = []
    crowds: list[bool] = []
    with faults.of(picture):
        require_file(place, where)
        name = plain_name(relative, where)
        seen = frame(place, declared_size(entry, "height", "width", where), where, notes)
        for annotation in annotations:
            with faults.of(picture):
                called = f"{path}: {_called(annotation)}"
                own, crowd = _regions(annotation, reading, seen, called, notes)
                regions += own
                crowds += [crowd] * len(own)
        if picture not in faults:
            reading.notes.take(notes)
            return _Found(name, place, regions, crowds, seen, part)
    return None


def _objects(path: Path, tree: dict[str, Any], key: str, faults: Faults) -> list[dict[str, Any]]:
    """The entries under `key`; one that is none is a fault."""
    found = tree.get(key)
    if not isinstance(found, list):
        entries(tree, key, str(path))  # says what it is
        return []
    for entry in found:
        if not isinstance(entry, dict):
            faults.add(f"{path}: one of its {key} is {entry!r:.60}, expected an object")
    return [entry for entry in found if isinstance(entry, dict)]


def _images(path: Path, tree: dict[str, Any], faults: Faults) -> tuple[dict[int, dict[str, Any]], set[int]]:
    """The images by id, and the ids that stand twice: whose annotations these are nobody knows."""
    listed = _objects(path, tree, "images", faults)
    if not listed:
        raise DatasetError(f"{path}: lists no images: there is nothing to convert")
    ids = [entry.get("id") for entry in listed]
    counts = Counter(number for number in ids if _is_id(number))
    for place, (number, entry) in enumerate(zip(ids, listed, strict=True)):
        called = f"{path}: image {entry.get('file_name', place)}"
        if not _is_id(number):
            faults.add(f"{called} has the id {number!r}, expected a whole number", called)
        elif counts[number] > 1:
            faults.add(f"{path}: id {number} stands twice among its images ({entry.get('file_name')})", called)
    good = {entry["id"]: entry for entry in listed if _is_id(entry.get("id")) and counts[entry["id"]] == 1}
    return good, {number for number, count in counts.items() if count > 1}


def _is_id(found: Any) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool)


def _categories(path: Path, tree: dict[str, Any]) -> dict[int, Any]:
    """Names by id; DatasetError for ids that are none or stand twice."""
    found: dict[int, Any] = {}
    for entry in entries(tree, "categories", str(path)):
        number = entry.get("id")
        if not _is_id(number):
            raise DatasetError(f"{path}: one of its categories has the id {number!r}, expected a whole number")
        if number in found:
            raise DatasetError(f"{path}: id {number} stands twice among its categories")
        found[number] = entry.get("name")
    return found


def _root(path: Path, split: str, images: Path | None, names: Sequence[str]) -> Path:
    """The folder that the pictures' names start from: the first in which one of them is."""
    if images is not None:
        places = [images, images / split]
    else:
        near, above = path.parent, path.parent.parent
        places = [near, near / "images", near / split, above / split, above / "images", above / "images" / split]
    for name in names:  # nearly always the first is there
        for place in places:
            if is_file(place / name):
                return place
    listed = ", ".join(str(place) for place in places)
    which = f"its {len(names)} pictures ({some(map(shown, names))}) are"
    if len(names) == 1:
        which = f"its picture {shown(names[0])} is"
    raise DatasetError(f"{path}: {which} in none of {listed}: say with `images` where the pictures are")


def _called(annotation: dict[str, Any]) -> str:
    return f"annotation {annotation.get('id', 'without id')}"


def _regions(
    annotation: dict[str, Any], reading: _Reading, seen: Frame, where: str, notes: Notes
) -> tuple[list[Shape], bool]:
    """The annotation's region, none where it has no area, which is noted; and whether it is marked iscrowd."""
    category = annotation.get("category_id")
    if not isinstance(category, int) or category not in reading.labels:
        raise DatasetError(f"{where}: its category is {category!r}, which is not among the categories")
    crowd = is_crowd(annotation.get("iscrowd"), where)
    reading.crowds.add(category, crowd, where)
    label = reading.labels[category]
    found = annotation.get("segmentation")
    if isinstance(found, dict):
        return [Shape(label, partial(rle_runs, _counts(found, seen.size, where)))], crowd
    if not found:
        raise DatasetError(f"{where}: has no segmentation, only a box: label maps need polygons or run lengths")
    if not isinstance(found, list) or not all(isinstance(ring, list) for ring in found):
        raise DatasetError(f"{where}: its segmentation is neither a list of polygons nor run lengths")
    rings = [coordinates(ring, where) for ring in found]
    notes.add("polygons of fewer than 3 points, left out", where, sum(len(ring) < 3 for ring in rings))
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return [], crowd
    points_N2 = np.concatenate(rings)
    if points_N2.min() >= 0 and points_N2.max() <= 1 and (points_N2 % 1).any():
        raise DatasetError(
            f"{where}: its coordinates are all between 0 and 1, as shares of the picture are: COCO's are pixels, "
            "multiply them by its width and height"
        )
    check_extent(points_N2, seen.size, where, notes)
    return [Shape(label, partial(polygon_runs, rings))], crowd


def _counts(found: dict[str, Any], size: Size, where: str) -> np.ndarray:
    """The run lengths of a segmentation, as many pixels as the picture has."""
    counts = found.get("counts")
    if found.get("size") != list(size):
        raise DatasetError(
            f"{where}: its run lengths are for a picture of {found.get('size')!r}, but it is {list(size)} "
            "(height, width)"
        )
    if isinstance(counts, str):
        try:
            counts = rle_counts(counts)
        except ValueError as error:
            raise DatasetError(f"{where}: its run lengths are damaged: {error}") from error
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise DatasetError(f"{where}: its run lengths are no list of counts and no text")
    if sum(counts) != size[0] * size[1]:
        pixels = size[0] * size[1]
        raise DatasetError(f"{where}: its run lengths add up to {sum(counts)} pixels, the picture has {pixels}")
    return np.array(counts, np.int64)

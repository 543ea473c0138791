"""COCO instances: one JSON for all pictures, with polygons or run lengths.

Format: cocodataset.org, "Data format", object detection.  Classes are in the order of the categories' ids, which may
be text.  The polygons of one annotation belong together; what `iscrowd` regions are, crowds.py says.  Run lengths are
unpacked only where they are for the picture's size.  A picture that is named as on another machine, or by a URL, is
looked for by the last parts of its path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.crowds import Crowds, is_crowd
from tarsia.annotations.faults import Faults
from tarsia.annotations.finding import Pictures, Place, elsewhere, without_hash
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.forms._coco_lists import INSTANCES, Id, categories, id_of, images, in_order, objects, splits_of
from tarsia.annotations.look import Look
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    check_extent,
    coordinates,
    declared_size,
    frame,
    inside,
    is_file,
    painted,
    plain_name,
    require_file,
)
from tarsia.annotations.trees import read_json
from tarsia.card import IGNORED
from tarsia.data._labels import Rgb
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
class _Together:
    """What is the same for all files of a data set, and what they have in common."""

    images: Path | None
    faults: Faults
    notes: Notes = field(default_factory=Notes)
    names: dict[Id, Any] = field(default_factory=dict)
    labels: dict[Id, int] = field(default_factory=dict)
    crowds: Crowds = field(default_factory=Crowds)


def read(source: Found, asked: Reading) -> Annotations:
    """COCO files -> their pictures; several files are splits of one data set, with the same categories.

    Pictures are looked for in `asked.images`, in its subfolder named like the split, or without it near the file.
    What regions marked iscrowd are, `asked.crowd` says, or `Crowds` finds out.  `asked.faults` takes whatever is
    missing, unknown or malformed, with the file and the entry.  Raises DatasetError for what concerns all pictures.
    """
    files, faults = source.files, asked.faults
    reading, found, numbering = _Together(asked.images, faults), [], None
    splits = splits_of(files)
    colors: dict[str, Rgb] = {}
    for left_out in source.left_out:
        reading.notes.add("COCO files that are no instances_*.json, left out", str(left_out))
    for path, split in zip(files, splits, strict=True):
        tree: dict[str, Any] | None = None
        with faults.of() if len(files) > 1 else contextlib.nullcontext():
            tree = read_json(path)
        if tree is None:
            continue
        names, own_colors = categories(path, tree)
        colors |= own_colors
        if numbering is not None and names != reading.names:
            raise DatasetError(f"{path}: its categories are not those of {files[0]}: convert the two files one by one")
        numbering = Numbering([names[number] for number in in_order(names)], asked.background, str(path), colors)
        reading.names, reading.labels = names, {number: numbering.of[name] for number, name in names.items()}
        found += _pictures(path, tree, split, split if len(files) > 1 else "", reading)
    if numbering is None:
        raise DatasetError(f"none of {len(files)} COCO files could be read")
    taken = reading.crowds.objects(asked.crowd, reading.names, asked.typed, reading.notes)
    pictures = []
    for one in found:
        marked = zip(one.regions, one.crowds, strict=True)
        regions = [region._replace(label=IGNORED) if crowd and not taken else region for region, crowd in marked]
        pictures.append(painted(one.name, one.path, regions, one.frame, numbering.fill, reading.notes, one.split))
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


def _pictures(path: Path, tree: dict[str, Any], split: str, part: str, reading: _Together) -> list[_Found]:
    """The pictures of a file in which nothing is wrong."""
    faults = reading.faults
    listed, left_out = images(path, tree, faults)
    places = _located(path, listed, split, reading)
    annotations: dict[Id, list[dict[str, Any]]] = {}
    for entry in objects(path, tree, "annotations", faults) if places else ():
        of = id_of(entry.get("image_id"))
        if of is not None and of in listed:
            annotations.setdefault(of, []).append(entry)
        elif of is None or of not in left_out:
            faults.add(f"{path}: {_called(entry)} is of image {entry.get('image_id')!r}, which is not among its images")
    found = []
    for number, place in places.items():
        picture = _picture(path, listed[number], *place, annotations.pop(number, []), part, reading)
        found += [picture] if picture else []
    return found


def _located(path: Path, listed: dict[Id, dict[str, Any]], split: str, reading: _Together) -> dict[Id, Place]:
    """Where each image's picture is."""
    relative: dict[Id, str] = {}
    far: dict[Id, str] = {}  # named as on another machine
    for number, entry in listed.items():
        with reading.faults.of(f"{path}: image {number}"):
            name: Any = entry.get("file_name")
            if elsewhere(name):
                far[number] = name
            else:
                relative[number] = inside(name, f"{path}: image {number}")
    roots = _roots(path, split, reading.images)
    root = _root(path, roots, list(relative.values())) if relative else roots[0]
    found = {number: Place(root / name, name) for number, name in relative.items()}
    below = Pictures([*([root] if relative else []), *roots])
    for number, name in far.items():
        with reading.faults.of(f"{path}: image {number}"):
            found[number] = below.find(name, f"{path}: image {number}")
    for number, place in found.items():
        if number in relative and not is_file(place.path) and is_file(root / without_hash(place.relative)):
            found[number] = Place(root / without_hash(place.relative), without_hash(place.relative))
    return {number: found[number] for number in listed if number in found}


def _picture(
    path: Path,
    entry: dict[str, Any],
    place: Path,
    relative: str,
    annotations: Sequence[dict[str, Any]],
    part: str,
    reading: _Together,
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


def _roots(path: Path, split: str, images: Path | None) -> list[Path]:
    """The folders that the pictures' names may start from."""
    if images is not None:
        return [images, images / split]
    near, above = path.parent, path.parent.parent
    places = [near, near / "images", near / split, above / split, above / "images", above / "images" / split]
    return [*places, near / "images" / split]


def _root(path: Path, places: Sequence[Path], names: Sequence[str]) -> Path:
    """The folder that the pictures' names start from: the first in which one of them is."""
    for name in names:  # nearly always the first is there
        for place in places:
            if is_file(place / name) or is_file(place / without_hash(name)):
                return place
    listed = ", ".join(str(place) for place in places)
    which = f"its {len(names)} pictures ({some(map(shown, names))}) are"
    if len(names) == 1:
        which = f"its picture {shown(names[0])} is"
    raise DatasetError(f"{path}: {which} in none of {listed}: say with `images` where the pictures are")


def _called(annotation: dict[str, Any]) -> str:
    return f"annotation {annotation.get('id', 'without id')}"


def _regions(
    annotation: dict[str, Any], reading: _Together, seen: Frame, where: str, notes: Notes
) -> tuple[list[Shape], bool]:
    """The annotation's region, none where it has no area, which is noted; and whether it is marked iscrowd."""
    category = id_of(annotation.get("category_id"))
    if category is None or category not in reading.labels:
        called = annotation.get("category_id")
        raise DatasetError(f"{where}: its category is {called!r}, which is not among the categories")
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

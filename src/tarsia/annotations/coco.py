"""COCO instances: one JSON for all pictures, with polygons or run lengths.

Format: cocodataset.org, "Data format", object detection.  Classes are in the order of the categories' ids.  The
polygons of one annotation belong together; `iscrowd` regions are ignored (255).  Run lengths are unpacked only where
they are for the picture's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.annotations.polygons import Region, Size, polygon_runs, rle_counts, rle_runs
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    check_extent,
    coordinates,
    entries,
    frame,
    inside,
    is_file,
    painted,
    plain_name,
    read_json,
    require_files,
)
from tarsia.card import IGNORED
from tarsia.errors import DatasetError
from tarsia.runtime.image import shown

_PREFIX = "instances_"  # as in instances_val2017.json, whose pictures are in val2017/


def read(files: Sequence[Path], images: Path | None, background: str | None) -> Annotations:
    """COCO files -> their pictures; several files are splits of one data set, with the same categories.

    Pictures are looked for in `images`, in its subfolder named like the split, or without it near the file.  Raises
    DatasetError naming the file and the entry for whatever is missing, unknown or malformed.
    """
    notes, pictures = Notes(), []
    names: dict[int, Any] = {}
    numbering = None
    for path, split in zip(files, _splits(files), strict=True):
        tree = read_json(path)
        own = _by_id(tree, "categories", str(path))
        found = {number: entry.get("name") for number, entry in own.items()}
        if numbering is not None and found != names:
            raise DatasetError(f"{path}: its categories are not those of {files[0]}: convert the two files one by one")
        names, numbering = found, Numbering([found[number] for number in sorted(found)], background, str(path))
        pictures += _pictures(path, tree, split, len(files) > 1, images, numbering, names, notes)
    assert numbering is not None
    return Annotations(numbering.classes(), pictures, list(files), notes)


def _splits(files: Sequence[Path]) -> list[str]:
    """What each file's split is called: by its own name, or by its folder's where the files' names are equal."""
    stems = [path.stem.removeprefix(_PREFIX) for path in files]
    if len(set(stems)) < len(files):
        stems = [path.absolute().parent.name for path in files]
    if len(set(stems)) < len(files):
        listed = ", ".join(str(path) for path in files)
        raise DatasetError(f"{listed}: which split is which? Name the files differently, or convert them one by one")
    return stems


def _pictures(
    path: Path,
    tree: dict[str, Any],
    split: str,
    several: bool,
    images: Path | None,
    numbering: Numbering,
    names: dict[int, Any],
    notes: Notes,
) -> list[Picture]:
    listed = _by_id(tree, "images", str(path))
    if not listed:
        raise DatasetError(f"{path}: lists no images: there is nothing to convert")
    relative = {number: inside(entry.get("file_name"), f"{path}: image {number}") for number, entry in listed.items()}
    root = _root(path, split, images, next(iter(relative.values())))
    require_files([root / name for name in relative.values()], str(path))
    labels = {number: numbering.of[name] for number, name in names.items()}
    annotations: dict[int, list[dict[str, Any]]] = {}
    for entry in entries(tree, "annotations", str(path)):
        number = entry.get("image_id")
        if not isinstance(number, int) or number not in listed:
            raise DatasetError(f"{path}: {_called(entry)} is of image {number!r}, which is not among its images")
        annotations.setdefault(number, []).append(entry)
    pictures = []
    for number, entry in listed.items():
        where = f"{path}: image {number}"
        name = plain_name(relative[number], where)
        seen = frame(root / relative[number], _size(entry, where), where, notes)
        regions = []
        for annotation in annotations.pop(number, []):
            regions += _regions(annotation, labels, seen, f"{path}: {_called(annotation)}", notes)
        part = split if several else ""
        pictures.append(painted(name, root / relative[number], regions, seen, numbering.fill, notes, part))
    return pictures


def _by_id(tree: dict[str, Any], key: str, where: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for entry in entries(tree, key, where):
        number = entry.get("id")
        if not isinstance(number, int) or isinstance(number, bool):
            raise DatasetError(f"{where}: one of its {key} has the id {number!r}, expected a whole number")
        if number in found:
            raise DatasetError(f"{where}: id {number} stands twice among its {key}")
        found[number] = entry
    return found


def _root(path: Path, split: str, images: Path | None, first: str) -> Path:
    """The folder that the pictures' names start from: the first in which the first picture is."""
    if images is not None:
        places = [images, images / split]
    else:
        near, above = path.parent, path.parent.parent
        places = [near, near / "images", near / split, above / split, above / "images", above / "images" / split]
    for place in places:
        if is_file(place / first):
            return place
    listed = ", ".join(str(place) for place in places)
    raise DatasetError(
        f"{path}: its picture {shown(first)} is in none of {listed}: say with --images where the pictures are"
    )


def _size(entry: dict[str, Any], where: str) -> Size | None:
    size = entry.get("height"), entry.get("width")
    if size == (None, None):
        return None
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DatasetError(f"{where}: height and width are {size[0]!r} and {size[1]!r}, expected pixels")
    return size  # type: ignore[return-value]


def _called(annotation: dict[str, Any]) -> str:
    return f"annotation {annotation.get('id', 'without id')}"


def _regions(annotation: dict[str, Any], labels: dict[int, int], seen: Frame, where: str, notes: Notes) -> list[Region]:
    """The annotation's region; none where it has no area, which is noted."""
    category = annotation.get("category_id")
    if not isinstance(category, int) or category not in labels:
        raise DatasetError(f"{where}: its category is {category!r}, which is not among the categories")
    label = IGNORED if annotation.get("iscrowd") else labels[category]
    found = annotation.get("segmentation")
    if isinstance(found, dict):
        return [Region(label, partial(rle_runs, _counts(found, seen.size, where)))]
    if not found:
        raise DatasetError(f"{where}: has no segmentation, only a box: label maps need polygons or run lengths")
    if not isinstance(found, list) or not all(isinstance(ring, list) for ring in found):
        raise DatasetError(f"{where}: its segmentation is neither a list of polygons nor run lengths")
    rings = [coordinates(ring, where) for ring in found]
    notes.add("polygons of fewer than 3 points, left out", where, sum(len(ring) < 3 for ring in rings))
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return []
    check_extent(np.concatenate(rings), seen.size, where, notes)
    return [Region(label, partial(polygon_runs, rings))]


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

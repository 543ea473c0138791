"""COCO panoptic: one JSON of segments, and a PNG a picture in which every pixel has the number of its segment.

Format: cocodataset.org, "Data format", panoptic segmentation.  A number is
red + 256 green + 65536 blue; 0 is nobody's, 255.  Mapillary's panoptic
files and those of Segments.ai are of the same kind.  Regions marked iscrowd have their class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.annotations.finding import Pictures, Place
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.forms._coco_lists import Id, categories, id_of, images, in_order, objects, splits_of
from tarsia.annotations.look import Look
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    declared_size,
    frame,
    plain_name,
)
from tarsia.annotations.trees import read_json
from tarsia.card import IGNORED
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.files import MAX_PIXELS, opened

_WEIGHTS = (1, 256, 65536)  # of red, green and blue


class _Entry(NamedTuple):
    """An image's entry, its annotation's, where they stand, and the picture and the PNG."""

    annotation: dict[str, Any]
    size: tuple[int, int] | None
    where: str
    picture: Place
    png: Place


def read(source: Found, reading: Reading) -> Annotations:
    """Panoptic files -> their pictures; several files are splits of one data set, with the same categories.

    The PNGs lie in a folder named like the JSON, or below its folder; the pictures below it or `reading.images`.
    """
    notes, numbering = Notes(), None
    names: dict[Id, Any] = {}
    colors: dict[str, Rgb] = {}
    pictures = []
    splits = splits_of(source.files)
    for path, split in zip(source.files, splits, strict=True):
        tree = read_json(path)
        found, own = categories(path, tree)
        if numbering is not None and found != names:
            raise DatasetError(f"{path}: its categories are not those of {source.files[0]}: convert them one by one")
        names, colors = found, colors | own
        numbering = Numbering([names[number] for number in in_order(names)], None, str(path), colors)
        labels = {number: numbering.of[name] for number, name in names.items()}
        entries = _entries(path, tree, split, reading)
        part = split if len(splits) > 1 else ""
        for entry in console.track(entries, len(entries), "reading masks"):
            called = f"{entry.picture.path} ({part})" if part else str(entry.picture.path)
            with reading.faults.of(called):
                pictures.append(_picture(entry, labels, part, notes))
    if numbering is None:
        raise DatasetError(f"{source.root}: no file of COCO panoptic")
    parts = tuple(splits) if len(splits) > 1 else ()
    return Annotations(numbering.classes(), pictures, list(source.files), notes, parts)


def _entries(path: Path, tree: dict[str, Any], split: str, reading: Reading) -> list[_Entry]:
    """Every image with its annotation; what is missing is a fault."""
    faults = reading.faults
    listed, _ = images(path, tree, faults)
    of_image = {id_of(entry.get("image_id")): entry for entry in objects(path, tree, "annotations", faults)}
    masks = Pictures([path.with_suffix("") if path.with_suffix("").is_dir() else path.parent])
    photos = Pictures(_near(path, split) if reading.images is None else [reading.images])
    found = []
    for number, entry in listed.items():
        where = f"{path}: image {number}"
        annotation = of_image.pop(number, None)
        with faults.of(where):
            if annotation is None:
                raise DatasetError(f"{where}: no annotation is of it: remove it")
            png = masks.find(f"{path.stem}/{annotation.get('file_name')}", where)
            text = entry.get("file_name")
            picture = photos.find(f"{split}/{text}" if isinstance(text, str) and "/" not in text else text, where)
            found.append(_Entry(annotation, declared_size(entry, "height", "width", where), where, picture, png))
    for other in of_image:
        faults.add(f"{path}: an annotation is of image {other!r}, which is not among its images")
    return found


def _near(path: Path, split: str) -> list[Path]:
    """The folders of pictures: those called like the split or images, near the file; else the file's own."""
    places = [folder / name for folder in (path.parent, path.parent.parent) for name in (split, "images")]
    return [place for place in places if place.is_dir()] or [path.parent]


def _picture(entry: _Entry, labels: Mapping[Id, int], part: str, notes: Notes) -> Picture:
    own = Notes()
    seen = frame(entry.picture.path, entry.size, entry.where, own)
    name = plain_name(entry.picture.relative, entry.where)
    of_segment: dict[int, int] = {}
    for segment in objects(Path(entry.where), entry.annotation, "segments_info", None):
        category = id_of(segment.get("category_id"))
        if category is None or category not in labels or type(segment.get("id")) is not int:
            what = f"segment {segment.get('id')!r} of category {segment.get('category_id')!r}"
            raise DatasetError(f"{entry.where}: {what}: expected a number, and one of the categories")
        of_segment[segment["id"]] = labels[category]
    _, weights = _drawn(entry, of_segment, seen, own)
    notes.take(own)

    def draw() -> np.ndarray:
        return seen.upright(_labelled(_colors(entry.png.path, entry.where, seen), of_segment, weights)[0])

    return Picture(name, entry.picture.path, draw, len(of_segment), part)


def _drawn(
    entry: _Entry, of_segment: Mapping[int, int], seen: Frame, notes: Notes
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The label map, and how its numbers are made of colours: the other way round where only that fits."""
    colors_HW3 = _colors(entry.png.path, entry.where, seen)
    label_HW, strange, unseen = _labelled(colors_HW3, of_segment, _WEIGHTS)
    weights = _WEIGHTS
    if of_segment and unseen == set(of_segment):
        turned, strange_too, unseen_too = _labelled(colors_HW3, of_segment, _WEIGHTS[::-1])
        if not unseen_too and not strange_too:
            notes.add("masks whose numbers stand in blue, green, red", entry.where)
            return turned, _WEIGHTS[::-1]
        raise DatasetError(f"{entry.where}: no pixel of {entry.png.path} has the number of one of its segments")
    notes.add("numbers in masks that no segment has, 255", entry.where, len(strange))
    notes.add("segments that no pixel has", entry.where, len(unseen))
    return label_HW, weights


def _labelled(
    colors_HW3: np.ndarray, of_segment: Mapping[int, int], weights: tuple[int, ...]
) -> tuple[np.ndarray, set[int], set[int]]:
    """Label map, numbers that no segment has, and segments without a pixel."""
    numbers_HW = colors_HW3.astype(np.uint32) @ np.array(weights, np.uint32)
    found, places = np.unique(numbers_HW, return_inverse=True)
    there = set(found.tolist())
    values = np.array([of_segment.get(number, IGNORED) for number in found.tolist()], np.uint8)
    return values[places].reshape(numbers_HW.shape), there - of_segment.keys() - {0}, of_segment.keys() - there


def _colors(path: Path, where: str, seen: Frame) -> np.ndarray:
    try:
        with opened(path, str(path), ("PNG",), MAX_PIXELS) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise DatasetError(f"{where}: {path} is of mode {image.mode}, expected RGB, the numbers of segments")
            stored = np.asarray(image)[..., :3]
    except ImageError as error:
        raise DatasetError(" ".join(error.args)) from error
    if stored.shape[:2] != seen.size:
        found, wanted = (f"{height}x{width}" for height, width in (stored.shape[:2], seen.size))
        raise DatasetError(f"{where}: {path} is {found}, but its picture {wanted} (height x width)")
    return stored


def _is_one(look: Look) -> bool:
    return "annotations[].segments_info" in look.keys or (
        bool({"images[]", "annotations[]", "categories[]"} & look.keys) and look.contains(b'"segments_info"')
    )


FORM = Form(
    "coco-panoptic",
    "COCO panoptic",
    "a JSON with segments_info, and PNGs",
    _is_one,
    read,
    takes=("images",),
    refusals={
        "classes": "`classes` is not for COCO: its file names the categories; edit dataset.yaml afterwards",
        "background": "`background` is for polygons: what no segment covers is 255; edit dataset.yaml afterwards",
    },
)

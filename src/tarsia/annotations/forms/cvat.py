"""CVAT for images 1.1 (and for video): one XML, with the shapes of each picture (or each object's track).

Format: docs.cvat.ai, "XML annotation format".  Polygons, boxes and ellipses (turned or not) and masks are regions,
painted by their z_order; what has no area is left out, which is noted.  Classes are in the order of the task's labels.
Of the pictures of a project several subsets are splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.records import Record, Shape, assemble, bitmap, ellipse, polygon, rectangle
from tarsia.annotations.source import Annotations, Notes
from tarsia.annotations.trees import load_xml, numbers_of
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError
from tarsia.pictures.files import MAX_PIXELS

_AREALESS = ("polyline", "points", "skeleton", "cuboid", "tag")
_REGIONS = ("polygon", "box", "ellipse", "mask")


def read(source: Found, reading: Reading) -> Annotations:
    """XML files -> their pictures, which lie below the files' folder or `reading.images`."""
    notes, records = Notes(), []
    names: dict[str, None] = {}
    colors: dict[str, Rgb] = {}
    for path in source.files:
        tree = None
        with reading.faults.of():
            tree = load_xml(path)
        if tree is None:
            continue
        for name, color in _labels(tree):
            names[name] = None
            colors |= {name: color} if color else {}
        found = [*_of_images(tree, path), *_of_tracks(tree, path)]
        names |= {} if names else dict.fromkeys(sorted({shape.label for one in found for shape in one.shapes}))
        records += found
    subsets = list(dict.fromkeys(record.split for record in records))
    if len(subsets) < 2:
        subsets = []
        for record in records:
            record.split = ""
    return assemble(
        records,
        [source.root],
        reading,
        list(source.files),
        notes,
        names=list(names),
        colors=colors,
        splits=tuple(subsets),
    )


def _labels(tree: Element) -> Iterator[tuple[str, Rgb | None]]:
    """The labels of a task, job or project, without those of a skeleton's points."""
    for label in tree.findall("./meta/*/labels/label"):
        name, color = (label.findtext("name") or "").strip(), (label.findtext("color") or "").strip()
        if name and not (label.findtext("parent") or "").strip():
            try:
                red, green, blue = bytes.fromhex(color.removeprefix("#"))
                yield name, (red, green, blue)
            except ValueError:
                yield name, None


def _of_images(tree: Element, path: Path) -> list[Record]:
    found = []
    for image in tree.iter("image"):
        name, subset = image.get("name", ""), image.get("subset", "")
        where = f"{path}: image {name or image.get('id')}"
        record = Record(where, f"{subset}/{name}" if subset else name, split=subset)
        record.size = _size(image, record)
        _fill(record, list(image))
        found.append(record)
    return found


def _size(image: Element, record: Record) -> tuple[int, int] | None:
    if image.get("height") is None and image.get("width") is None:
        return None
    try:
        height, width = numbers_of(image, "height width", record.where)
        return int(height), int(width)
    except (DatasetError, ValueError, OverflowError) as error:
        record.faults.append(str(error))
        return None


def _of_tracks(tree: Element, path: Path) -> list[Record]:
    """The frames of a video, each with the shapes that are not outside; frames without any are not known of."""
    frames: dict[int, list[Element]] = {}
    for track in tree.iter("track"):
        for shape in track:
            if shape.get("outside") != "1":
                shape.set("label", shape.get("label", track.get("label", "")))
                try:
                    frames.setdefault(int(shape.get("frame", "")), []).append(shape)
                except ValueError as error:
                    where = f"{path}: track {track.get('id')}"
                    raise DatasetError(f"{where}: its frame is {shape.get('frame')!r}, expected a number") from error
    found = []
    for number, shapes in sorted(frames.items()):
        record = Record(f"{path}: frame {number}", f"frame_{number:06d}", stem=True)
        _fill(record, shapes)
        record.notes.add("frames of a video, whose pictures are called frame_000000 and so on", record.where)
        found.append(record)
    return found


def _fill(record: Record, shapes: Sequence[Element]) -> None:
    """The shapes by z_order, those of one in the order of the file."""

    def layer(shape: Element) -> int:
        text = shape.get("z_order") or "0"
        return int(text) if text.lstrip("-").isdecimal() else 0

    counts: Counter[str] = Counter()
    for shape in sorted(shapes, key=layer):
        counts[shape.tag] += 1
        where = f"{record.where}: {shape.tag} {counts[shape.tag]} ({shape.get('label')})"
        if shape.tag in _AREALESS:
            record.notes.add(f"shapes of type {shape.tag}, which have no area, left out", where)
        elif shape.tag in _REGIONS:

            def make(shape: Element = shape, where: str = where) -> Shape | None:
                return _region(shape, where, record.notes)

            record.add(make)


def _region(shape: Element, where: str, notes: Notes) -> Shape | None:
    label = shape.get("label", "")
    turned = float(next(numbers_of(shape, "rotation", where))) if shape.get("rotation") else 0.0
    if shape.tag == "box":
        left, top, right, bottom = numbers_of(shape, "xtl ytl xbr ybr", where)
        return rectangle(label, where, left, top, right, bottom, turned)
    if shape.tag == "ellipse":
        x, y, radius_x, radius_y = numbers_of(shape, "cx cy rx ry", where)
        return ellipse(label, where, x, y, radius_x, radius_y, turned)
    if shape.tag == "mask":
        mask, top_left = _mask(shape, where)
        return bitmap(label, where, lambda: mask, top_left)
    try:
        points: list[Any] = [[float(n) for n in point.split(",")] for point in shape.get("points", "").split(";")]
    except ValueError as error:
        raise DatasetError(f"{where}: its points are {shape.get('points')!r:.60}, expected x,y;x,y ...") from error
    return polygon(label, where, [points], notes)


def _mask(shape: Element, where: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Run lengths along the rows of a box, the first of what is outside; and the box's first pixel."""
    left, top, width, height = (int(number) for number in numbers_of(shape, "left top width height", where))
    try:
        counts = np.array([int(count) for count in shape.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{where}: its rle is {shape.get('rle')!r:.60}, expected counts") from error
    if not 0 < width * height <= MAX_PIXELS or min(width, height) < 1 or (counts < 0).any():
        raise DatasetError(f"{where}: its box is {width}x{height}, or a count is negative: export it again")
    if (counts > width * height).any() or counts.sum() != width * height:
        raise DatasetError(f"{where}: its counts add up to {counts.sum()}, its box has {width * height} pixels")
    mask_P = np.repeat(np.arange(len(counts)) & 1, counts).astype(bool)
    return mask_P.reshape(height, width), (top, left)


def _is_one(look: Look) -> bool:
    elements = look.elements
    return elements[:1] == ["annotations"] and not {"meta", "image", "track"}.isdisjoint(elements[1:4])


FORM = Form("cvat", "CVAT", "an XML of CVAT, with images or tracks", _is_one, read, suffixes=(".xml",))

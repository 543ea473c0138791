"""labelme: one JSON a picture, with shapes.

Format: github.com/wkentaro/labelme.  Polygons, rectangles (upright or turned), circles and masks are regions; points
and lines have no area and are left out, which is noted.  `_background_` is the background and `__ignore__` is 255, as
labelme's own scripts have it.  Classes are in the order of `names`, else sorted.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.detect import Asked, Source
from tarsia.annotations.faults import Faults
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    check_extent,
    coordinates,
    declared_size,
    entries,
    frame,
    inside,
    is_file,
    load_json,
    painted,
    plain_name,
    require_any_file,
    require_file,
)
from tarsia.errors import DatasetError, nearest
from tarsia.pictures.find import SUFFIXES, walk
from tarsia.polygons.fill import Shape, Size, bitmap_runs, circle_runs, polygon_runs

_BACKGROUND, _IGNORE = "_background_", "__ignore__"
_AREALESS = ("point", "points", "line", "linestrip")
_POINTS = {"rectangle": 2, "circle": 2, "mask": 2, "oriented_rectangle": 4}  # of a shape; a polygon has any number


def read(source: Source, asked: Asked, faults: Faults) -> Annotations:
    """labelme files -> their pictures, which lie below `asked.images`, by default where the files do.

    `faults` takes whatever is missing, unknown or malformed, with the file and the shape.  Raises DatasetError for what
    concerns all of them.
    """
    files, root, given, notes = source.labelme, source.root, asked.class_list(), Notes()
    above = asked.images or root
    trees: dict[Path, dict[str, Any]] = {}
    places: dict[Path, Path] = {}
    for path in files:
        own = _namesake(path, root, above)
        with faults.of(own):
            tree = _tree(path, bool(own), notes)
            if tree is not None:
                places[path] = _picture(path, tree, root, above)
                trees[path] = tree
    if not trees and not faults.found:
        raise DatasetError(f"{root}: none of its {len(files)} JSON files is labelme's: they have no shapes")
    require_any_file(list(places.values()), str(root))
    shapes = [shape for tree in trees.values() for shape in tree["shapes"]]
    numbering = _numbering(shapes, given, asked.background, str(root))
    pictures = []
    for path, place in places.items():
        picture = _painted(path, trees[path], place, above, numbering, notes, faults)
        pictures += [picture] if picture else []
    known = {os.path.realpath(place) for place in (*map(str, places.values()), *faults.pictures)}
    unlabelled = [name for name in walk(above) if os.path.realpath(above / name) not in known]
    if unlabelled:
        notes.add("pictures without a labelme file, left out", unlabelled[0], len(unlabelled))
    return Annotations(numbering.classes(), pictures, list(files), notes)


def _painted(
    path: Path, tree: dict[str, Any], place: Path, above: Path, numbering: Numbering, notes: Notes, faults: Faults
) -> Picture | None:
    """The picture of a labelme file; None where something is wrong with it."""
    own = Notes()
    with faults.of(place):
        require_file(place, str(path))
        name = plain_name(os.path.relpath(place, above).replace(os.sep, "/"), str(path))
        size = declared_size(tree, "imageHeight", "imageWidth", str(path))
        seen = frame(place, size, str(path), own)
        regions = []
        for index, shape in enumerate(tree["shapes"]):
            with faults.of(place):
                where = f"{path}: shape {index}"
                if not _is_name(shape.get("label")):
                    raise DatasetError(f"{where} has the label {shape.get('label')!r}, expected a name to be read")
                regions += _regions(shape, numbering, seen, f"{where} ({shape['label']})", own)
        if place not in faults:
            notes.take(own)
            return painted(name, place, regions, seen, numbering.fill, notes)
    return None


def _tree(path: Path, has_picture: bool, notes: Notes) -> dict[str, Any] | None:
    """What a labelme file says; None for another program's JSON, which is no picture's."""
    tree = load_json(path)
    if not has_picture and not (isinstance(tree, dict) and ("shapes" in tree or "imagePath" in tree)):
        notes.add("JSON files that are not labelme's, left out", str(path))
        return None
    if not isinstance(tree, dict):
        raise DatasetError(f"{path}: holds a {type(tree).__name__}, expected an object of annotations")
    tree.pop("imageData", None)  # the picture once more: too much to keep for all files
    return tree | {"shapes": entries(tree, "shapes", str(path))}


def _namesake(path: Path, root: Path, images: Path) -> str:
    """The picture of a file's own name at its own place; "" where there is none."""
    stem = images / os.path.relpath(path.with_suffix(""), root)
    found = (f"{stem}{suffix}" for suffix in sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES}))
    return next((name for name in found if is_file(Path(name))), "")


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and bool(found.strip()) and found.isprintable()


def _numbering(
    shapes: Sequence[dict[str, Any]], given: ClassList | None, background: str | None, where: str
) -> Numbering:
    special = (_IGNORE, _BACKGROUND) if background is not None else (_IGNORE,)
    found = {shape["label"] for shape in shapes if _is_name(shape.get("label"))}
    names = sorted(found) if given is None else given.classes.names
    numbering = Numbering([name for name in names if name not in special], background, where)
    if background is not None:
        numbering.of[_BACKGROUND] = 0
    return numbering.ignoring(_IGNORE, *(given.ignored if given else ()))


def _picture(path: Path, tree: dict[str, Any], root: Path, images: Path) -> Path:
    """The picture of a labelme file, below `images`: where the file says, else at the file's own place there."""
    text = tree.get("imagePath")
    if not isinstance(text, str) or not text:
        raise DatasetError(f"{path}: its imagePath is {text!r}, expected the picture's file")
    text, above = text.replace("\\", "/"), Path(os.path.abspath(images))
    said = Path(os.path.normpath(path.parent.absolute() / text))
    if said.is_relative_to(above) and (".." in text.split("/") or is_file(said)):
        return images / said.relative_to(above)  # as ../images/a.jpg, where the files have a folder of their own
    return images / os.path.normpath(os.path.join(os.path.relpath(path.parent, root), inside(text, str(path))))


def _regions(shape: dict[str, Any], numbering: Numbering, seen: Frame, where: str, notes: Notes) -> list[Shape]:
    """The shape's region; none where it has no area, which is noted."""
    called = shape["label"]
    label = numbering.of.get(called)
    if label is None:
        known = nearest(called, numbering.names)
        raise DatasetError(f"{where}: a shape is called {called}, which `classes` does not list{known}")
    kind = shape.get("shape_type") or "polygon"  # files of labelme's first versions name none
    if kind in _AREALESS:
        notes.add(f"shapes of type {kind}, which have no area, left out", where)
        return []
    if kind not in ("polygon", *_POINTS):
        known = ", ".join(("polygon", *_POINTS, *_AREALESS))
        raise DatasetError(f"{where}: its type is {kind!r}, expected one of {known}")
    points_N2 = coordinates(shape.get("points"), where)
    if len(points_N2) != _POINTS.get(kind, len(points_N2)):
        raise DatasetError(f"{where}: a {kind} of {len(points_N2)} points, expected {_POINTS[kind]}")
    if kind == "polygon" and len(points_N2) < 3:
        notes.add("polygons of fewer than 3 points, left out", where)
        return []
    if kind == "circle":
        (x, y), radius = points_N2[0].tolist(), float(np.linalg.norm(points_N2[1] - points_N2[0]))
        check_extent(points_N2[:1] + [[-radius, -radius], [radius, radius]], seen.size, where, notes)
        return [Shape(label, partial(circle_runs, (x, y), radius))]
    check_extent(points_N2, seen.size, where, notes)
    if kind == "mask":
        runs = bitmap_runs(*_mask(shape.get("mask"), points_N2, seen.size, where), seen.size)
        return [Shape(label, lambda _: runs)]
    if kind == "rectangle":
        (x, y), (x_other, y_other) = points_N2
        points_N2 = np.array([[x, y], [x_other, y], [x_other, y_other], [x, y_other]])
    return [Shape(label, partial(polygon_runs, [points_N2]))]


def _mask(content: Any, corners_22: np.ndarray, size: Size, where: str) -> tuple[np.ndarray, tuple[int, int]]:
    """A shape's mask (a PNG in base64) and the row and column of its first pixel.

    The corners are the mask's first and last pixel, both within it.
    """
    left, top, right, bottom = corners_22.astype(int).ravel().tolist()
    wanted = (bottom - top + 1, right - left + 1)
    try:
        if wanted[0] > size[0] or wanted[1] > size[1]:
            raise ValueError("larger than the picture")
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True)), formats=("PNG",)) as image:
            if (image.height, image.width) != wanted:
                raise ValueError(f"{image.height}x{image.width}, but its corners say {wanted[0]}x{wanted[1]}")
            if image.mode in ("LA", "RGBA"):
                raise ValueError(f"of mode {image.mode}: is the object what is opaque, or what is light? Save grey")
            stored = np.asarray(image) != 0  # of a palette the indices, whatever their colours
            return stored if stored.ndim == 2 else stored.any(axis=2), (top, left)
    except Exception as error:  # Pillow raises nearly everything
        raise DatasetError(f"{where}: its mask is damaged ({error})") from error

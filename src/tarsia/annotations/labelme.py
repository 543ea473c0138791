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

from tarsia.annotations.polygons import Region, Size, bitmap_runs, circle_runs, polygon_runs
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
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
    walk,
)
from tarsia.card import IGNORED
from tarsia.data._pairs import SUFFIXES
from tarsia.errors import DatasetError, nearest

_BACKGROUND, _IGNORE = "_background_", "__ignore__"
_AREALESS = ("point", "points", "line", "linestrip")
_POINTS = {"rectangle": 2, "circle": 2, "mask": 2, "oriented_rectangle": 4}  # of a shape; a polygon has any number


def read(
    files: Sequence[Path], root: Path, images: Path | None, names: Sequence[str] | None, background: str | None
) -> Annotations:
    """labelme files below `root` -> their pictures, which lie below `images` (default `root`).

    Raises DatasetError naming the file and the shape for whatever is missing, unknown or malformed.
    """
    notes = Notes()
    trees = {path: _tree(path) for path in files}
    shapes = {path: entries(tree, "shapes", str(path)) for path, tree in trees.items()}
    numbering = _numbering(shapes, names, background, str(root))
    above = images or root
    places = [_picture(path, trees[path], root, above) for path in files]
    require_files(places, str(root))
    pictures = []
    for path, place in zip(files, places, strict=True):
        name = plain_name(os.path.relpath(place, above).replace(os.sep, "/"), str(path))
        seen = frame(place, _size(trees[path], path), str(path), notes)
        regions = []
        for index, shape in enumerate(shapes[path]):
            regions += _regions(shape, numbering, seen, f"{path}: shape {index} ({shape['label']})", notes)
        pictures.append(painted(name, place, regions, seen, numbering.fill, notes))
    known = {os.path.realpath(place) for place in places}
    unlabelled = [name for name in walk(above, SUFFIXES) if os.path.realpath(above / name) not in known]
    if unlabelled:
        notes.add("pictures without a labelme file, left out", unlabelled[0], len(unlabelled))
    return Annotations(numbering.classes(), pictures, list(files), notes)


def _tree(path: Path) -> dict[str, Any]:
    tree = read_json(path)
    tree.pop("imageData", None)  # the picture once more: too much to keep for all files
    return tree


def _numbering(
    shapes: dict[Path, list[dict[str, Any]]], names: Sequence[str] | None, background: str | None, where: str
) -> Numbering:
    special = (_IGNORE, _BACKGROUND) if background is not None else (_IGNORE,)
    found: dict[str, Path] = {}
    for path, listed in shapes.items():
        for index, shape in enumerate(listed):
            if not isinstance(shape.get("label"), str):
                raise DatasetError(f"{path}: shape {index} has the label {shape.get('label')!r}, expected a name")
            found.setdefault(shape["label"], path)
    if names is None:
        names = sorted(found)
    numbering = Numbering([name for name in names if name not in special], background, where)
    for name, path in found.items():
        if name not in numbering.of and name not in special:
            raise DatasetError(f"{path}: a shape is called {name}, which --classes does not list{nearest(name, names)}")
    if background is not None:
        numbering.of[_BACKGROUND] = 0
    numbering.of[_IGNORE] = IGNORED
    return numbering


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


def _size(tree: dict[str, Any], path: Path) -> Size | None:
    size = tree.get("imageHeight"), tree.get("imageWidth")
    if size == (None, None):
        return None
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DatasetError(f"{path}: imageHeight and imageWidth are {size[0]!r} and {size[1]!r}, expected pixels")
    return size  # type: ignore[return-value]


def _regions(shape: dict[str, Any], numbering: Numbering, seen: Frame, where: str, notes: Notes) -> list[Region]:
    """The shape's region; none where it has no area, which is noted."""
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
    label = numbering.of[shape["label"]]
    if kind == "polygon" and len(points_N2) < 3:
        notes.add("polygons of fewer than 3 points, left out", where)
        return []
    if kind == "circle":
        (x, y), radius = points_N2[0].tolist(), float(np.linalg.norm(points_N2[1] - points_N2[0]))
        check_extent(points_N2[:1] + [[-radius, -radius], [radius, radius]], seen.size, where, notes)
        return [Region(label, partial(circle_runs, (x, y), radius))]
    check_extent(points_N2, seen.size, where, notes)
    if kind == "mask":
        runs = bitmap_runs(*_mask(shape.get("mask"), points_N2, seen.size, where), seen.size)
        return [Region(label, lambda _: runs)]
    if kind == "rectangle":
        (x, y), (x_other, y_other) = points_N2
        points_N2 = np.array([[x, y], [x_other, y], [x_other, y_other], [x, y_other]])
    return [Region(label, partial(polygon_runs, [points_N2]))]


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

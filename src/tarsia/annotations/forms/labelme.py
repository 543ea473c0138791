"""labelme: one JSON a picture, with shapes.

Format: github.com/wkentaro/labelme.  Polygons, rectangles (upright or turned), circles and masks are regions; points
and lines have no area and are left out, which is noted.  `_background_` is the background and `__ignore__` is 255, as
labelme's own scripts have it.  Classes are in the order of `classes`, of labels.txt beside the files, else sorted.
Shapes are painted in the order of the list.  Where a picture is missing, the one within its JSON (imageData) is taken.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.faults import Faults
from tarsia.annotations.finding import elsewhere
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    check_extent,
    coordinates,
    declared_size,
    frame,
    inside,
    is_file,
    painted,
    plain_name,
    require_any_file,
    require_file,
)
from tarsia.annotations.trees import entries, load_gbk, load_json
from tarsia.errors import DatasetError, ImageError, nearest
from tarsia.pictures.files import MAX_PIXELS, opened
from tarsia.pictures.find import SUFFIXES, walk
from tarsia.polygons.fill import Shape, bitmap_runs, circle_runs, polygon_runs

_BACKGROUND, _IGNORE = "_background_", "__ignore__"
_AREALESS = ("point", "points", "line", "linestrip")
_LABELS = "labels.txt"
_POINTS = {"rectangle": 2, "circle": 2, "mask": 2, "oriented_rectangle": 4}  # of a shape; a polygon has any number


def read(source: Found, reading: Reading) -> Annotations:
    """labelme files below a folder -> their pictures, which lie below `reading.images` (default the folder).

    `reading.faults` takes whatever is missing, unknown or malformed, with the file and the shape.  Raises DatasetError
    for what concerns all of them.
    """
    files, root, images, faults = source.files, source.root, reading.images, reading.faults
    notes = Notes()
    above = images or root
    trees: dict[Path, dict[str, Any]] = {}
    places: dict[Path, Place] = {}
    for path in files:
        own = _namesake(path, root, above)
        with faults.of(own):
            tree = _tree(path, bool(own), notes)
            if tree is not None:
                places[path] = _picture(path, tree, root, above)
                trees[path] = tree
    if not trees and not faults.found:
        raise DatasetError(f"{root}: none of its {len(files)} JSON files is labelme's: they have no shapes")
    require_any_file([place.path for place in places.values() if not place.within], str(root))
    shapes = [shape for tree in trees.values() for shape in tree["shapes"]]
    listed = _listed(root, shapes, notes) if reading.classes is None else None
    numbering = _numbering(shapes, reading.classes, listed, reading.background, str(root))
    pictures = []
    for path, place in places.items():
        picture = _painted(path, trees[path], place, above, numbering, notes, faults)
        pictures += [picture] if picture else []
    known = {os.path.realpath(place) for place in (*(str(p.path) for p in places.values()), *faults.pictures)}
    unlabelled = [name for name in walk(above) if os.path.realpath(above / name) not in known]
    if unlabelled:
        notes.add("pictures without a labelme file, left out", unlabelled[0], len(unlabelled))
    return Annotations(numbering.classes(), pictures, list(files), notes, (), numbering.added)


class Place(NamedTuple):
    """A picture's file; `within`: it is in its JSON, and the path only what it is called."""

    path: Path
    within: bool = False


def _painted(
    path: Path, tree: dict[str, Any], place: Place, above: Path, numbering: Numbering, notes: Notes, faults: Faults
) -> Picture | None:
    """The picture of a labelme file; None where something is wrong with it."""
    own, file = Notes(), place.path
    with faults.of(file):
        content = _content(path) if place.within else None
        if content is None:
            require_file(file, str(path))
        else:
            own.add("pictures taken from within their JSON (imageData), for their files are missing", str(path))
            file = file.with_suffix(_suffix(content) or file.suffix)
        name = plain_name(os.path.relpath(file, above).replace(os.sep, "/"), str(path))
        size = declared_size(tree, "imageHeight", "imageWidth", str(path))
        seen = frame(file, size, str(path), own, content)
        regions = []
        for index, shape in enumerate(tree["shapes"]):
            with faults.of(file):
                where = f"{path}: shape {index}"
                if not _is_name(shape.get("label")):
                    raise DatasetError(f"{where} has the label {shape.get('label')!r}, expected a name to be read")
                regions += _regions(shape, numbering, seen, f"{where} ({shape['label']})", own)
        if file not in faults:
            notes.take(own)
            within = partial(_content, path) if place.within else None
            return painted(name, file, regions, seen, numbering.fill, notes, by_area=False, content=within)
    return None


def _content(path: Path) -> bytes:
    """The picture within a JSON."""
    try:
        return base64.b64decode(_loaded(path)[0]["imageData"], validate=True)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{path}: its imageData is damaged ({error}): add the picture's file") from error


def _suffix(content: bytes) -> str:
    return {b"\xff\xd8": ".jpg", b"\x89P": ".png"}.get(content[:2], "")


def _loaded(path: Path) -> tuple[Any, bool]:
    """What a file holds, and whether it was in GBK."""
    try:
        return load_json(path), False
    except DatasetError:
        tree = load_gbk(path)
        if tree is None:
            raise
        return tree, True


def _listed(root: Path, shapes: Sequence[dict[str, Any]], notes: Notes) -> list[str] | None:
    """The names of labels.txt, a line each, which labelme is started with, where it lists all that there are."""
    try:
        lines = (root / _LABELS).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    listed = [line.strip() for line in lines if line.strip()]
    names = {shape["label"] for shape in shapes if _is_name(shape.get("label"))} - {_IGNORE, _BACKGROUND}
    if not names or not names <= set(listed):
        return None
    notes.add("classes in the order of a list that lies beside the files", str(root / _LABELS))
    return list(dict.fromkeys(listed))


def _tree(path: Path, has_picture: bool, notes: Notes) -> dict[str, Any] | None:
    """What a labelme file says; None for another program's JSON, which is no picture's."""
    tree, gbk = _loaded(path)
    notes.add("JSON files in GBK, read as such", str(path), int(gbk))
    if not has_picture and not (isinstance(tree, dict) and ("shapes" in tree or "imagePath" in tree)):
        notes.add("JSON files that are not labelme's, left out", str(path))
        return None
    if not isinstance(tree, dict):
        raise DatasetError(f"{path}: holds a {type(tree).__name__}, expected an object of annotations")
    tree["imageData"] = bool(tree.get("imageData"))  # the picture once more: too much to keep for all files
    return tree | {"shapes": entries(tree, "shapes", str(path))}


def _namesake(path: Path, root: Path, images: Path) -> str:
    """The picture of a file's own name at its own place; "" where there is none."""
    stem = images / os.path.relpath(path.with_suffix(""), root)
    found = (f"{stem}{suffix}" for suffix in sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES}))
    return next((name for name in found if is_file(Path(name))), "")


def _is_name(found: Any) -> bool:
    return isinstance(found, str) and bool(found.strip()) and found.isprintable()


def _numbering(
    shapes: Sequence[dict[str, Any]],
    given: ClassList | None,
    listed: Sequence[str] | None,
    background: str | None,
    where: str,
) -> Numbering:
    special = (_IGNORE, _BACKGROUND) if background is not None else (_IGNORE,)
    found = {shape["label"] for shape in shapes if _is_name(shape.get("label"))}
    names = (listed or sorted(found)) if given is None else given.classes.names
    numbering = Numbering([name for name in names if name not in special], background, where)
    if background is not None:
        numbering.of[_BACKGROUND] = 0
    return numbering.ignoring(_IGNORE, *(given.ignored if given else ()))


def _picture(path: Path, tree: dict[str, Any], root: Path, images: Path) -> Place:
    """The picture of a labelme file, below `images`: where the file says, else of that name at the file's own place.

    Where neither is there, the one within the file, if it has one.
    """
    text = tree.get("imagePath")
    if not isinstance(text, str) or not text:
        raise DatasetError(f"{path}: its imagePath is {text!r}, expected the picture's file")
    text, above = text.replace("\\", "/"), Path(os.path.abspath(images))
    said = Path(os.path.normpath(path.parent.absolute() / text))
    if said.is_relative_to(above) and is_file(said):
        return Place(images / said.relative_to(above))  # as ../images/a.jpg, where the files have a folder of their own
    own = images / os.path.relpath(path.parent, root)
    beside = Path(os.path.normpath(own / PurePosixPath(text).name))
    if not elsewhere(text) and is_file(own / inside(text, str(path))):
        return Place(Path(os.path.normpath(own / inside(text, str(path)))))
    if is_file(beside) or tree["imageData"]:
        return Place(beside, not is_file(beside))
    if said.is_relative_to(above) and ".." in text.split("/"):
        return Place(images / said.relative_to(above))
    return Place(Path(os.path.normpath(own / inside(text, str(path)))))


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
    if kind == "rectangle" and len(points_N2) == 4:  # X-AnyLabeling's, and labelme's that were turned
        kind = "polygon"
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
        runs = bitmap_runs(*_mask(shape.get("mask"), points_N2, where), seen.size)
        return [Shape(label, lambda _: runs)]
    if kind == "rectangle":
        (x, y), (x_other, y_other) = points_N2
        points_N2 = np.array([[x, y], [x_other, y], [x_other, y_other], [x, y_other]])
    return [Shape(label, partial(polygon_runs, [points_N2]))]


def _mask(content: Any, corners_22: np.ndarray, where: str) -> tuple[np.ndarray, tuple[int, int]]:
    """A shape's mask (a PNG in base64) and the row and column of its first pixel.

    The corners are the mask's first and last pixel, both within it.  Where they are whole the mask ends there; where
    they are not it begins at the nearest pixel, the even one of two, and is as large as the PNG.
    """
    left, top, right, bottom = np.rint(corners_22).astype(int).ravel().tolist()
    wanted = (bottom - top + 1, right - left + 1)
    try:
        stored = _stored_mask(base64.b64decode(content, validate=True), where)
        if (corners_22 % 1).any():
            return stored, (top, left)
        if stored.shape[0] < wanted[0] or stored.shape[1] < wanted[1] or min(wanted) < 1:
            found = f"{stored.shape[0]}x{stored.shape[1]}"
            raise ValueError(f"{found}, but its corners say {wanted[0]}x{wanted[1]}")
        return stored[: wanted[0], : wanted[1]], (top, left)
    except (ValueError, TypeError, ImageError) as error:
        raise DatasetError(f"{where}: its mask is damaged ({error})") from error


def _stored_mask(content: bytes, where: str) -> np.ndarray:
    with opened(content, where, ("PNG",), MAX_PIXELS) as image:
        if image.mode in ("LA", "RGBA"):
            raise ValueError(f"of mode {image.mode}: is the object what is opaque, or what is light? Save grey")
        stored = np.asarray(image) != 0  # of a palette the indices, whatever their colours
        return stored if stored.ndim == 2 else stored.any(axis=2)


FORM = Form(
    "labelme",
    "labelme",
    "JSON files with shapes",
    lambda look: "shapes[]" in look.keys or ("version" in look.keys and "shapes[]" in look.more),
    read,
    per_picture=True,
)

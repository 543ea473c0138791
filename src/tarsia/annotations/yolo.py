"""YOLO segmentation: a text file a picture, a line an object: class x y x y ..., as shares of width and height.

Format: docs.ultralytics.com, "Instance segmentation datasets".  data.yaml names the classes and the folders of train,
val and test; a picture images/.../a.jpg has its objects in labels/.../a.txt, and none where there is no such file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tarsia.annotations.detect import Asked, Source
from tarsia.annotations.faults import Faults
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    check_extent,
    coordinates,
    frame,
    inside,
    painted,
    plain_name,
)
from tarsia.card import IGNORED
from tarsia.data._labels import _ranges
from tarsia.errors import DatasetError
from tarsia.pictures.find import walk
from tarsia.plain_text import some
from tarsia.polygons.fill import Shape, polygon_runs
from tarsia.yaml_tree import Document

SPLITS = ("train", "val", "test")
_NO_SHARE = 2.0  # a coordinate beyond is no share of a picture's side but in pixels


def read(source: Source, asked: Asked, faults: Faults) -> Annotations:
    """The data set that a data.yaml describes -> its pictures, by split; without one, the classes are asked for.

    `faults` takes whatever is missing, unknown or malformed, with
    the file and line.  Raises DatasetError for what concerns all pictures.
    """
    root, yaml, given, notes = source.root, source.yaml, asked.class_list(), Notes()
    tree = Document.read(yaml).tree if yaml else {}
    where = str(yaml or root)
    if "kpt_shape" in tree:
        raise DatasetError(
            f"{where}: kpt_shape: its lines are boxes with key points, not polygons; label maps need these"
        )
    # A class is its number in the files; one called like the background is class 0 all the same.
    numbers = given.numbers if given else dict(enumerate(_names(tree, where)))
    names = given.classes.names if given else numbers.values()
    numbering = Numbering(names, asked.background, where)
    labels = {number: IGNORED if name is None else numbering.of[name] for number, name in numbers.items()}
    parts = {split: _folders(root, tree, split, where) for split in SPLITS if tree.get(split)} or {"": [root]}
    places = [(split, folder) for split, folders in parts.items() for folder in folders]
    found = [(split, folder, name) for split, folder in places for name in walk(folder)]
    if not found:
        raise DatasetError(f"{where}: no pictures in {some(str(folder) for _, folder in places)}")
    texts = [_text_of(folder / name, root) for _, folder, name in found]
    _check_texts(texts, root, faults)
    pictures = []
    for (split, folder, relative), text in zip(found, texts, strict=True):
        path, part, own = folder / relative, split if len(parts) > 1 else "", Notes()
        called = f"{path} ({part})" if part else str(path)
        with faults.of(called):
            seen = frame(path, None, str(text), own)
            if not text.is_file():
                own.add("pictures without a label file, taken to be without objects", str(path))
            regions = _regions(text, labels, seen, own, faults, called) if text.is_file() else []
            name = plain_name(relative.replace(os.sep, "/"), str(folder))
            if called not in faults:
                notes.take(own)
                pictures.append(painted(name, path, regions, seen, numbering.fill, notes, part))
    named = tuple(parts) if len(parts) > 1 else ()
    return Annotations(numbering.classes(), pictures, [*texts, *([yaml] if yaml else [])], notes, named)


def _names(tree: dict[str, Any], where: str) -> list[Any]:
    """data.yaml's names: a list, or numbers from 0 with a name each."""
    names = tree.get("names")
    if isinstance(names, dict):
        if set(names) != {str(number) for number in range(len(names))}:
            raise DatasetError(f"{where}: names are numbered {', '.join(names)}, expected 0 to {len(names) - 1}")
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{where}: no names of classes; write `names: [road, car]` in data.yaml, or give `classes`")
    if tree.get("nc", len(names)) != len(names):
        raise DatasetError(f"{where}: nc is {tree['nc']} but there are {len(names)} names")
    return names


def _folders(root: Path, tree: dict[str, Any], split: str, where: str) -> list[Path]:
    """The folders of a split's pictures, below `root`."""
    found = tree[split] if isinstance(tree[split], list) else [tree[split]]
    folders = []
    for text in found:
        # Exports write ../train/images for a folder that stands beside data.yaml.
        plain = str(text).replace("\\", "/").removeprefix("../")
        relative = inside(plain, f"{where}: {split}")
        above = PurePosixPath(str(tree.get("path") or "").replace("\\", "/")).name
        places = [root / relative, root / above / relative, root / "images" / relative]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            listed = " or ".join(dict.fromkeys(str(place) for place in places))
            raise DatasetError(f"{where}: {split} is {text}, expected a folder: there is no {listed}")
        folders.append(folder)
    return folders


def _text_of(picture: Path, root: Path) -> Path:
    """Where a picture's objects stand: the last `images` of its path is `labels`, and the suffix .txt."""
    parts = list(picture.relative_to(root).parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return root.joinpath(*parts).with_suffix(".txt")


def _check_texts(texts: Sequence[Path], root: Path, faults: Faults) -> None:
    folders = sorted({text.parent for text in texts})
    if not any(text.is_file() for text in texts):
        looked = some(str(text) for text in texts)
        raise DatasetError(f"{root}: none of its {len(texts)} pictures has a label file; looked for {looked}")
    wanted = set(texts)
    there = [path for folder in folders if folder.name != "images" for path in sorted(folder.glob("*.txt"))]
    for path in there:
        if path not in wanted and path.name != "classes.txt":
            faults.add(f"{path}: a label file without a picture: add the picture, or remove the file")


def _regions(
    path: Path, labels: Mapping[int, int], seen: Frame, notes: Notes, faults: Faults, picture: str
) -> list[Shape]:
    """The regions of a file; what is wrong with a line is a fault of its picture."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    regions: list[Shape] = []
    for number, line in enumerate(lines, 1):
        with faults.of(picture):
            regions += _region(line.split(), labels, seen, f"{path}:{number}", notes)
    return regions


def _region(words: Sequence[str], labels: Mapping[int, int], seen: Frame, where: str, notes: Notes) -> list[Shape]:
    """The region of a line; none where it has no area, which is noted."""
    if not words:
        return []
    if not words[0].isdecimal() or int(words[0]) not in labels:
        known = f"0 to {len(labels) - 1}" if set(labels) == set(range(len(labels))) else _ranges(labels)
        raise DatasetError(f"{where}: class {words[0]}, expected {known} (the names of data.yaml, or `classes`)")
    if len(words) == 5:
        raise DatasetError(f"{where}: a box (a class and 4 numbers), not a polygon: label maps need polygons")
    try:
        shares_N2 = coordinates([float(word) for word in words[1:]], where)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from error
    if len(shares_N2) < 3:
        notes.add("polygons of fewer than 3 points, left out", where)
        return []
    if np.abs(shares_N2).max() > _NO_SHARE:
        raise DatasetError(
            f"{where}: a coordinate is {shares_N2.flat[np.abs(shares_N2).argmax()]:g}, expected shares of the "
            "picture's width and height, 0 to 1: divide pixels by them"
        )
    points_N2 = shares_N2 * (seen.size[1], seen.size[0])
    check_extent(points_N2, seen.size, where, notes)
    return [Shape(labels[int(words[0])], partial(polygon_runs, [points_N2]))]

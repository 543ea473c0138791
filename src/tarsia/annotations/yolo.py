"""YOLO segmentation: a text file a picture, a line an object: class x y x y ..., as shares of width and height.

Format: docs.ultralytics.com, "Instance segmentation datasets".  data.yaml names the classes and the folders of train,
val and test; a picture images/.../a.jpg has its objects in labels/.../a.txt, and none where there is no such file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tarsia.annotations.polygons import Region, polygon_runs
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
    walk,
)
from tarsia.data._pairs import SUFFIXES, some
from tarsia.errors import DatasetError
from tarsia.yaml_tree import Document

SPLITS = ("train", "val", "test")
_NO_SHARE = 2.0  # a coordinate beyond is no share of a picture's side but in pixels


def read(root: Path, yaml: Path | None, names: Sequence[str] | None, background: str | None) -> Annotations:
    """The data set below `root` that `yaml` describes -> its pictures, by split.

    `names`: the classes, where there is no data.yaml.  Raises DatasetError naming the file and line for whatever is
    missing, unknown or malformed.
    """
    notes = Notes()
    tree = Document.read(yaml).tree if yaml else {}
    where = str(yaml or root)
    numbering = Numbering(_names(tree, where) if names is None else names, background, where)
    # The classes of the files are the names' positions; a background among them is class 0 all the same.
    labels = [numbering.of[name] for name in (_names(tree, where) if names is None else names)]
    parts = {split: _folders(root, tree, split, where) for split in SPLITS if tree.get(split)} or {"": [root]}
    places = [(split, folder) for split, folders in parts.items() for folder in folders]
    found = [(split, folder, name) for split, folder in places for name in walk(folder, SUFFIXES)]
    if not found:
        raise DatasetError(f"{where}: no pictures in {some(str(folder) for _, folder in places)}")
    texts = [_text_of(folder / name, root) for _, folder, name in found]
    _check_texts(texts, root)
    pictures = []
    for (split, folder, relative), text in zip(found, texts, strict=True):
        seen = frame(folder / relative, None, str(text), notes)
        if not text.is_file():
            notes.add("pictures without a label file, taken to be without objects", str(folder / relative))
        regions = _regions(text, labels, seen, notes) if text.is_file() else []
        name = plain_name(relative.replace(os.sep, "/"), str(folder))
        part = split if len(parts) > 1 else ""
        pictures.append(painted(name, folder / relative, regions, seen, numbering.fill, notes, part))
    return Annotations(numbering.classes(), pictures, [*texts, *([yaml] if yaml else [])], notes)


def _names(tree: dict[str, Any], where: str) -> list[Any]:
    """data.yaml's names: a list, or numbers from 0 with a name each."""
    names = tree.get("names")
    if isinstance(names, dict):
        if set(names) != {str(number) for number in range(len(names))}:
            raise DatasetError(f"{where}: names are numbered {', '.join(names)}, expected 0 to {len(names) - 1}")
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{where}: no names of classes; write `names: [road, car]` in data.yaml, or give --classes")
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


def _check_texts(texts: Sequence[Path], root: Path) -> None:
    folders = sorted({text.parent for text in texts})
    if not any(text.is_file() for text in texts):
        looked = some(str(text) for text in texts)
        raise DatasetError(f"{root}: none of its {len(texts)} pictures has a label file; looked for {looked}")
    wanted = set(texts)
    there = [path for folder in folders if folder.name != "images" for path in sorted(folder.glob("*.txt"))]
    alone = [str(path) for path in there if path not in wanted and path.name != "classes.txt"]
    if alone:
        raise DatasetError(f"{root}: {len(alone)} label files without a picture: {some(alone)}; add the pictures")


def _regions(path: Path, labels: Sequence[int], seen: Frame, notes: Notes) -> list[Region]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    regions = []
    for number, line in enumerate(lines, 1):
        words, where = line.split(), f"{path}:{number}"
        if not words:
            continue
        if not words[0].isdecimal() or int(words[0]) >= len(labels):
            raise DatasetError(f"{where}: class {words[0]}, expected 0 to {len(labels) - 1} (the names of data.yaml)")
        if len(words) == 5:
            raise DatasetError(f"{where}: a box (a class and 4 numbers), not a polygon: label maps need polygons")
        try:
            shares_N2 = coordinates([float(word) for word in words[1:]], where)
        except ValueError as error:
            raise DatasetError(f"{where}: {error}") from error
        if len(shares_N2) < 3:
            notes.add("polygons of fewer than 3 points, left out", where)
            continue
        if np.abs(shares_N2).max() > _NO_SHARE:
            raise DatasetError(
                f"{where}: a coordinate is {shares_N2.flat[np.abs(shares_N2).argmax()]:g}, expected shares of the "
                "picture's width and height, 0 to 1: divide pixels by them"
            )
        points_N2 = shares_N2 * (seen.size[1], seen.size[0])
        check_extent(points_N2, seen.size, where, notes)
        regions.append(Region(labels[int(words[0])], partial(polygon_runs, [points_N2])))
    return regions

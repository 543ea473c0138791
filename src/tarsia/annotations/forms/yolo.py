"""YOLO segmentation: a text file a picture, a line an object: class x y x y ..., as shares of width and height.

Format: docs.ultralytics.com, "Instance segmentation datasets".  data.yaml names the classes and the folders of train,
val and test, or lists of pictures (train.txt); a picture images/.../a.jpg has its objects in labels/.../a.txt, and none
where there is no such file.  Label Studio writes no data.yaml: the numbers of its classes stand in notes.json.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.faults import Faults
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.look import Look
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    check_extent,
    coordinates,
    frame,
    inside,
    is_file,
    painted,
    plain_name,
)
from tarsia.annotations.trees import entries, read_json
from tarsia.card import IGNORED
from tarsia.data._labels import _ranges
from tarsia.errors import DatasetError
from tarsia.pictures.files import shown
from tarsia.pictures.find import walk
from tarsia.plain_text import some
from tarsia.polygons.fill import Shape, polygon_runs
from tarsia.yaml_tree import Document

SPLITS = ("train", "val", "test")
_NO_SHARE = 2.0  # a coordinate beyond is no share of a picture's side but in pixels


class _Named(NamedTuple):
    """A picture as it is listed: below which folder, its path there, its split."""

    split: str
    folder: Path
    relative: str


def read(source: Found, reading: Reading) -> Annotations:
    """The data set that data.yaml (or Label Studio's notes.json) describes -> its pictures, by split.

    `reading.classes`: the classes, where no file names them.  `reading.faults` takes whatever is missing, unknown or
    malformed, with the file and line.  Raises DatasetError for what concerns all pictures.
    """
    notes, root, given, faults = Notes(), source.root, reading.classes, reading.faults
    yaml = _yaml(source)
    tree = Document.read(yaml).tree if yaml else {}
    where = str(yaml or root)
    if "kpt_shape" in tree:
        raise DatasetError(
            f"{where}: kpt_shape: its lines are boxes with key points, not polygons; label maps need these"
        )
    # A class is its number in the files; one called like the background is class 0 all the same.
    numbers = given.numbers if given else _noted(source) or dict(enumerate(_names(tree, where)))
    names = given.classes.names if given else numbers.values()
    numbering = Numbering(names, reading.background, where)
    labels = {number: IGNORED if name is None else numbering.of[name] for number, name in numbers.items()}
    parts = _parts(root, tree, where, notes)
    found = [one for named in parts.values() for one in named]
    if not found:
        raise DatasetError(f"{where}: no pictures in {some(_said(tree)) or root}")
    texts = [_text_of(one.folder / one.relative, root) for one in found]
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
    files = [*texts, *([yaml] if yaml else [])]
    return Annotations(numbering.classes(), pictures, files, notes, named, numbering.added)


def _yaml(source: Found) -> Path | None:
    found = [path for path in source.files if path.suffix.lower() != ".json"]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{source.root}: which of {names} is it? Give the file as SOURCE")
    return found[0] if found else None


def _noted(source: Found) -> dict[int, Any]:
    """Label Studio's names by number: its classes.txt lists them in another order."""
    found: dict[int, Any] = {}
    for path in source.files:
        if path.suffix.lower() == ".json":
            for entry in entries(read_json(path), "categories", str(path)):
                if type(entry.get("id")) is not int or entry["id"] in found:
                    raise DatasetError(
                        f"{path}: a category has the id {entry.get('id')!r}, expected numbers, each once"
                    )
                found[entry["id"]] = entry.get("name")
    return dict(sorted(found.items()))


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


def _said(tree: dict[str, Any]) -> list[str]:
    return [str(tree[split]) for split in SPLITS if tree.get(split)]


def _parts(root: Path, tree: dict[str, Any], where: str, notes: Notes) -> dict[str, list[_Named]]:
    """The pictures of each split; a test split that is named and not there is noted."""
    parts: dict[str, list[_Named]] = {}
    for split in SPLITS:
        said = tree.get(split)
        named: list[_Named] = []
        for text in (said if isinstance(said, list) else [said]) if said else ():
            place = _place(root, tree, str(text), split, where)
            if place is None:  # Roboflow names test always
                notes.add("splits that data.yaml names and that are not there, left out", f"{split}: {text}")
                continue
            named += _of_list(root, place, split) if place.is_file() else [_Named(split, place, n) for n in walk(place)]
        parts |= {split: named} if said and (named or split != "test") else {}
    return parts or {"": [_Named("", root, name) for name in walk(root)]}


def _place(root: Path, tree: dict[str, Any], text: str, split: str, where: str) -> Path | None:
    """A folder of pictures, or a list of them, below `root`; None for a test split that is not there."""
    # Exports write ../train/images for a folder that stands beside data.yaml.
    relative = inside(text.replace("\\", "/").removeprefix("../"), f"{where}: {split}")
    above = PurePosixPath(str(tree.get("path") or "").replace("\\", "/")).name
    places = [root / relative, root / above / relative, root / "images" / relative]
    place = next((place for place in places if place.is_dir() or (place.suffix == ".txt" and place.is_file())), None)
    if place is None and split != "test":
        listed = " or ".join(dict.fromkeys(str(place) for place in places))
        raise DatasetError(f"{where}: {split} is {text}, expected a folder or a list: there is no {listed}")
    return place


def _of_list(root: Path, path: Path, split: str) -> list[_Named]:
    """The pictures that a text lists, a path a line; of one as it was on another machine the end that is there."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = [part for part in line.strip().replace("\\", "/").split("/") if part not in ("", ".", "..")]
        ends = ["/".join(parts[index:]) for index in range(len(parts))]
        end = next((end for end in ends if is_file(root / end)), None)
        if end is None:
            raise DatasetError(f"{path}:{number}: there is no {shown(line.strip())} below {root}: add it, or the line")
        found.append(_Named(split, root, end))
    # As a folder would have it: images/train/a.jpg is a.jpg of train.
    common = os.path.commonpath([os.path.dirname(one.relative) for one in found]) if found else ""
    return [_Named(split, root / common, os.path.relpath(one.relative, common or ".")) for one in found]


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
    if len(words) % 2 == 0 and len(words) > 5 and words[-1].isdecimal():  # CVAT's number of a track
        words = words[:-1]
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


def _is_one(look: Look) -> bool:
    if look.is_json:
        return "categories[]" in look.keys and "images[]" not in look.keys and b'"Label Studio"' in look.start
    return re.search(rb"^names\s*:", look.start, re.MULTILINE) is not None


FORM = Form(
    "yolo",
    "YOLO",
    "a data.yaml with names",
    _is_one,
    read,
    suffixes=(".yaml", ".yml", ".json"),
    root_only=True,
    takes=("classes", "background"),
    refusals={"images": "`images` is not for YOLO: data.yaml names the folders of pictures"},
)

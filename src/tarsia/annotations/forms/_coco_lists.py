"""What COCO's files of every kind share: lists of images and categories by id, and what each file's split is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tarsia.annotations.faults import Faults
from tarsia.annotations.trees import entries
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError

# Files of regions, as instances_val2017.json, whose pictures are in val2017/; those beside them hold captions or
# keypoints of the same pictures.
INSTANCES = "instances_"
Id = int | str


def splits_of(files: Sequence[Path]) -> list[str]:
    """What each file's split is called: by its own name, or by its folder's where the files' names are equal."""
    stems = [path.stem.removeprefix(INSTANCES).removeprefix("panoptic_") for path in files]
    if len(set(stems)) < len(files):
        stems = [path.absolute().parent.name for path in files]
    if len(set(stems)) < len(files):
        listed = ", ".join(str(path) for path in files)
        raise DatasetError(f"{listed}: which split is which? Name the files differently, or convert them one by one")
    return stems


def objects(path: Path, tree: dict[str, Any], key: str, faults: Faults | None) -> list[dict[str, Any]]:
    """The entries under `key`; one that is none is a fault."""
    found = tree.get(key)
    if not isinstance(found, list):
        entries(tree, key, str(path))  # says what it is
        return []
    for entry in found:
        if not isinstance(entry, dict) and faults is not None:
            faults.add(f"{path}: one of its {key} is {entry!r:.60}, expected an object")
    return [entry for entry in found if isinstance(entry, dict)]


def images(path: Path, tree: dict[str, Any], faults: Faults) -> tuple[dict[Id, dict[str, Any]], set[Id]]:
    """The images by id, and the ids that stand twice: whose annotations these are nobody knows."""
    listed = objects(path, tree, "images", faults)
    if not listed:
        raise DatasetError(f"{path}: lists no images: there is nothing to convert")
    ids = [id_of(entry.get("id")) for entry in listed]
    counts = Counter(number for number in ids if number is not None)
    for place, (number, entry) in enumerate(zip(ids, listed, strict=True)):
        called = f"{path}: image {entry.get('file_name', place)}"
        if number is None:
            faults.add(f"{called} has the id {entry.get('id')!r}, expected a whole number or text", called)
        elif counts[number] > 1:
            faults.add(f"{path}: id {number} stands twice among its images ({entry.get('file_name')})", called)
    good = {number: e for number, e in zip(ids, listed, strict=True) if number is not None and counts[number] == 1}
    return good, {number for number, count in counts.items() if count > 1}


def id_of(found: Any) -> Id | None:
    """An id as a number where it is one, also as text; None where it is neither."""
    if isinstance(found, str) and found:
        return int(found) if found.isdecimal() and len(found) < 19 else found
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def categories(path: Path, tree: dict[str, Any]) -> tuple[dict[Id, Any], dict[str, Rgb]]:
    """Names by id, and the colours that some files give; DatasetError for ids that are none or stand twice."""
    found: dict[Id, Any] = {}
    colors: dict[str, Rgb] = {}
    for entry in entries(tree, "categories", str(path)):
        number = id_of(entry.get("id"))
        if number is None:
            raise DatasetError(
                f"{path}: one of its categories has the id {entry.get('id')!r}, expected a whole number or text"
            )
        if number in found:
            raise DatasetError(f"{path}: id {number} stands twice among its categories")
        found[number] = entry.get("name")
        color = entry.get("color")
        if isinstance(color, list) and len(color) == 3 and all(type(c) is int and 0 <= c < 256 for c in color):
            colors[str(entry.get("name"))] = (color[0], color[1], color[2])
    return found, colors


def in_order(names: Mapping[Id, Any]) -> list[Id]:
    """Numbers sorted, then what is text, as it comes."""
    return [*sorted(n for n in names if isinstance(n, int)), *(n for n in names if isinstance(n, str))]

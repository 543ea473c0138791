"""Where the pictures of a COCO file are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tarsia.annotations.faults import Faults
from tarsia.annotations.finding import Pictures, Place, elsewhere, without_hash
from tarsia.annotations.forms._coco_file import CocoFile
from tarsia.annotations.source import inside, is_file
from tarsia.errors import DatasetError
from tarsia.pictures.files import shown
from tarsia.plain_text import some


class Places:
    """Of each image its picture; those whose picture is nowhere, a fault, are none of the file's any more."""

    def __init__(self, file: CocoFile, split: str, images: Path | None, faults: Faults) -> None:
        self._file = file
        file.scratch.do("CREATE TABLE far(place INTEGER PRIMARY KEY, path, relative)")  # as on another machine
        near = self._many_far = 0
        for place, number, entry in file.images():
            with faults.of(f"{file.path}: image {number}"):
                name: Any = entry.get("file_name")
                if elsewhere(name):
                    file.scratch.add("far", place, None, None)
                    self._many_far += 1
                else:
                    inside(name, f"{file.path}: image {number}")
                    near += 1
                continue
            file.leave_out(place)
        roots = _roots(file.path, split, images)
        self._root = _root(file.path, roots, self._near(), near) if near else roots[0]
        self._look_for(Pictures([*([self._root] if near else []), *roots]), faults)

    def _near(self) -> Iterator[str]:
        """The names that are paths."""
        for place, number, entry in self._file.images():
            if not self._of_far(place):
                yield inside(entry["file_name"], f"{self._file.path}: image {number}")

    def _of_far(self, place: int) -> Any:
        return self._many_far and self._file.scratch.one("SELECT path, relative FROM far WHERE place = ?", place)

    def _look_for(self, below: Pictures, faults: Faults) -> None:
        for place, number, entry in self._file.images():
            if not self._of_far(place):
                continue
            where = f"{self._file.path}: image {number}"
            with faults.of(where):
                found = below.find(entry["file_name"], where)
                both = (os.fsencode(found.path), os.fsencode(found.relative))
                self._file.scratch.do("UPDATE far SET path = ?, relative = ? WHERE place = ?", *both, place)
                continue
            self._file.leave_out(place)

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any], Place]]:
        """The images in their order: place in the list, entry, picture."""
        for place, _, entry in self._file.images():
            far = self._of_far(place)
            if far:
                yield place, entry, Place(Path(os.fsdecode(far[0])), os.fsdecode(far[1]))
                continue
            name = inside(entry["file_name"], "")
            if not is_file(self._root / name) and is_file(self._root / without_hash(name)):
                name = without_hash(name)
            yield place, entry, Place(self._root / name, name)


def _roots(path: Path, split: str, images: Path | None) -> list[Path]:
    """The folders that the pictures' names may start from."""
    if images is not None:
        return [images, images / split]
    near, above = path.parent, path.parent.parent
    places = [near, near / "images", near / split, above / split, above / "images", above / "images" / split]
    return [*places, near / "images" / split]


def _root(path: Path, places: Sequence[Path], names: Iterator[str], count: int) -> Path:
    """The folder that the pictures' names start from: the first in which one of them is."""
    first: list[str] = []
    for name in names:  # nearly always the first is there
        for place in places:
            if is_file(place / name) or is_file(place / without_hash(name)):
                return place
        first += [name] if len(first) < 5 else []
    listed = ", ".join(str(place) for place in places)
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    which = f"its {count} pictures ({some(map(shown, first))}{more}) are"
    if count == 1:
        which = f"its picture {shown(first[0])} is"
    raise DatasetError(f"{path}: {which} in none of {listed}: say with `images` where the pictures are")

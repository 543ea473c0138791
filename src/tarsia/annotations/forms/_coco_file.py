"""A COCO file of instances that stays on disk: kept is where each of its images and annotations stands, on disk too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tarsia.annotations.faults import Faults
from tarsia.annotations.forms._coco_lists import Id, id_of
from tarsia.annotations.scratch import Scratch, key_of
from tarsia.annotations.streamed import parts
from tarsia.annotations.trees import entries
from tarsia.errors import DatasetError

_OF = {"images": "id", "annotations": "image_id"}  # the lists that stay, and what their entries are looked up by
_TABLES = """
CREATE TABLE images(place INTEGER PRIMARY KEY, key, at, length);
CREATE TABLE annotations(place INTEGER PRIMARY KEY, key, at, length);
"""
_INDICES = "CREATE INDEX {0}_keys ON {0}(key)"


class CocoFile:
    """`tree`: the rest of the file, the lists of images and annotations empty.

    Raises DatasetError where it is damaged or no object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scratch = Scratch(_TABLES)
        self.tree: dict[str, Any] = {}
        self._strange: dict[str, list[str]] = {key: [] for key in _OF}
        self._counts = dict.fromkeys(_OF, 0)
        self._read()
        for table in _OF:
            self.scratch.do(_INDICES.format(table))
        self._file = path.open("rb")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def _read(self) -> None:
        whole: Any = self.tree
        for key, value, span in parts(self.path):
            if key is None:
                whole = value if span is None else whole
            elif span is None:
                self.tree[key] = value
                if key in _OF:  # of a key that stands twice the last counts
                    self._strange[key], self._counts[key] = [], 0
                    self.scratch.do(f"DELETE FROM {key}")
            elif key in _OF:
                self._take(key, value, span)
            elif key == "categories":
                self.tree[key].append(value)
        if whole is not self.tree:
            raise DatasetError(f"{self.path}: holds a {type(whole).__name__}, expected an object of annotations")

    def _take(self, key: str, entry: Any, span: tuple[int, int]) -> None:
        if not isinstance(entry, dict):
            self._strange[key].append(f"{entry!r:.60}")
            return
        found = id_of(entry.get(_OF[key]))
        self.scratch.add(key, self._counts[key], None if found is None else key_of(found), *span)
        self._counts[key] += 1

    def require_images(self, faults: Faults) -> None:
        """What is wrong with the list of images, and with their ids; DatasetError where there are none.

        An image whose id is none or stands twice is not one of `images`.
        """
        self._require_list("images", faults)
        if not self._counts["images"]:
            raise DatasetError(f"{self.path}: lists no images: there is nothing to convert")
        bad = "key IS NULL OR key IN (SELECT key FROM images GROUP BY key HAVING count(*) > 1)"
        for place, key, *span in self.scratch.rows(f"SELECT * FROM images WHERE {bad} ORDER BY place"):
            entry = self._entry(*span)
            called = f"{self.path}: image {entry.get('file_name', place)}"
            if key is None:
                faults.add(f"{called} has the id {entry.get('id')!r}, expected a whole number or text", called)
            else:
                number = id_of(entry.get("id"))
                what = f"{self.path}: id {number} stands twice among its images ({entry.get('file_name')})"
                faults.add(what, called)
        self.scratch.do(f"CREATE TABLE bad AS SELECT place FROM images WHERE {bad}")
        self.scratch.do("CREATE INDEX bad_places ON bad(place)")

    def leave_out(self, place: int) -> None:
        """The image at `place` is none of `images` from now on."""
        self.scratch.do("INSERT INTO bad VALUES (?)", place)

    def images(self) -> Iterator[tuple[int, Id, dict[str, Any]]]:
        """The images in their order: place in the list, id, entry."""
        good = "SELECT place, at, length FROM images WHERE place NOT IN (SELECT place FROM bad) ORDER BY place"
        for place, *span in self.scratch.rows(good):
            entry = self._entry(*span)
            number = id_of(entry.get("id"))
            assert number is not None
            yield place, number, entry

    def require_known(self, faults: Faults) -> None:
        """What is wrong with the list of annotations, and which are of no image."""
        self._require_list("annotations", faults)
        alone = (
            "SELECT at, length FROM annotations AS a WHERE key IS NULL"
            " OR NOT EXISTS (SELECT 1 FROM images WHERE images.key = a.key) ORDER BY place"
        )
        for span in self.scratch.rows(alone):
            entry = self._entry(*span)
            of = entry.get("image_id")
            faults.add(f"{self.path}: {called(entry)} is of image {of!r}, which is not among its images")

    def annotations(self, place: int) -> Iterator[dict[str, Any]]:
        """Those of the image at a place, in their order."""
        of_image = (
            "SELECT at, length FROM annotations WHERE key = (SELECT key FROM images WHERE place = ?) ORDER BY place"
        )
        return (self._entry(*span) for span in self.scratch.rows(of_image, place))

    def _entry(self, at: int, length: int) -> dict[str, Any]:
        """An entry once more; DatasetError where the file is no longer what it was."""
        try:
            found = json.loads(os.pread(self._file.fileno(), length, at))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DatasetError(f"{self.path}: changed while it was read: convert it again")
        return found

    def _require_list(self, key: str, faults: Faults) -> None:
        if not isinstance(self.tree.get(key), list):
            entries(self.tree, key, str(self.path))  # says what it is
        for what in self._strange[key]:
            faults.add(f"{self.path}: one of its {key} is {what}, expected an object")


def called(annotation: dict[str, Any]) -> str:
    return f"annotation {annotation.get('id', 'without id')}"

"""Where a picture is that an annotation file names: as a path, a URL, or as it was called on another machine.

Only files below the folders that are searched are ever taken: a name that leads elsewhere is looked for among them by
its last parts.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tarsia.annotations.scratch import Scratch, key_of, text_of
from tarsia.annotations.source import inside
from tarsia.errors import DatasetError
from tarsia.pictures.files import shown
from tarsia.pictures.find import stream, walk
from tarsia.plain_text import listed, some

WRITTEN = "# Written by `tarsia convert`."  # how dataset.yaml begins
_HASH = re.compile(r"^[0-9a-f]{8}-")  # which Label Studio puts before the name of a file that is uploaded
_URL = re.compile(r"^[a-z][a-z0-9+.-]+:", re.IGNORECASE)


_FILES = """
CREATE TABLE files(place INTEGER PRIMARY KEY, real UNIQUE ON CONFLICT IGNORE, key, stem, path, relative)
"""


class Place(NamedTuple):
    """A picture's file, and its path below the folder that was searched, with forward slashes."""

    path: Path
    relative: str


class Pictures:
    """The pictures below some folders, which are looked through once; what is found is kept on disk."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = [root for index, root in enumerate(roots) if root not in roots[:index]]

    @cached_property
    def _files(self) -> Scratch:
        """Each picture once: by file name in lower case, without a hash before it, with and without its suffix."""
        found = Scratch(_FILES)
        count = 0
        for root in self.roots:
            for name in stream(root, left_out=converted(root)):
                relative = name.replace(os.sep, "/")
                keys = (_key(relative), _key(os.path.splitext(_plain(relative))[0]))
                texts = (os.path.realpath(root / name), *keys, str(root / name), relative)
                found.add("files", count, *map(key_of, texts))
                count += 1
        for column in ("key", "stem"):
            found.do(f"CREATE INDEX {column}s ON files({column})")
        return found

    def all(self) -> list[Place]:
        """All of them, those of one name together."""
        rows = self._files.rows("SELECT path, relative FROM files ORDER BY min(place) OVER (PARTITION BY key), place")
        return [Place(Path(text_of(path)), text_of(relative)) for path, relative in rows]

    def _called(self, text: str, stem: bool) -> list[tuple[str, Place]]:
        """Paths below each folder, and where they are, of what is called like `text`."""
        column = "stem" if stem else "key"
        rows = self._files.rows(
            f"SELECT path, relative FROM files WHERE {column} = ? ORDER BY place", key_of(_key(text))
        )
        found = []
        for path, relative in ((text_of(one), text_of(other)) for one, other in rows):
            plain = _plain(relative)
            found.append((os.path.splitext(plain)[0] if stem else plain, Place(Path(path), relative)))
        return found

    def find(self, text: Any, where: str, stem: bool = False) -> Place:
        """The picture that `text` names, of several the one with which it has the most folders in common.

        `stem`: it is a name without its suffix.  DatasetError where there is none, or where several may be meant.
        """
        if not isinstance(text, str) or not text or "\0" in text:
            raise DatasetError(f"{where}: the picture's file is {text!r:.60}, expected its name")
        wanted = path_of(text)
        candidates = self._called(wanted, stem)
        exact = [one for one in candidates if one[0].rsplit("/")[-1] == _plain(wanted).rsplit("/")[-1]]
        parts = _plain(wanted).split("/")[:-1]
        scored = [(_common(parts, other.split("/")[:-1]), place) for other, place in exact or candidates]
        best = max((score for score, _ in scored), default=0)
        found = [place for score, place in scored if score == best]
        if len(found) > 1:
            several = listed([shown(place.path) for place in found[:3]])
            raise DatasetError(f"{where}: its picture {shown(text)} may be {several}: say with `images` which folder")
        if not found:
            looked = some(str(root) for root in self.roots)
            raise DatasetError(
                f"{where}: its picture {shown(text)} is missing: no file of that name lies below {looked}; add it, "
                "remove its entry, or say with `images` where it is"
            )
        return found[0]


def converted(root: Path) -> list[Path]:
    """Folders below `root` that an earlier conversion wrote: copies of what is looked for."""
    found = [root / name for name in walk(root, (".yaml",)) if os.path.basename(name) == "dataset.yaml"]
    return [path.parent for path in found if path.parent != root and _begins(path, WRITTEN)]


def _begins(path: Path, text: str) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(text)) == text.encode()
    except OSError:
        return False


def path_of(text: str) -> str:
    """The path that a URL, a storage's address or a path of any system names, with forward slashes."""
    if _URL.match(text) and not re.match(r"^[A-Za-z]:", text):
        parts = urlsplit(text)
        named = parse_qs(parts.query).get("d")
        return (named[0] if named else unquote(parts.path)).replace("\\", "/")
    if "?d=" in text:  # Label Studio's storage: /data/local-files/?d=folder/a.jpg
        return unquote(text.partition("?d=")[2]).replace("\\", "/")
    return text.replace("\\", "/")


def elsewhere(text: Any) -> bool:
    """Whether a picture's file is named as a URL, or as a path that leads out of any folder of pictures."""
    if not isinstance(text, str) or "\0" in text or not text:
        return False
    if _URL.match(text) or "?d=" in text:
        return True
    try:
        inside(text, "")
    except DatasetError:
        return True
    return False


def without_hash(name: str) -> str:
    """A path whose file's name has lost the eight signs that Label Studio puts before it."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + _HASH.sub("", file)


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _key(path: str) -> str:
    return _HASH.sub("", _plain(path).rpartition("/")[2].lower())


def _common(one: Collection[str], other: Collection[str]) -> int:
    """How many folders two paths have in common, from their ends."""
    count = 0
    for a, b in zip(reversed(list(one)), reversed(list(other)), strict=False):
        if a != b:
            break
        count += 1
    return count

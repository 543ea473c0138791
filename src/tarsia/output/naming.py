"""The names of results: no two pictures' results meet, whatever the case, and however many there are.

NAME is a file's name without its suffix; for a picture found in a folder, its path below that folder.  Where results of
two pictures would meet (x.jpg and x.png), these keep their suffix (x.jpg.png, x.png.png); where that is not enough, as
for two x.jpg of different folders, the later ones end in -2, -3 ... in the order they were given.

Pictures are named in blocks, in the order they were given, and of two that meet in different blocks the first has the
shorter name.  So the names of a picture and of all before it are known before any picture beyond its block is.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tarsia.output.numbers import Numbers
from tarsia.output.sources import ENDINGS, Failed, Source
from tarsia.output.what_to_write import FILES

_LONGEST_NAME_BYTES = 255  # of one file name, on every file system in use
_MEDIA = {medium: 1 << place for place, medium in enumerate(ENDINGS)}
_RESULTS_OF = [(medium, ending) for medium, endings in ENDINGS.items() for ending in endings.values()]


class Naming:
    """Names of one run's results; what is taken lies on disk, but for the folders, which memory holds."""

    def __init__(self, save: Sequence[str]) -> None:
        self._save = save
        self._reserved = set(map(_same, FILES.values())) if "labelme" in save else set()
        self._folders: set[str] = set()
        self._closed: set[str] = set()  # folders that would stand where a result does
        self._taken = Numbers()  # NAMEs, and of which media

    def named(self, sources: Sequence[Source], failed: Failed) -> list[Source]:
        """A block of sources with their NAMEs; those that can have none are added to `failed`."""
        folders = {folder: _with_those_above(folder) for folder in {os.path.dirname(one.relative) for one in sources}}
        self._enter({one for above in folders.values() for one in above})
        open_ones = []
        for source in sources:
            if self._closed & folders[os.path.dirname(source.relative)]:
                failed.append((source.path, "a result of another picture is where the folder of its results would be"))
            else:
                open_ones.append(source)
        stems = [source.called or _stem(source.relative) for source in open_ones]
        counts = Counter(map(_same, stems))
        names: dict[int, str] = {}
        for index, (stem, source) in enumerate(zip(stems, open_ones, strict=True)):
            if counts[_same(stem)] == 1 and self._free(stem, source.medium):
                names[index] = stem
                self._take(stem, source.medium)
        chosen = []
        for index, source in enumerate(open_ones):
            name = names.get(index) or self._other(source)
            endings = [ending for kind, ending in ENDINGS[source.medium].items() if kind in ("overlay", *self._save)]
            if len(os.fsencode(os.path.basename(name))) + max(map(len, endings)) > _LONGEST_NAME_BYTES:
                failed.append((source.path, "its name is too long for the results' names; give it a shorter one"))
            else:
                chosen.append(replace(source, name=name))
        return chosen

    def _other(self, source: Source) -> str:
        """The name with its suffix, and a number where that is taken, too."""
        name, count = source.relative, 1
        while not self._free(name, source.medium):
            count += 1
            name = f"{source.relative}-{count}"
        self._take(name, source.medium)
        return name

    def _enter(self, folders: set[str]) -> None:
        for folder in folders - self._folders:
            if self._is_result(folder, {}):
                self._closed.add(folder)
            else:
                self._folders.add(folder)

    def _free(self, name: str, medium: str) -> bool:
        results = [_same(name) + ending for ending in ENDINGS[medium].values()]
        if any(result in self._reserved or result in self._folders for result in results):
            return False
        looked_up: dict[str, int] = {}
        return not any(self._is_result(result, looked_up) for result in results)

    def _is_result(self, path: str, looked_up: dict[str, int]) -> bool:
        """Whether a picture that is named already has a result there."""
        for medium, ending in _RESULTS_OF:
            if path.endswith(ending):
                key = path[: len(path) - len(ending)]
                if key not in looked_up:
                    looked_up[key] = self._taken.get(key) or 0
                if looked_up[key] & _MEDIA[medium]:
                    return True
        return False

    def _take(self, name: str, medium: str) -> None:
        key = _same(name)
        self._taken[key] = _MEDIA[medium] | (self._taken.get(key) or 0)


def _with_those_above(folder: str) -> set[str]:
    return {_same(str(one)) for one in (Path(folder), *Path(folder).parents)}


def _stem(relative: str) -> str:
    stem, suffix = os.path.splitext(relative)
    return relative if suffix == "." else stem


def _same(name: str) -> str:
    """What two names share that some file system would not tell apart."""
    return unicodedata.normalize("NFC", name).casefold()

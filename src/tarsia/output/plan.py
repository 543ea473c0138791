"""The pictures of a run in their order, found and named while others are segmented, and kept on disk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

from tarsia.output.naming import Naming
from tarsia.output.numbers import Numbers, temporary
from tarsia.output.sources import ENDINGS, Failed, Source, is_camera

BLOCK = 1000  # pictures that are found and named at once
OPEN, DONE, BEFORE = 0, 1, 2  # what became of a picture; a failed one stays open
_PAGE = 500  # pictures read from the disk at once
_MEDIA = list(ENDINGS)
T = TypeVar("T")


class Plan:
    """Each source once, with the NAME of its results: `count` of them so far, all where `complete`.

    What cannot be read or named is added to `failed`, when it is found, and told to `tell`.
    """

    tell: Callable[[Path, str], None] | None = None

    def __init__(self, sources: Iterator[Source], save: Sequence[str], failed: Failed, block: int = BLOCK) -> None:
        self.count, self.complete = 0, False
        self._sources, self._failed, self._block = sources, failed, block
        self._naming, self._known = Naming(save), Numbers()
        self._pictures = temporary()
        columns = "place INTEGER PRIMARY KEY, path BLOB, relative BLOB, medium INTEGER, name BLOB, state INTEGER"
        self._pictures.execute(f"CREATE TABLE pictures ({columns})")

    def more(self) -> bool:
        """Find and name another block; False where all are known."""
        fresh = (one for one in self._sources if self._known.add(_identity(one.path), 0))
        before = len(self._failed)
        block = list(itertools.islice(fresh, self._block))
        self.complete = len(block) < self._block
        for source in self._naming.named(block, self._failed):
            row = (_stored(source.path), _stored(source.relative), _MEDIA.index(source.medium), _stored(source.name))
            self._pictures.execute("INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?)", (self.count, *row, OPEN))
            self.count += 1
        if self.tell is not None:
            for path, message in self._failed[before:]:
                self.tell(path, message)
        return not self.complete

    def __iter__(self) -> Iterator[Source]:
        """All of them, those that are not known yet once it is their turn."""
        place = 0
        while True:
            while place == self.count and not self.complete:
                self.more()
            if place == self.count:
                return
            for source in self._page(place, "TRUE"):
                yield source
                place = source.place + 1

    def mark(self, source: Source, state: int) -> None:
        """Note what became of a picture."""
        self._pictures.execute("UPDATE pictures SET state = ? WHERE place = ?", (state, source.place))

    def known(self) -> Listed[Source]:
        """Those that are known by now, in their order."""
        return Listed(self, "TRUE", lambda source: source)

    def of(self, state: int, made: Callable[[Source], T]) -> Listed[T]:
        """What is made of those of a state, in their order."""
        return Listed(self, f"state = {state:d}", made)

    def _page(self, first: int, where: str, most: int = _PAGE) -> list[Source]:
        columns, order = "place, path, relative, medium, name", "ORDER BY place LIMIT ?"
        query = f"SELECT {columns} FROM pictures WHERE place >= ? AND {where} {order}"
        found = self._pictures.execute(query, (first, most)).fetchall()
        return [
            Source(Path(_read(path)), _read(relative), _MEDIA[medium], _read(name), place)
            for place, path, relative, medium, name in found
        ]

    def _number(self, where: str) -> int:
        return int(self._pictures.execute(f"SELECT COUNT(*) FROM pictures WHERE {where}").fetchone()[0])


class Listed(Sequence[T], Generic[T]):
    """A list that is read from a plan a page at a time, as often as it is gone through."""

    def __init__(self, plan: Plan, where: str, made: Callable[[Source], T]) -> None:
        self._plan, self._where, self._made = plan, where, made

    def __len__(self) -> int:
        return self._plan._number(self._where)

    def __iter__(self) -> Iterator[T]:
        place = 0
        while page := self._plan._page(place, self._where):
            yield from map(self._made, page)
            place = page[-1].place + 1

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(self)[index]
        wanted = index + len(self) if index < 0 else index
        for one in itertools.islice(self, max(0, wanted), None):
            if wanted >= 0:
                return one
            break
        raise IndexError(index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))

    __hash__ = None  # type: ignore[assignment]


def _identity(path: Path) -> str:
    return str(path) if is_camera(path) else os.path.abspath(path)


def _stored(text: str | Path) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")  # a file's name need be no text


def _read(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")

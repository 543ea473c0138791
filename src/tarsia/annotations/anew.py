"""Very many things, none of which memory holds: made whenever they are gone through, or known by 8 bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Anew(Collection[T]):
    """So many things, which are made anew whenever they are gone through."""

    def __init__(self, count: int, make: Callable[[], Iterator[T]]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return self._make()

    def __contains__(self, one: object) -> bool:
        return any(one == other for other in self)


class Marks:
    """Texts by their 64-bit hashes.

    Of a million, two that differ have one hash once in 30 million times: whoever finds two that are equal by it looks
    at the texts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        found = array("q", map(hash, texts))
        self._sorted = np.sort(np.frombuffer(found, np.int64)) if found else np.empty(0, np.int64)

    def __contains__(self, text: str) -> bool:
        place = int(np.searchsorted(self._sorted, hash(text)))
        return place < len(self._sorted) and int(self._sorted[place]) == hash(text)

    def twice(self) -> frozenset[int]:
        """The hashes of several of the texts."""
        return frozenset(self._sorted[1:][self._sorted[1:] == self._sorted[:-1]].tolist())

    def common(self, other: Marks) -> int:
        """How many texts are among those of `other` too, each counted once."""
        return len(np.intersect1d(self._sorted, other._sorted))

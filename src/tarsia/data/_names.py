"""Whether two names are meant to be one: Unicode's ways of writing a letter, letter case, folders before a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable


def nfc(name: str) -> str:
    """A name as most systems write it: of letters and accents macOS makes two characters where others have one."""
    return unicodedata.normalize("NFC", name)


def caseless(name: str) -> str:
    """A name in NFC and without its letters' case."""
    return nfc(name).casefold()


def matched(images: Collection[str], labels: Collection[str]) -> dict[str, str]:
    """The label of each image that has one: of its name, else the only one that is alike by NFC, or but for case."""
    found = {name: name for name in images if name in labels}
    for alike in (nfc, caseless):
        taken = set(found.values())
        left, free = (
            _alike([one for one in images if one not in found], alike),
            _alike([one for one in labels if one not in taken], alike),
        )
        for key, names in left.items():
            if len(names) == 1 == len(free.get(key, ())):
                found[names[0]] = free[key][0]
    return found


def _alike(names: Iterable[str], alike: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(alike(name), []).append(name)
    return found


class Lookup:
    """Finds a listed name among others: as it stands, by NFC, by letter case, without folders before it or after."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = dict.fromkeys(names)
        self._ways = [(alike, _alike(self.names, alike)) for alike in (nfc, caseless, _last)]

    def find(self, name: str) -> str | None:
        if name in self.names:
            return name
        for alike, known in self._ways:
            if len(found := known.get(alike(name), [])) == 1:
                return found[0]
        return None


def _last(name: str) -> str:
    return caseless(name).rpartition("/")[2]

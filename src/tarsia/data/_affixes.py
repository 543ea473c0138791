"""What stands before and after the name that an image and its label share: said, or found out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import product
from typing import NamedTuple

from tarsia.data._names import caseless, nfc

_COMMON = 0.4  # share of the names that have an affix, from which on it may be one
_TRIED = 6  # affixes of each kind
_WORD_END = re.compile(r"(?=[_\-. ])|(?<=\d)(?=[^\W\d_])")  # where a suffix may begin
_WORD_START = re.compile(r"(?<=[_\-. ])|(?<=[^\W\d_])(?=\d)")  # where a prefix may end


class Affixes(NamedTuple):
    """Of images and labels.  A suffix with a dot (`_sat.jpg`, `.png`) is the end of the file's whole name."""

    image_prefix: str = ""
    image_suffix: str = ""
    label_prefix: str = ""
    label_suffix: str = ""

    @property
    def images(self) -> tuple[str, str]:
        return self.image_prefix, self.image_suffix

    @property
    def labels(self) -> tuple[str, str]:
        return self.label_prefix, self.label_suffix

    def keys(self) -> dict[str, str]:
        """Those that there are, as dataset.yaml calls them."""
        return {key: value for key, value in self._asdict().items() if value}


NO_AFFIXES = Affixes()


def stripped(relative: str, prefix: str, suffix: str) -> str | None:
    """The shared name in a file's path: without its suffix, and without the affixes; None where it lacks one."""
    name, ending = os.path.splitext(relative.replace(os.sep, "/"))
    if prefix or suffix:
        name, prefix, suffix = nfc(name), nfc(prefix), nfc(suffix)
    whole = name + (ending if suffix.endswith(ending) else ending.lower())
    if "." in suffix and whole.endswith(suffix):
        name = whole[: -len(suffix)]
    elif not name.endswith(suffix):
        return None
    else:
        name = name[: len(name) - len(suffix)]
    folder, slash, last = name.rpartition("/")
    if not last.startswith(prefix) or len(last) == len(prefix):
        return None
    return f"{folder}{slash}{last[len(prefix) :]}"


def find_affixes(images: Collection[str], labels: Collection[str]) -> tuple[Affixes, int]:
    """The affixes, of names without their files' suffixes, by which most images have a label; and how many have."""
    best, most = Affixes(), len({*map(caseless, images)} & {*map(caseless, labels)})
    befores = [_common(names, _before) for names in (images, labels)]
    afters = [_common(names, _after) for names in (images, labels)]
    tried = product(befores[0], afters[0], befores[1], afters[1])
    stems: dict[tuple[int, str, str], set[str]] = {}

    def rest(side: int, prefix: str, suffix: str) -> set[str]:
        if (side, prefix, suffix) not in stems:
            names = (images, labels)[side]
            stems[side, prefix, suffix] = _rest(names, prefix, suffix)
        return stems[side, prefix, suffix]

    for found in sorted((Affixes(*one) for one in tried), key=lambda one: (len("".join(one)), one)):
        count = len(rest(0, *found.images) & rest(1, *found.labels))
        if count > most:
            best, most = found, count
    return best, most


def _rest(names: Iterable[str], prefix: str, suffix: str) -> set[str]:
    kept = set()
    for name in names:
        folder, slash, last = name.rpartition("/")
        if last.startswith(prefix) and last.endswith(suffix) and len(last) > len(prefix) + len(suffix):
            kept.add(folder + slash + last[len(prefix) : len(last) - len(suffix)])
    return kept


def _before(name: str) -> Iterable[str]:
    return (name[: place.start()] for place in _WORD_START.finditer(name) if 0 < place.start() < len(name))


def _after(name: str) -> Iterable[str]:
    return (name[place.start() :] for place in _WORD_END.finditer(name) if 0 < place.start() < len(name))


def common_ends(names: Collection[str], least: float = _COMMON) -> tuple[list[str], list[str]]:
    """The words that at least this share of names (two of them at least) begin with, and those that they end with."""
    return _common(names, _before, least)[1:], _common(names, _after, least)[1:]


def _common(names: Collection[str], parts: Callable[[str], Iterable[str]], least: float = _COMMON) -> list[str]:
    counts: Counter[str] = Counter()
    for name in names:
        counts.update(set(parts(name.rpartition("/")[2])))
    often = [part for part, count in counts.most_common(_TRIED) if count >= max(min(2, len(names)), least * len(names))]
    return ["", *often]

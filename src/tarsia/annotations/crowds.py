"""What regions marked `iscrowd` are: crowds without outlines of their own, or objects whose program writes them so.

MS COCO marks a crowd of objects that nobody outlined one by one: what is in it counts for nothing, 255.  CVAT,
datumaro, supervision and others mark whatever they write as run lengths: brush strokes, objects with holes or of
several parts.  The mark is the same.  Where every region of a class has it they can only be objects; where some have it
and some have not, both is possible and a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tarsia.annotations.source import Notes
from tarsia.errors import DatasetError, RecipeError, nearest
from tarsia.plain_text import command

CHOICES = ("ignore", "objects")


def is_crowd(found: Any, where: str) -> bool:
    """The mark as files have it: a number, a truth value, either as text, or none."""
    known = {"": False, "0": False, "1": True, "false": False, "true": True}
    text = "" if found is None else str(found).strip().lower()
    if text not in known:
        raise DatasetError(f"{where}: its iscrowd is {found!r}, expected 0 or 1")
    return known[text]


class Crowds:
    """How many regions of each category are marked, and how many are not."""

    def __init__(self) -> None:
        self._counts: dict[int | str, list[int]] = {}
        self._first: dict[int | str, str] = {}  # a marked one

    def add(self, category: int | str, crowd: bool, where: str) -> None:
        self._counts.setdefault(category, [0, 0])[crowd] += 1
        if crowd:
            self._first.setdefault(category, where)

    def objects(self, crowd: str | None, names: Mapping[int | str, str], typed: Sequence[object], notes: Notes) -> bool:
        """Whether marked regions are objects, which is noted with counts.

        `crowd` decides, where it is given.  Raises RecipeError for another word than "ignore" and "objects",
        DatasetError where a class has regions of both kinds: with both of the commands that settle it, which go on from
        the words `typed`.
        """
        if crowd not in (None, *CHOICES):
            raise RecipeError(f"{crowd=}{nearest(crowd, CHOICES)}: expected {' or '.join(CHOICES)}")
        marked = {category: counts for category, counts in self._in_order() if counts[1]}
        mixed = [
            f"{names[category]} {counts[1]:,} of {sum(counts):,}" for category, counts in marked.items() if counts[0]
        ]
        if mixed and crowd is None:
            raise DatasetError(
                f"regions marked iscrowd among others that are not ({', '.join(mixed)}; first: "
                f"{next(self._first[category] for category, counts in marked.items() if counts[0])}): crowds as in MS "
                "COCO, which are ignored, or objects that a program marks so (brush strokes, holes, several parts)?  "
                f"`{command(*typed, '--crowd', 'ignore')}` or `{command(*typed, '--crowd', 'objects')}` says it"
            )
        for category, (plain, count) in marked.items():
            which = f"regions of {names[category]} marked iscrowd" + ("" if plain else ", as all of its regions are")
            what = "ignored, 255" if crowd == "ignore" else "taken as objects"
            hint = "" if crowd else " (crowd='ignore' makes them 255)"
            notes.add(f"{which}, {what}{hint}", self._first[category], count)
        return crowd != "ignore"

    def _in_order(self) -> list[tuple[int | str, list[int]]]:
        return sorted(self._counts.items(), key=lambda item: (isinstance(item[0], str), item[0]))

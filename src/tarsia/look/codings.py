"""What published data sets and lists of classes call the numbers and colours of labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tarsia.annotations.class_list import ClassList
from tarsia.card import IGNORED
from tarsia.data import camvid, cityscapes, voc
from tarsia.data._labels import Rgb
from tarsia.errors import TarsiaError

VOID = re.compile(r"(?i)void|un_?label+ed|ignored?|don.?t.?care|no_?label|undefined|no.?data|null|(?:.*\W)?void")
_LISTS = re.compile(r"(?i)(class|label|code|categor|colou?r|legend|names|palette|map)")
_SUFFIXES = (".txt", ".csv", ".json")
_LEAST = 3  # colours by which a published palette is recognised
_MOST_BYTES = 100_000

Names = dict[int, str | None]  # None: ignored


@dataclass(frozen=True)
class Known:
    """Names of numbers and of colours, None for what is ignored; `source`: who says so.

    `places`: names as they stand in a list without numbers.
    """

    source: str
    numbers: Mapping[int, str | None] = field(default_factory=dict)
    colors: Mapping[Rgb, str | None] = field(default_factory=dict)
    places: tuple[str, ...] = ()


def published() -> list[Known]:
    """Of data sets whose colours are well known."""
    camvid_colors: dict[Rgb, str | None] = {
        color: name for group in camvid.ORIGINAL_COLORS.values() for name, color in group.items()
    }
    ids: dict[Rgb, str | None] = {one.color: one.name if one.trained else None for one in reversed(cityscapes.IDS)}
    pascal: dict[Rgb, str | None] = dict(zip(voc.CLASSES.colors, voc.NAMES, strict=True))
    return [
        Known("CamVid", {}, camvid_colors | {camvid.ORIGINAL_VOID: None}),
        Known("Cityscapes", {k: one.name if one.trained else None for k, one in enumerate(cityscapes.IDS)}, ids),
        Known("PASCAL VOC", dict(enumerate(voc.NAMES)), pascal | {voc.BORDER: None}),
    ]


def of_colors(colors: Collection[Rgb]) -> Known | None:
    """The only published palette that has all of these colours, and enough of them to tell."""
    bright = {color for color in colors if len(set(color)) > 1}
    fits = [one for one in published() if len(bright) >= _LEAST and set(colors) <= one.colors.keys()]
    return fits[0] if len(fits) == 1 else None


def of_numbers(values: Collection[int], palette: tuple[Rgb, ...], word: str) -> Known | None:
    """A published coding of numbers: PASCAL VOC by its palette, Cityscapes by the name of its files."""
    _, cities, pascal = published()
    if palette[1:6] == voc.CLASSES.colors[1:6] and {*values} - {IGNORED} <= pascal.numbers.keys():
        return Known(pascal.source, pascal.numbers, {})
    if word.lower().endswith("labelids") and {*values} - {IGNORED} <= cities.numbers.keys():
        return Known(cities.source, cities.numbers, {})
    if word.lower().endswith("labeltrainids") and {*values} - {IGNORED} <= {*range(19)}:
        trained = [one.name for one in cityscapes.IDS if one.trained]
        return Known(cities.source, dict(enumerate(trained)), {})
    return None


def listed(root: Path) -> Known | None:
    """The file beside pictures and labels that lists the classes; None where there is none, or more than one."""
    found: list[Known] = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or not _LISTS.search(path.stem) or not path.is_file():
            continue
        known = _read(path, path.relative_to(root).as_posix()) if path.stat().st_size < _MOST_BYTES else None
        if known is not None:
            found.append(known)
    return found[0] if len(found) == 1 else None


def _read(path: Path, source: str) -> Known | None:
    try:
        given = ClassList.read(path)
    except (TarsiaError, OSError):
        return None
    names = given.classes.names
    colors: dict[Rgb, str | None] = {
        color: None if label == IGNORED or VOID.fullmatch(names[label]) else names[label]
        for color, label in given.table.colors.items()
    }
    numbers = {one: None if name is None or VOID.fullmatch(name) else name for one, name in given.numbers.items()}
    if not given.numbered:
        ordered = [
            given.numbers[one] or "void" for one in sorted(given.numbers) if one != IGNORED or len(names) > IGNORED
        ]
        return Known(source, {}, colors, tuple(ordered))
    return Known(source, numbers, colors)

"""Masks in colours or numbers: which class each of them is, from a file that says so or from what is found.

A file of classes is either YAML as dataset.yaml has it (classes with color or values, ignore), or text with a class a
line: `name, r, g, b`, `r g b name`, CVAT's `name:r,g,b::`, or the name alone.  Numbers in masks are then line numbers
from 0.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.annotations.source import Annotations, Frame, Notes, Picture, frame, plain_name, walk
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import LabelTable, Rgb, distinct_colors
from tarsia.data._layout import Layout
from tarsia.data._pairs import SUFFIXES, Pair, common_suffix, match, some
from tarsia.errors import DatasetError
from tarsia.runtime.label_file import LABEL_FORMATS, read_colors, read_label

_NUMBERS = r"(?P<red>\d{1,3})[,;:\s]+(?P<green>\d{1,3})[,;:\s]+(?P<blue>\d{1,3})"
_NAME_FIRST = re.compile(rf"(?P<name>.*?\S)[,;:\s]+{_NUMBERS}[,;:\s]*$")
_NAME_LAST = re.compile(rf"{_NUMBERS}[,;:\s]+(?P<name>\S.*)$")
_SMEARED = 64  # more colours or numbers than this in one mask: smoothed or compressed, not drawn
_COLORED = ("RGB", "RGBA", "P")
_HEADER = re.compile(r"\W*name\W+(r|red)\W", re.IGNORECASE)


@dataclass
class ClassList:
    """Classes, and how masks call them.  `by_color`: by colours (True), by numbers (False), or as each mask has it."""

    classes: Classes
    table: LabelTable
    by_color: bool | None = None

    @classmethod
    def read(cls, path: Path) -> ClassList:
        """The classes in a YAML or text file; RecipeError or DatasetError, with the line, where there are none."""
        if path.suffix.lower() in (".yaml", ".yml"):
            layout = Layout.load(path)
            by_color = None if layout.format is None else layout.format == "rgb"
            return cls(layout.palette(), layout.table(str(path)), by_color)
        names, colors = _lines(path)
        free = iter(distinct_colors(colors.count(None), [color for color in colors if color]))
        classes = Classes(names=tuple(names), colors=tuple(color or next(free) for color in colors))
        values = {index: index for index in range(len(names))} | {IGNORED: IGNORED}
        known = {color: index for index, color in enumerate(colors) if color}
        return cls(classes, LabelTable(values, known, f"add a line for it to {path}"), bool(known))


def _lines(path: Path) -> tuple[list[str], list[Rgb | None]]:
    """Names and colours, as many."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: no list of classes, one a line ({reason})") from error
    names: list[str] = []
    colors: list[Rgb | None] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#") or (not names and _HEADER.match(text)):
            continue
        found = _NAME_LAST.match(text) or _NAME_FIRST.match(text)
        name = (found["name"] if found else text).strip(" \t,;:\"'")
        color = (int(found["red"]), int(found["green"]), int(found["blue"])) if found else None
        if not name.isprintable() or not name or name in names or (color and (color in colors or max(color) > 255)):
            raise DatasetError(f"{path}:{number}: {text!r}: expected a name and a colour (0 to 255), each only once")
        names.append(name)
        colors.append(color)
    if not 1 <= len(names) <= MAX_CLASSES:
        raise DatasetError(f"{path}: lists {len(names)} classes, expected 1 to {MAX_CLASSES}, one a line")
    if None in colors and any(colors):
        raise DatasetError(f"{path}: some classes have a colour and some have none: give one to each, or to none")
    return names, colors


@dataclass
class _Survey:
    """What stands in the masks: pixels of each number or colour code, and the palettes' colours."""

    values: Counter[int] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    palette: dict[int, Rgb] = field(default_factory=dict)  # of the numbers that occur
    first_palette: list[Rgb] = field(default_factory=list)  # all of it, for the numbers between
    numbered: str = ""  # the first mask of numbers, of colours, and the one of most colours
    colored: str = ""
    richest: tuple[int, str] = (0, "")  # how many are in one mask


def read(masks: Path, images: Path | None, given: ClassList | None) -> Annotations:
    """Masks below `masks` and the pictures of the same names below `images` -> the pictures.

    All masks are read here, so that what is wrong with one is said before anything is written.  Raises DatasetError
    naming the file for lossy or smoothed masks, unknown values, and missing pictures.
    """
    if images is None:
        raise DatasetError(f"{masks}: masks need their pictures: say with --images where they are")
    if images.resolve() == masks.resolve():
        raise DatasetError(f"{masks}: masks and pictures in one folder: give them folders of their own")
    suffix = common_suffix(images, masks)
    names = [os.path.splitext(name)[0].removesuffix(suffix) for name in walk(masks, SUFFIXES)]
    photos = [os.path.splitext(name)[0] for name in walk(images, SUFFIXES)]
    alone = sorted(set(names) - set(photos))
    if alone:
        listed = f"{len(alone)} of {len(names)} masks have no picture in {images}: {some(alone)}"
        raise DatasetError(f"{masks}: {listed}; names must be equal, but for one suffix that all masks have")
    pairs = match(images, masks, suffix, only=names)
    notes = Notes()
    left = sorted(set(photos) - set(names))
    notes.add("pictures without a mask, left out", left[0] if left else "", len(left))
    survey = _Survey()
    colors = given is not None and given.by_color is True and any(_mode(pair.label) in _COLORED for pair in pairs)
    frames = []
    for pair in console.track(pairs, len(pairs), "reading masks"):
        stored = _stored(pair.label, colors)
        frames.append(frame(Path(pair.image), stored.shape[:2], pair.label, notes))
        if given is not None:
            _label(stored, given, pair.label)
        else:
            _look(survey, stored, pair.label)
    classes = given or _found(survey, str(masks), notes)
    pictures = [_picture(pair, classes, colors, seen) for pair, seen in zip(pairs, frames, strict=True)]
    return Annotations(classes.classes, pictures, [Path(pair.label) for pair in pairs], notes)


def _picture(pair: Pair, classes: ClassList, colors: bool, seen: Frame) -> Picture:
    def draw() -> np.ndarray:
        return seen.upright(_label(_stored(pair.label, colors), classes, pair.label))

    name = plain_name(pair.name + Path(pair.image).suffix, pair.image)
    return Picture(name, Path(pair.image), draw)


def _label(stored: np.ndarray, classes: ClassList, path: str) -> np.ndarray:
    """A mask's content -> labels; numbers may come as RGB with equal channels."""
    numbers = classes.by_color is False or not classes.table.colors
    if stored.ndim == 3 and numbers and (stored == stored[..., :1]).all():
        stored = stored[..., 0]
    return classes.table(stored, path)


def _mode(path: str) -> str:
    try:
        with Image.open(path, formats=LABEL_FORMATS) as image:
            return image.mode
    except Exception:  # Pillow raises nearly everything; what is wrong, read_label says
        return ""


def _stored(path: str, colors: bool) -> np.ndarray:
    """A mask's numbers H x W or colours H x W x 3; with `colors`, palettes and greys as colours too."""
    return read_colors(path) if colors else read_label(path)


def _palette(path: str) -> np.ndarray | None:
    """A palette file's colours, 256 x 3, black beyond its end; None for other files."""
    with Image.open(path, formats=LABEL_FORMATS) as image:  # read_label has been here: it is sound
        if image.mode != "P":
            return None
        colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return np.pad(colors, ((0, 256 - len(colors)), (0, 0)))


def _look(survey: _Survey, stored: np.ndarray, path: str) -> None:
    if stored.ndim == 3:
        codes, counts = np.unique(stored @ np.array([1 << 16, 1 << 8, 1], np.uint32), return_counts=True)
        survey.codes.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        distinct = len(codes)
        if (stored != stored[..., :1]).any():
            survey.colored = survey.colored or path
    else:
        values, counts = np.unique(stored, return_counts=True)
        distinct = len(values)
        survey.values.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        palette = _palette(path)
        colors = [] if palette is None else [(red, green, blue) for red, green, blue in palette.tolist()]
        survey.first_palette = survey.first_palette or colors
        for value in values.tolist() if colors else []:
            if survey.palette.setdefault(value, colors[value]) != colors[value]:
                raise DatasetError(
                    f"{path}: index {value} is {list(colors[value])} in its palette, but {list(survey.palette[value])} "
                    "in masks before it: these indices mean nothing by themselves; save the masks as RGB, or name "
                    "their colours in --classes FILE"
                )
        survey.numbered = survey.numbered or path
    survey.richest = max(survey.richest, (distinct, path))
    if survey.numbered and survey.colored:
        raise DatasetError(f"{survey.numbered} holds numbers, {survey.colored} holds colours: convert them one by one")


def _found(survey: _Survey, where: str, notes: Notes) -> ClassList:
    """Classes from what the masks hold: colours, commonest first, or numbers as they are."""
    count, path = survey.richest
    if count <= _SMEARED and len(survey.codes) > MAX_CLASSES:
        count, path = len(survey.codes), where
    if count > _SMEARED:
        raise DatasetError(
            f"{path}: {count:,} different colours or numbers: smoothed, resized or JPEG-compressed, or a picture; save "
            "masks as drawn, as PNG, and resize them with nearest neighbour only (or list them all in --classes FILE)"
        )
    if survey.colored:
        return _of_colors(survey, notes)
    values = survey.values + Counter({code & 255: count for code, count in survey.codes.items()})  # grey, saved as RGB
    highest = max((value for value in values if value != IGNORED), default=0)
    if highest >= MAX_CLASSES or min(values) < 0:
        strange = highest if highest >= MAX_CLASSES else min(values)
        raise DatasetError(f"{where}: a mask holds the value {strange}: say what each means in --classes FILE.yaml")
    # Black and white is how most programs save two classes.
    two = set(values) == {0, IGNORED} and not survey.palette
    numbers = [0, IGNORED] if two else list(range(highest + 1))
    unseen = [number for number in numbers if number not in values]
    notes.add("classes named by their number, to be renamed in dataset.yaml", f"class_{numbers[0]}", len(numbers))
    notes.add("classes that no mask holds, only larger numbers", f"class_{min(unseen, default=0)}", len(unseen))
    colors: list[Rgb] = []
    for number, free in zip(numbers, distinct_colors(len(numbers), survey.first_palette), strict=True):
        own = survey.palette.get(number, survey.first_palette[number] if survey.first_palette else free)
        colors.append(free if own in colors else own)
    names = tuple(f"class_{number}" for number in numbers)
    table = {IGNORED: IGNORED} | {number: index for index, number in enumerate(numbers)}
    return ClassList(Classes(names=names, colors=tuple(colors)), LabelTable(table, {}, ""))


def _of_colors(survey: _Survey, notes: Notes) -> ClassList:
    ordered = sorted(survey.codes, key=lambda code: (-survey.codes[code], code))
    colors = tuple((code >> 16, code >> 8 & 255, code & 255) for code in ordered)
    names = tuple("color_" + "_".join(str(part) for part in color) for color in colors)
    notes.add("classes named by their colour, to be renamed in dataset.yaml", names[0], len(names))
    return ClassList(Classes(names=names, colors=colors), LabelTable({}, {c: k for k, c in enumerate(colors)}, ""))

"""Masks in colours or numbers: which class each of them is, from a file that says so or from what is found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.annotations.class_list import ClassList
from tarsia.annotations.faults import Faults
from tarsia.annotations.form import Form, Found, Reading
from tarsia.annotations.source import Annotations, Frame, Notes, Picture, frame, plain_name
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import LabelTable, Rgb, distinct_colors
from tarsia.data._pairing import Pair
from tarsia.errors import DatasetError
from tarsia.pictures.find import walk
from tarsia.pictures.labels import LABEL_FORMATS, read_colors, read_label
from tarsia.plain_text import some

_SMEARED = 64  # more colours or numbers than this in one mask: smoothed or compressed, not drawn
_COLORED = ("RGB", "RGBA", "P")


@dataclass
class _Contents:
    """What stands in the masks: pixels of each number or colour code, and the palettes' colours."""

    values: Counter[int] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    palette: dict[int, Rgb] = field(default_factory=dict)  # of the numbers that occur
    first_palette: list[Rgb] = field(default_factory=list)  # all of it, for the numbers between
    numbered: str = ""  # the first mask of numbers, and of colours
    colored: str = ""


def read(source: Found, reading: Reading) -> Annotations:
    """Masks below a folder and the pictures of the same names below `reading.images` -> the pictures."""
    return of_folders(source.root, reading.images, reading.classes, reading.faults)


def of_folders(masks: Path, images: Path | None, given: ClassList | None, faults: Faults) -> Annotations:
    """Masks below `masks` and the pictures of the same names below `images` -> the pictures.

    All masks are read here, so that what is wrong with one is said before anything is written: `faults` takes lossy
    and smoothed masks, unknown values, and masks and pictures without each other.  Raises DatasetError for what
    concerns all of them.
    """
    if images is None:
        raise DatasetError(f"{masks}: masks need their pictures: say with `images` where they are")
    if images.resolve() == masks.resolve():
        raise DatasetError(f"{masks}: masks and pictures in one folder: give them folders of their own")
    notes = Notes()
    pairs = _pairs(masks, images, notes, faults)
    contents = _Contents()
    colors = given is not None and given.by_color is True and any(_mode(pair.label) in _COLORED for pair in pairs)
    frames: dict[Pair, Frame] = {}
    for pair in console.track(pairs, len(pairs), "reading masks"):
        with faults.of(pair.image):
            stored, own = _stored(pair.label, colors), Notes()
            seen = frame(Path(pair.image), stored.shape[:2], pair.label, own)
            _look(contents, stored, pair.label, given is None)
            if given is not None:
                _label(stored, given, pair.label)
            plain_name(pair.name + Path(pair.image).suffix, pair.image)
            notes.take(own)
            frames[pair] = seen
    if given is None:
        given = _found(contents, str(masks), notes)
    elif not faults.found:
        _check_count(contents, given, masks)
    pictures = [_picture(pair, given, colors, seen) for pair, seen in frames.items()]
    for note in given.notes:
        notes.add(*note)
    return Annotations(given.classes, pictures, [Path(pair.label) for pair in pairs], notes)


def _pairs(masks: Path, images: Path, notes: Notes, faults: Faults) -> list[Pair]:
    """Each mask with its picture; those that have none, and those of one name, are faults."""
    found = _files(masks, images)
    photos = _files(images, masks)
    suffix = _suffix(photos, found)
    of = {name: name.removesuffix(suffix) for name in found}
    if found and not any(name in photos for name in of.values()):
        listed = f"none of {len(found)} masks has a picture in {images}: {some(found)}"
        raise DatasetError(f"{masks}: {listed}; names must be equal, but for one suffix that all masks have")
    pairs = []
    for name, plain in of.items():
        labels, pictures = found[name], photos.get(plain, [])
        if not pictures or not name.endswith(suffix):
            faults.add(f"{labels[0]}: this mask has no picture in {images}: add it, or remove the mask")
        elif len(labels) > 1 or len(pictures) > 1:
            several = " and ".join(labels if len(labels) > 1 else pictures)
            for picture in pictures:
                faults.add(f"{several}: two files of one name: keep one of them", picture)
        else:
            pairs.append(Pair(plain, pictures[0], labels[0]))
    left = sorted(photos.keys() - set(of.values()))
    notes.add("pictures without a mask, left out", left[0] if left else "", len(left))
    return pairs


def _files(folder: Path, beside: Path) -> dict[str, list[str]]:
    """Name -> files, of all pictures below `folder` and not below `beside`."""
    other = os.path.realpath(beside) + os.sep
    found: dict[str, list[str]] = {}
    for name in walk(folder):
        if not (os.path.realpath(os.path.dirname(folder / name)) + os.sep).startswith(other):
            found.setdefault(os.path.splitext(name)[0].replace(os.sep, "/"), []).append(str(folder / name))
    return found


def _suffix(photos: Collection[str], names: Iterable[str]) -> str:
    """What most masks have after their picture's name, as `_L`."""
    found: Counter[str] = Counter()
    for name in names:
        lengths = range(len(name), name.rfind("/") + 1, -1)
        length = next((length for length in lengths if name[:length] in photos), None)
        found.update([name[length:]] if length is not None else [])
    return found.most_common(1)[0][0] if found else ""


def _picture(pair: Pair, classes: ClassList, colors: bool, seen: Frame) -> Picture:
    def draw() -> np.ndarray:
        return seen.upright(_label(_stored(pair.label, colors), classes, pair.label))

    name = plain_name(pair.name + Path(pair.image).suffix, pair.image)
    return Picture(name, Path(pair.image), draw)


def _check_count(contents: _Contents, given: ClassList, masks: Path) -> None:
    """DatasetError where a list without numbers fits the masks from 0 as well as from 1."""
    values = {value for value in contents.values if value != IGNORED}
    count = len(given.numbers)
    if given.numbered or contents.codes or not values or values != set(range(1, count)):
        return
    names = [name or "(ignored)" for name in given.numbers.values()]
    raise DatasetError(
        f"{masks}: the masks hold 1 to {count - 1} and never 0, and `classes` lists {count} names without numbers: is "
        f"{names[0]} 0 and in no mask, or is it 1 and {names[-1]} in none?  Write the numbers, as `0: {names[0]}` or "
        f"`1: {names[0]}`"
    )


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


def _look(contents: _Contents, stored: np.ndarray, path: str, unnamed: bool) -> None:
    """Count what a mask holds; where nothing names it, DatasetError for a mask that cannot be one of classes."""
    if stored.ndim == 3:
        codes, counts = np.unique(stored @ np.array([1 << 16, 1 << 8, 1], np.uint32), return_counts=True)
        _check_smeared(len(codes), path, unnamed)
        contents.codes.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        if (stored != stored[..., :1]).any():
            contents.colored = contents.colored or path
        return
    values, counts = np.unique(stored, return_counts=True)
    _check_smeared(len(values), path, unnamed)
    strange = [value for value in values.tolist() if value < 0 or (value >= MAX_CLASSES and value != IGNORED)]
    if unnamed and strange:
        raise DatasetError(f"{path}: a mask holds the value {strange[-1]}: say with `classes` what each means")
    palette = _palette(path) if unnamed else None
    colors = [] if palette is None else [(red, green, blue) for red, green, blue in palette.tolist()]
    for value in values.tolist() if colors else []:
        if contents.palette.get(value, colors[value]) != colors[value]:
            raise DatasetError(
                f"{path}: index {value} is {list(colors[value])} in its palette, but {list(contents.palette[value])} "
                "in masks before it: these indices mean nothing by themselves; save the masks as RGB, or say "
                "with `classes` what their colours mean"
            )
    contents.palette |= {value: colors[value] for value in values.tolist()} if colors else {}
    contents.first_palette = contents.first_palette or colors
    contents.values.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    contents.numbered = contents.numbered or path


def _check_smeared(count: int, path: str, unnamed: bool) -> None:
    if unnamed and count > _SMEARED:
        raise DatasetError(
            f"{path}: {count:,} different colours or numbers: smoothed, resized or JPEG-compressed, or a picture; save "
            "masks as drawn, as PNG, and resize them with nearest neighbour only (or list them all with `classes`)"
        )


def _found(contents: _Contents, where: str, notes: Notes) -> ClassList:
    """Classes from what the masks hold: colours, commonest first, or numbers as they are."""
    if contents.numbered and contents.colored:
        raise DatasetError(
            f"{contents.numbered} holds numbers, {contents.colored} holds colours: convert them one by one"
        )
    if len(contents.codes) > MAX_CLASSES:
        _check_smeared(len(contents.codes), where, unnamed=True)
    if contents.colored:
        return _of_colors(contents, notes)
    values = contents.values + Counter(
        {code & 255: count for code, count in contents.codes.items()}
    )  # grey, saved as RGB
    highest = max((value for value in values if value != IGNORED), default=0)
    # Black and white is how most programs save two classes.
    two = set(values) == {0, IGNORED} and not contents.palette
    numbers = [0, IGNORED] if two else list(range(highest + 1))
    unseen = [number for number in numbers if number not in values]
    notes.add("classes named by their number, to be renamed in dataset.yaml", f"class_{numbers[0]}", len(numbers))
    notes.add("classes that no mask holds, only larger numbers", f"class_{min(unseen, default=0)}", len(unseen))
    colors: list[Rgb] = []
    for number, free in zip(numbers, distinct_colors(len(numbers), contents.first_palette), strict=True):
        own = contents.palette.get(number, contents.first_palette[number] if contents.first_palette else free)
        colors.append(free if own in colors else own)
    names = tuple(f"class_{number}" for number in numbers)
    table = {IGNORED: IGNORED} | {number: index for index, number in enumerate(numbers)}
    return ClassList(Classes(names=names, colors=tuple(colors)), LabelTable(table, {}, ""))


def _of_colors(contents: _Contents, notes: Notes) -> ClassList:
    ordered = sorted(contents.codes, key=lambda code: (-contents.codes[code], code))
    colors = tuple((code >> 16, code >> 8 & 255, code & 255) for code in ordered)
    names = tuple("color_" + "_".join(str(part) for part in color) for color in colors)
    notes.add("classes named by their colour, to be renamed in dataset.yaml", names[0], len(names))
    return ClassList(Classes(names=names, colors=colors), LabelTable({}, {c: k for k, c in enumerate(colors)}, ""))


FORM = Form(
    "masks",
    "masks",
    "a folder of PNG, TIFF, BMP or GIF files",
    lambda _: False,  # where nothing else is there, detect.py takes them
    read,
    suffixes=(),
    takes=("images", "classes"),
    refusals={
        "background": "`background` is for polygons: masks have a class everywhere; edit dataset.yaml afterwards"
    },
)

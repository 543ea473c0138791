"""What the readers of annotations have in common: pictures with regions, numbered classes, and checks of every file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.anew import Anew
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import Rgb, distinct_colors
from tarsia.errors import DatasetError
from tarsia.pictures.files import shown
from tarsia.pictures.find import SUFFIXES
from tarsia.pictures.headers import read_header
from tarsia.pictures.orientation import swaps_sides, upright
from tarsia.plain_text import shortened, some
from tarsia.polygons.fill import Shape, Size, paint

_FARTHEST = 1e9  # pixels from the corner; beyond, float64 no longer tells pixels apart well
_LONGEST = 5e7  # rows that an outline passes, up and down; one drawn by a person passes thousands
_BLACK = (0, 0, 0)
BACKGROUND = "background"
TOO_SMALL = "objects too small or thin to cover the centre of a pixel"


class Notes:
    """What a person should know of a conversion: each kind once, how often it came and where first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        if count:
            before, first = self._found.get(what, (0, where))
            self._found[what] = (before + count, first)

    def take(self, other: Notes) -> None:
        """Those of `other` too: of a picture that turned out to be sound."""
        for what, (count, where) in other._found.items():
            self.add(what, where, count)

    def lines(self) -> tuple[str, ...]:
        found = self._found.items()
        return tuple(f"{what}: {count:,}" + (f" (first: {where})" if where else "") for what, (count, where) in found)


class Frame(NamedTuple):
    """The picture that annotations refer to: its size, and how a label of that size lies (pictures/orientation.py)."""

    size: Size
    orientation: int = 1

    def upright(self, label_HW: np.ndarray) -> np.ndarray:
        return upright(label_HW, self.orientation)


class Picture(NamedTuple):
    """A picture and how to draw its label map, upright.  `name`: its path without suffix, within its split.

    `content`: gives the file where it is not on disk but within the annotations; `path` is then what it is called.
    """

    name: str
    path: Path
    draw: Callable[[], np.ndarray]
    objects: int = 0
    split: str = ""
    content: Callable[[], bytes] | None = None


@dataclass
class Annotations:
    """All that a source says; `files`: what was read and must not be written over; `splits`: their names, if any.

    `background_added`: class 0 is what nothing covers and no class of the source's own.
    """

    classes: Classes
    pictures: Collection[Picture]
    files: list[Path]
    notes: Notes = field(default_factory=Notes)
    splits: tuple[str, ...] = ()
    background_added: bool = False

    def without_background(self) -> Annotations:
        """The same without class 0, which no pixel has."""
        pictures = Anew(len(self.pictures), lambda: map(lowered, self.pictures))
        classes = Classes(names=self.classes.names[1:], colors=self.classes.colors[1:])
        return replace(self, classes=classes, pictures=pictures, background_added=False)


def lowered(picture: Picture) -> Picture:
    """A picture whose labels are without class 0."""
    return picture._replace(draw=partial(_lowered, picture.draw))


def _lowered(draw: Callable[[], np.ndarray]) -> np.ndarray:
    label_HW = draw()
    label_HW[label_HW != IGNORED] -= 1
    return label_HW


class Numbering:
    """Class names -> 0 .. K-1: the background (where there is one) first, the others in the order given.

    A class that is called like the background is the background.  Raises DatasetError, naming `where`, for names that
    are empty or come twice and for more than 255 classes.
    """

    def __init__(
        self, names: Iterable[Any], background: str | None, where: str, colors: Mapping[str, Rgb] | None = None
    ) -> None:
        """`colors`: those that the source gives; others are far from these."""
        names = list(names)
        for name in names if background is None else [background, *names]:
            if not isinstance(name, str) or not name.strip() or not name.isprintable():
                raise DatasetError(f"{where}: a class is called {name!r}, expected a name of printable characters")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DatasetError(f"{where}: two classes are called {twice[0]}: give each a name of its own")
        self.background = background
        self.added = background is not None and background not in names
        self._colors = colors or {}
        self.names = [name for name in names if name != background]
        if background is not None:
            self.names.insert(0, background)
        if not 1 <= len(self.names) <= MAX_CLASSES:
            what = "the background counts as one" if background is not None else "labels are 0 to 254"
            raise DatasetError(f"{where}: {len(self.names)} classes, expected 1 to {MAX_CLASSES} ({what})")
        self.of = {name: index for index, name in enumerate(self.names)}

    def ignoring(self, *names: str) -> Numbering:
        """Itself, with what is called one of `names` ignored."""
        self.of |= {name: IGNORED for name in names if name and name not in self.of}
        return self

    @property
    def fill(self) -> int:
        """The label where nothing is annotated."""
        return IGNORED if self.background is None else 0

    def classes(self) -> Classes:
        """The classes, in their own colours where each has one that no other has, else in colours far apart."""
        own = {name: self._colors[name] for name in self.names if name in self._colors}
        if self.background is not None and (not own or (self.added and _BLACK not in own.values())):
            own[self.background] = _BLACK
        own = {name: color for name, color in own.items() if list(own.values()).count(color) == 1}
        free = iter(distinct_colors(len(self.names) - len(own), list(own.values())))
        colors = tuple(own[name] if name in own else next(free) for name in self.names)
        return Classes(names=tuple(self.names), colors=colors)


def painted(
    name: str,
    path: Path,
    regions: Sequence[Shape],
    frame: Frame,
    fill: int,
    notes: Notes,
    split: str = "",
    *,
    by_area: bool = True,
    content: Callable[[], bytes] | None = None,
) -> Picture:
    """A picture whose label map is painted from regions; those without a pixel are noted, when it is drawn first."""
    drawn = False

    def draw() -> np.ndarray:
        nonlocal drawn
        label_HW, empty = paint(regions, frame.size, fill, by_area)
        if not drawn:
            notes.add(TOO_SMALL, name, empty)
        drawn = True
        return frame.upright(label_HW)

    if not regions:
        notes.add(without_objects(fill), name)
    return Picture(name, path, draw, len(regions), split, content)


def without_objects(fill: int) -> str:
    """The note on pictures that have none."""
    return f"pictures without objects, all {'ignored' if fill == IGNORED else 'background'}"


def declared_size(entry: dict[str, Any], height: str, width: str, where: str) -> Size | None:
    """The size that an entry says its picture has, under the keys `height` and `width`; None where it says none."""
    size: tuple[Any, Any] = entry.get(height), entry.get(width)
    if size == (None, None):
        return None
    if not all(type(side) in (int, float) and 0 < side < _FARTHEST and side == int(side) for side in size):
        raise DatasetError(f"{where}: {height} and {width} are {size[0]!r} and {size[1]!r}, expected pixels")
    return int(size[0]), int(size[1])


def frame(path: Path, declared: Size | None, where: str, notes: Notes, content: bytes | None = None) -> Frame:
    """Whether annotations of the size `declared` refer to the picture as it is shown or as it is stored.

    Tarsia reads a picture upright, as its EXIF orientation says.  The declared size tells where that swaps the sides;
    where it tells nothing the picture as shown is meant, which is what annotation programs display.  Raises
    DatasetError, naming `where`, if the size is neither.  `content`: of a picture that is no file.
    """
    stored, orientation, _ = read_header(path if content is None else content)
    seen = stored[::-1] if swaps_sides(orientation) else stored
    if declared is None or declared == seen:
        if orientation > 1 and (declared is None or declared == stored):
            notes.add("pictures with an EXIF orientation, taken to be annotated as they are shown, upright", str(path))
        return Frame(seen)
    if declared == stored:
        return Frame(stored, orientation)
    raise DatasetError(
        f"{where}: is for a picture of {declared[0]}x{declared[1]}, but {path} is {seen[0]}x{seen[1]} (height x "
        "width): take the picture that was annotated, at its size"
    )


def coordinates(found: Any, where: str) -> np.ndarray:
    """x, y, x, y ... or [x, y], [x, y] ... -> N x 2; DatasetError for anything but finite numbers in pairs."""
    values = None
    if isinstance(found, list):
        try:
            values = np.array(found) if found else np.empty((0, 2))
        except ValueError:  # lists of unequal length
            values = None
    if values is None or values.dtype.kind not in "iuf" or values.ndim > 2 or values.size % 2:
        raise DatasetError(f"{where}: its points are {shortened(repr(found))}, expected numbers, x and y by turns")
    if values.ndim == 2 and values.shape[1] != 2:
        raise DatasetError(f"{where}: a point of {values.shape[1]} numbers, expected x and y")
    values = values.reshape(-1, 2).astype(np.float64)
    if not (np.abs(values) <= _FARTHEST).all():  # not even for NaN
        strange = values[~(np.abs(values) <= _FARTHEST)][0]
        raise DatasetError(f"{where}: a coordinate is {strange}, which is no place in a picture: mend or remove it")
    return values


def check_extent(points_N2: np.ndarray, size: Size, where: str, notes: Notes) -> None:
    """Note a shape that reaches beyond the picture; DatasetError for an outline too long to be painted."""
    rows = np.clip(points_N2[:, 1], 0, size[0])
    length = float(np.abs(np.diff(rows)).sum())
    if length > _LONGEST:
        raise DatasetError(
            f"{where}: its outline passes {length:,.0f} rows of pixels: no outline of an object, remove it"
        )
    if len(points_N2) and (points_N2.min() < 0 or (points_N2 > (size[1], size[0])).any()):
        notes.add("shapes that reach beyond their picture, cut off at its edge", where)


def inside(text: Any, where: str) -> str:
    """A picture's path as an annotation file gives it, with forward slashes; DatasetError if it could lead anywhere."""
    if not isinstance(text, str) or not text or "\0" in text:
        raise DatasetError(f"{where}: the picture's file is {text!r}, expected its name")
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive or PureWindowsPath(text).root:
        raise DatasetError(f"{where}: {shown(text)} is an absolute path: make it relative to the folder of pictures")
    relative = os.path.normpath(text.replace("\\", "/"))
    if relative == ".." or relative.startswith("../"):
        raise DatasetError(f"{where}: {shown(text)} leads out of the folder of pictures: put its pictures below one")
    return relative


def plain_name(relative: str, where: str) -> str:
    """A picture's name: its path without suffix.  DatasetError for files that the data set `folder` would not see."""
    name, suffix = os.path.splitext(relative)
    if suffix.lower() not in SUFFIXES:
        raise DatasetError(f"{where}: {shown(relative)} is no picture for Tarsia ({', '.join(sorted(SUFFIXES))})")
    if any(part.startswith(".") for part in name.split("/")):
        raise DatasetError(f"{where}: {shown(relative)} is hidden (a name that begins with a dot): rename it")
    return name


def require_file(path: Path, where: str) -> None:
    """DatasetError for a picture that is not there."""
    if not is_file(path):
        raise DatasetError(
            f"{where}: its picture {shown(path)} is missing: add it, remove its entry, or say with `images` where it is"
        )


def require_any_file(paths: Sequence[Path], where: str) -> None:
    """DatasetError where not one of the pictures is there, which is one fault and not as many as there are pictures."""
    if paths and not any(map(is_file, paths)):
        listed = some(shown(path) for path in paths)
        raise DatasetError(
            f"{where}: all of its {len(paths)} pictures are missing: {listed}; say with `images` where they are"
        )


def is_file(path: Path) -> bool:
    """Whether there is such a file, for any path an annotation may name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name longer than any, characters that no file's name has
        return False

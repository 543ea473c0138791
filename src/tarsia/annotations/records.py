"""What most forms say: pictures, each with shapes of named classes; and how label maps are painted of these."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia.annotations.finding import Pictures, Place
from tarsia.annotations.form import Reading
from tarsia.annotations.source import (
    Annotations,
    Frame,
    Notes,
    Numbering,
    Picture,
    check_extent,
    coordinates,
    frame,
    painted,
    plain_name,
    require_file,
)
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError, ImageError, nearest
from tarsia.pictures.files import MAX_PIXELS, opened, shown
from tarsia.plain_text import some
from tarsia.polygons import fill
from tarsia.polygons.fill import Size, bitmap_runs, ellipse_runs, even_odd_runs


class Shape(NamedTuple):
    """One object: its class, where it stands, and its runs in a picture of a size; `points_N2`: how far it reaches.

    `draw` may raise DatasetError.
    """

    label: str
    where: str
    draw: Callable[[Size], np.ndarray]
    points_N2: np.ndarray | None = None


@dataclass
class Record:
    """A picture as a file names it, and its shapes from the bottom to the top.

    `picture`: its path, URL or name (without suffix where `stem`).  `size`: (height, width) as the file says it.
    `name`: what it becomes, without suffix; else its place below the folder of pictures.  `place`: the file itself.
    """

    where: str
    picture: str
    shapes: list[Shape] = field(default_factory=list)
    size: Size | None = None
    split: str = ""
    stem: bool = False
    faults: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    place: Place | None = None

    def add(self, make: Callable[[], Shape | list[Shape] | None]) -> None:
        """The shapes that `make` gives, if any; what is wrong with them is a fault of this picture."""
        try:
            found = make()
        except DatasetError as error:
            self.faults.append(" ".join(error.args))
        else:
            self.shapes += found if isinstance(found, list) else [found] if found is not None else []


def assemble(
    records: Sequence[Record],
    roots: Sequence[Path],
    reading: Reading,
    files: list[Path],
    notes: Notes,
    *,
    names: Sequence[Any] | None = None,
    colors: Mapping[str, Rgb] | None = None,
    by_area: bool = False,
    splits: tuple[str, ...] = (),
) -> Annotations:
    """Records -> their pictures, which lie below `roots` or `reading.images`.

    `names`: the classes as the source lists them; else those of the shapes, sorted.  With `by_area` large shapes lie
    below small ones, else as they come.  Raises DatasetError for what concerns all pictures.
    """
    where = str(files[0]) if files else str(roots[0])
    if not records:
        raise DatasetError(f"{where}: lists no pictures: there is nothing to convert")
    given = reading.classes
    if given is not None:
        names = given.classes.names
    elif names is None:
        names = sorted({shape.label for record in records for shape in record.shapes})
    numbering = Numbering(names, reading.background, where, colors).ignoring(*(given.ignored if given else ()))
    pictures = Pictures([reading.images] if reading.images is not None else roots)
    placed = _placed(records, pictures, reading, where)
    found = []
    for record, place in placed:
        picture = _picture(record, place, numbering, reading, notes, by_area)
        found += [picture] if picture else []
    return Annotations(numbering.classes(), found, files, notes, splits, numbering.added)


def _placed(
    records: Sequence[Record], pictures: Pictures, reading: Reading, where: str
) -> list[tuple[Record, Place | None]]:
    """The records with their pictures, None for one that is missing; DatasetError where all are."""
    placed: list[tuple[Record, Place | None]] = []
    missing: list[tuple[str, str]] = []
    for record in records:
        try:
            placed.append((record, record.place or pictures.find(record.picture, record.where, record.stem)))
        except DatasetError as error:
            missing.append((" ".join(error.args), f"{record.where}: {record.picture}"))
            placed.append((record, None))
    if missing and len(missing) == len(records) and len(records) > 1:
        looked = some(str(root) for root in pictures.roots)
        named = some(shown(record.picture) for record in records)
        raise DatasetError(
            f"{where}: none of its {len(records)} pictures lies below {looked}: {named}; say with `images` where they "
            "are"
        )
    for what, of in missing:
        reading.faults.add(what, of)
    return [one for one in placed if one[1] is not None]


def _picture(
    record: Record, place: Place | None, numbering: Numbering, reading: Reading, notes: Notes, by_area: bool
) -> Picture | None:
    """The picture of a record; None where something is wrong with it."""
    assert place is not None
    faults, own = reading.faults, Notes()
    called = f"{place.path} ({record.split})" if record.split else str(place.path)
    for what in record.faults:
        faults.add(what, called)
    with faults.of(called):
        require_file(place.path, record.where)
        name = plain_name(place.relative, record.where)
        seen = frame(place.path, record.size, record.where, own)
        regions: list[fill.Shape] = []
        for shape in record.shapes:
            with faults.of(called):
                regions += _region(shape, numbering, seen, own)
        if called not in faults:
            notes.take(record.notes)
            notes.take(own)
            rest = numbering.fill
            return painted(name, place.path, regions, seen, rest, notes, record.split, by_area=by_area)
    return None


def _region(shape: Shape, numbering: Numbering, seen: Frame, notes: Notes) -> list[fill.Shape]:
    label = numbering.of.get(shape.label)
    if label is None:
        known = nearest(shape.label, numbering.names)
        raise DatasetError(f"{shape.where}: its class is {shape.label!r}, which is not among the classes{known}")
    if shape.points_N2 is None:
        runs = shape.draw(seen.size)  # now, so that what is wrong with it is said before anything is written
        return [fill.Shape(label, lambda _: runs)]
    check_extent(shape.points_N2, seen.size, shape.where, notes)
    return [fill.Shape(label, shape.draw)]


# ---- shapes


def polygon(
    label: str, where: str, rings: Iterable[Any], notes: Notes, scale: tuple[float, float] = (1, 1)
) -> Shape | None:
    """An outer ring and its holes, each numbers as `coordinates` takes them, times `scale` (x, y)."""
    found = [coordinates(ring, where) * scale for ring in rings]
    if not found or len(found[0]) < 3:
        notes.add("polygons of fewer than 3 points, left out", where)
        return None
    found = [ring for ring in found if len(ring) >= 3]
    return Shape(label, where, partial(even_odd_runs, found), np.concatenate(found))


def rectangle(
    label: str,
    where: str,
    left: float,
    top: float,
    right: float,
    bottom: float,
    turned: float = 0.0,
    about: tuple[float, float] | None = None,
) -> Shape:
    """A rectangle turned by `turned` degrees, clockwise on the screen, about a point (its own centre)."""
    corners_42 = coordinates([left, top, right, top, right, bottom, left, bottom], where)
    if turned:
        center = np.array(about if about is not None else ((left + right) / 2, (top + bottom) / 2))
        c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
        corners_42 = (corners_42 - center) @ np.array([[c, s], [-s, c]]) + center
    return Shape(label, where, partial(even_odd_runs, [corners_42]), corners_42)


def ellipse(label: str, where: str, x: float, y: float, radius_x: float, radius_y: float, turned: float = 0.0) -> Shape:
    """An ellipse around (x, y), turned by degrees, clockwise on the screen."""
    reach = max(radius_x, radius_y)
    points_N2 = coordinates([x - reach, y - reach, x + reach, y + reach] if not turned else [x, y, x, y], where)
    if not turned:
        points_N2 = coordinates([x - radius_x, y - radius_y, x + radius_x, y + radius_y], where)
    draw = partial(ellipse_runs, (x, y), (radius_x, radius_y), float(np.radians(turned)))
    return Shape(label, where, draw, points_N2)


def bitmap(label: str, where: str, mask_HW: Callable[[], np.ndarray], top_left: tuple[int, int] = (0, 0)) -> Shape:
    """Pixels whose first is at (row, column); `mask_HW` gives them once, and may raise DatasetError."""
    return Shape(label, where, lambda size: bitmap_runs(mask_HW(), top_left, size))


def decoded_png(text: Any, where: str, packed: bool = False, size: Size | None = None) -> np.ndarray:
    """A PNG in base64 (with `packed`, deflated before) -> boolean H x W: what is opaque; without alpha what is not 0.

    Of a palette, indices other than 0.  DatasetError for what is none, or not of `size` where that is given.
    """
    try:
        content = base64.b64decode(str(text).partition("base64,")[2] or str(text), validate=True)
        if packed and not content.startswith(b"\x89PNG"):
            unpack = zlib.decompressobj()
            content = unpack.decompress(content, 1 << 28)
        return opaque(content, where, size)
    except (ValueError, TypeError, zlib.error) as error:
        raise DatasetError(f"{where}: its bitmap is damaged ({error}): get the file again") from error


def opaque(content: bytes | Path, where: str, size: Size | None = None, alpha: bool = True) -> np.ndarray:
    """The PNG of a mask -> boolean H x W, as `decoded_png`; without `alpha`, where any colour is not 0."""
    try:
        with opened(content, where, ("PNG",), MAX_PIXELS) as image:
            if size is not None and (image.height, image.width) != size:
                found = f"{image.height}x{image.width}"
                raise DatasetError(f"{where}: its bitmap is {found}, expected {size[0]}x{size[1]} (height x width)")
            clear = image.mode in ("LA", "RGBA")
            if clear and not alpha:
                stored = np.asarray(image)[..., :-1] != 0
            else:
                stored = np.asarray(image.getchannel("A") if clear else image) != 0
            return stored if stored.ndim == 2 else stored.any(axis=2)
    except ImageError as error:
        raise DatasetError(" ".join(error.args)) from error

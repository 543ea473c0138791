"""What the numbers and colours of labels may mean: the keys of a dataset.yaml for each reading."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tarsia.card import IGNORED, MAX_CLASSES
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError
from tarsia.look import codings
from tarsia.look.codings import VOID, Known
from tarsia.look.contents import Contents, Stored
from tarsia.plain_text import decimal, number, plain, some
from tarsia.yaml_tree import in_braces

_BRIGHT = 128  # numbers spread for the eye reach up to here at least
_OBJECTS = 64  # more numbers than this are objects, not classes
_NEAR = 60  # JPEG moves a value or a channel this far
_NOISE = 0.01  # share of the pixels that may be farther from all values
_CAMERA_WORDS = ("background", "object")


@dataclass(frozen=True)
class Reading:
    """One thing that labels may mean: in words, and as keys of dataset.yaml with their lines."""

    words: str
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)


def readings(found: Contents, known: Known | None, word: str) -> tuple[list[Reading], list[str]]:
    """Every reading of the labels, one where there is no doubt; and what a person should know.

    Raises DatasetError where they hold nothing to learn.
    """
    if not found.pixels:
        raise DatasetError("no label could be read: see what is wrong with them by `tarsia check`")
    if found.smoothed or found.lossy:
        return _smoothed(found, known)
    if found.colored > found.plain and found.grey < found.colored:
        return _of_colors(found, known)
    if found.colored and found.grey < found.colored:
        raise DatasetError(
            f"{number(found.colored, 'label')} hold colours and {found.plain:,} numbers: give them folders of their own"
        )
    keys: dict[str, list[str]] = {"format": ["format: index"]} if found.colored else {}
    return _of_numbers(_as_numbers(found), found, known, word, keys)


def _as_numbers(found: Contents) -> dict[int, int]:
    pixels: dict[int, int] = {}
    for one, count in found.pixels.items():
        value = one if isinstance(one, int) else one[0]
        pixels[value] = pixels.get(value, 0) + count
    return dict(sorted(pixels.items()))


# ---- numbers


def _of_numbers(
    pixels: Mapping[int, int], found: Contents, known: Known | None, word: str, keys: dict[str, list[str]]
) -> tuple[list[Reading], list[str]]:
    values = [*pixels]
    if len(values) == 1:
        raise DatasetError(f"all labels hold {values[0]} alone: there is nothing to learn; are these the labels?")
    dull = [value for value in values if value != IGNORED]
    if values == [0, IGNORED]:
        return [_numbered({0: "background", IGNORED: "object"}, found, pixels, keys)], []
    if known is None:
        known = codings.of_numbers(values, found.palette, word)
    if known is not None and known.places:
        return _by_places(values, known, found, pixels, keys)
    if known is not None and {*dull} <= {*known.numbers}:
        names = {value: known.numbers.get(value) for value in dull}
        return [_numbered(names, found, pixels, keys)], [f"the names of the classes are those of {known.source}"]
    notes = [f"{known.source} does not name all that the labels hold"] if known is not None else []
    if len(values) > _OBJECTS and not found.palette:
        return [_objects(values, found, pixels, keys)], notes
    if values[0] == 0 and values[-1] == IGNORED and len(values) > 2 and _spread(values):
        every = _numbered({value: _plain(value) for value in values}, found, pixels, keys)
        if len(values) > 3:
            return [every], [*notes, "the values are spread so that people can see them"]
        third = values[1]
        void = _numbered({0: "background", third: None, IGNORED: "object"}, found, pixels, keys)
        words = f"{third} is a class as {values[0]} and {IGNORED} are"
        return [Reading(words, every.keys), Reading(f"at {third} it was not decided what it is", void.keys)], notes
    if IGNORED in values and dull[-1] >= _BRIGHT and not found.palette:
        every = _numbered({value: _plain(value) for value in values}, found, pixels, keys)
        void = _numbered({value: _plain(value) for value in dull}, found, pixels, keys)
        return [Reading("255 is a class", every.keys), Reading("255 is nothing that was labelled", void.keys)], notes
    names = dict(zip(dull, _CAMERA_WORDS, strict=True)) if dull == [0, 1] else {one: _plain(one) for one in dull}
    if len(dull) == 1:
        names = {value: _plain(value) for value in values}
    return [_numbered(names, found, pixels, keys)], notes


def _plain(value: int) -> str:
    return f"class_{value}"


def _spread(values: Sequence[int]) -> bool:
    step = values[-1] / (len(values) - 1)
    return all(abs(value - k * step) <= 1 for k, value in enumerate(values))


def _by_places(
    values: Sequence[int], known: Known, found: Contents, pixels: Mapping[int, int], keys: dict[str, list[str]]
) -> tuple[list[Reading], list[str]]:
    """A list of names without numbers: its lines count from 0, or from 1 where 0 stands for nothing."""
    dull = [value for value in values if value != IGNORED]
    count = len(known.places)
    found_readings = []
    for first in (0, 1):
        places = {first + k: name for k, name in enumerate(known.places)}
        if {*dull} <= {*places, *([0] if first else [])}:
            names = {
                value: None if value not in places or VOID.fullmatch(places[value]) else places[value] for value in dull
            }
            words = f"the lines of {known.source} count from {first}" + (", and 0 is nothing" if first else "")
            found_readings.append(Reading(words, _numbered(names, found, pixels, keys).keys))
    if len(found_readings) > 1 and (0 in dull or 1 not in dull):
        found_readings = found_readings[:1]  # as lists without numbers are read everywhere
    if not found_readings:
        plain = _numbered({value: _plain(value) for value in dull}, found, pixels, keys)
        return [plain], [f"{known.source} lists {count} names, and the labels hold {some(map(str, dull), 8)}"]
    said = f"; {found_readings[0].words}" if len(found_readings) == 1 else ""
    return found_readings, [f"the names of the classes are those of {known.source}{said}"]


def _objects(values: Sequence[int], found: Contents, pixels: Mapping[int, int], keys: dict[str, list[str]]) -> Reading:
    above = [value for value in values if value]
    if len(above) > MAX_CLASSES:
        raise DatasetError(
            f"the labels hold {len(values):,} numbers, of single objects: make label files of classes of them, as "
            "np.where(numbers > 0, 1, 0)"
        )
    share = 100 * sum(pixels[value] for value in above) / sum(pixels.values())
    lines = ["classes:", "  - {name: background, values: [0]}", f"  - {{name: object, values: {above}}}"]
    lines[2] += f"  # {decimal(share, 2)} %"
    words = f"0 is the background, and each of the {len(above)} other numbers an object"
    return Reading(words, keys | {"classes": lines})


def _numbered(
    names: Mapping[int, str | None], found: Contents, pixels: Mapping[int, int], keys: dict[str, list[str]]
) -> Reading:
    """Numbers with their names; those without are ignored, and 255 is without a word."""
    lines = ["classes:"]
    merged: dict[str, list[int]] = {}
    for value, name in names.items():
        if name is not None:
            merged.setdefault(name, []).append(value)
    for name, values in merged.items():
        lines.append(f"  - {{name: {in_braces(name)}, values: {values}}}{_told(values, found, pixels)}")
    ignored = [value for value, name in names.items() if name is None]
    more = {"ignore": [f"ignore: {ignored}{_told(ignored, found, pixels)}"]} if ignored else {}
    return Reading("", {"classes": lines} | more | keys)


def _told(values: Collection[Stored], found: Contents, pixels: Mapping[Any, int]) -> str:
    """The share of the pixels, in how many labels, and one of them."""
    share = 100 * sum(pixels.get(value, 0) for value in values) / max(1, sum(pixels.values()))
    greys: list[Stored] = [(value, value, value) for value in values if isinstance(value, int)]
    seen = [one for one in (*values, *greys) if one in found.labels]
    labels = max((found.labels[one] for one in seen), default=0)
    example = f", as {plain(found.example[seen[0]])}" if seen and seen[0] in found.example else ""
    return f"  # {decimal(share, 2)} % of the pixels, in {number(labels, 'label')}{example}"


# ---- colours


def _of_colors(found: Contents, known: Known | None) -> tuple[list[Reading], list[str]]:
    pixels = {one if isinstance(one, tuple) else (one, one, one): count for one, count in found.pixels.items()}
    if known is None or not {*pixels} <= {*known.colors}:
        known = codings.of_colors([*pixels]) or known
    return _colored(pixels, found, known)


def _colored(pixels: Mapping[Rgb, int], found: Contents, known: Known | None) -> tuple[list[Reading], list[str]]:
    colors = sorted(pixels, key=lambda color: -pixels[color])
    if len(colors) == 1:
        raise DatasetError(f"all labels are of one colour, {list(colors[0])}: there is nothing to learn")
    notes = []
    names: dict[Rgb, str | None] = {color: f"color_{'_'.join(map(str, color))}" for color in colors}
    if known is not None and known.colors:
        names |= {color: known.colors[color] for color in colors if color in known.colors}
        notes = [f"the names of the classes are those of {known.source}"]
    elif (0, 0, 0) in names:
        names[0, 0, 0] = "background"
        notes = ["black is a class here; if nothing was labelled there, write ignore: [[0, 0, 0]] in its place"]
    if len(colors) > MAX_CLASSES:
        raise DatasetError(f"the labels hold {len(colors):,} colours: these are no labels, or were resized smoothly")
    lines = ["classes:"]
    merged: dict[str, list[Rgb]] = {}
    for color, name in names.items():
        if name is not None:
            merged.setdefault(name, []).append(color)
    for name, own in merged.items():
        more = f", colors: {[list(color) for color in own]}" if len(own) > 1 else ""
        lines.append(f"  - {{name: {in_braces(name)}, color: {list(own[0])}{more}}}{_told(own, found, pixels)}")
    ignored = [list(color) for color, name in names.items() if name is None]
    told = _told([color for color, name in names.items() if name is None], found, pixels)
    more_keys = {"ignore": [f"ignore: {ignored}{told}"]} if ignored else {}
    return [Reading("", {"classes": lines, **more_keys, "format": ["format: rgb"]})], notes


# ---- saved with loss


def _smoothed(found: Contents, known: Known | None) -> tuple[list[Reading], list[str]]:
    """Labels whose values or colours lie around those that were drawn."""
    centres = _centres(found)
    note = "the labels were saved with loss (JPEG): what is near a class counts as it, and the rest is ignored"
    tolerance = {"tolerance": [f"tolerance: {_NEAR}"]}
    colored = found.colored > found.plain and found.grey < found.colored
    pixels = {centre if colored else centre[0]: count for centre, count in centres.items()}
    if len(pixels) < 2:
        raise DatasetError("the labels hold shades of one value: they were resized smoothly, or are no labels")
    if colored:
        told, notes = _colored({one: count for one, count in pixels.items() if isinstance(one, tuple)}, found, known)
    else:
        numbers = {one: count for one, count in sorted(pixels.items()) if isinstance(one, int)}
        keys: dict[str, list[str]] = {"format": ["format: index"]} if found.colored else {}
        told, notes = _of_numbers(numbers, found, known, "", keys)
    return [Reading(one.words, {**one.keys, **tolerance}) for one in told], [note, *notes]


def _centres(found: Contents) -> dict[Rgb, int]:
    """The commonest values or colours, each with the pixels of what is near it."""
    left = {one if isinstance(one, tuple) else (one, one, one): count for one, count in found.pixels.items()}
    total = sum(left.values())
    centres: dict[Rgb, int] = {}
    ordered = sorted(left, key=lambda color: -left[color])
    while ordered and len(centres) < _OBJECTS:
        middle = ordered[0]
        near = [one for one in ordered if all(abs(a - b) <= _NEAR for a, b in zip(one, middle, strict=True))]
        count = sum(left[one] for one in near)
        if count < _NOISE * total:
            break
        centres[middle] = count
        taken = {*near}
        ordered = [one for one in ordered if one not in taken]
    return centres

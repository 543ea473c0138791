"""What label values and colours that mean nothing may have been meant as: every reading, and whether there is only one.

Numbers are read as a whole.  Where one of them means nothing, those that are known may mean something else too: labels
that count from 1 hold known numbers mostly, each the wrong one.  So a reading says what every number stands for, and
`tarsia check --fix` follows it only where no other is possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tarsia.card import IGNORED, MAX_CLASSES
from tarsia.data._labels import MAX_VALUE, Rgb
from tarsia.doctor.layout_lines import Coding, Stored, entry_colors, spelled
from tarsia.plain_text import be, number, some

SMEARED = 64  # more strange values than this in one label: it was resized or compressed, not drawn
_BRIGHT = 128  # values spread for people to see reach up to here at least; smaller ones are numbers with gaps
_NEAR_COLOR = 60.0  # RGB distance: JPEG moves colours this far, and classes are farther apart
_OFF_COLOR = 12.0  # RGB distance of a flat colour in a JPEG file from what it was; its noise is at borders
_FLAT_SHARE = 0.002  # of the pixels: less of one colour is noise
_CLOUD, _CLOUD_SHARE = 20.0, 0.0005  # RGB distance, and share of the pixels, of a class without a name in JPEG's noise
_NAMED = 12  # strange values that a title or a reading's words name


@dataclass(frozen=True)
class Reading:
    """One thing that labels may have been meant as, in words that follow "if", and as dataset.yaml says it."""

    words: str
    coding: Coding


@dataclass(frozen=True)
class Guess:
    """What happened to the labels, in words, and all that they may have been meant as.

    `certain`: there is one reading, the first, and labels may be rewritten by it.  `nearest`: other colours mean the
    class of the nearest known one.  `remedy`: what to do that is not in dataset.yaml.
    """

    words: str
    readings: tuple[Reading, ...] = ()
    certain: bool = False
    remedy: str = ""
    nearest: bool = False


def of_numbers(values: Collection[int], coding: Coding) -> Guess:
    """The numbers that drawn labels hold, some of them strange -> what they may mean."""
    void = {one for one in coding.ignore if isinstance(one, int)}
    seen = sorted(value for value in values if value != IGNORED and value not in void)
    known = {value for k in range(len(coding.entries)) for value in coding.values(k)}
    strange = [value for value in seen if value not in known]
    if not all(0 <= value <= MAX_VALUE for value in strange):
        outside = [value for value in strange if not 0 <= value <= MAX_VALUE]
        words = f"{named(outside)} cannot be a class: dataset.yaml has numbers from 0 to {MAX_VALUE}"
        return Guess(words, remedy=f"save the labels again, void as {IGNORED} and the classes as 0, 1, 2 ...")
    if coding.told:
        words = f"the classes have their values in dataset.yaml; what {named(strange)} stands for, only you can know"
        return Guess(words, tuple(_void_or_unnamed(strange, coding)))
    count = len(coding.entries)
    if seen == list(range(1, count + 1)):
        words = f"the values run from 1 to {count}: the labels count from 1, Tarsia from 0"
        return Guess(words, (_in_order(seen, (), coding),), certain=True)
    if len(seen) == count and _spread(seen) and not (count == 2 and IGNORED in values):
        words = f"{count} values at even distances for {count} classes: they were spread so that people can see them"
        return Guess(words, (_in_order(seen, (), coding),), certain=True)
    readings: dict[str, Reading] = {}  # by what they make of the numbers
    for one in _possible(seen, strange, IGNORED in values, coding):
        readings.setdefault(repr(sorted(one.coding.table().values.items())), one)
    words = f"the classes are 0 to {count - 1}; what {named(strange)} stands for, only you can know"
    if strange == [count]:
        words = f"{count} is one more than the last class: void, a class that is not named, or all count from 1"
    return Guess(words, tuple(readings.values()))


def _possible(seen: list[int], strange: list[int], bright: bool, coding: Coding) -> Iterator[Reading]:
    """Whatever classes that count from 0 by their place in the list may have been meant as."""
    count = len(coding.entries)
    yield from _void_or_unnamed(strange, coding)
    from_one = list(range(1, count + 1))
    if set(seen) <= {0, *from_one, count + 1}:
        yield _in_order(from_one, [value for value in (0, count + 1) if value in seen], coding)
    if len(seen) == count:
        yield _in_order(seen, (), coding)
    if len(seen) == count + 1:
        yield _in_order(seen[1:], seen[:1], coding)
        yield _in_order(seen[:-1], seen[-1:], coding)
    if bright and len(seen) == count - 1 and seen[-1] < IGNORED:
        yield _in_order([*seen, IGNORED], (), coding)


def _in_order(values: Sequence[int], void: Sequence[int], coding: Coding) -> Reading:
    first, last = coding.entries[0].name, coding.entries[-1].name
    run = len(values) > 1 and list(values) == list(range(values[0], values[-1] + 1))
    words = f"the classes count from {values[0]}" if run else "the classes are these numbers in their order"
    words += f" ({values[0]} is {first}, {values[-1]} is {last}"
    words += f"; {named(void)} {be(len(void))} void)" if void else ")"
    return Reading(words, coding.numbered([[value] for value in values], void))


def _void_or_unnamed(strange: Sequence[Stored], coding: Coding) -> Iterator[Reading]:
    are = be(len(strange))
    yield Reading(f"{named(strange)} {are} void", coding.ignoring(strange))
    if len(coding.entries) + len(strange) <= MAX_CLASSES:
        what = "a class that has no name yet" if len(strange) == 1 else "classes that have no name yet"
        yield Reading(f"{named(strange)} {are} {what} (the names are for you to choose)", coding.adding(strange))


def _spread(seen: Sequence[int]) -> bool:
    if len(seen) < 2 or seen[0] != 0 or seen[-1] < _BRIGHT:
        return False
    steps = [after - before for before, after in zip(seen, seen[1:], strict=False)]
    return len({round(step / seen[-1] * (len(seen) - 1), 1) for step in steps}) == 1


def of_smeared_numbers(values: Collection[int], strange: Collection[int], drawn: bool, coding: Coding) -> Guess:
    """Labels with far more strange numbers than classes.  `drawn`: their borders are clear."""
    readings = []
    few = 0 < len(strange) <= MAX_CLASSES - len(coding.entries) and all(0 <= one <= MAX_VALUE for one in strange)
    if drawn:
        words = "there are far more of them than classes, in clear borders: numbers of single objects (instances)"
        above = sorted({*values, *strange} - {0})
        if few and len(coding.entries) == 2 and not coding.told and IGNORED not in values:
            word = f"0 is {coding.entries[0].name} and every other number an object of {coding.entries[1].name}"
            readings = [Reading(word, coding.numbered([[0], above]))]
        remedy = "make label files of classes of them, as np.where(numbers > 0, 1, 0) for background and one class"
        return Guess(words, tuple(readings), remedy=remedy)
    if few:
        words = "they are lost, and what is strange in them may be ignored"
        readings = [Reading(words, coding.ignoring(sorted(strange)))]
    return Guess(_SMOOTHED, tuple(readings), remedy=_AS_DRAWN)


_SMOOTHED = "there are too many different ones to be drawn: these labels were saved as JPEG, or resized smoothly"
_AS_DRAWN = "get them as they were drawn, as PNG, and resize labels with nearest neighbour only"


def of_colors(strange: Collection[Rgb], coding: Coding, exchanged: int, others: int) -> Guess:
    """Drawn colours that no class has.

    `exchanged`: in how many labels all colours are known with red and blue exchanged, if that is so of all that hold
    strange ones, else 0; `others`: how many further ones of colours would change, or mean nothing, if exchanged.
    """
    if exchanged:
        words = "with red and blue exchanged they are known: the labels were saved with OpenCV from RGB arrays"
        remedy = "save these labels again, after cv2.cvtColor(label, cv2.COLOR_RGB2BGR)"
        if others:
            words += f"; {number(others, 'label')} of colours may not have been"
            return Guess(words, remedy=remedy)
        return Guess(words, (Reading("all labels are so", _exchanged(coding)),), True, remedy)
    words = f"{number(len(strange), 'colour')} that no class has"
    ordered = sorted(strange)
    known = coding.table().colors
    if not known or coding.format == "index":
        return Guess(f"{words}: {named(ordered)}", tuple(_of_colors_alone(ordered, coding)))
    readings = [*_void_or_unnamed(ordered, coding)]
    classes = {color: label for color, label in known.items() if label != IGNORED}
    near = {color: nearest_known(color, classes) for color in ordered} if classes else {}
    if near and all(distance <= _NEAR_COLOR for distance, _ in near.values()):
        own = [[color for color in ordered if near[color][1] == k] for k in range(len(coding.entries))]
        readings.append(Reading("they are other shades of the classes whose colours are nearest", _shaded(coding, own)))
    return Guess(words, tuple(readings))


def _of_colors_alone(strange: Sequence[Rgb], coding: Coding) -> Iterator[Reading]:
    """Readings of colours where dataset.yaml speaks of numbers alone."""
    if all(red == green == blue for red, green, blue in strange):
        yield Reading("their channels are equal and hold the numbers of classes", replace(coding, format="index"))
    if len(strange) <= MAX_CLASSES:
        alone = Coding((), coding.ignore, "rgb").adding(strange)
        yield Reading("each colour is a class (the names are for you to choose)", alone)


def of_smeared_colors(pixels: Mapping[Rgb, int], everything: int, coding: Coding) -> Guess:
    """Labels with far more colours than classes; `pixels` of each strange colour, of `everything` in these labels."""
    known = coding.table().colors
    flat = [color for color, count in pixels.items() if count > _FLAT_SHARE * everything]
    unnamed = {color for color in flat if not known or nearest_known(color, known)[0] > _OFF_COLOR}
    unnamed |= {*_gathered(pixels, known, _CLOUD_SHARE * everything)} if known else set()
    if unnamed:
        told = named(sorted(unnamed))
        words = f"{_SMOOTHED}; and {told} may be colours of their own, not only noise of known ones"
        return Guess(words, (Reading(f"{told} are void", coding.ignoring(sorted(unnamed))),), remedy=_AS_DRAWN)
    remedy = f"{_AS_DRAWN}; what cannot be got again: a copy in which each colour is the nearest known one"
    return Guess(_SMOOTHED, (), True, remedy, nearest=True)


def _gathered(pixels: Mapping[Rgb, int], known: Mapping[Rgb, int], least: float) -> Iterator[Rgb]:
    """The commonest of colours that lie far from all known ones and close together, with `least` pixels at least."""
    colors_NC = np.array(list(pixels), np.float32).reshape(-1, 3)
    table = np.array(list(known), np.float32)
    away_N = np.min([np.linalg.norm(colors_NC - color, axis=1) for color in table], axis=0)
    far_NC, counts_N = colors_NC[away_N > _NEAR_COLOR], np.array(list(pixels.values()))[away_N > _NEAR_COLOR]
    while len(far_NC):
        middle = far_NC[counts_N.argmax()]
        close_N = np.linalg.norm(far_NC - middle, axis=1) <= _CLOUD
        if counts_N[close_N].sum() > least:
            red, green, blue = (int(part) for part in middle)
            yield red, green, blue
        far_NC, counts_N = far_NC[~close_N], counts_N[~close_N]


def _exchanged(coding: Coding) -> Coding:
    entries = tuple(
        entry.model_copy(update={"colors": tuple(color[::-1] for color in entry_colors(entry)) or None})
        for entry in coding.entries
    )
    ignore = tuple(one if isinstance(one, int) else one[::-1] for one in coding.ignore)
    return replace(coding, entries=entries, ignore=ignore)


def _shaded(coding: Coding, more: Sequence[Sequence[Rgb]]) -> Coding:
    entries = []
    for entry, own in zip(coding.entries, more, strict=True):
        entries.append(entry.model_copy(update={"colors": (*entry_colors(entry), *own)}) if own else entry)
    return replace(coding, entries=tuple(entries))


def nearest_known(color: Rgb, known: Mapping[Rgb, int]) -> tuple[float, int]:
    """How far the nearest known colour is, and its label."""
    squares = {other: sum((one - two) ** 2 for one, two in zip(color, other, strict=True)) for other in known}
    best = min(squares, key=lambda other: squares[other])
    return squares[best] ** 0.5, known[best]


def nearest_labels(colors_NC: np.ndarray, known: Mapping[Rgb, int]) -> np.ndarray:
    """N colours -> the label of the nearest known colour, 255 where none is near."""
    table = np.array(list(known), np.float32)
    labels = np.array(list(known.values()), np.uint8)
    away_NK = np.linalg.norm(colors_NC[:, None].astype(np.float32) - table[None], axis=2)
    best = away_NK.argmin(1)
    return np.where(away_NK[np.arange(len(best)), best] <= _NEAR_COLOR, labels[best], np.uint8(IGNORED))


def choices(readings: Sequence[Reading], before: Coding, source: str) -> str:
    """What to write in dataset.yaml, the file `source`, for each reading; `before` is what stands there."""
    if len(readings) == 1:
        return f"if {readings[0].words}, write in {source}:\n{readings[0].coding.lines(before)}"
    lines = [
        f"only you can know which of these it is, and a corrected copy has these labels as they are; write in {source}"
    ]
    for one in readings:
        lines += [f"if {one.words}:", one.coding.lines(before)]
    return "\n".join(lines)


def named(values: Sequence[Stored]) -> str:
    """The values and colours as dataset.yaml has them, the first of many."""
    return some([*map(spelled, values)], _NAMED)

"""Findings about labels that tell two things apart, and about lists that name one: black and white, a single class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tarsia.card import IGNORED
from tarsia.data._dataset import one_class_fault
from tarsia.doctor.dataset import Check, CheckedData, indices, total
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.label_values import Reading, choices, named
from tarsia.doctor.layout_lines import Coding, spelled
from tarsia.doctor.meaning import coding_of
from tarsia.plain_text import be, listed, number

_MOST = 12  # colours of a background


def one_class(checked: CheckedData) -> Iterator[Finding]:
    """A list of one class: whatever is labelled is that, and nothing can be learned."""
    if one_class_fault(checked.classes) is None:  # as training has it
        return
    name = checked.classes.names[0]
    title = f"`classes` names {name} alone"
    why = "Every labelled pixel is of it, so any network is always right: its loss is 0 and its mIoU 1."
    remedy = f"list the background first, as `classes: [background, {name}]`"
    coding = coding_of(checked)
    ordered = sorted(_all_values(checked), key=_order)
    readings = [*_with_background(ordered, coding)] if coding is not None and checked.layout is not None else []
    if readings and coding is not None:
        why += f" Its labels hold {named(ordered)}."
        remedy = f"list the background first; {choices(readings, coding, checked.source)}"
    yield Finding("one-class", "error", title, why, remedy, decide=True)


def _all_values(checked: CheckedData) -> set[Any]:
    """The numbers and colours that all labels hold."""
    return {value for split in checked.splits.values() for value in (*split.values, *split.smeared_values)}


def _order(one: Any) -> tuple[bool, Any]:
    return isinstance(one, tuple), one


def _with_background(found: list[Any], coding: Coding) -> Iterator[Reading]:
    """What the values of labels with one class beside its background may mean."""
    (entry,) = coding.entries
    name, background = entry.name, "background" if entry.name != "background" else "rest"
    colors = [one for one in found if isinstance(one, tuple)]
    if colors:
        own = {*(entry.colors or ()), entry.color}
        unnamed = tuple(one for one in colors if one not in own and one not in coding.ignore)
        back = entry.model_copy(update={"name": background, "values": None, "color": None, "colors": unnamed})
        if 0 < len(unnamed) <= _MOST:
            words = f"{listed([*map(spelled, unnamed)])} {be(len(unnamed))} {background}"
            yield Reading(words, replace(coding, entries=(back, entry)))
        return
    numbers = [one for one in found if isinstance(one, int) and one not in coding.ignore]
    inner = [one for one in numbers if one != IGNORED]

    def of(back: list[int], own: list[int], words: str) -> Reading:
        first = entry.model_copy(update={"name": background, "values": tuple(back), "color": None, "colors": None})
        return Reading(words, replace(coding, entries=(first, entry.model_copy(update={"values": tuple(own)}))))

    if entry.values:
        others = [one for one in numbers if one not in entry.values]
        if others:
            yield of(others, list(entry.values), f"{', '.join(map(str, others))} is {background}")
        return
    if inner and inner != [0] and inner[0] == 0:
        yield of([0], inner[1:], f"0 is {background} and {', '.join(map(str, inner[1:]))} {name}")
    if IGNORED in numbers and len(inner) == 1:
        yield of(inner, [IGNORED], f"{inner[0]} is {background} and {IGNORED} is {name}")
        yield of([IGNORED], inner, f"{inner[0]} is {name} and {IGNORED} is {background}")
    elif len(inner) == 1:
        yield of([1 - min(inner[0], 1)], inner, f"{inner[0]} is {name}, and the labels have no background")
        if inner == [0]:
            yield of([0], [1], f"0 is {background}, and no label shows {name}")


def black_and_white(checked: CheckedData) -> Iterator[Finding]:
    """Two classes kept as 0 and 255 in all labels or some, of which Tarsia ignores the second."""
    values, coding = two_values(checked), coding_of(checked)
    if coding is None or not values:
        return
    one, other = checked.classes.names
    void = Reading(f"{IGNORED} is void", coding.ignoring([IGNORED]))
    if len(values) == 2:
        low = values[0]
        title = f"the labels hold {low} and {IGNORED} only, and {IGNORED} is ignored"
        why = "Black and white is how many programs save two classes. With one of them alone nothing can be learned."
        readings = [
            Reading(f"{low} is {one} and {IGNORED} is {other}", coding.numbered([[low], [IGNORED]])),
            Reading(f"{low} is {other} and {IGNORED} is {one}", coding.numbered([[IGNORED], [low]])),
            void,
        ]
        yield Finding("black-and-white", "error", title, why, choices(readings, coding, checked.source), decide=True)
        return
    places = _white(checked)
    if places:
        title = (
            f"{number(len(places), 'label')} of 0 and {IGNORED} among others of 0 and 1 ({total(checked, len(places))})"
        )
        why = f"{IGNORED} is ignored. Where no label holds both 1 and {IGNORED}, it may be how some were saved."
        readings = [Reading(f"{IGNORED} is {other} too", coding.numbered([[0], [1, IGNORED]])), void]
        remedy = choices(readings, coding, checked.source)
        yield Finding("black-and-white", "warning", title, why, remedy, places, decide=True)


def two_values(checked: CheckedData) -> list[int]:
    """0, 1 and 255 as far as labels of two classes hold them, if nothing else and 255; [] where it says what it is."""
    values = {value for split in checked.splits.values() for value in split.values}
    coding = coding_of(checked)
    if coding is None or checked.layout is None or coding.told or IGNORED in coding.ignore or len(checked.classes) != 2:
        return []
    smeared = any(split.smeared_values for split in checked.splits.values())
    fits = not smeared and IGNORED in values and values <= {0, 1, IGNORED} and len(values) > 1
    return sorted(values) if fits else []


def _white(checked: CheckedData) -> list[Place]:
    """Labels with 255 and without 1, where no label has both."""
    places = []
    for split in checked.splits.values():
        one_N, white_N = split.holding(1), split.holding(IGNORED)
        if (one_N & white_N).any():
            return []
        rows_N = white_N & split.holding(0)
        places += [split.place(index, f"0 and {IGNORED} only", slice(1, 2)) for index in indices(rows_N)]
    return places


CHECKS: tuple[Check, ...] = (one_class, black_and_white)

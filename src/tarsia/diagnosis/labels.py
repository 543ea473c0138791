"""Findings about what stands in the labels: values that mean nothing, damage, and labels that say next to nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tarsia.card import IGNORED
from tarsia.data._pairs import PairedData
from tarsia.diagnosis.case import Case, Check, indices, total
from tarsia.diagnosis.finding import Finding, number
from tarsia.diagnosis.sample import UNLABELLED
from tarsia.diagnosis.survey import Survey
from tarsia.diagnosis.values import Guess, guess, yaml_classes

_SMOOTHED = 0.06  # see sample._smoothed
_EMPTY = 0.999  # share of one class
_HABIT = 0.2  # share of the pictures from which on it is the way of the data set, and no accident
_MUCH_IGNORED = 0.5


def unknown_values(case: Case) -> Iterator[Finding]:
    """Values and colours that are neither a class nor ignored, and what they may have been meant as."""
    places = []
    for survey in case.splits.values():
        for index, value, pixels, kinds in survey.strange:
            detail = f"value {_shown(value)} in {number(pixels, 'pixel')}"
            detail += f", and {number(kinds - 1, 'other')}" if kinds > 1 else ""
            places.append(survey.place(index, detail, slice(1, 2)))
    if not places:
        return
    meant = meaning(case)
    title = f"{number(len(places), 'label')} with values that are no class ({total(case, len(places))})"
    why = f"Training stops at the first of them. What they may be: {meant.words}."
    remedy = meant.remedy if case.layout else _published(case)
    yield Finding("unknown-values", "error", title, why, f"{remedy}\na corrected copy:\n{case.fix}", places)


def meaning(case: Case) -> Guess:
    """What the strange values of all splits may have been meant as."""
    values: Counter[Any] = Counter()
    strange: Counter[Any] = Counter()
    known: dict[Any, int] = {}
    for survey in case.splits.values():
        values.update(survey.values)
        strange.update(survey.strange_values)
        if isinstance(survey.dataset, PairedData):
            known = survey.dataset.table.colors
    odd = [(survey, one) for survey in case.splits.values() for one in survey.strange]
    drawn = bool(odd) and all(survey.smoothed_N[one.sample] <= _SMOOTHED for survey, one in odd)
    kinds = max((one.kinds for _, one in odd), default=0)
    return guess(values, strange, kinds, case.classes, known, drawn)


def _published(case: Case) -> str:
    """What the data set's own file says of strange values."""
    table = next(survey.dataset.table for survey in case.splits.values() if isinstance(survey.dataset, PairedData))
    return str(table.remedy)


def _shown(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


def black_and_white(case: Case) -> Iterator[Finding]:
    """Two classes kept as 0 and 255, of which Tarsia ignores the second."""
    if not is_black_and_white(case):
        return
    classes = case.classes
    title = f"the labels hold 0 and 255 only, and 255 is ignored: {classes.names[1]} is never seen"
    why = f"Black and white is how many programs save two classes. Training would learn that all is {classes.names[0]}."
    remedy = f"write this in {case.source}:\n{yaml_classes(classes, [[0], [IGNORED]])}"
    yield Finding("black-and-white", "error", title, why, f"{remedy}\na corrected copy:\n{case.fix}")


def is_black_and_white(case: Case) -> bool:
    """Whether all labels hold 0 and 255 alone, and nothing says what these are."""
    values = {value for survey in case.splits.values() for value in survey.values}
    layout = case.layout
    told = layout is None or any(entry.values for entry in layout.classes) or IGNORED in layout.ignore
    return not told and len(case.classes) == 2 and values == {0, IGNORED}


def smoothed(case: Case) -> Iterator[Finding]:
    """Labels whose borders lead over numbers in between."""
    places = [
        survey.place(index, f"{100 * survey.smoothed_N[index]:.0f} % of its borders", slice(1, 2))
        for survey in case.splits.values()
        for index in indices(survey.smoothed_N > _SMOOTHED)
    ]
    if places:
        title = f"{number(len(places), 'label')} smoothed or saved as JPEG ({total(case, len(places))})"
        why = (
            "Where class 2 meets class 9, a seam of 3 to 8 lies between them: wrong classes along every border, which "
            "no check of values can see."
        )
        remedy = "get them as they were drawn, as PNG; resize labels with nearest neighbour only"
        yield Finding("smoothed-label", "warning", title, why, remedy, places)


def unlabelled(case: Case) -> Iterator[Finding]:
    """Splits and labels of which everything is ignored."""
    for survey in case.splits.values():
        if survey.labelled_N.any() and not survey.pixels_K1[:-1].any():
            title = f"no pixel of the split {survey.split} has a class: all is ignored"
            why = "The labels of some test sets are published blank; scores come from the benchmark's own server then."
            remedy = "predict on it, but do not train or evaluate on it; else look at the labels' values and `ignore`"
            yield Finding("blank-split", "note", title, why, remedy)
    _, places, severity = _much(case, "ignored_N", UNLABELLED, "ignored")
    if places:
        title = f"{number(len(places), 'label')} of which everything is ignored ({total(case, len(places))})"
        why = "They cost as much time as others, and teach nothing."
        remedy = f"label them\na copy without them:\n{case.fix}"
        yield Finding("unlabelled", severity, title, why, remedy, places)
    for survey in case.splits.values():
        share = survey.pixels_K1[-1] / max(int(survey.pixels_K1.sum()), 1)
        if survey.pixels_K1[:-1].any() and share > _MUCH_IGNORED:
            title = f"{100 * share:.0f} % of the pixels in {survey.split} are ignored"
            why = "Only the rest is learned and scored; what is hard to label is often what is hard to see."
            yield Finding("much-ignored", "note", title, why, "see whether a value under `ignore` is a class")


def nearly_empty(case: Case) -> Iterator[Finding]:
    """Labels with one class and hardly anything else, where others have more."""
    classes, places, severity = _much(case, "dominant_N", _EMPTY, "one class")
    if places and len(case.classes) > 1 and classes:
        title = f"{number(len(places), 'label')} nearly empty: one class and nothing else ({total(case, len(places))})"
        why = "Nothing was there, or nobody has labelled it: only looking at them tells."
        remedy = "look at them in check.html; label them, or move pictures and labels away together"
        yield Finding("nearly-empty", severity, title, why, remedy, places)


def _much(case: Case, what: str, least: float, words: str) -> tuple[bool, list[Any], Any]:
    """Whether any label is not so; places where `what` is at least `least`; how bad: where it is usual, it is meant."""
    places, others = [], 0
    for survey in _labelled(case):
        share_N = getattr(survey, what)
        rows_N = survey.labelled_N & (share_N >= least)
        if what == "dominant_N":
            rows_N &= survey.ignored_N < UNLABELLED  # that is another finding
        others += int((survey.labelled_N & (share_N < least)).sum())
        places += [survey.place(k, f"{100 * share_N[k]:.1f} % {words}", slice(1, 2)) for k in indices(rows_N)]
    return others > 0, places, "note" if len(places) > _HABIT * (len(places) + others) else "warning"


def _labelled(case: Case) -> list[Survey]:
    return [survey for survey in case.splits.values() if survey.pixels_K1[:-1].any()]


CHECKS: tuple[Check, ...] = (unknown_values, black_and_white, smoothed, unlabelled, nearly_empty)

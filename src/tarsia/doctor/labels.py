"""Findings about what stands in the labels: values that mean nothing, damage, and labels that say next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tarsia.data._paired import PairedData
from tarsia.doctor.dataset import Case, Check, indices, total
from tarsia.doctor.finding import Finding, Place, number
from tarsia.doctor.label_values import choices
from tarsia.doctor.layout_lines import shown
from tarsia.doctor.meaning import SMOOTHED, Odd, coding_of, odd_labels
from tarsia.doctor.sample import UNLABELLED
from tarsia.doctor.split_statistics import Survey

_TRAINED_OR_SCORED = ("train", "training", "val", "valid", "validation", "dev")
_EMPTY = 0.999  # share of one class
_HABIT = 0.2  # share of the pictures from which on it is the way of the data set, and no accident
_MUCH_IGNORED = 0.5


def unknown_values(case: Case) -> Iterator[Finding]:
    """Values and colours that are neither a class nor ignored, and what they may have been meant as."""
    coding = coding_of(case)
    for odd in odd_labels(case) if len(case.classes) > 1 else ():
        assert coding is not None
        guess = odd.guess
        title = f"{number(len(odd.labels), 'label')} with values that are no class ({total(case, len(odd.labels))})"
        why = f"Training stops at the first of them. What they may be: {guess.words}."
        told = choices(guess.readings, coding, case.source) if guess.readings and case.layout else ""
        remedy = "\n".join(part for part in (guess.remedy, told) if part) or _published(case)
        mends = "a corrected copy" if guess.certain else ""
        yield Finding("unknown-values", "error", title, why, remedy, [*_strange(odd)], mends, decide=not guess.certain)


def _strange(odd: Odd) -> Iterator[Place]:
    for survey, (index, value, pixels, kinds, _) in odd.labels:
        detail = f"value {shown(value)} in {number(pixels, 'pixel')}"
        detail += f", and {number(kinds - 1, 'other')}" if kinds > 1 else ""
        yield survey.place(index, detail, slice(1, 2))


def _published(case: Case) -> str:
    """What the data set's own file says of strange values."""
    table = next(survey.dataset.table for survey in case.splits.values() if isinstance(survey.dataset, PairedData))
    return str(table.remedy)


def smoothed(case: Case) -> Iterator[Finding]:
    """Labels whose borders lead over numbers in between."""
    places = [
        survey.place(index, f"{100 * survey.smoothed_N[index]:.0f} % of its borders", slice(1, 2))
        for survey in case.splits.values()
        for index in indices(survey.smoothed_N > SMOOTHED)
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
        if survey.labelled_N.any() and not survey.pixels_K1[:-1].any() and not survey.strange:
            yield _blank(case, survey)
    _, places, severity = _much(case, "ignored_N", UNLABELLED, "ignored")
    if places:
        title = f"{number(len(places), 'label')} of which everything is ignored ({total(case, len(places))})"
        why = "They cost as much time as others, and teach nothing."
        yield Finding("unlabelled", severity, title, why, "label them", places, "a copy without them")
    for survey in case.splits.values():
        share = survey.pixels_K1[-1] / max(int(survey.pixels_K1.sum()), 1)
        if survey.pixels_K1[:-1].any() and share > _MUCH_IGNORED:
            title = f"{100 * share:.0f} % of the pixels in {survey.split} are ignored"
            why = "Only the rest is learned and scored; what is hard to label is often what is hard to see."
            yield Finding("much-ignored", "note", title, why, "see whether a value under `ignore` is a class")


def _blank(case: Case, survey: Survey) -> Finding:
    """A split without a labelled pixel: its labels are wrong where it is trained or scored on, and may be elsewhere."""
    title = f"no pixel of the split {survey.split} has a class: all is ignored"
    held = ", ".join(map(str, sorted(value for value in survey.values if isinstance(value, int))))
    found = f"its labels hold {held} only" if held else "its labels hold ignored colours only"
    if survey.split not in _TRAINED_OR_SCORED:
        why = f"Test sets are often published blank, and scored by the benchmark's own server; {found}."
        remedy = "predict on it, but do not train or evaluate on it"
        return Finding("blank-split", "note", title, why, remedy)
    why = f"There is nothing to learn from it or to score, so training refuses it; {found}."
    void = [value for value in case.layout.ignore if value in survey.values] if case.layout else []
    remedy = "label its pictures, or get its labels again"
    if void:
        remedy += f"; if {', '.join(map(shown, void))} is a class, take it out of `ignore` in {case.source}"
    return Finding("blank-split", "error", title, why, remedy)


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


CHECKS: tuple[Check, ...] = (unknown_values, smoothed, unlabelled, nearly_empty)

"""Findings about what stands in the labels: values that mean nothing, damage, and labels that say next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tarsia.data._paired import PairedData
from tarsia.doctor.dataset import Check, CheckedData, indices, total
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.label_values import choices
from tarsia.doctor.layout_lines import spelled
from tarsia.doctor.meaning import SMOOTHED, Odd, coding_of, odd_labels
from tarsia.doctor.sample import UNLABELLED
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.plain_text import number

_TRAINED_OR_SCORED = ("train", "training", "val", "valid", "validation", "dev")
_EMPTY = 0.999  # share of one class
_HABIT = 0.2  # share of the pictures from which on it is the way of the data set, and no accident
_MUCH_IGNORED = 0.5


def unknown_values(checked: CheckedData) -> Iterator[Finding]:
    """Values and colours that are neither a class nor ignored, and what they may have been meant as."""
    coding = coding_of(checked)
    for odd in odd_labels(checked) if len(checked.classes) > 1 else ():
        assert coding is not None
        guess = odd.guess
        title = f"{number(len(odd.labels), 'label')} with values that are no class ({total(checked, len(odd.labels))})"
        why = f"Training stops at the first of them. What they may be: {guess.words}."
        told = choices(guess.readings, coding, checked.source) if guess.readings and checked.layout else ""
        remedy = "\n".join(part for part in (guess.remedy, told) if part) or _published(checked)
        fixes = "a corrected copy" if guess.certain else ""
        yield Finding("unknown-values", "error", title, why, remedy, [*_strange(odd)], fixes, decide=not guess.certain)


def _strange(odd: Odd) -> Iterator[Place]:
    for split, (index, value, pixels, kinds, _) in odd.labels:
        detail = f"value {spelled(value)} in {number(pixels, 'pixel')}"
        detail += f", and {number(kinds - 1, 'other')}" if kinds > 1 else ""
        yield split.place(index, detail, slice(1, 2))


def _published(checked: CheckedData) -> str:
    """What the data set's own file says of strange values."""
    table = next(split.dataset.table for split in checked.splits.values() if isinstance(split.dataset, PairedData))
    return str(table.remedy)


def smoothed(checked: CheckedData) -> Iterator[Finding]:
    """Labels whose borders lead over numbers in between."""
    places = [
        split.place(index, f"{100 * split.smoothed_N[index]:.0f} % of its borders", slice(1, 2))
        for split in checked.splits.values()
        for index in indices(split.smoothed_N > SMOOTHED)
    ]
    if places:
        title = f"{number(len(places), 'label')} smoothed or saved as JPEG ({total(checked, len(places))})"
        why = (
            "Where class 2 meets class 9, a seam of 3 to 8 lies between them: wrong classes along every border, which "
            "no check of values can see."
        )
        remedy = "get them as they were drawn, as PNG; resize labels with nearest neighbour only"
        yield Finding("smoothed-label", "warning", title, why, remedy, places)


def unlabelled(checked: CheckedData) -> Iterator[Finding]:
    """Splits and labels of which everything is ignored."""
    for split in checked.splits.values():
        if split.labelled_N.any() and not split.shows_classes and not split.strange:
            yield _blank(checked, split)
    _, places, severity = _much(checked, "ignored_N", UNLABELLED, "ignored")
    if places:
        title = f"{number(len(places), 'label')} of which everything is ignored ({total(checked, len(places))})"
        why = "They cost as much time as others, and teach nothing."
        yield Finding("unlabelled", severity, title, why, "label them", places, "a copy without them")
    for split in checked.splits.values():
        share = split.pixels_K1[-1] / max(int(split.pixels_K1.sum()), 1)
        if split.shows_classes and share > _MUCH_IGNORED:
            title = f"{100 * share:.0f} % of the pixels in {split.name} are ignored"
            why = "Only the rest is learned and scored; what is hard to label is often what is hard to see."
            yield Finding("much-ignored", "note", title, why, "see whether a value under `ignore` is a class")


def _blank(checked: CheckedData, split: CheckedSplit) -> Finding:
    """A split without a labelled pixel: its labels are wrong where it is trained or scored on, and may be elsewhere."""
    title = f"no pixel of the split {split.name} has a class: all is ignored"
    held = ", ".join(map(str, sorted(value for value in split.values if isinstance(value, int))))
    found = f"its labels hold {held} only" if held else "its labels hold ignored colours only"
    if split.name not in _TRAINED_OR_SCORED:
        why = f"Test sets are often published blank, and scored by the benchmark's own server; {found}."
        remedy = "predict on it, but do not train or evaluate on it"
        return Finding("blank-split", "note", title, why, remedy)
    why = f"There is nothing to learn from it or to score, so training refuses it; {found}."
    void = [value for value in checked.layout.ignore if value in split.values] if checked.layout else []
    remedy = "label its pictures, or get its labels again"
    if void:
        remedy += f"; if {', '.join(map(spelled, void))} is a class, take it out of `ignore` in {checked.source}"
    return Finding("blank-split", "error", title, why, remedy)


def nearly_empty(checked: CheckedData) -> Iterator[Finding]:
    """Labels with one class and hardly anything else, where others have more."""
    classes, places, severity = _much(checked, "dominant_N", _EMPTY, "one class")
    if places and len(checked.classes) > 1 and classes:
        title = (
            f"{number(len(places), 'label')} nearly empty: one class and nothing else ({total(checked, len(places))})"
        )
        why = "Nothing was there, or nobody has labelled it: only looking at them tells."
        remedy = "look at them in check.html; label them, or move pictures and labels away together"
        yield Finding("nearly-empty", severity, title, why, remedy, places)


def _much(checked: CheckedData, what: str, least: float, words: str) -> tuple[bool, list[Any], Any]:
    """Whether any label is not so; places where `what` is at least `least`; how bad: where it is usual, it is meant."""
    places, others = [], 0
    for split in checked.splits.values():
        if not split.shows_classes:
            continue
        share_N = getattr(split, what)
        rows_N = split.labelled_N & (share_N >= least)
        if what == "dominant_N":
            rows_N &= split.ignored_N < UNLABELLED  # that is another finding
        others += int((split.labelled_N & (share_N < least)).sum())
        places += [split.place(k, f"{100 * share_N[k]:.1f} % {words}", slice(1, 2)) for k in indices(rows_N)]
    return others > 0, places, "note" if len(places) > _HABIT * (len(places) + others) else "warning"


CHECKS: tuple[Check, ...] = (unknown_values, smoothed, unlabelled, nearly_empty)

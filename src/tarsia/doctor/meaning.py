"""What the labels of a data set may have been meant as: its strange values, by kinds of labels, each with a guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tarsia.data._paired import PairedData
from tarsia.doctor.dataset import Case, indices
from tarsia.doctor.label_values import Guess, of_colors, of_numbers, of_smeared_colors, of_smeared_numbers
from tarsia.doctor.layout_lines import Coding
from tarsia.doctor.sample import stored_label
from tarsia.doctor.split_statistics import Strange, Survey
from tarsia.errors import DatasetError, TarsiaError

SMOOTHED = 0.06  # share of the borders that lead over a value in between; see sample._smoothed


class Odd(NamedTuple):
    """Labels with values that mean nothing, all drawn or all smeared, of numbers or of colours."""

    labels: list[tuple[Survey, Strange]]
    guess: Guess


def coding_of(case: Case) -> Coding | None:
    """What stands for what in the labels; None where they are no files."""
    first = next(iter(case.splits.values()))
    if case.layout is not None:
        return Coding(case.layout.classes, case.layout.ignore, case.layout.format)
    return Coding.of_table(case.classes, first.dataset.table) if isinstance(first.dataset, PairedData) else None


def odd_labels(case: Case) -> list[Odd]:
    """The strange labels of all splits in groups, each with what they may have been meant as; found out once."""
    if "odd labels" not in case.found_out:
        case.found_out["odd labels"] = list(_odd_labels(case))
    found: list[Odd] = case.found_out["odd labels"]
    return found


def _odd_labels(case: Case) -> Iterator[Odd]:
    coding = coding_of(case)
    if coding is None:
        return
    for colored in (False, True):
        for smeared in (False, True):
            labels = [
                (survey, one)
                for survey in case.splits.values()
                for one in survey.strange
                if (one.smeared, isinstance(one.value, tuple)) == (smeared, colored)
            ]
            if labels:
                yield Odd(labels, _guess(case, labels, smeared, colored, coding))


def _guess(case: Case, labels: list[tuple[Survey, Strange]], smeared: bool, colored: bool, coding: Coding) -> Guess:
    kinds = ("smeared_values" if smeared else "strange_values", "values")
    strange, values = (_total(case, kind, tuple if colored else int) for kind in kinds)
    if colored and smeared:
        everything = sum(int(survey.size_N2[one.sample].astype(np.int64).prod()) for survey, one in labels)
        return of_smeared_colors(strange, everything, coding)
    if colored:
        exchanged = all(one.exchanged for _, one in labels)
        return of_colors(strange, coding, len(labels) * exchanged, _not_exchanged(case, labels) if exchanged else 0)
    if not smeared:
        return of_numbers(values, coding)
    held = {value for value in range(256) for survey, one in labels if survey.holding(value)[one.sample]}
    drawn = all(survey.smoothed_N[one.sample] <= SMOOTHED for survey, one in labels)
    return of_smeared_numbers({*values, *held}, strange, drawn, coding)


def _total(case: Case, kind: str, type_: type) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for survey in case.splits.values():
        counts.update({value: pixels for value, pixels in getattr(survey, kind).items() if isinstance(value, type_)})
    return counts


def _not_exchanged(case: Case, labels: list[tuple[Survey, Strange]]) -> int:
    """How many other labels of colours are not what they are with red and blue exchanged; they are read again."""
    known = {(survey.split, one.sample) for survey, one in labels}
    count = 0
    for survey in case.splits.values():
        dataset = survey.dataset
        for index in indices(survey.labelled_N) if isinstance(dataset, PairedData) else ():
            assert isinstance(dataset, PairedData)
            if (survey.split, index) in known:
                continue
            try:
                stored = stored_label(dataset, dataset.pairs[index].label)
            except TarsiaError:
                continue  # it could be read a moment ago; being damaged is another finding
            count += stored.ndim == 3 and _changes(dataset, stored)
    return count


def _changes(dataset: PairedData, stored_HW3: np.ndarray) -> bool:
    try:
        return not np.array_equal(dataset.table(stored_HW3, ""), dataset.table(stored_HW3[..., ::-1], ""))
    except DatasetError:
        return True

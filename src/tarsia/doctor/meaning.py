"""What the labels of a data set may have been meant as: its strange values, by kinds of labels, each with a guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tarsia.data._paired import PairedData
from tarsia.doctor.dataset import CheckedData, indices
from tarsia.doctor.label_values import Guess, of_colors, of_numbers, of_smeared_colors, of_smeared_numbers
from tarsia.doctor.layout_lines import Coding
from tarsia.doctor.sample import stored_label
from tarsia.doctor.split_statistics import CheckedSplit, Strange
from tarsia.errors import DatasetError, TarsiaError

SMOOTHED = 0.06  # share of the borders that lead over a value in between; see sample._smoothed


class Odd(NamedTuple):
    """Labels with values that mean nothing, all drawn or all smeared, of numbers or of colours."""

    labels: list[tuple[CheckedSplit, Strange]]
    guess: Guess


def coding_of(checked: CheckedData) -> Coding | None:
    """What stands for what in the labels; None where they are no files."""
    dataset = checked.dataset
    if checked.layout is not None:
        return Coding(checked.layout.classes, checked.layout.ignore, checked.layout.format)
    return Coding.of_table(checked.classes, dataset.table) if isinstance(dataset, PairedData) else None


def odd_labels(checked: CheckedData) -> list[Odd]:
    """The strange labels of all splits in groups, each with what they may have been meant as; found out once."""
    if "odd labels" not in checked.found_out:
        checked.found_out["odd labels"] = list(_odd_labels(checked))
    found: list[Odd] = checked.found_out["odd labels"]
    return found


def _odd_labels(checked: CheckedData) -> Iterator[Odd]:
    coding = coding_of(checked)
    if coding is None:
        return
    for colored in (False, True):
        for smeared in (False, True):
            labels = [
                (split, one)
                for split in checked.splits.values()
                for one in split.strange
                if (one.smeared, isinstance(one.value, tuple)) == (smeared, colored)
            ]
            if labels:
                yield Odd(labels, _guess(checked, labels, smeared, colored, coding))


def _guess(
    checked: CheckedData, labels: list[tuple[CheckedSplit, Strange]], smeared: bool, colored: bool, coding: Coding
) -> Guess:
    kinds = ("smeared_values" if smeared else "strange_values", "values")
    strange, values = (_total(checked, kind, tuple if colored else int) for kind in kinds)
    if colored and smeared:
        everything = sum(int(split.size_N2[one.sample].astype(np.int64).prod()) for split, one in labels)
        return of_smeared_colors(strange, everything, coding)
    if colored:
        exchanged = all(one.exchanged for _, one in labels)
        return of_colors(strange, coding, len(labels) * exchanged, _not_exchanged(checked, labels) if exchanged else 0)
    if not smeared:
        return of_numbers(values, coding)
    held = {value for value in range(256) for split, one in labels if split.holding(value)[one.sample]}
    drawn = all(split.smoothed_N[one.sample] <= SMOOTHED for split, one in labels)
    return of_smeared_numbers({*values, *held}, strange, drawn, coding)


def _total(checked: CheckedData, kind: str, type_: type) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for split in checked.splits.values():
        counts.update({value: pixels for value, pixels in getattr(split, kind).items() if isinstance(value, type_)})
    return counts


def _not_exchanged(checked: CheckedData, labels: list[tuple[CheckedSplit, Strange]]) -> int:
    """How many other labels of colours are not what they are with red and blue exchanged; they are read again."""
    known = {(split.name, one.sample) for split, one in labels}
    count = 0
    for split in checked.splits.values():
        dataset = split.dataset
        for index in indices(split.labelled_N) if isinstance(dataset, PairedData) else ():
            assert isinstance(dataset, PairedData)
            if (split.name, index) in known:
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

"""Findings about labels that do not lie on their pictures: moved, mirrored, or another picture's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tarsia.data._dataset import evenly
from tarsia.doctor.dataset import Check, CheckedData, indices, total
from tarsia.doctor.edges import NEAR, SIDE, Alignment, alignment, edges
from tarsia.doctor.finding import Finding
from tarsia.doctor.sample import read, thinned
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.errors import TarsiaError
from tarsia.pictures.rgb import resize_label
from tarsia.plain_text import listed, number

_LEAST = 5  # labels that must tell something before one of them is judged
_USUAL = 0.8  # share of the labels in their place from which on the others are faults
_WEAK = 0.35  # of the usual fit: a label out of place fits less well where it is
_AGAIN = 0.5  # of the usual fit: one that has found its place fits so well
_CLEAR = 5.0  # standard deviations: where the usual fit is weaker, classes hardly follow edges
_STRONG = 4.0  # standard deviations: no chance
_ALL_MOVED = 0.5  # share of labels in their place below which all of them may be moved
_LOOKED_INTO = 60  # labels of a split
_TRIED = 12  # labels by which it is told whether all are mirrored
TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "turned by 180 degrees": lambda label: np.rot90(label, 2),
    "mirrored along the diagonal": np.transpose,
    "turned by 90 degrees": np.rot90,
    "turned by 270 degrees": lambda label: np.rot90(label, 3),
}


class Misplaced(NamedTuple):
    """A label out of place: what is the matter, and which turn of it or whose label would be right, if any."""

    split: CheckedSplit
    sample: int
    detail: str
    turn: str = ""
    exchanged: int | None = None


class _Seen(NamedTuple):
    """A sample read again: the edges of its picture, and its label at their size."""

    edges_2hw: np.ndarray
    label_hw: np.ndarray


def misplaced(split: CheckedSplit) -> list[Misplaced]:
    """Labels that lie off their picture, where most of the split's lie on theirs; none where labels follow no edges."""
    told_N = ~np.isnan(split.alignment_N5[:, 0])
    off_N = told_N & (split.alignment_N5[:, 4] > NEAR)
    if told_N.sum() < _LEAST or off_N.sum() > (1 - _USUAL) * told_N.sum():
        return []
    usual = float(np.median(split.alignment_N5[told_N & ~off_N, 0]))
    if usual < _CLEAR:
        return []
    suspects = indices(off_N & (split.alignment_N5[:, 0] < _WEAK * usual))
    seen = {index: found for index in suspects[:_LOOKED_INTO] if (found := _read(split, index)) is not None}
    return [_explained(split, index, seen, _AGAIN * usual) for index in suspects]


def _explained(split: CheckedSplit, index: int, seen: dict[int, _Seen], least: float) -> Misplaced:
    own = split.alignment(index)
    assert own is not None
    here = seen.get(index)
    if here is None:
        return Misplaced(split, index, "does not fit its picture")
    for words, turn in TURNS.items():
        label = turn(here.label_hw)
        if label.shape == here.label_hw.shape and _fits(alignment(here.edges_2hw, label), least):
            return Misplaced(split, index, f"fits when {words}", turn=words)
    for other, there in seen.items():
        comparable = other != index and there.label_hw.shape == here.label_hw.shape
        if comparable and _fits(alignment(here.edges_2hw, there.label_hw), least):
            return Misplaced(split, index, f"is the label of {split.dataset.name(other)}", exchanged=other)
    if own.best > max(_STRONG, least):
        return Misplaced(split, index, _moved(split, index, own))
    return Misplaced(split, index, "does not fit its picture, nor that of any other such label")


def _fits(found: Alignment | None, least: float) -> bool:
    return found is not None and found.off <= NEAR and found.here >= least


def _moved(split: CheckedSplit, index: int, found: Alignment) -> str:
    """By how much a label would have to be moved, in words."""
    height, width = split.size_N2[index].tolist()
    down, right = round(found.down * height), round(found.right * width)
    ways = [f"{abs(down)} pixels {'down' if down > 0 else 'up'}"] if down else []
    ways += [f"{abs(right)} pixels to the {'right' if right > 0 else 'left'}"] if right else []
    return f"fits when moved about {listed(ways)}"


def _read(split: CheckedSplit, index: int) -> _Seen | None:
    try:
        sample = read(split.dataset, index)
    except TarsiaError:
        return None  # it could be read a moment ago; being damaged is another finding
    seen = edges(thinned(sample.image))
    return _Seen(seen, resize_label(sample.label, (seen.shape[1], seen.shape[2])))


def single_labels(checked: CheckedData) -> Iterator[Finding]:
    """Labels out of place among others that are not."""
    found = [one for split in checked.splits.values() for one in misplaced(split)]
    if found:
        places = [one.split.place(one.sample, one.detail) for one in found]
        title = f"{number(len(places), 'label')} out of place ({total(checked, len(places))})"
        why = (
            "Borders between classes lie where pictures have edges; these labels' do not, while the others' do. "
            "They teach the network what is not there."
        )
        remedy = "look at them in check.html; move, turn or exchange the label files as it says there"
        fixes = "a copy with them turned and exchanged, and without those that fit nowhere"
        yield Finding("misplaced-label", "warning", title, why, remedy, places, fixes)


def all_labels(checked: CheckedData) -> Iterator[Finding]:
    """Splits in which all labels are moved by the same way, or all mirrored."""
    for split in checked.splits.values():
        told_N = ~np.isnan(split.alignment_N5[:, 0])
        fits = split.alignment_N5[told_N]
        if len(fits) < _LEAST or (fits[:, 4] <= NEAR).mean() >= _ALL_MOVED:
            continue
        words = _all_moved(fits) or _all_turned(split, indices(told_N))
        if words:
            title = f"the labels of {split.name} do not lie on their pictures: they fit when {words}"
            why = "All of them are off in the same way: a step of the preparation has changed pictures or labels alone."
            remedy = "find that step (a crop, a resize, a flip) and do it to both, or to none"
            yield Finding("misplaced-labels", "warning", title, why, remedy)


def _all_moved(fits: np.ndarray) -> str:
    middle = np.median(fits[:, 2:4], axis=0)
    alike = np.abs(fits[:, 2:4] - middle).max(1) <= NEAR / SIDE
    if alike.mean() < _USUAL or np.median(fits[:, 1]) < _STRONG:
        return ""
    down, right = (
        f"{100 * abs(share):.1f} % of the {side}" for share, side in zip(middle, ("height", "width"), strict=True)
    )
    vertical, horizontal = "down" if middle[0] > 0 else "up", "to the right" if middle[1] > 0 else "to the left"
    return f"moved {down} {vertical} and {right} {horizontal}"


def _all_turned(split: CheckedSplit, told: list[int]) -> str:
    tried = [told[k] for k in evenly(_TRIED, len(told))]
    seen = [found for index in tried if (found := _read(split, index)) is not None]
    for words, turn in TURNS.items():
        turned = [(one, turn(one.label_hw)) for one in seen]
        fitting = [
            label.shape == one.label_hw.shape and _fits(alignment(one.edges_2hw, label), _STRONG)
            for one, label in turned
        ]
        if len(seen) >= _LEAST and np.mean(fitting) >= _USUAL:
            return words
    return ""


CHECKS: tuple[Check, ...] = (single_labels, all_labels)

"""Labels that a model doubts: regions where it is sure of another class than the label says.

Models are wrong more often than people, above all along borders; so only whole squares count, a 24th of the short side
wide, and only where the model is nearly certain.  Train the model on other pictures than those it is asked about: it
has learned by heart what is wrong in its own (as in cross-validated confident learning; Northcutt, Jiang & Chuang,
"Confident learning: estimating uncertainty in dataset labels", JAIR 2021, section 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tarsia import console
from tarsia.card import IGNORED
from tarsia.data._dataset import check_same_classes, levels_for
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.sample import read
from tarsia.errors import TarsiaError
from tarsia.plain_text import number
from tarsia.prediction.predictor import Predictor

SURE = 0.95  # probability of another class
_SQUARES = 24  # in a short side
_SMALLEST = 8  # pixels
_FILLED = 0.8  # share of a square that must be doubted
_LEAST = 0.005  # share of the picture


class Doubt(NamedTuple):
    """Share of a picture that is doubted; labelled as and taken for which classes mostly; rows and columns of that."""

    share: float
    labelled: int
    taken_for: int
    rows: tuple[int, int]
    columns: tuple[int, int]


def doubted_labels(checked: CheckedData, predictor: Predictor) -> Iterator[Finding]:
    """Regions of labels that the model contradicts, largest first.

    Raises DatasetError where model and data set have other classes.
    """
    check_same_classes(predictor.classes, checked.classes)
    doubts: list[tuple[Doubt, Place]] = []
    for split in checked.splits.values():
        readable = np.flatnonzero(split.seen_N).tolist()
        for index in console.track(readable, len(readable), f"asking the model about {split.name}"):
            try:
                sample = read(split.dataset, index)
                image_HW3, label_HW = sample.image, sample.label
                if image_HW3.shape[:2] != label_HW.shape:
                    continue  # another finding
                own = levels_for(sample, split.dataset, predictor.card.spec)
                seen = predictor.at_levels(own)(image_HW3, confidence=True)
            except TarsiaError:
                continue  # read a moment ago: another finding, or a shape the model cannot take
            assert seen.confidence_HW is not None
            found = doubt(label_HW, seen.label_HW, seen.confidence_HW)
            if found:
                doubts.append((found, split.place(index, _in_words(checked, found))))
    if doubts:
        places = [place for _, place in sorted(doubts, key=lambda item: (-item[0].share, item[1]))]
        title = f"{number(len(places), 'label')} that the model doubts, largest region first"
        why = f"There it is sure ({SURE:.0%}) of another class than the label's. One of the two is wrong."
        remedy = "look at them in check.html, and draw anew what is wrong"
        yield Finding("doubted-label", "note", title, why, remedy, places)


def doubt(label_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray) -> Doubt | None:
    """A label, what a model says instead and how sure it is (0 .. 1) -> what is doubted; None where that is little."""
    side = max(_SMALLEST, min(label_HW.shape) // _SQUARES)
    rows, columns = (length // side for length in label_HW.shape)
    if not rows or not columns:
        return None
    doubted_HW = (predicted_HW != label_HW) & (label_HW != IGNORED) & (confidence_HW >= SURE)
    inner = doubted_HW[: rows * side, : columns * side].reshape(rows, side, columns, side)
    squares = [(int(y), int(x)) for y, x in np.argwhere(inner.mean((1, 3)) >= _FILLED)]
    share = len(squares) * side**2 / label_HW.size
    if share < _LEAST:
        return None
    pairs = [_commonest(label_HW, predicted_HW, doubted_HW, y * side, x * side, side) for y, x in squares]
    (labelled, taken_for), _ = min(Counter(pairs).items(), key=lambda item: (-item[1], item[0]))
    alike = [square for square, pair in zip(squares, pairs, strict=True) if pair == (labelled, taken_for)]
    ys, xs = zip(*alike, strict=True)
    across, down = (min(xs) * side, (max(xs) + 1) * side), (min(ys) * side, (max(ys) + 1) * side)
    return Doubt(share, labelled, taken_for, down, across)


def _commonest(
    label_HW: np.ndarray, predicted_HW: np.ndarray, doubted_HW: np.ndarray, top: int, left: int, side: int
) -> tuple[int, int]:
    """What most of a square's doubted pixels are labelled as and taken for."""
    square = np.s_[top : top + side, left : left + side]
    codes = label_HW[square][doubted_HW[square]].astype(np.int64) * 256 + predicted_HW[square][doubted_HW[square]]
    return divmod(int(np.bincount(codes).argmax()), 256)


def _in_words(checked: CheckedData, found: Doubt) -> str:
    labelled, taken_for = checked.classes.names[found.labelled], checked.classes.names[found.taken_for]
    where = f"rows {found.rows[0]} to {found.rows[1]}, columns {found.columns[0]} to {found.columns[1]}"
    return f"{100 * found.share:.1f} % of the picture; mostly {labelled} that looks like {taken_for}, in {where}"

"""Findings about films: frames of one on both sides of a split."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tarsia import data
from tarsia.data import _folds
from tarsia.doctor.dataset import Check, CheckedData
from tarsia.doctor.duplicates import Spot, in_order
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.layout_lines import rule_line
from tarsia.doctor.perceptual_hash import standardised
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.errors import DatasetError
from tarsia.plain_text import command, some

_LAST_NUMBER = re.compile(r"(\d+)\D*$")
_FILM = r"^(.*?)\d*\D*$"  # all before the last number of a name, "" where there is none
_LEAST_NEIGHBOURS = 12
_ALIKE = 0.7  # share of neighbours that must be more alike than three of four pairs drawn at random
_DRAWN = 400  # such pairs
_SHOWN = 4  # sequences named in a title
_FAR = 1 << 60  # the number of a frame without one


def divided_sequences(checked: CheckedData) -> Iterator[Finding]:
    """Sequences that the data set itself tells apart, with frames both where it is trained and where it is scored."""
    splits = in_order(checked)
    training = splits[0]
    train = _by_sequence(training) if training is checked.training() else {}
    for split in splits[1:]:
        shared = {name: frames for name, frames in _by_sequence(split).items() if name in train}
        if not shared:
            continue
        near = sorted(
            (gap, index, other, name)
            for name, frames in shared.items()
            for index, (other, gap) in zip(frames, _nearest_frames(split, frames, training, train[name]), strict=True)
        )
        places = [_of_film(Spot(split, index), Spot(training, other), gap, name) for gap, index, other, name in near]
        which = "all" if len(near) == len(split) else f"{len(near):,} of"
        title = f"{which} {len(split):,} pictures of {split.name} are from films that {training.name} has too: "
        apart = f" (here the nearest frames are {near[0][0]:,} numbers apart)" if near[0][0] < _FAR else ""
        remedy = _remedy(checked, split) + _by_folds(checked, training, split, min(shared))
        yield Finding("divided-sequence", "warning", title + some([*shared], _SHOWN), _why(apart), remedy, places)


def _of_film(spot: Spot, other: Spot, gap: int, film: str) -> Place:
    split, name = other.label
    apart = f", {gap:,} numbers from {name} of {split}" if gap < _FAR else f", as {name} of {split}"
    return spot.split.place(spot.sample, f"of {film}{apart}", slice(0, 1), other.label)


def divided_films(checked: CheckedData) -> Iterator[Finding]:
    """Pictures whose names are numbered on across splits, and which resemble their neighbours: a film, drawn apart."""
    splits = in_order(checked)
    frames: dict[str, list[tuple[int, Spot]]] = {}
    for split in splits if splits[0] is checked.training() else []:
        for index in np.flatnonzero(split.pictures_N).tolist():
            name = split.dataset.name(index)
            found = _LAST_NUMBER.search(name)
            if found and not split.sequences[index]:
                frames.setdefault(name[: found.start()], []).append((_number(split, index), Spot(split, index)))
    places: list[Place] = []
    names = []
    for name, numbered in sorted(frames.items()):
        numbered.sort(key=lambda item: (item[0], item[1].label))
        neighbours = [
            (spot, other)
            for (_, other), (_, spot) in zip(numbered, numbered[1:], strict=False)
            if spot.split is not other.split
        ]
        if len(neighbours) >= _LEAST_NEIGHBOURS and _is_film(neighbours, [spot for _, spot in numbered]):
            names.append(name)
            places += [_neighbour(spot, other, checked) for spot, other in neighbours]
    if places:
        named = some(names, _SHOWN)
        title = f"{len(places):,} pictures stand in another split than their neighbour in the film: {named}..."
        yield Finding("divided-film", "warning", title, _why(""), _by_film(checked, len(frames)), places)


def _why(apart: str) -> str:
    return (
        "Frames of one film show the same places in the same light, so a network does better on them than on a film it "
        f"has not seen{apart}. The score is too good to tell how it does elsewhere."
    )


def _by_film(checked: CheckedData, films: int) -> str:
    """How to give each film to one split, where names are all that tells films apart."""
    if checked.layout and checked.layout.split and films > 1:
        rule = checked.layout.split.model_copy(update={"group_by": _FILM})
        words = f"give each film (its name up to the last number) to one split; write in {checked.source}"
        return f"{words}\n{rule_line(rule)}"
    return (
        "give each film to one split; a single film is best cut into a first and a last part, in folders or lists of "
        "their own"
    )


def _remedy(checked: CheckedData, split: CheckedSplit) -> str:
    if checked.layout and checked.layout.split and checked.layout.sequence_by:
        rule = checked.layout.split.model_copy(update={"group_by": checked.layout.sequence_by})
        return f"keep films together; write in {checked.source}\n{rule_line(rule)}"
    if checked.layout:
        return f"move whole films: from {split.name} to the split they belong to, in dataset.yaml's folders or lists"
    return (
        "if the split is the published one, keep it: compare only with scores on the same split, and say so beside them"
    )


def _by_folds(checked: CheckedData, training: CheckedSplit, split: CheckedSplit, film: str) -> str:
    """How to hold out each film in turn over both splits, where they can be divided so; else nothing."""
    try:
        name, root, options = data.parse(checked.spec)
        if split.name == "test" or "folds" in options:
            return ""
        _folds.divided([training.dataset, split.dataset], checked.spec)
        joined = {} if (training.name, split.name) == ("train", "val") else {"joined": f"{training.name}+{split.name}"}
        found = data.spec(name, root, {**options, "folds": "sequence", "fold": film, **joined})
    except DatasetError:
        return ""
    return (
        "\nhow good a network is on a film that it has not seen, leaving out each in turn over both splits tells: "
        "`folds: sequence` in a study, or data.folds and data.fold in a recipe, as in\n" + command("check", found)
    )


def _by_sequence(split: CheckedSplit) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, name in enumerate(split.sequences):
        if name:
            found.setdefault(name, []).append(index)
    return found


def _nearest_frames(
    split: CheckedSplit, frames: list[int], training: CheckedSplit, others: list[int]
) -> list[tuple[int, int]]:
    """For each frame of a film the nearest of the others by number, and how far that is; _FAR where none has one."""
    theirs = sorted((_number(training, index), index) for index in others)
    numbers = np.array([number for number, _ in theirs])
    found = []
    for index in frames:
        number = _number(split, index)
        place = int(np.searchsorted(numbers, number))
        sides = [k for k in (place - 1, place) if 0 <= k < len(theirs)]
        best = min(sides, key=lambda k: (abs(theirs[k][0] - number), k))
        known = 0 <= number < _FAR and 0 <= theirs[best][0] < _FAR
        found.append((theirs[best][1], abs(theirs[best][0] - number) if known else _FAR))
    return found


def _number(split: CheckedSplit, index: int) -> int:
    """The last number in a sample's name; _FAR where it has none or an enormous one."""
    found = _LAST_NUMBER.search(split.dataset.name(index))
    return min(int(found[1][:20]), _FAR) if found else _FAR


def _is_film(neighbours: list[tuple[Spot, Spot]], all_of_it: list[Spot]) -> bool:
    """Whether neighbours are more alike than pictures of the same names drawn at random."""
    random = np.random.default_rng(0)
    drawn = [random.choice(len(all_of_it), 2, replace=False) for _ in range(_DRAWN)]
    chance = np.quantile([_alike(all_of_it[one], all_of_it[other]) for one, other in drawn], 0.75)
    step = max(1, len(neighbours) // _DRAWN)
    alike = [_alike(spot, other) for spot, other in neighbours[::step]]
    return float(np.mean(np.array(alike) > chance)) >= _ALIKE


def _alike(one: Spot, other: Spot) -> float:
    rows = standardised(np.stack([spot.split.thumb_NP[spot.sample] for spot in (one, other)]))
    return float(rows[0] @ rows[1])


def _neighbour(spot: Spot, other: Spot, checked: CheckedData) -> Place:
    if spot.split is checked.training():
        spot, other = other, spot
    split, name = other.label
    return spot.split.place(spot.sample, f"next to {name} of {split}", slice(0, 1), other.label)


CHECKS: tuple[Check, ...] = (divided_sequences, divided_films)

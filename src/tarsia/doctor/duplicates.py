"""Findings about pictures that are there more than once: within a split, and on both sides of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from tarsia.doctor.dataset import Check, CheckedData, indices
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.perceptual_hash import Copy, matches, nearest_copies
from tarsia.doctor.sample import FLAT, UNLABELLED
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.plain_text import be, number

_ONE_CLASS = 0.999
_MOST = 0.5  # share of the pictures from which on it is the scene that stands still


class Spot(NamedTuple):
    """A sample: its split and its number there."""

    split: CheckedSplit
    sample: int

    @property
    def label(self) -> tuple[str, str]:
        return self.split.name, self.split.dataset.name(self.sample)

    @property
    def drawn(self) -> bytes:
        """A digest of its label."""
        return self.split.label_digest_N[self.sample].tobytes()


def in_order(checked: CheckedData) -> list[CheckedSplit]:
    """The split that is trained on first, for others are copies of its pictures, not the other way round; test last."""
    training = checked.training()
    return sorted(checked.splits.values(), key=lambda split: (split is not training, split.name.startswith("test")))


def identical(checked: CheckedData) -> list[list[Spot]]:
    """Groups of pictures that are equal pixel for pixel, whatever their files; those of one colour aside."""
    groups: dict[bytes, list[Spot]] = {}
    for split in in_order(checked):
        for index in indices(split.pictures_N & (split.deviation_N >= FLAT)):
            groups.setdefault(split.digest_N[index].tobytes(), []).append(Spot(split, index))
    return [spots for spots in groups.values() if len(spots) > 1]


def same_pictures(checked: CheckedData) -> Iterator[Finding]:
    """Equal pictures across splits, within one, and with labels that differ."""
    leaked: list[Place] = []
    repeated: list[Place] = []
    contrary: list[Place] = []
    for spots in identical(checked):
        first: dict[str, Spot] = {}
        for spot in spots:
            there, same = spots[0], first.setdefault(spot.split.name, spot)
            if same is not spot and spot.drawn == same.drawn:
                repeated.append(_copy(spot, same, "the same picture as"))
            elif same is spot and there.split is not spot.split:
                leaked.append(_copy(spot, there, "the same picture as"))
            if spot.drawn != there.drawn:
                contrary.append(_copy(spot, there, "the same picture, but not the same label as"))
    if leaked:
        title = f"{_shared(leaked, 'also in')}: what is scored was trained on"
        why = "A network knows these by heart: the score is too good, and nothing shows it."
        remedy, fixes = "take them out of one of the splits", "a copy with each of them in one split"
        yield Finding("leak", "error", title, why, remedy, leaked, fixes)
    if contrary:
        title = f"{number(len(contrary), 'picture')} labelled twice, and differently"
        why = "One of the two labels is wrong, or both are; where they differ is how well people agree."
        yield Finding("contradiction", "warning", title, why, "look at both, keep the better one", contrary)
    if repeated:
        title = f"{number(len(repeated), 'picture')} repeated within a split"
        why = "It counts twice in training, and twice in the score."
        yield Finding("duplicate", "warning", title, why, "keep one of each", repeated, "a copy with one")


def _copy(spot: Spot, other: Spot, words: str) -> Place:
    split, name = other.label
    return spot.split.place(spot.sample, f"{words} {name} of {split}", slice(0, 1), other.label)


def _shared(places: list[Place], like: str) -> str:
    """`2 pictures of val are LIKE train`."""
    pairs = sorted({(place.split, place.other[0]) for place in places if place.other})
    count = number(len(places), "picture")
    if len(pairs) == 1:
        return f"{count} of {pairs[0][0]} {be(len(places))} {like} {pairs[0][1]}"
    return f"{count} {be(len(places))} {like} another split ({', '.join(f'{one} and {two}' for one, two in pairs)})"


def near_across(checked: CheckedData) -> list[tuple[Spot, Spot, Copy]]:
    """Pictures that nearly are one of another split, but not equal to it: (it, the other one, how near)."""
    found = []
    splits = in_order(checked)
    for place, later in enumerate(splits):
        for earlier in splits[:place]:
            for copy in _near(later, earlier):
                if later.digest_N[copy.sample] != earlier.digest_N[copy.other]:
                    found.append((Spot(later, copy.sample), Spot(earlier, copy.other), copy))
    return found


def near_matches(checked: CheckedData, gone: Collection[tuple[str, int]]) -> Iterator[tuple[Spot, Spot]]:
    """What is to go so that no picture nearly is one of a later split: (it, the later one), but for what is `gone`."""
    left = {split.name: split.pictures_N & (split.deviation_N >= FLAT) for split in checked.splits.values()}
    for split, index in gone:
        left[split][index] = False
    splits = in_order(checked)
    for place in reversed(range(len(splits))):
        earlier = splits[place]
        for later in splits[place + 1 :]:
            for mirrored in (False, True):
                rows, columns = np.flatnonzero(left[later.name]), np.flatnonzero(left[earlier.name])
                others = earlier.mirrored_N if mirrored else earlier.hash_N
                pictures = later.hash_N[rows], later.thumb_NP[rows], others[columns], earlier.thumb_NP[columns]
                found_M = matches(*pictures, mirrored)
                for column in indices(found_M >= 0):
                    left[earlier.name][columns[column]] = False
                    yield Spot(earlier, int(columns[column])), Spot(later, int(rows[found_M[column]]))


def nearly_same_pictures(checked: CheckedData) -> Iterator[Finding]:
    """Nearly equal pictures across splits and within one: resized, compressed anew, mirrored, or a moment later."""
    across = near_across(checked)
    if across:
        places = [_copy(spot, other, f"{_how(copy)} as") for spot, other, copy in across]
        title = _shared(places, "nearly the same as one of")
        why = (
            "They were resized, compressed anew, mirrored, or taken a moment later. A network that was trained on the "
            "one knows the other: the score is too good."
        )
        remedy = (
            "keep such pictures in one split: take those out of the others that are named here, or give frames of a "
            "film a `split:` in dataset.yaml whose `group_by:` keeps them together"
        )
        fixes = "a copy without them in the split that is trained on"
        yield Finding("near-leak", "warning", title, why, remedy, places, fixes)
    for split in in_order(checked):
        places = [
            _copy(Spot(split, copy.sample), Spot(split, copy.other), f"{_how(copy)} as")
            for copy in _near(split, split)
            if split.digest_N[copy.sample] != split.digest_N[copy.other]
        ]
        if places:
            title = f"{number(len(places), 'picture')} of {split.name} are nearly the same as another one there"
            why = "They teach little that is new; such frames make a data set look larger than it is."
            if len(places) > _MOST * len(split):
                why += " So many of them: frames of a film that lie close together, or a camera that stands still."
            remedy = "nothing need be done; to train faster keep every n-th frame only"
            yield Finding("near-duplicate", "note", title, why, remedy, places)


def _how(copy: Copy) -> str:
    how = "mirrored, nearly the same" if copy.mirrored else "nearly the same"
    return f"{how} (correlation {copy.correlation:.3f})"


def _near(one: CheckedSplit, other: CheckedSplit) -> list[Copy]:
    """For pictures of `one` what they nearly are in `other`, upright before mirrored."""
    rows, columns = (np.flatnonzero(side.pictures_N & (side.deviation_N >= FLAT)) for side in (one, other))
    thumbs = one.thumb_NP[rows]
    other_thumbs = thumbs if one is other else other.thumb_NP[columns]
    found: dict[int, Copy] = {}
    for mirrored, hashes in ((False, other.hash_N), (True, other.mirrored_N)):
        for copy in nearest_copies(one.hash_N[rows], thumbs, hashes[columns], other_thumbs, mirrored):
            index = int(rows[copy.sample])
            found.setdefault(index, copy._replace(sample=index, other=int(columns[copy.other])))
    return [found[index] for index in sorted(found)]


def repeated_labels(checked: CheckedData) -> Iterator[Finding]:
    """One label for pictures that differ: saved under a wrong name, or copied."""
    groups: dict[bytes, list[Spot]] = {}
    for split in in_order(checked):
        telling_N = split.seen_N & (split.dominant_N < _ONE_CLASS) & (split.ignored_N < UNLABELLED)
        for index in indices(telling_N):
            groups.setdefault(split.label_digest_N[index].tobytes(), []).append(Spot(split, index))
    places = []
    for spots in groups.values():
        first = spots[0]
        for spot in spots[1:]:
            near = nearest_copies(*_pair(spot, first), mirrored=False)
            if not near and spot.split.digest_N[spot.sample] != first.split.digest_N[first.sample]:
                place = _copy(spot, first, "has the very same label as")
                places.append(place._replace(files=spot.split.files(spot.sample)[1:]))
    if places:
        title = f"{number(len(places), 'label')} equal to that of another picture"
        why = "The pictures differ, so one of the labels was saved under a wrong name, or copied by mistake."
        yield Finding("repeated-label", "warning", title, why, "look at both, and draw the wrong one anew", places)


def _pair(one: Spot, other: Spot) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    sides = [(spot.split.hash_N[[spot.sample]], spot.split.thumb_NP[[spot.sample]]) for spot in (one, other)]
    return *sides[0], *sides[1]


CHECKS: tuple[Check, ...] = (same_pictures, nearly_same_pictures, repeated_labels)

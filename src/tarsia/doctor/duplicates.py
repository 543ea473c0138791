"""Findings about pictures that are there more than once: within a split, and on both sides of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from tarsia.doctor.dataset import Case, Check, indices
from tarsia.doctor.finding import Finding, Place, be, number
from tarsia.doctor.perceptual_hash import Copy, matches, nearest_copies
from tarsia.doctor.sample import FLAT, UNLABELLED
from tarsia.doctor.split_statistics import Survey

_ONE_CLASS = 0.999
_MOST = 0.5  # share of the pictures from which on it is the scene that stands still


class Spot(NamedTuple):
    """A sample: its split and its number there."""

    survey: Survey
    sample: int

    @property
    def label(self) -> tuple[str, str]:
        return self.survey.split, self.survey.dataset.name(self.sample)

    @property
    def drawn(self) -> bytes:
        """A digest of its label."""
        return self.survey.label_digest_N[self.sample].tobytes()


def in_order(case: Case) -> list[Survey]:
    """The split that is trained on first, for others are copies of its pictures, not the other way round; test last."""
    training = case.training()
    return sorted(case.splits.values(), key=lambda survey: (survey is not training, survey.split.startswith("test")))


def identical(case: Case) -> list[list[Spot]]:
    """Groups of pictures that are equal pixel for pixel, whatever their files; those of one colour aside."""
    groups: dict[bytes, list[Spot]] = {}
    for survey in in_order(case):
        for index in indices(survey.pictures_N & (survey.deviation_N >= FLAT)):
            groups.setdefault(survey.digest_N[index].tobytes(), []).append(Spot(survey, index))
    return [spots for spots in groups.values() if len(spots) > 1]


def same_pictures(case: Case) -> Iterator[Finding]:
    """Equal pictures across splits, within one, and with labels that differ."""
    leaked: list[Place] = []
    repeated: list[Place] = []
    contrary: list[Place] = []
    for spots in identical(case):
        first: dict[str, Spot] = {}
        for spot in spots:
            there, same = spots[0], first.setdefault(spot.survey.split, spot)
            if same is not spot and spot.drawn == same.drawn:
                repeated.append(_copy(spot, same, "the same picture as"))
            elif same is spot and there.survey is not spot.survey:
                leaked.append(_copy(spot, there, "the same picture as"))
            if spot.drawn != there.drawn:
                contrary.append(_copy(spot, there, "the same picture, but not the same label as"))
    if leaked:
        title = f"{_shared(leaked, 'also in')}: what is scored was trained on"
        why = "A network knows these by heart: the score is too good, and nothing shows it."
        remedy, mends = "take them out of one of the splits", "a copy with each of them in one split"
        yield Finding("leak", "error", title, why, remedy, leaked, mends)
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
    place = spot.survey.place(spot.sample, f"{words} {name} of {split}", slice(0, 1))
    return place._replace(other=other.label)


def _shared(places: list[Place], like: str) -> str:
    """`2 pictures of val are LIKE train`."""
    pairs = sorted({(place.split, place.other[0]) for place in places if place.other})
    count = number(len(places), "picture")
    if len(pairs) == 1:
        return f"{count} of {pairs[0][0]} {be(len(places))} {like} {pairs[0][1]}"
    return f"{count} {be(len(places))} {like} another split ({', '.join(f'{one} and {two}' for one, two in pairs)})"


def near_across(case: Case) -> list[tuple[Spot, Spot, Copy]]:
    """Pictures that nearly are one of another split, but not equal to it: (it, the other one, how near)."""
    found = []
    surveys = in_order(case)
    for place, later in enumerate(surveys):
        for earlier in surveys[:place]:
            for copy in _near(later, earlier):
                if later.digest_N[copy.sample] != earlier.digest_N[copy.other]:
                    found.append((Spot(later, copy.sample), Spot(earlier, copy.other), copy))
    return found


def near_matches(case: Case, gone: Collection[tuple[str, int]]) -> Iterator[tuple[Spot, Spot]]:
    """What is to go so that no picture nearly is one of a later split: (it, the later one), but for what is `gone`."""
    left = {survey.split: survey.pictures_N & (survey.deviation_N >= FLAT) for survey in case.splits.values()}
    for split, index in gone:
        left[split][index] = False
    surveys = in_order(case)
    for place in reversed(range(len(surveys))):
        earlier = surveys[place]
        for later in surveys[place + 1 :]:
            for mirrored in (False, True):
                rows, columns = np.flatnonzero(left[later.split]), np.flatnonzero(left[earlier.split])
                others = earlier.mirrored_N if mirrored else earlier.hash_N
                pictures = later.hash_N[rows], later.thumb_NP[rows], others[columns], earlier.thumb_NP[columns]
                found_M = matches(*pictures, mirrored)
                for column in indices(found_M >= 0):
                    left[earlier.split][columns[column]] = False
                    yield Spot(earlier, int(columns[column])), Spot(later, int(rows[found_M[column]]))


def nearly_same_pictures(case: Case) -> Iterator[Finding]:
    """Nearly equal pictures across splits and within one: resized, compressed anew, mirrored, or a moment later."""
    across = near_across(case)
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
        mends = "a copy without them in the split that is trained on"
        yield Finding("near-leak", "warning", title, why, remedy, places, mends)
    for survey in in_order(case):
        places = [
            _copy(Spot(survey, copy.sample), Spot(survey, copy.other), f"{_how(copy)} as")
            for copy in _near(survey, survey)
            if survey.digest_N[copy.sample] != survey.digest_N[copy.other]
        ]
        if places:
            title = f"{number(len(places), 'picture')} of {survey.split} are nearly the same as another one there"
            why = "They teach little that is new; such frames make a data set look larger than it is."
            if len(places) > _MOST * len(survey):
                why += " So many of them: frames of a film that lie close together, or a camera that stands still."
            remedy = "nothing need be done; to train faster keep every n-th frame only"
            yield Finding("near-duplicate", "note", title, why, remedy, places)


def _how(copy: Copy) -> str:
    how = "mirrored, nearly the same" if copy.mirrored else "nearly the same"
    return f"{how} (correlation {copy.correlation:.3f})"


def _near(one: Survey, other: Survey) -> list[Copy]:
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


def repeated_labels(case: Case) -> Iterator[Finding]:
    """One label for pictures that differ: saved under a wrong name, or copied."""
    groups: dict[bytes, list[Spot]] = {}
    for survey in in_order(case):
        telling_N = survey.seen_N & (survey.dominant_N < _ONE_CLASS) & (survey.ignored_N < UNLABELLED)
        for index in indices(telling_N):
            groups.setdefault(survey.label_digest_N[index].tobytes(), []).append(Spot(survey, index))
    places = []
    for spots in groups.values():
        first = spots[0]
        for spot in spots[1:]:
            near = nearest_copies(*_pair(spot, first), mirrored=False)
            if not near and spot.survey.digest_N[spot.sample] != first.survey.digest_N[first.sample]:
                place = _copy(spot, first, "has the very same label as")
                places.append(place._replace(files=spot.survey.files(spot.sample)[1:]))
    if places:
        title = f"{number(len(places), 'label')} equal to that of another picture"
        why = "The pictures differ, so one of the labels was saved under a wrong name, or copied by mistake."
        yield Finding("repeated-label", "warning", title, why, "look at both, and draw the wrong one anew", places)


def _pair(one: Spot, other: Spot) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    sides = [(spot.survey.hash_N[[spot.sample]], spot.survey.thumb_NP[[spot.sample]]) for spot in (one, other)]
    return *sides[0], *sides[1]


CHECKS: tuple[Check, ...] = (same_pictures, nearly_same_pictures, repeated_labels)

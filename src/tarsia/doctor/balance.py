"""Findings about classes: which are missing where, which are rare, and whether the splits agree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from tarsia.card import IGNORED
from tarsia.data._class_pixels import class_weights
from tarsia.data._split import divide
from tarsia.doctor.dataset import Check, CheckedData, indices
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.layout_lines import rule_line
from tarsia.doctor.meaning import coding_of
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.doctor.two_values import two_values
from tarsia.errors import DatasetError
from tarsia.plain_text import be, listed

_RARE = 100.0  # times that the commonest class has more pixels
_APART = 3.0  # times that a class's share is larger in one split than in the other
_COUNTS = 0.005  # share of the pixels in one of the splits from which on that matters
_FEW = 5  # pictures
_NAMED = 8  # classes in a title
_TRIED = 200  # seeds of another draw
_NOT_HERE = "get the rest of the data set; or read it as your own with a dataset.yaml, and name fewer classes there"


def absent_classes(checked: CheckedData) -> Iterator[Finding]:
    """Classes that no split, only some, or not the one that is trained on shows."""
    splits = [split for split in checked.splits.values() if split.shows_classes]
    if not splits:
        return
    shown_K = np.any([split.pictures_K > 0 for split in splits], axis=0)
    if not shown_K.all() and len(shown_K) > 1:
        title = f"{_names(checked, ~shown_K)} in no picture"
        why = "It takes part in every prediction and is never right; its IoU is left out of the mean, or 0."
        remedy = _without(checked, indices(~shown_K)) if checked.layout else _NOT_HERE
        yield Finding("class-absent", "warning", title, why, remedy, decide=_may_count_from_one(checked))
    for training, split in checked.held_out():
        untrained_K = (training.pictures_K == 0) & (split.pictures_K > 0)
        if untrained_K.any() and training.shows_classes:
            title = f"{_names(checked, untrained_K)} in {split.name}, but not in {training.name}"
            why = "What training never shows is never predicted: its IoU will be 0, and the mean the lower for it."
            remedy = _moved(checked, split.name, training.name)
            yield Finding("class-untrained", "warning", title, why, remedy, _showing(checked, split, untrained_K))
        unscored_K = (training.pictures_K > 0) & (split.pictures_K == 0)
        if unscored_K.any():
            title = f"{_names(checked, unscored_K)} in {training.name}, but not in {split.name}"
            why = f"How well it is learned cannot be told from {split.name}: its IoU is left out of the mean, or 0."
            remedy = _moved(checked, training.name, split.name)
            yield Finding("class-unscored", "warning", title, why, remedy)


def _without(checked: CheckedData, absent: list[int]) -> str:
    """How to take classes out of dataset.yaml, the others keeping their values; or another coding that shows them."""
    coding = coding_of(checked)
    assert coding is not None
    if any(split.strange for split in checked.splits.values()) or len(two_values(checked)) == 2:
        return "first see to the values that are no class, or ignored: it may be one of them"
    parts = []
    count = len(checked.classes)
    if _may_count_from_one(checked):
        for first in (0, 1):
            lines = coding.numbered([[first + k] for k in range(count)]).lines(coding)
            words = f"if the labels count from {first} ({checked.classes.names[0]} is {first})"
            parts.append(f"{words}, write in {checked.source}:\n{lines}")
    if count - len(absent) > 1:
        words = f"to do without, the others keeping their values, write in {checked.source}"
        parts.append(f"{words}:\n{coding.without(absent).lines(coding)}")
    else:
        parts.append("add pictures that show it: with one class alone there is nothing to learn")
    return "\n".join(parts)


def _may_count_from_one(checked: CheckedData) -> bool:
    """Whether classes are numbered by their place in the list, and no label holds the first number."""
    coding = coding_of(checked)
    values = {value for split in checked.splits.values() for value in split.values if value != IGNORED}
    if coding is None or checked.layout is None or coding.told or coding.ignore or len(two_values(checked)) == 2:
        return False
    known = values and not any(split.strange for split in checked.splits.values())
    return bool(known) and 0 not in values and all(isinstance(value, int) for value in values)


def _names(checked: CheckedData, which_K: np.ndarray) -> str:
    names = [checked.classes.names[k] for k in indices(which_K)]
    more = [f"{len(names) - _NAMED} more classes"] if len(names) > _NAMED + 1 else names[_NAMED:]
    return f"{listed([*names[:_NAMED], *more])} {be(len(names))}"


def _moved(checked: CheckedData, source: str, target: str) -> str:
    if checked.layout is None:
        return "if the split is the published one, keep it, and name the class beside every score"
    draw = _another_draw(checked)
    if draw:
        return f"draw another split, of which each part shows every class; write in {checked.source}\n{draw}"
    if checked.layout.split:
        return "add pictures that show it: no other seed of `split:` puts every class into every part"
    return f"move pictures that show it from {source} to {target}"


def like_names(checked: CheckedData) -> Iterator[Finding]:
    """Classes whose names only letter case, spaces or another spelling in Unicode tells apart."""
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(checked.classes.names):
        groups.setdefault("".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(k)
    alike = [group for group in groups.values() if len(group) > 1]
    coding = coding_of(checked)
    if alike and coding is not None:
        told = "; ".join(listed([repr(checked.classes.names[k]) for k in group]) for group in alike)
        title = f"classes whose names only letter case or spaces tell apart: {told}"
        why = "A slip in one label file makes a class of its own: half of the pixels teach the one, half the other."
        remedy = "rename them where they are two classes"
        if checked.layout and len(checked.classes) - sum(len(group) - 1 for group in alike) > 1:
            lines = coding.merged(alike).lines(coding)
            remedy += f"; where they are one, write in {checked.source}\n{lines}"
        yield Finding("like-names", "note", title, why, remedy)


def few_pictures(checked: CheckedData) -> Iterator[Finding]:
    """Classes that a handful of pictures decide about."""
    for split in checked.splits.values():
        few_K = (split.pictures_K > 0) & (split.pictures_K < _FEW)
        if few_K.any() and len(split) >= 4 * _FEW:
            told = listed([f"{checked.classes.names[k]} ({split.pictures_K[k]})" for k in indices(few_K)])
            title = f"shown by fewer than {_FEW} pictures of {split.name}: {told}"
            why = "A score or a lesson from so few pictures is chance: another handful would say something else."
            remedy = "add pictures that show it, or merge it with another class"
            yield Finding("few-pictures", "note", title, why, remedy, _showing(checked, split, few_K))


def _showing(checked: CheckedData, split: CheckedSplit, which_K: np.ndarray) -> list[Place]:
    """The pictures that show some of the classes."""
    names: dict[int, list[str]] = {}
    for k in indices(which_K):
        for index in indices(split.showing(k)):
            names.setdefault(index, []).append(checked.classes.names[k])
    return [split.place(index, f"shows {listed(names[index])}", slice(0, 1)) for index in sorted(names)]


def imbalance(checked: CheckedData) -> Iterator[Finding]:
    """Classes that are far rarer than the commonest one."""
    training = checked.training()
    if training is None or not training.shows_classes:
        return
    shares_K = training.shares_K()
    rare_K = (shares_K > 0) & (shares_K * _RARE < shares_K.max())
    if rare_K.any():
        told = listed([f"{checked.classes.names[k]} ({_percent(shares_K[k])})" for k in indices(rare_K)])
        common = int(shares_K.argmax())
        title = f"rare beside {checked.classes.names[common]} ({_percent(shares_K[common])}): {told}"
        why = "A network that never says them is right nearly everywhere, and mIoU counts them like the others."
        remedy = (
            "train with train.class_weights=median_frequency (weights up to "
            f"{max(weights(training)):.3g}, see check.json; root_median_frequency is milder), with "
            "augment.class_balanced, or with train.loss=lovasz; compare, for weights too large cost precision"
        )
        yield Finding("imbalance", "note", title, why, remedy)


def weights(split: CheckedSplit, kind: str = "median_frequency") -> list[float]:
    """The weights that `train.class_weights: KIND` would give."""
    return class_weights(kind, split.pixels_K1[:-1], split.image_pixels_K)


def shares_apart(checked: CheckedData) -> Iterator[Finding]:
    """Classes whose share of the pixels is another in training than where it is scored."""
    for training, split in checked.held_out():
        ours, theirs = training.shares_K(), split.shares_K()
        both = (ours > 0) & (theirs > 0) & (np.maximum(ours, theirs) > _COUNTS)
        apart = both & ((ours > _APART * theirs) | (theirs > _APART * ours))
        if apart.any():
            names = checked.classes.names
            told = [f"{names[k]} ({_percent(ours[k])}, {_percent(theirs[k])})" for k in indices(apart)]
            title = f"shares differ between {training.name} and {split.name}: {listed(told)}"
            why = f"{split.name} shows another mix of scenes: pixel accuracy and FWIoU tell less from one to the other."
            yield Finding("shares-differ", "note", title, why, "compare by mIoU and by class")


def _percent(share: float) -> str:
    return f"{100 * share:.{3 if share > 0.1 else 2}g} %"


def _another_draw(checked: CheckedData) -> str:
    """The `split` of the first other seed by which every split shows every class that any shows; "" for none."""
    rule = checked.layout.split if checked.layout else None
    parts = [part for part, share in (("train", 1.0), ("val", rule.val), ("test", rule.test)) if share] if rule else []
    whole = all(not (found.images_alone or found.labels_alone or found.twice) for found in checked.unpaired.values())
    if rule is None or set(parts) != set(checked.splits) or not whole:
        return ""
    splits = list(checked.splits.values())
    names = [split.dataset.name(index) for split in splits for index in range(len(split))]
    shown_NB = np.concatenate([split.shown_NB for split in splits])
    everything_B = np.bitwise_or.reduce(shown_NB, axis=0)
    groups = _groups(names, rule.group_by)
    for seed in range(_TRIED):
        drawn = rule.model_copy(update={"seed": seed})
        try:
            found = divide(names, drawn, groups)
        except DatasetError:
            return ""  # too few groups, whatever the seed
        if all((np.bitwise_or.reduce(shown_NB[found[part]], axis=0) == everything_B).all() for part in parts):
            return rule_line(drawn)
    return ""


def _groups(names: list[str], pattern: str | None) -> list[str]:
    """What the rule's pattern finds in each name, as the data set reads it."""
    if pattern is None:
        return []
    matches = [re.search(pattern, name) for name in names]
    return [found[1 if found.re.groups else 0] or "" if found else "" for found in matches]


CHECKS: tuple[Check, ...] = (absent_classes, like_names, few_pictures, imbalance, shares_apart)

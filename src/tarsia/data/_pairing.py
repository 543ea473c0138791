"""Images and labels on disk, matched by name: what belongs together, and what is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tarsia.data._affixes import NO_AFFIXES, Affixes, find_affixes, stripped
from tarsia.data._folders import nearby_name
from tarsia.data._names import Lookup, matched, nfc
from tarsia.data._places import Folders
from tarsia.errors import DatasetError
from tarsia.pictures.find import ARRAY_SUFFIX, SUFFIXES, walk
from tarsia.plain_text import some

LABEL_SUFFIXES = SUFFIXES | {ARRAY_SUFFIX}
_ADD_OR_MOVE = "add the missing files or move their partners away; names must be equal but for the file's suffix"


class Pair(NamedTuple):
    """An image and its label; `name` is their common path below their folders, without suffixes."""

    name: str
    image: str
    label: str


@dataclass(frozen=True)
class Pairing:
    """Which files belong together, and which have no partner, as paths; `fault` says all of the latter in words.

    `twice`: the first of several files of one name, and each further one.  `listed_alone`: names in the list of a split
    that no picture has.
    """

    pairs: list[Pair] = field(default_factory=list)
    images_alone: list[str] = field(default_factory=list)
    labels_alone: list[str] = field(default_factory=list)
    listed_alone: list[str] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    fault: str = ""

    def __add__(self, other: Pairing) -> Pairing:
        return Pairing(
            self.pairs + other.pairs,
            self.images_alone + other.images_alone,
            self.labels_alone + other.labels_alone,
            self.listed_alone + other.listed_alone,
            self.twice + other.twice,
            self.fault or other.fault,
        )


def require_complete(pairing: Pairing) -> None:
    """DatasetError, one for all of a kind, where a name stands twice or something has no partner."""
    if pairing.fault:
        raise DatasetError(pairing.fault)


@dataclass(frozen=True)
class Rule:
    """How names are matched.

    `only`: these names, in any way of writing them; whatever else is there does not matter.  `leave_out`: names that
    are not there at all.  `joined`: a label is a folder of files, as `masks/` beside the one picture of `images/`, or
    one of the picture's name.  `folder`: in which pictures lie, and which is no part of their names.  `remedy`: what to
    do where all would match with other affixes.  `where`: what a fault begins with, as a list's name.
    """

    affixes: Affixes = NO_AFFIXES
    only: Sequence[str] | None = None
    leave_out: Collection[str] = ()
    joined: bool = False
    folder: str = ""
    suffixes: Collection[str] = SUFFIXES
    remedy: Callable[[Affixes], str] | None = None
    where: str = ""
    label_suffixes: Collection[str] = LABEL_SUFFIXES


def pair(
    images: Path,
    labels: Path,
    label_suffix: str = "",
    suffix_remedy: str = "",
    only: Sequence[str] | None = None,
    image_suffix: str = "",
    where: str = "",
    label_suffixes: Collection[str] = LABEL_SUFFIXES,
) -> Pairing:
    """Every image below `images` with the label of the same name below `labels`, sorted by name.

    Labels carry `label_suffix` after the name and images `image_suffix`; others do not matter.  `label_suffixes`: those
    of files that are labels.  With `only`, just these
    names.  `suffix_remedy`: what to do where all labels turn out to have a suffix, `{found}`.

    Raises DatasetError where a folder is missing or no image has a label: then there is no data set at all.
    """

    def remedy(found: Affixes) -> str:
        if found.keys().keys() != {"label_suffix"}:
            return ""
        return suffix_remedy.replace("{found}", found.label_suffix) or f"rename the labels without {found.label_suffix}"

    affixes = Affixes(image_suffix=image_suffix, label_suffix=label_suffix)
    rule = Rule(affixes, only, remedy=remedy, where=where, label_suffixes=label_suffixes)
    return pair_folders([Folders(images, labels)], rule)


def pair_folders(places: Sequence[Folders], rule: Rule) -> Pairing:
    """Every image with the label of the same name, over all `places`; names agree in letters (NFC) and, where no other
    is meant, in all but their case.

    Raises DatasetError as `pair` does.
    """
    images, labels = Files(), Files()
    for place in dict.fromkeys(places):
        own = _own_files(place.images, place.labels, rule, of_labels=False)
        images.add(own, place.key)
        if place.labels not in labels.seen:
            labels.seen.add(place.labels)
            labels.add(
                _joined(place, own, rule)
                if rule.joined
                else _own_files(place.labels, place.images, rule, of_labels=True),
                place.key,
            )
    left_out = {nfc(name) for name in rule.leave_out}
    for files in (images, labels):
        files.by_name = {name: path for name, path in files.by_name.items() if nfc(name) not in left_out}
    absent: list[str] = []
    if rule.only is not None:
        listed = Lookup(images.by_name)
        wanted = [(name, listed.find(name)) for name in rule.only if nfc(name) not in left_out]
        absent = [name for name, found in wanted if found is None]
        images.by_name = {found: images.by_name[found] for _, found in wanted if found is not None}
    partner = matched(images.by_name, labels.by_name)
    if rule.only is not None:
        theirs, there = set(partner.values()), Lookup(labels.by_name)
        theirs |= {found for name in absent if (found := there.find(name)) is not None}
        labels.by_name = {name: path for name, path in labels.by_name.items() if name in theirs}
    alone = sorted(images.by_name.keys() - partner.keys())
    orphans = sorted(labels.by_name.keys() - set(partner.values()))
    pairing = Pairing(
        [Pair(name, images.by_name[name], labels.by_name[partner[name]]) for name in sorted(partner)],
        [images.by_name[name] for name in alone],
        [labels.by_name[name] for name in orphans],
        absent,
        list(dict.fromkeys(images.twice + labels.twice)),  # images and labels may share a folder
    )
    fault = _fault(places, rule, images, labels, (alone, orphans, absent))
    pairing = replace(pairing, fault=f"{rule.where}: {fault}" if rule.where and fault else fault)
    if not pairing.pairs:
        require_complete(pairing)
    return pairing


@dataclass
class Files:
    """Files by name, and beside the first of several of one name each further one."""

    by_name: dict[str, str] = field(default_factory=dict)
    twice: list[tuple[str, str]] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def add(self, found: Iterable[tuple[str, str]], key: str) -> None:
        for name, path in found:
            whole = f"{key}/{name}" if key else name
            if self.by_name.setdefault(whole, path) != path:
                self.twice.append((self.by_name[whole], path))


def _own_files(folder: Path, beside: Path, rule: Rule, of_labels: bool) -> list[tuple[str, str]]:
    """The files below `folder` but not below `beside` that are images, or labels, by their affixes."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder" + nearby_name(folder))
    one_folder = beside.resolve() == folder.resolve()
    if one_folder and not rule.affixes.keys():
        raise DatasetError(f"{folder}: holds images and labels: say in dataset.yaml by what their names end or begin")
    own, other = (rule.affixes.labels, rule.affixes.images) if of_labels else (rule.affixes.images, rule.affixes.labels)
    found = []
    # In one folder what only the others have tells the two apart.
    telling = one_folder and other != ("", "") and not (of_labels and own != ("", ""))
    known = rule.label_suffixes if of_labels else rule.suffixes
    for relative in walk(folder, known, () if one_folder else (beside,)):
        name = stripped(relative, *own)
        if name is not None and rule.folder and not of_labels:
            name = _without(rule.folder, name)
        if name is not None and not (telling and stripped(relative, *other) is not None):
            found.append((name, os.path.join(folder, relative)))
    return found


def _without(folder: str, name: str) -> str | None:
    """A name without the `folder` that its file lies in; None where it lies in another."""
    parent, _, last = name.rpartition("/")
    if parent != folder and not parent.endswith(f"/{folder}"):
        return None
    return f"{parent[: -len(folder)]}{last}"


def _joined(place: Folders, images: Sequence[tuple[str, str]], rule: Rule) -> list[tuple[str, str]]:
    """The folders of label files: that beside the only image, or one for each image's name."""
    if not place.labels.is_dir():
        raise DatasetError(f"{place.labels}: no such folder" + nearby_name(place.labels))
    if len(images) == 1 and not any(path.is_dir() for path in place.labels.iterdir()):
        return [(images[0][0], str(place.labels))]
    files = walk(place.labels, LABEL_SUFFIXES)
    parents = dict.fromkeys(os.path.dirname(relative).replace(os.sep, "/") for relative in files)
    return [(parent, os.path.join(place.labels, parent)) for parent in parents if parent]


def _fault(
    places: Sequence[Folders], rule: Rule, images: Files, labels: Files, alone: tuple[list[str], list[str], list[str]]
) -> str:
    """What is wrong with a pairing, in words."""
    without_label, without_image, absent = alone
    image_folders, label_folders = (
        some(dict.fromkeys(map(str, paths)), 2)
        for paths in ([one.images for one in places], [one.labels for one in places])
    )
    if twice := _twice(image_folders, images.twice) or _twice(label_folders, labels.twice):
        return twice
    if absent:
        return f"{len(absent)} of {len(rule.only or ())} listed names are not in {image_folders}: {some(absent)}"
    if not images.by_name:
        affixes = [
            f"names {word} {text}"
            for word, text in zip(("beginning with", "ending in"), rule.affixes.images, strict=True)
            if text
        ]
        looked = " and ".join([*affixes, ", ".join(sorted(rule.suffixes))])
        return f"{image_folders}: no images found (looked for {looked}, subfolders too)"
    if not (without_label or without_image):
        return ""
    what = _unmatched(image_folders, label_folders, alone, len(images.by_name), rule.affixes)
    remedy = ""
    if len(without_label) == len(images.by_name) and rule.remedy is not None and rule.only is None:
        remedy = rule.remedy(_other_affixes(places, rule, images, labels))
    return f"{what}.  Remedy: {remedy or _ADD_OR_MOVE}"


def _other_affixes(places: Sequence[Folders], rule: Rule, images: Files, labels: Files) -> Affixes:
    """Those by which all images have a label; none where there are no such."""
    kept = rule.affixes
    image_names, label_names = [*images.by_name], [*labels.by_name]
    if all(one.images.resolve() != one.labels.resolve() for one in places):
        plain = replace(rule, affixes=Affixes(image_prefix=kept.image_prefix, image_suffix=kept.image_suffix))
        every = Files()
        for place in places:
            every.add(_own_files(place.labels, place.images, plain, of_labels=True), place.key)
        label_names, kept = [*every.by_name], plain.affixes
    found, count = find_affixes(image_names, label_names)
    if count < len(image_names):
        return Affixes()
    joined = [
        one + two if "prefix" in name else two + one for name, one, two in zip(kept._fields, kept, found, strict=True)
    ]
    return Affixes(*joined)


def common_suffix(images: Path, labels: Path) -> str:
    """What all labels have after their image's name (as `_L`); "" where they have nothing or not the same."""
    names, others = Files(), Files()
    names.add(_own_files(images, labels, Rule(), of_labels=False), "")
    others.add(_own_files(labels, images, Rule(), of_labels=True), "")
    return _suffix_between(names.by_name, others.by_name)


def _unmatched(
    images: str, labels: str, alone: tuple[list[str], list[str], list[str]], count: int, affixes: Affixes
) -> str:
    parts = []
    without_label, without_image, _ = alone
    if without_label:
        folder, slash, last = without_label[0].rpartition("/")
        whole = f"{folder}{slash}{affixes.label_prefix}{last}{affixes.label_suffix}"
        wanted = f" (as {whole}{'' if '.' in affixes.label_suffix else '.png'})" if affixes.labels != ("", "") else ""
        which = f"all {count}" if len(without_label) == count else f"{len(without_label)} of {count}"
        parts.append(f"{which} images in {images} have no label in {labels}{wanted}: {some(without_label)}")
    if without_image:
        parts.append(f"{len(without_image)} labels in {labels} have no image in {images}: {some(without_image)}")
    return "; ".join(parts)


def _suffix_between(images: Iterable[str], labels: Iterable[str]) -> str:
    """The one text that follows an image's name in every label's name, or ""."""
    known = set(images)
    found: set[str] = set()
    for label in labels:
        lengths = range(len(label), 0, -1)
        found.add(next((label[length:] for length in lengths if label[:length] in known), ""))
        if "" in found or len(found) > 1:
            return ""
    return found.pop() if found else ""


def _twice(folder: str, twice: list[tuple[str, str]]) -> str:
    if not twice:
        return ""
    listed = some(f"{first} and {second}" for first, second in twice)
    return f"{folder}: two files of one name: {listed}.  Remedy: keep one of each"

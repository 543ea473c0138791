"""Images and labels on disk, matched by name: what belongs together, and what is left alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tarsia.data._folders import nearby_name
from tarsia.errors import DatasetError
from tarsia.pictures.find import ARRAY_SUFFIX, SUFFIXES, walk
from tarsia.plain_text import some

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


def pair(
    images: Path,
    labels: Path,
    label_suffix: str = "",
    suffix_remedy: str = "",
    only: Sequence[str] | None = None,
    image_suffix: str = "",
    suffixes: Collection[str] = SUFFIXES,
    where: str = "",
) -> Pairing:
    """Every image below `images` with the label of the same name below `labels`, sorted by name.

    Labels carry `label_suffix` after the name and images `image_suffix`; others do not matter.  With `only`, just these
    names, and whatever else is there does not matter.  `suffixes`: what image files end in.  `suffix_remedy`: what to
    do where all labels turn out to have a suffix, `{found}`.  `where`: what a fault begins with, as a list's name.

    Raises DatasetError where a folder is missing or no image has a label: then there is no data set at all.
    """
    image_files, images_twice = _by_name(images, beside=labels, suffixes=suffixes)
    label_files, labels_twice = _by_name(labels, beside=images)
    names_there = list(label_files)
    if label_suffix:
        if images.resolve() == labels.resolve():
            image_files = {name: path for name, path in image_files.items() if not name.endswith(label_suffix)}
        label_files = _with_suffix(label_files, label_suffix)
    image_files = _with_suffix(image_files, image_suffix)
    absent: list[str] = []
    if only is not None:
        absent = [name for name in only if name not in image_files]
        image_files = {name: image_files[name] for name in only if name in image_files}
        label_files = {name: label_files[name] for name in only if name in label_files}
    alone = sorted(image_files.keys() - label_files.keys())
    orphans = sorted(label_files.keys() - image_files.keys())
    fault = _twice(images, images_twice) or _twice(labels, labels_twice)
    if not fault and absent:
        fault = f"{len(absent)} of {len(only or ())} listed names are not in {images}: {some(absent)}"
    elif not fault and not image_files:
        named = f"names ending in {image_suffix} and " if image_suffix else ""
        fault = f"{images}: no images found (looked for {named}{', '.join(sorted(suffixes))}, subfolders too)"
    elif not fault and (alone or orphans):
        found = _suffix_between(image_files, names_there) if len(alone) == len(image_files) else ""
        renamed = suffix_remedy.replace("{found}", found) or f"rename the labels without {found}"
        what = _unmatched(images, labels, alone, orphans, len(image_files), label_suffix)
        fault = f"{what}.  Remedy: {renamed if found else _ADD_OR_MOVE}"
    pairing = Pairing(
        [Pair(name, image_files[name], label_files[name]) for name in sorted(image_files.keys() & label_files.keys())],
        [image_files[name] for name in alone],
        [label_files[name] for name in orphans],
        absent,
        list(dict.fromkeys(images_twice + labels_twice)),  # images and labels may share a folder
        f"{where}: {fault}" if where and fault else fault,
    )
    if not pairing.pairs:
        require_complete(pairing)
    return pairing


def common_suffix(images: Path, labels: Path) -> str:
    """What all labels have after their image's name (as `_L`); "" where they have nothing or not the same."""
    return _suffix_between(_by_name(images, beside=labels)[0], _by_name(labels, beside=images)[0])


def read_names(path: Path) -> list[str]:
    """The names in a list file, one a line; blank lines and a picture's suffix do not count.

    Raises DatasetError where there is no such text, no name in it or a name twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: no list of names, one a line ({reason})") from error
    known = SUFFIXES | {ARRAY_SUFFIX}
    names = [os.path.splitext(line)[0] if Path(line).suffix.lower() in known else line for line in lines if line]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or not names:
        raise DatasetError(f"{path}: {f'lists names twice: {some(twice)}' if twice else 'lists no names'}")
    return names


def _unmatched(images: Path, labels: Path, alone: list[str], orphans: list[str], count: int, suffix: str) -> str:
    parts = []
    if alone:
        wanted = f" (as {alone[0]}{suffix}.png)" if suffix else ""
        which = f"all {count}" if len(alone) == count else f"{len(alone)} of {count}"
        parts.append(f"{which} images in {images} have no label in {labels}{wanted}: {some(alone)}")
    if orphans:
        parts.append(f"{len(orphans)} labels in {labels} have no image in {images}: {some(orphans)}")
    return "; ".join(parts)


def _with_suffix(files: dict[str, str], suffix: str) -> dict[str, str]:
    """The files whose names end in `suffix`, under their names without it."""
    return {name.removesuffix(suffix): path for name, path in files.items() if name.endswith(suffix)}


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


def _by_name(
    folder: Path, beside: Path, suffixes: Collection[str] = SUFFIXES
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Name (relative path without suffix) -> file, for every picture below `folder` but not below `beside`.

    Of several files of one name the first, and beside these the first with each further one.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder" + nearby_name(folder))
    left_out = () if beside.resolve() == folder.resolve() else (beside,)
    found: dict[str, str] = {}
    twice: list[tuple[str, str]] = []
    for relative in walk(folder, suffixes, left_out):
        name, path = os.path.splitext(relative)[0].replace(os.sep, "/"), os.path.join(folder, relative)
        if found.setdefault(name, path) != path:
            twice.append((found[name], path))
    return found, twice


def _twice(folder: Path, twice: list[tuple[str, str]]) -> str:
    if not twice:
        return ""
    listed = some(f"{first} and {second}" for first, second in twice)
    return f"{folder}: two files of one name: {listed}.  Remedy: keep one of each"

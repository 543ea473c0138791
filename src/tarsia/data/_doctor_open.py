"""Opens the splits of a data set for the doctor: with the pairs there are, where others would stop at a missing one."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tarsia import data
from tarsia.data import _pairs, folder
from tarsia.data._dataset import Dataset
from tarsia.data._layout import Layout
from tarsia.data._pairs import Pair, matching_by
from tarsia.errors import DatasetError

USUAL = ("train", "val", "test")


@dataclass
class Unpaired:
    """What a split has too little or too much of, as paths; `listed`: names in a list without a picture."""

    images: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)


@dataclass
class Opened:
    """A split: its data set, or why it cannot be opened at all; and what has no partner in it."""

    dataset: Dataset | None
    unpaired: Unpaired
    error: str = ""


def splits_of(name: str, root: str | None) -> list[str]:
    """The splits to look for: those that dataset.yaml names, elsewhere the usual three.

    Raises RecipeError for faults in dataset.yaml, DatasetError where there is none.
    """
    if name != "folder":
        return list(USUAL)
    layout = Layout.load(folder._find(root))
    if layout.splits:
        return list(layout.splits)
    shares = {"train": 1.0, "val": layout.split.val, "test": layout.split.test} if layout.split else {"train": 1.0}
    return [split for split, share in shares.items() if share]


def open_split(name: str, root: str | None, split: str, options: dict[str, Any]) -> Opened:
    """A split with every pair it has.  Raises DatasetError for unknown names and options, RecipeError likewise."""
    faults = data.option_faults(name, options)
    if faults:
        data.open(name, root, split, **options)  # says it all
    unpaired = Unpaired()
    try:
        return Opened(data.open(name, root, split, **options), unpaired)
    except DatasetError as error:
        said = str(error)
    try:
        with matching_by(partial(_match, unpaired)):
            return Opened(data.open(name, root, split, **options), unpaired)
    except DatasetError:
        return Opened(None, Unpaired(), said)


def _match(
    unpaired: Unpaired,
    images: Path,
    labels: Path,
    label_suffix: str,
    suffix_remedy: str,
    only: Sequence[str] | None,
    image_suffix: str,
    suffixes: Collection[str],
) -> list[Pair]:
    """`_pairs.match`, but what has no partner goes to `unpaired`; DatasetError where no pair is left."""
    image_files, label_files = _named(images, labels, unpaired, suffixes), _named(labels, images, unpaired)
    unpaired.twice = list(dict.fromkeys(unpaired.twice))  # images and labels may share a folder
    if label_suffix:
        if images.resolve() == labels.resolve():
            image_files = {name: path for name, path in image_files.items() if not name.endswith(label_suffix)}
        label_files = _pairs._with_suffix(label_files, label_suffix)
    image_files = _pairs._with_suffix(image_files, image_suffix)
    if only is not None:
        unpaired.listed += [name for name in only if name not in image_files]
        image_files = {name: image_files[name] for name in only if name in image_files}
        label_files = {name: label_files[name] for name in only if name in label_files}
    both = sorted(image_files.keys() & label_files.keys())
    if not both:
        raise DatasetError(f"{images} and {labels}: no picture has a label")
    unpaired.images += [path for name, path in sorted(image_files.items()) if name not in label_files]
    unpaired.labels += [path for name, path in sorted(label_files.items()) if name not in image_files]
    return [Pair(name, image_files[name], label_files[name]) for name in both]


def _named(
    files: Path, beside: Path, unpaired: Unpaired, suffixes: Collection[str] = _pairs.SUFFIXES
) -> dict[str, str]:
    """Name -> file, the first of two files of one name."""
    if not files.is_dir():
        raise DatasetError(f"{files}: no such folder")
    other = None if beside.resolve() == files.resolve() else beside.resolve()
    found: dict[str, str] = {}
    for path in _pairs._pictures(files, other, suffixes):
        name = os.path.splitext(path[len(str(files)) + 1 :])[0].replace(os.sep, "/")
        if found.setdefault(name, path) != path:
            unpaired.twice.append((found[name], path))
    return found

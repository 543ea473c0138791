"""Which folders hold a split's images and labels: one of each, several, or patterns such as `Train/*/images`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia.errors import DatasetError

_WILD = re.compile(r"\*|\?|\[[^\]]*\]")


class Folders(NamedTuple):
    """A folder of images and that of their labels; `key` stands before the names of what is in them."""

    images: Path
    labels: Path
    key: str = ""


def folders(root: Path, images: Sequence[str], labels: Sequence[str]) -> list[Folders]:
    """What `images` and `labels` of dataset.yaml name below `root`: as many of one as of the other, or one of labels.

    A pattern's folders are matched by what stands for its wildcards.  Names begin with the parts in which the image
    folders differ (Urban, Rural); with one folder of labels they do not.  Raises DatasetError where nothing fits.
    """
    if len(labels) not in (1, len(images)):
        raise DatasetError(
            f"{root}: {len(images)} folders of images and {len(labels)} of labels: give as many of each, in the same "
            "order, or one of labels"
        )
    partners = labels if len(labels) == len(images) else [*labels] * len(images)
    found: list[tuple[str, str]] = []
    for image, label in zip(images, partners, strict=True):
        if not _WILD.search(image):
            found.append((image, label))
            continue
        wild = _matches(root, image)
        if not wild:
            raise DatasetError(f"{root}: no folder fits {image}: correct `images` in dataset.yaml")
        found += [(folder, _filled(label, wild[folder], image)) for folder in wild]
    shared = len({label for _, label in found}) < len(found)
    keys = [""] * len(found) if shared else differing([image for image, _ in found])
    return [Folders(root / image, root / label, key) for (image, label), key in zip(found, keys, strict=True)]


def differing(paths: Sequence[str]) -> list[str]:
    """Each path without the parts that all begin with, and those that all end with."""
    parts = [[part for part in path.split("/") if part != "."] for path in paths]
    shortest = min(map(len, parts), default=0)
    start = next((k for k in range(shortest) if len({one[k] for one in parts}) > 1), shortest)
    most = shortest - start
    end = next((k for k in range(most) if len({one[-1 - k] for one in parts}) > 1), most)
    return ["/".join(one[start : len(one) - end]) for one in parts]


def _matches(root: Path, pattern: str) -> dict[str, tuple[str, ...]]:
    """The folders that fit a pattern, and what stands for each of its wildcards."""
    text, at = "", 0
    for wild in _WILD.finditer(pattern):
        group = {"*": "([^/]*)", "?": "([^/])"}.get(wild[0], f"({wild[0].replace('[!', '[^')})")
        text, at = text + re.escape(pattern[at : wild.start()]) + group, wild.end()
    try:
        fits = re.compile(text + re.escape(pattern[at:]))
        there = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_dir())
    except (re.error, ValueError) as error:
        raise DatasetError(f"{root}: {pattern} is no pattern of folders, as Train/*/images: {error}") from error
    found = {folder: fits.fullmatch(folder) for folder in there if "/." not in f"/{folder}"}
    return {folder: match.groups() for folder, match in found.items() if match}


def _filled(label: str, wild: tuple[str, ...], image: str) -> str:
    """The label folder of what a pattern of image folders has found."""
    wanted = _WILD.findall(label)
    if not wanted:
        return label
    if len(wanted) != len(wild):
        raise DatasetError(
            f"dataset.yaml: {image} has {len(wild)} wildcards and {label} {len(wanted)}: each of one stands for the "
            "same in the other, so write as many"
        )
    filling = iter(wild)
    return _WILD.sub(lambda _: next(filling), label)

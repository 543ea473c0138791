"""Findings about files: what is missing, what cannot be read, what does not go together, what is odd."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator

import numpy as np

from tarsia.doctor.dataset import Check, CheckedData, indices, total
from tarsia.doctor.finding import Finding, Place
from tarsia.doctor.sample import FLAT
from tarsia.pictures.files import shown
from tarsia.plain_text import command, number

_TINY = 32  # of a side: the deepest features of most networks have a 32nd of the resolution
_HUGE_PIXELS = 16_000_000
_RARE = 0.2  # share of pictures up to which another kind than the others' is taken for an accident


def cannot_open(checked: CheckedData) -> Iterator[Finding]:
    """A split that must be there and is not, or not whole."""
    for split, said in checked.unopened.items():
        title = f"the split {split} cannot be opened"
        why = "Nothing can be trained or scored on it, and the rest of this report says nothing about it."
        alone = command("check", checked.spec, "--split", next(iter(checked.splits)))
        remedy = f"{said}\nto check another one alone:\n{alone}"
        yield Finding("cannot-open", "error", title, why, remedy)


def missing_partners(checked: CheckedData) -> Iterator[Finding]:
    """Pictures without a label, labels without a picture, names in a list without either."""
    places: dict[tuple[str, ...], Place] = {}
    for split, found in checked.unpaired.items():
        for paths, detail in ((found.images_alone, "has no label"), (found.labels_alone, "has no picture")):
            for path in paths:
                places.setdefault((path,), Place(split, path.replace("\\", "/"), detail, (path,)))
        for name in found.listed_alone:
            places[split, name] = Place(split, name, "stands in the list of names, and there is no such picture")
    if places:
        title = number(len(places), "file has no partner", "files have no partner")
        why = "Training stops before its first step: a picture without label teaches nothing, and the other way round."
        remedy = "add the missing files, or move their partners away; names must be equal but for the file's suffix"
        fixes = "a copy without them"
        yield Finding("missing-partner", "error", title, why, remedy, list(places.values()), fixes)


def same_names(checked: CheckedData) -> Iterator[Finding]:
    """Two files of one name, or names that some file systems do not tell apart."""
    twice = {
        pair: Place(split, pair[0], "two files of one name", pair)
        for split, found in checked.unpaired.items()
        for pair in found.twice
    }
    if twice:
        title = f"{number(len(twice), 'name')} of two files"
        why = "Names are matched without their suffix: which of the two is meant cannot be told, and training stops."
        remedy = "keep one of each: move the other file away, or rename it with its label"
        fixes = "a copy without both"
        yield Finding("name-twice", "error", title, why, remedy, list(twice.values()), fixes)
    places = []
    for split in checked.splits.values():
        first: dict[str, int] = {}
        for index in range(len(split)):
            name = split.dataset.name(index)
            known = first.setdefault(unicodedata.normalize("NFC", name).casefold(), index)
            if known != index:
                other = split.dataset.name(known)
                detail = f"differs from {shown(other)} by letter case only"
                places.append(split.place(index, detail, other=(split.name, other)))
    if places:
        title = f"{number(len(places), 'name')} like another one but for letter case"
        why = "On Windows and macOS one file replaces the other when the data set is copied or unpacked there."
        yield Finding("name-collision", "warning", title, why, "rename the files", places, "a copy with other names")


def unreadable(checked: CheckedData) -> Iterator[Finding]:
    """Files that are cut, damaged, empty, or no picture."""
    kinds = {
        "unreadable-image": ("picture", slice(0, 1)),
        "unreadable-label": ("label", slice(1, 2)),
        "unreadable": ("sample", slice(None)),
    }
    for kind, (what, files) in kinds.items():
        places = [
            split.place(index, _without(detail, split.files(index)), files)
            for split in checked.splits.values()
            for index, detail in split.faults.get(kind, ())
        ]
        if places:
            title = f"{number(len(places), what)} cannot be read ({total(checked, len(places))} samples)"
            why = "Training and evaluation stop at the first of them."
            remedy = "what to do stands with each file"
            yield Finding(kind, "error", title, why, remedy, places, "a copy without them")


def _without(detail: str, files: tuple[str, ...]) -> str:
    """What was said of a file, without its name, which the place has."""
    for path in files:
        for start in (f"{shown(path)}: ", f"label {shown(path)}: "):
            detail = detail.removeprefix(start)
    return detail


def other_sizes(checked: CheckedData) -> Iterator[Finding]:
    """Labels of another size than their picture."""
    places = _faulty(checked, "size")
    if places:
        title = f"{number(len(places), 'label')} of another size than the picture ({total(checked, len(places))})"
        why = "No pixel of such a label belongs to a known pixel of the picture: training stops there."
        remedy = "resize one of the two files, labels with nearest neighbour"
        fixes = "a copy with labels resized where both are of one shape, and without the others"
        yield Finding("size-differs", "error", title, why, remedy, places, fixes)


def turned(checked: CheckedData) -> Iterator[Finding]:
    """Pictures that a camera's EXIF tag turns upright, and labels that were drawn on them as they lay."""
    places = _faulty(checked, "turned")
    if places:
        title = f"{number(len(places), 'picture')} turned by EXIF, but not the label ({total(checked, len(places))})"
        why = (
            "A camera held upright stores the picture lying and notes how to turn it. Tarsia turns it as every viewer "
            "does; the program that the label was drawn in did not."
        )
        remedy = "remove the tag from the pictures, or turn the labels likewise"
        yield Finding("exif-turned", "error", title, why, remedy, places, "a copy with labels turned")


def _faulty(checked: CheckedData, kind: str) -> list[Place]:
    return [
        split.place(index, detail) for split in checked.splits.values() for index, detail in split.faults.get(kind, ())
    ]


def remarks(checked: CheckedData) -> Iterator[Finding]:
    """What reading has to say of pictures that it could read."""
    places = []
    for split in checked.splits.values():
        named = {shown(split.files(index)[0]): index for index in range(len(split))} if split.remarks else {}
        for remark in split.remarks:
            path, _, said = remark.partition(": ")
            if path in named:
                places.append(split.place(named[path], said, slice(0, 1)))
    if places:
        title = f"{number(len(places), 'picture')} may not be read as you mean it ({total(checked, len(places))})"
        why = "They hold more than 8 bits a channel or several pictures, and Tarsia takes one reading of them."
        remedy = "save them as plain 8-bit RGB, the same way for all pictures"
        yield Finding("odd-picture", "warning", title, why, remedy, places)


def several_kinds(checked: CheckedData) -> Iterator[Finding]:
    """Pictures of 8 bits beside pictures of 16: training refuses them."""
    for split in checked.splits.values():
        fault = getattr(split.dataset, "kinds_fault", "")
        if fault:
            where, _, said = fault.partition(": ")
            why = "One network takes one kind of numbers: 8 bits beside 16 would be another scale."
            if "harmonise" in said:
                why = "The same ground is 1000 brighter in the later ones."
            what, _, remedy = said.partition("): ")
            yield Finding("several-kinds", "error", f"{split.name}: {what})", why, f"{remedy} ({where})")
            return


def one_color(checked: CheckedData) -> Iterator[Finding]:
    """Pictures that show nothing."""
    places = [
        split.place(index, f"brightness {split.mean_N[index]:.0f} of 255, all over", slice(0, 1))
        for split in checked.splits.values()
        for index in indices(split.pictures_N & (split.deviation_N < FLAT))
    ]
    if places:
        title = f"{number(len(places), 'picture')} of one colour ({total(checked, len(places))})"
        why = "There is nothing to see in them, but their labels say otherwise: the network learns to guess."
        remedy, fixes = "get the pictures again", "a copy without them"
        yield Finding("constant-picture", "warning", title, why, remedy, places, fixes)


def grey_among_colors(checked: CheckedData) -> Iterator[Finding]:
    """A few pictures without colours among pictures with colours, or the other way round."""
    grey = sum(int((split.grey_N & split.pictures_N).sum()) for split in checked.splits.values())
    colored = sum(int((~split.grey_N & split.pictures_N).sum()) for split in checked.splits.values())
    few, words = (grey, "without colours") if grey <= colored else (colored, "in colour")
    if not 0 < few <= _RARE * (grey + colored):
        return
    places = []
    for split in checked.splits.values():
        rest = split.grey_N if grey <= colored else ~split.grey_N
        flat = split.deviation_N < FLAT  # of one colour is another finding
        places += [split.place(index, words, slice(0, 1)) for index in indices(split.pictures_N & rest & ~flat)]
    if places:
        title = f"{number(len(places), 'picture')} {words} among others ({total(checked, len(places))})"
        why = "Channels were dropped when these were saved, or they come from another camera (infrared, an old scan)."
        remedy = "get them as the others are; if they belong there, train with augment.color_jitter"
        yield Finding("mixed-color", "note", title, why, remedy, places)


def mixed_sizes(checked: CheckedData) -> Iterator[Finding]:
    """Pictures of several sizes."""
    sizes: Counter[tuple[int, int]] = Counter()
    for split in checked.splits.values():
        sizes.update(dict(split.sizes()))
    if len(sizes) > 1:
        smallest, largest = min(sizes, key=math.prod), max(sizes, key=math.prod)
        title = f"pictures have {len(sizes)} sizes, from {_size(smallest)} to {_size(largest)} (height x width)"
        why = "Those of a batch are padded to the largest among them, which costs time and memory."
        usual = list(max(sizes.items(), key=lambda item: (item[1], item[0]))[0])
        one_size = f"augment: {{crop: {usual}}}\nor resize them, as\ninput: {{size: {usual}}}"
        remedy = f"in the recipe crop them, as\n{one_size}"
        yield Finding("mixed-sizes", "note", title, why, remedy)


def extreme_sizes(checked: CheckedData) -> Iterator[Finding]:
    """Very small and very large pictures."""
    kinds = {
        "tiny": (
            "smaller than 32 pixels a side",
            "Most networks reduce a picture 32-fold: nothing is left of these.",
            "enlarge pictures and labels (labels with nearest neighbour), or leave them out",
        ),
        "huge": (
            f"larger than {_HUGE_PIXELS // 1_000_000} megapixels",
            "Each is decoded as a whole for every crop of it: training waits for the disk.",
            "cut them into tiles, or reduce them in the recipe:\ninput: {short_side: 1024}",
        ),
    }
    for kind, (words, why, remedy) in kinds.items():
        places = [
            split.place(index, _size(split.size_N2[index]), slice(0, 1))
            for split in checked.splits.values()
            for index in indices(split.pictures_N & _extreme(split.size_N2, kind))
        ]
        if places:
            title = f"{number(len(places), 'picture')} {words} ({total(checked, len(places))})"
            yield Finding(f"{kind}-picture", "note", title, why, remedy, places)


def _extreme(size_N2: np.ndarray, kind: str) -> np.ndarray:
    return size_N2.min(1) < _TINY if kind == "tiny" else size_N2.astype(np.int64).prod(1) > _HUGE_PIXELS


def _size(size: tuple[int, int] | np.ndarray) -> str:
    return f"{size[0]}x{size[1]}"


CHECKS: tuple[Check, ...] = (
    cannot_open, missing_partners, same_names, unreadable, other_sizes, turned, several_kinds, remarks, one_color,
    grey_among_colors, mixed_sizes, extreme_sizes,
)  # fmt: skip

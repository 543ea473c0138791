"""Writes a corrected copy of a data set: what can be put right is, and what cannot is left out.

Below the folder: images/SPLIT/NAME.* (all files of a picture of several), labels/SPLIT/NAME.png (index PNGs), and last
dataset.yaml.  What is done to whom:

| what is wrong | what becomes of it |
|---|---|
| no partner, two of a name, cannot be read, one colour, nothing labelled, out of place without a cure | left out |
| equal or nearly equal pictures | one stays; of copies in two splits that of the later one, so that scores stay true |
| values that can mean one thing only | that |
| values that can mean several things | nothing: all labels keep what they hold, and dataset.yaml what it says of them |
| another size of the same shape; turned by EXIF; turned, mirrored, exchanged labels | resized, turned, put back |
| names that differ by letter case | the later one ends in -2 |
| two labels for one picture, smoothed labels, divided films, rare classes | nothing: that takes a person |
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.card import IGNORED
from tarsia.data._dataset import spec_of
from tarsia.data._paired import PairedData
from tarsia.data.folder import NAME, UNDECIDED
from tarsia.data.folder import Data as Folder
from tarsia.doctor.dataset import CheckedData, indices
from tarsia.doctor.duplicates import Spot, identical, in_order, near_matches
from tarsia.doctor.finding import Finding, Place, storable
from tarsia.doctor.layout_lines import yaml_classes, yaml_splits
from tarsia.doctor.meaning import coding_of
from tarsia.doctor.misalignment import TURNS, misplaced
from tarsia.doctor.rewrite import Rewriter, save_stored
from tarsia.doctor.sample import FLAT, UNLABELLED
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.drawing.paint import save_label
from tarsia.errors import DatasetError, TarsiaError
from tarsia.files import require_others, write_text, writing
from tarsia.pictures.headers import read_header
from tarsia.pictures.orientation import upright
from tarsia.pictures.reader import read
from tarsia.pictures.rgb import resize_label
from tarsia.plain_text import number
from tarsia.yaml_tree import in_braces

_SAME_SHAPE = 0.01  # difference of the sides' ratios
_EMPTY = "nothing in it is labelled"
_READING = {"bands", "dtype", "bits", "range", "alpha", "take", "nodata"}
_HEADER = "# A corrected copy, written by `tarsia check`.  What was done to which file stands in check.json."
_UNDECIDED = (
    "# A copy written by `tarsia check`, whose labels may be meant in several ways.  Put the lines of the right\n"
    "# one (check.json and check.html have them) in place of those below, and rename this file to dataset.yaml."
)
_Key = tuple[str, int]  # split, index


class _Paths(NamedTuple):
    """Where a sample goes, the files of its picture and its label, and what it is called there."""

    images: tuple[Path, ...]
    label: Path
    name: str


class Correction(NamedTuple):
    """What is done to one sample: left out, or its label turned or taken from another one; why, in words."""

    words: str
    left_out: bool = False
    turn: str = ""
    label_of: int | None = None


@dataclass
class CorrectedCopy:
    """What was written: how many pictures, which samples were changed and which left out, each with what and why.

    `keeps`: labels hold what they held, for a person has to decide what that means.  `lost`: splits of which nothing
    is left.
    """

    folder: Path
    written: int = 0
    changed: list[Place] = field(default_factory=list)
    left_out: list[Place] = field(default_factory=list)
    keeps: bool = False
    lost: list[str] = field(default_factory=list)

    @property
    def described(self) -> Path:
        """The file that describes the copy; none called dataset.yaml, which names classes, before somebody decides."""
        return self.folder / (UNDECIDED if self.keeps else NAME)

    def summary(self) -> str:
        """What was written, in one line."""
        told = f"{len(self.changed):,} of them changed; {number(len(self.left_out), 'picture')} left out"
        kept = ""
        if self.keeps:
            kept = f"; labels keep what they hold: put what they mean into {self.described}, and call it dataset.yaml"
        lost = f"; nothing is left of {', '.join(self.lost)}" if self.lost else ""
        return f"{number(self.written, 'picture')} written to {self.folder}, {told}{kept}{lost}"

    def facts(self) -> dict[str, Any]:
        lists = {"changed": self.changed, "left_out": self.left_out}
        told = {
            name: [{"split": one.split, "name": storable(one.name), "what": storable(one.detail)} for one in places]
            for name, places in lists.items()
        }
        kept = {"labels_kept": self.keeps, "lost_splits": self.lost}
        return {"folder": storable(str(self.folder)), "written": self.written, **told, **kept}


def write_copy(checked: CheckedData, findings: Sequence[Finding], folder: Path) -> CorrectedCopy:
    """Write a corrected copy of a data set, of which `findings` are known, into `folder`, as this module says.

    Raises DatasetError where the data set has no files or nothing is left of it, OutputError where a file would
    replace one of its own.
    """
    if not all(isinstance(split.dataset, PairedData) for split in checked.splits.values()):
        raise DatasetError(f"{checked.spec} has no files that could be corrected: `fix` is for data sets of files")
    if checked.layout is not None and checked.layout.harmonise:
        raise DatasetError(
            f"{checked.spec}: a copy has no products, whose MTD_MSI*.xml `harmonise` needs: leave out what is wrong "
            "with `leave_out` in dataset.yaml"
        )
    rewriter = Rewriter(checked, findings)
    corrections, copy = _corrections(checked, rewriter.keeps), CorrectedCopy(folder, keeps=rewriter.keeps)
    targets = _targets(checked, corrections, folder, rewriter.keeps)
    own = [path for split in checked.splits.values() for index in range(len(split)) for path in _own(split, index)]
    written = [path for paths in targets.values() for path in (*paths.images, paths.label)]
    require_others(written, own, "a file of the data set: choose another `out`")
    for name in (NAME, UNDECIDED):
        (folder / name).unlink(missing_ok=True)
    for split in checked.splits.values():
        for index in console.track(range(len(split)), len(split), f"writing {split.name}"):
            correction = corrections.get((split.name, index))
            if correction is None or not correction.left_out:
                correction = _write(split, index, rewriter, targets[split.name, index], correction)
            if correction is not None:
                (copy.left_out if correction.left_out else copy.changed).append(split.place(index, correction.words))
            copy.written += correction is None or not correction.left_out
    if not copy.written:
        raise DatasetError(f"{checked.spec}: nothing is left once what cannot be corrected is left out: see check.json")
    left_out = Counter(place.split for place in copy.left_out)
    copy.lost = [name for name, split in checked.splits.items() if len(split) == left_out[name]]
    kept = [name for name in checked.splits if name not in copy.lost]
    copy.lost += checked.unopened
    write_text(copy.described, _described(checked, kept, copy, [paths.name for paths in targets.values()]))
    return copy


def _own(split: CheckedSplit, index: int) -> list[str]:
    """The files of a sample, all bands' of its picture, and its label last."""
    dataset = split.dataset
    assert isinstance(dataset, PairedData)
    _, image, label = dataset.pairs[index]
    return [*map(str, dataset.spec.files_of(image)), label]


def _corrections(checked: CheckedData, keeps: bool) -> dict[_Key, Correction]:
    """What is known before a sample is read again, worst last."""
    corrections: dict[_Key, Correction] = {}
    for split in checked.splits.values():
        for one in misplaced(split):
            lost = not one.turn and one.exchanged is None
            corrections[split.name, one.sample] = Correction(f"its label {one.detail}", lost, one.turn, one.exchanged)
        if not keeps and split.shows_classes:
            empty_N = split.labelled_N & (split.ignored_N >= UNLABELLED)
            empty_N[[one.sample for one in split.strange]] = False
            for index in indices(empty_N):
                corrections[split.name, index] = Correction(_EMPTY, left_out=True)
        for index in indices(split.seen_N & (split.deviation_N < FLAT)):
            corrections[split.name, index] = Correction("its picture is of one colour", left_out=True)
        for index in indices(~split.seen_N):
            corrections[split.name, index] = Correction(_unread(split, index), left_out=True)
        twice = {path for pair in checked.unpaired[split.name].twice for path in pair} if checked.unpaired else set()
        for index in range(len(split)) if twice else ():
            if twice & {*split.files(index)}:
                corrections[split.name, index] = Correction("two files have its name", left_out=True)
    gone = {key for key, correction in corrections.items() if correction.left_out}
    for spot, words in _redundant(checked, gone):
        corrections[spot.split.name, spot.sample] = Correction(words, left_out=True)
    return corrections


def _unread(split: CheckedSplit, index: int) -> str:
    """Which file of a sample cannot be read, and why."""
    kinds = ("unreadable-image", "unreadable-label", "unreadable")
    return "cannot be read: " + "; ".join(
        said for kind in kinds for sample, said in split.faults.get(kind, ()) if sample == index
    )


def _redundant(checked: CheckedData, gone: set[_Key]) -> Iterator[tuple[Spot, str]]:
    """Copies that go, added to `gone`, and why: of equal ones the first of the latest split stays, and there every
    other label."""
    order = {split.name: place for place, split in enumerate(in_order(checked))}
    for group in identical(checked):
        spots = [spot for spot in group if (spot.split.name, spot.sample) not in gone]
        last = max((order[spot.split.name] for spot in spots), default=0)
        first = {spot.drawn: spot for spot in reversed(spots) if order[spot.split.name] == last}
        for spot in spots:
            if order[spot.split.name] == last and first[spot.drawn] is spot:
                continue
            kept = first.get(spot.drawn) or min(first.values(), key=lambda one: one.sample)
            gone.add((spot.split.name, spot.sample))
            yield spot, f"the same picture as {kept.label[1]} of {kept.label[0]}"
    for earlier, later in near_matches(checked, gone):
        yield earlier, f"nearly the same picture as {later.label[1]} of {later.label[0]}"


def _write(
    split: CheckedSplit, index: int, rewriter: Rewriter, paths: _Paths, correction: Correction | None
) -> Correction | None:
    """Write one sample; what was done to it, None where nothing was."""
    dataset = split.dataset
    assert isinstance(dataset, PairedData)
    source = index if correction is None or correction.label_of is None else correction.label_of
    picture, label_file = dataset.pairs[index].image, dataset.pairs[source].label
    try:
        image_HW3 = read(picture, dataset.spec).values_HWC
        label = rewriter(dataset, split.name, source)
    except TarsiaError as error:
        return Correction(str(error), left_out=True)
    before = label
    if correction is not None and correction.turn:
        label = np.ascontiguousarray(TURNS[correction.turn](label))
    if any(found == index for found, _ in split.faults.get("turned", ())):
        label = upright(label, read_header(picture).orientation)
        correction = Correction("its label was turned as EXIF turns the picture")
    size = (image_HW3.shape[0], image_HW3.shape[1])
    if label.shape[:2] != size:
        if abs(label.shape[0] / label.shape[1] / (size[0] / size[1]) - 1) > _SAME_SHAPE:
            return Correction("picture and label are of different shapes", left_out=True)
        label, correction = _resized(label, size), Correction("its label was resized")
    if not rewriter.keeps:
        odd = any(one.sample == source for one in split.strange)
        if odd and (label == IGNORED).mean() >= UNLABELLED:
            return Correction(_EMPTY, left_out=True)
        if odd and correction is None:
            correction = Correction("strange values of its label were replaced")
    for own, target in zip(dataset.spec.files_of(picture), paths.images, strict=True):
        with writing(target) as part:
            shutil.copyfile(own, part)
    if not rewriter.keeps:
        save_label(paths.label, label, dataset.classes)
    elif label is before and isinstance(dataset, Folder):
        with writing(paths.label) as part:
            shutil.copyfile(label_file, part)
    else:
        save_stored(paths.label, label)
    return correction


def _resized(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if label.ndim == 2:
        return resize_label(label, size)
    return np.stack([resize_label(label[..., channel], size) for channel in range(label.shape[2])], axis=-1)


def _targets(
    checked: CheckedData, corrections: dict[_Key, Correction], folder: Path, keeps: bool
) -> dict[_Key, _Paths]:
    """Where each sample goes that is not left out; no two to one place, whatever the letter case."""
    targets: dict[_Key, _Paths] = {}
    for split in checked.splits.values():
        taken: set[str] = set()
        for index in range(len(split)):
            correction = corrections.get((split.name, index))
            if correction is not None and correction.left_out:
                continue
            own = split.dataset.name(index)
            names = itertools.chain([own], (f"{own}-{count}" for count in itertools.count(2)))
            name = next(name for name in names if name.casefold() not in taken)
            taken.add(name.casefold())
            image, label = map(Path, split.files(index))
            suffix = label.suffix if keeps and checked.layout else ".png"
            below = [folder / kind / split.name for kind in ("images", "labels")]
            images = [below[0] / f"{name}{image.suffix}"]
            if files := spec_of(split.dataset).files:
                whole = below[0] / name
                images = [one.at(whole.parent, whole.name) for one in files]
            targets[split.name, index] = _Paths(tuple(images), below[1] / f"{name}{suffix}", name)
    return targets


def _described(checked: CheckedData, splits: list[str], copy: CorrectedCopy, names: list[str]) -> str:
    """The content of dataset.yaml; of undecided.yaml, what stands for what as it was."""
    coding = coding_of(checked)
    lines = [_UNDECIDED if copy.keeps else _HEADER, yaml_classes(checked.classes), "format: index"]
    if copy.keeps and coding is not None:
        lines[1:] = [coding.lines()]
    lines += _of_pictures(checked)
    for key, pattern in _patterns(checked).items():
        if all(re.search(pattern, name) for name in names):
            lines.append(f"{key}: {in_braces(pattern)}")
    return "\n".join([*lines, yaml_splits(splits)]) + "\n"


def _of_pictures(checked: CheckedData) -> list[str]:
    """What dataset.yaml says of how pictures are read; JSON is YAML."""
    if checked.layout is None:
        return [] if checked.bands == 3 else [f"bands: {checked.bands}"]
    told = checked.layout.model_dump(mode="json", include=_READING, exclude_defaults=True)
    return [f"{key}: {json.dumps(value)}" for key, value in told.items()]


def _patterns(checked: CheckedData) -> dict[str, str]:
    """What tells domains and films by the names of pictures."""
    layout = checked.layout
    if layout is None:
        return {}
    film = layout.sequence_by or (layout.split.group_by if layout.split else None)
    return {key: pattern for key, pattern in (("domain_by", layout.domain_by), ("sequence_by", film)) if pattern}

"""Writes a corrected copy of a data set: what can be put right is, and what cannot is left out.

Below the folder: images/SPLIT/NAME.*, labels/SPLIT/NAME.png (index PNGs), and last dataset.yaml.  What is done to whom:

| what is wrong | what becomes of it |
|---|---|
| no partner, cannot be read, one colour, nothing labelled, out of place without a cure | left out |
| equal or nearly equal pictures | one stays; of copies in two splits that of the later one, so that scores stay true |
| strange values | what the finding says they mean; ignored where that is not clear |
| another size of the same shape; turned by EXIF; turned, mirrored, exchanged labels | resized, turned, exchanged back |
| names that differ by letter case | the later one ends in -2 |
| smoothed labels, films on both sides of a split, rare classes | nothing: that takes a person |
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.card import IGNORED
from tarsia.data._labels import LabelTable
from tarsia.data._pairs import PairedData
from tarsia.diagnosis.case import Case
from tarsia.diagnosis.copies import Spot, identical, in_order, near_across
from tarsia.diagnosis.finding import Place, number, plain
from tarsia.diagnosis.labels import is_black_and_white, meaning
from tarsia.diagnosis.placement import TURNS, misplaced
from tarsia.diagnosis.sample import FLAT, UNLABELLED, orientation, translated, turn
from tarsia.diagnosis.survey import Survey
from tarsia.diagnosis.values import nearest_labels, quoted, yaml_classes
from tarsia.errors import DatasetError, OutputError, TarsiaError
from tarsia.files import write_text, writing
from tarsia.runtime.bands import open_bands
from tarsia.runtime.image import resize_label
from tarsia.runtime.paint import save_label

_SAME_SHAPE = 0.01  # difference of the sides' ratios
_HEADER = "# A corrected copy, written by `tarsia check --fix`.  What was done to which file stands in check.json.\n"
_Key = tuple[str, int]  # split, index


class Cure(NamedTuple):
    """What is done to one sample: left out, or its label turned or taken from another one; why, in words."""

    words: str
    left_out: bool = False
    turn: str = ""
    label_of: int | None = None


@dataclass
class Mended:
    """What was written: how many pictures, which samples were changed and which left out, each with what and why."""

    folder: Path
    written: int = 0
    changed: list[Place] = field(default_factory=list)
    left_out: list[Place] = field(default_factory=list)

    def summary(self) -> str:
        """What was written, in one line."""
        told = f"{len(self.changed):,} of them changed; {number(len(self.left_out), 'picture')} left out"
        return f"{number(self.written, 'picture')} written to {self.folder}, {told}"

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        lists = {"changed": self.changed, "left_out": self.left_out}
        told = {
            name: [{"split": one.split, "name": plain(one.name), "what": plain(one.detail)} for one in places]
            for name, places in lists.items()
        }
        return {"folder": plain(str(self.folder)), "written": self.written, **told}


def mend(case: Case, folder: Path) -> Mended:
    """Write a corrected copy of `case` into `folder`, as this module says.

    Raises DatasetError where the data set has no files or nothing is left of it, OutputError where a file would
    replace one of its own.
    """
    if not all(isinstance(survey.dataset, PairedData) for survey in case.splits.values()):
        raise DatasetError(f"{case.spec} has no files that could be corrected: --fix is for data sets of files")
    cures, mended = _cures(case), Mended(folder)
    table = _Table(case)
    targets = _targets(case, cures, folder)
    _require_others(case, [path for paths in targets.values() for path in paths])
    (folder / "dataset.yaml").unlink(missing_ok=True)
    for survey in case.splits.values():
        for index in console.track(range(len(survey)), len(survey), f"writing {survey.split}"):
            cure = cures.get((survey.split, index))
            if cure is None or not cure.left_out:
                cure = _write(survey, index, table, targets[survey.split, index], cure)
            if cure is not None:
                (mended.left_out if cure.left_out else mended.changed).append(survey.place(index, cure.words))
            mended.written += cure is None or not cure.left_out
    if not mended.written:
        raise DatasetError(f"{case.spec}: nothing is left once what cannot be corrected is left out: see check.json")
    left = {split for split, survey in case.splits.items() if len(survey) > _left_out(mended, split)}
    write_text(folder / "dataset.yaml", _described(case, [split for split in case.splits if split in left]))
    return mended


def _left_out(mended: Mended, split: str) -> int:
    return sum(place.split == split for place in mended.left_out)


def _cures(case: Case) -> dict[_Key, Cure]:
    """What is known before a sample is read again, worst last."""
    cures: dict[_Key, Cure] = {}
    for survey in case.splits.values():
        for one in misplaced(survey):
            curable = bool(one.turn) or one.exchanged is not None
            cures[survey.split, one.sample] = Cure(f"its label {one.detail}", not curable, one.turn, one.exchanged)
    for spot, words in _redundant(case):
        cures[spot.survey.split, spot.sample] = Cure(words, left_out=True)
    for survey in case.splits.values():
        for index in np.flatnonzero(~survey.seen_N).tolist():
            cures[survey.split, index] = Cure("cannot be read", left_out=True)
        for index in np.flatnonzero(survey.seen_N & (survey.deviation_N < FLAT)).tolist():
            cures[survey.split, index] = Cure("its picture is of one colour", left_out=True)
        if not is_black_and_white(case):
            for index in np.flatnonzero(survey.labelled_N & (survey.ignored_N >= UNLABELLED)).tolist():
                cures.setdefault((survey.split, index), Cure("nothing in it is labelled", left_out=True))
    return cures


def _redundant(case: Case) -> Iterator[tuple[Spot, str]]:
    """Copies that go, and why: the first of the latest split stays."""
    order = {survey.split: place for place, survey in enumerate(in_order(case))}
    for spots in identical(case):
        kept = max(spots, key=lambda spot: (order[spot.survey.split], -spot.sample))
        yield from ((spot, f"the same picture as {kept.label[1]} of {kept.label[0]}") for spot in spots if spot != kept)
    for later, earlier, _ in near_across(case):
        yield earlier, f"nearly the same picture as {later.label[1]} of {later.label[0]}"


class _Table:
    """Label files -> labels, strange values as what they are taken for."""

    def __init__(self, case: Case) -> None:
        self.black_and_white = is_black_and_white(case)
        self.guess = meaning(case) if any(survey.strange for survey in case.splits.values()) else None

    def __call__(self, dataset: PairedData, index: int) -> np.ndarray:
        stored, table = dataset.read_label(dataset.pairs[index].label), dataset.table
        if self.guess and self.guess.nearest and stored.ndim == 3:
            colors, places = np.unique(stored.reshape(-1, 3), axis=0, return_inverse=True)
            return nearest_labels(colors, table.colors)[places].reshape(stored.shape[:2])
        more = self.guess.meaning if self.guess else {}
        if self.black_and_white:
            more = {IGNORED: 1}
        values = {key: label for key, label in more.items() if not isinstance(key, tuple)}
        colored = {key: label for key, label in more.items() if isinstance(key, tuple)}
        return translated(stored, LabelTable(table.values | values, table.colors | colored, ""))


def _write(survey: Survey, index: int, table: _Table, paths: tuple[Path, Path], cure: Cure | None) -> Cure | None:
    """Write one sample; what was done to it, None where nothing was."""
    dataset = survey.dataset
    assert isinstance(dataset, PairedData)
    picture = dataset.pairs[index].image
    try:
        image_HW3 = open_bands(picture, dataset.bands)
        label_HW = table(dataset, index if cure is None or cure.label_of is None else cure.label_of)
    except TarsiaError as error:
        return Cure(str(error), left_out=True)
    if cure is not None and cure.turn:
        label_HW = np.ascontiguousarray(TURNS[cure.turn](label_HW))
    if any(found == index for found, _ in survey.faults.get("turned", ())):
        label_HW, cure = turn(label_HW, orientation(picture)), Cure("its label was turned as EXIF turns the picture")
    size = (image_HW3.shape[0], image_HW3.shape[1])
    if label_HW.shape != size:
        if abs(label_HW.shape[0] / label_HW.shape[1] / (size[0] / size[1]) - 1) > _SAME_SHAPE:
            return Cure("picture and label are of different shapes", left_out=True)
        label_HW, cure = resize_label(label_HW, size), Cure("its label was resized")
    if cure is None and any(one.sample == index for one in survey.strange):
        cure = Cure("strange values of its label were replaced")
    if cure is None and table.black_and_white:
        cure = Cure("the black and white of its label became classes")
    with writing(paths[0]) as part:
        shutil.copyfile(picture, part)
    save_label(paths[1], label_HW, dataset.classes)
    return cure


def _targets(case: Case, cures: dict[_Key, Cure], folder: Path) -> dict[_Key, tuple[Path, Path]]:
    """Where each sample goes that is not left out; no two to one place, whatever the letter case."""
    targets: dict[_Key, tuple[Path, Path]] = {}
    for survey in case.splits.values():
        taken: set[str] = set()
        for index in range(len(survey)):
            cure = cures.get((survey.split, index))
            if cure is not None and cure.left_out:
                continue
            name = own = survey.dataset.name(index)
            count = 1
            while name.casefold() in taken:
                count += 1
                name = f"{own}-{count}"
            taken.add(name.casefold())
            suffix = Path(survey.files(index)[0]).suffix
            image = folder / "images" / survey.split / f"{name}{suffix}"
            targets[survey.split, index] = image, folder / "labels" / survey.split / f"{name}.png"
    return targets


def _require_others(case: Case, targets: list[Path]) -> None:
    """OutputError where a target is one of the data set's own files."""
    own = {
        os.path.realpath(path)
        for survey in case.splits.values()
        for index in range(len(survey))
        for path in survey.files(index)
    }
    for path in targets:
        if os.path.join(os.path.realpath(path.parent), path.name) in own:
            raise OutputError(f"{path}: would replace a file of the data set: choose another --out")


def _described(case: Case, splits: list[str]) -> str:
    """The content of dataset.yaml."""
    bands = [] if case.bands == 3 else [f"bands: {case.bands}"]
    lines = [yaml_classes(case.classes), "format: index", *bands, "splits:"]
    for split in splits:
        lines.append(f"  {quoted(split)}: {{images: {quoted(f'images/{split}')}, labels: {quoted(f'labels/{split}')}}}")
    return _HEADER + "\n".join(lines) + "\n"

"""Writes a corrected copy of a data set: what can be put right is, and what cannot is left out.

Below the folder: images/SPLIT/NAME.*, labels/SPLIT/NAME.png (index PNGs), and last dataset.yaml.  What is done to whom:

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

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.card import IGNORED
from tarsia.data._pairs import PairedData
from tarsia.data.folder import NAME, UNDECIDED
from tarsia.data.folder import Data as Folder
from tarsia.doctor.dataset import Case, indices
from tarsia.doctor.duplicates import Spot, identical, in_order, near_matches
from tarsia.doctor.finding import Finding, Place, number, plain
from tarsia.doctor.layout_lines import quoted, yaml_classes
from tarsia.doctor.meaning import coding_of
from tarsia.doctor.misalignment import TURNS, misplaced
from tarsia.doctor.rewrite import Rewriter, save_stored
from tarsia.doctor.sample import FLAT, UNLABELLED, orientation, turn
from tarsia.doctor.split_statistics import Survey
from tarsia.drawing.paint import save_label
from tarsia.errors import DatasetError, OutputError, TarsiaError
from tarsia.files import write_text, writing
from tarsia.pictures.bands import open_bands
from tarsia.pictures.rgb import resize_label
from tarsia.plain_text import command

_SAME_SHAPE = 0.01  # difference of the sides' ratios
_COMMAND = command("check", "--fix")
_HEADER = f"# A corrected copy, written by `{_COMMAND}`.  What was done to which file stands in check.json."
_UNDECIDED = (
    f"# A copy written by `{_COMMAND}`, whose labels may be meant in several ways.  Put the lines of the right\n"
    "# one (check.json and check.html have them) in place of those below, and rename this file to dataset.yaml."
)
_Key = tuple[str, int]  # split, index


class _Paths(NamedTuple):
    """Where a sample goes, and what it is called there."""

    image: Path
    label: Path
    name: str


class Cure(NamedTuple):
    """What is done to one sample: left out, or its label turned or taken from another one; why, in words."""

    words: str
    left_out: bool = False
    turn: str = ""
    label_of: int | None = None


@dataclass
class Mended:
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
        """All of it as plain values."""
        lists = {"changed": self.changed, "left_out": self.left_out}
        told = {
            name: [{"split": one.split, "name": plain(one.name), "what": plain(one.detail)} for one in places]
            for name, places in lists.items()
        }
        kept = {"labels_kept": self.keeps, "lost_splits": self.lost}
        return {"folder": plain(str(self.folder)), "written": self.written, **told, **kept}


def mend(case: Case, findings: Sequence[Finding], folder: Path) -> Mended:
    """Write a corrected copy of `case`, of which `findings` are known, into `folder`, as this module says.

    Raises DatasetError where the data set has no files or nothing is left of it, OutputError where a file would
    replace one of its own.
    """
    if not all(isinstance(survey.dataset, PairedData) for survey in case.splits.values()):
        raise DatasetError(f"{case.spec} has no files that could be corrected: `fix` is for data sets of files")
    rewriter = Rewriter(case, findings)
    cures, mended = _cures(case, rewriter.keeps), Mended(folder, keeps=rewriter.keeps)
    targets = _targets(case, cures, folder, rewriter.keeps)
    _require_others(case, [path for paths in targets.values() for path in paths[:2]])
    for name in (NAME, UNDECIDED):
        (folder / name).unlink(missing_ok=True)
    for survey in case.splits.values():
        for index in console.track(range(len(survey)), len(survey), f"writing {survey.split}"):
            cure = cures.get((survey.split, index))
            if cure is None or not cure.left_out:
                cure = _write(survey, index, rewriter, targets[survey.split, index], cure)
            if cure is not None:
                (mended.left_out if cure.left_out else mended.changed).append(survey.place(index, cure.words))
            mended.written += cure is None or not cure.left_out
    if not mended.written:
        raise DatasetError(f"{case.spec}: nothing is left once what cannot be corrected is left out: see check.json")
    mended.lost = [split for split, survey in case.splits.items() if len(survey) == _left_out(mended, split)]
    kept = [split for split in case.splits if split not in mended.lost]
    mended.lost += case.unopened
    write_text(mended.described, _described(case, kept, mended, [paths.name for paths in targets.values()]))
    return mended


def _left_out(mended: Mended, split: str) -> int:
    return sum(place.split == split for place in mended.left_out)


def _cures(case: Case, keeps: bool) -> dict[_Key, Cure]:
    """What is known before a sample is read again, worst last."""
    cures: dict[_Key, Cure] = {}
    for survey in case.splits.values():
        for one in misplaced(survey):
            curable = bool(one.turn) or one.exchanged is not None
            cures[survey.split, one.sample] = Cure(f"its label {one.detail}", not curable, one.turn, one.exchanged)
        if not keeps and survey.pixels_K1[:-1].any():
            empty_N = survey.labelled_N & (survey.ignored_N >= UNLABELLED)
            empty_N[[one.sample for one in survey.strange]] = False
            for index in indices(empty_N):
                cures[survey.split, index] = Cure(_EMPTY, left_out=True)
        for index in indices(survey.seen_N & (survey.deviation_N < FLAT)):
            cures[survey.split, index] = Cure("its picture is of one colour", left_out=True)
        for index in indices(~survey.seen_N):
            cures[survey.split, index] = Cure(_unread(survey, index), left_out=True)
        twice = {path for pair in case.unpaired[survey.split].twice for path in pair} if case.unpaired else set()
        for index in range(len(survey)) if twice else ():
            if twice & {*survey.files(index)}:
                cures[survey.split, index] = Cure("two files have its name", left_out=True)
    gone = {key for key, cure in cures.items() if cure.left_out}
    for spot, words in _redundant(case, gone):
        cures[spot.survey.split, spot.sample] = Cure(words, left_out=True)
    return cures


_EMPTY = "nothing in it is labelled"


def _unread(survey: Survey, index: int) -> str:
    """Which file of a sample cannot be read, and why."""
    kinds = ("unreadable-image", "unreadable-label", "unreadable")
    return "cannot be read: " + "; ".join(
        said for kind in kinds for sample, said in survey.faults.get(kind, ()) if sample == index
    )


def _redundant(case: Case, gone: set[_Key]) -> Iterator[tuple[Spot, str]]:
    """Copies that go, and why: of equal ones the first of the latest split stays, and there every other label."""
    order = {survey.split: place for place, survey in enumerate(in_order(case))}
    gone = set(gone)
    for group in identical(case):
        spots = [spot for spot in group if (spot.survey.split, spot.sample) not in gone]
        last = max((order[spot.survey.split] for spot in spots), default=0)
        first = {spot.drawn: spot for spot in reversed(spots) if order[spot.survey.split] == last}
        for spot in spots:
            if order[spot.survey.split] == last and first[spot.drawn] is spot:
                continue
            kept = first.get(spot.drawn) or min(first.values(), key=lambda one: one.sample)
            gone.add((spot.survey.split, spot.sample))
            yield spot, f"the same picture as {kept.label[1]} of {kept.label[0]}"
    for earlier, later in near_matches(case, gone):
        yield earlier, f"nearly the same picture as {later.label[1]} of {later.label[0]}"


def _write(survey: Survey, index: int, rewriter: Rewriter, paths: _Paths, cure: Cure | None) -> Cure | None:
    """Write one sample; what was done to it, None where nothing was."""
    dataset = survey.dataset
    assert isinstance(dataset, PairedData)
    source = index if cure is None or cure.label_of is None else cure.label_of
    picture, label_file = dataset.pairs[index].image, dataset.pairs[source].label
    try:
        image_HW3 = open_bands(picture, dataset.bands)
        label = rewriter(dataset, survey.split, source)
    except TarsiaError as error:
        return Cure(str(error), left_out=True)
    before = label
    if cure is not None and cure.turn:
        label = np.ascontiguousarray(TURNS[cure.turn](label))
    if any(found == index for found, _ in survey.faults.get("turned", ())):
        label, cure = turn(label, orientation(picture)), Cure("its label was turned as EXIF turns the picture")
    size = (image_HW3.shape[0], image_HW3.shape[1])
    if label.shape[:2] != size:
        if abs(label.shape[0] / label.shape[1] / (size[0] / size[1]) - 1) > _SAME_SHAPE:
            return Cure("picture and label are of different shapes", left_out=True)
        label, cure = _resized(label, size), Cure("its label was resized")
    if not rewriter.keeps:
        odd = any(one.sample == source for one in survey.strange)
        if odd and (label == IGNORED).mean() >= UNLABELLED:
            return Cure(_EMPTY, left_out=True)
        cure = Cure("strange values of its label were replaced") if odd and cure is None else cure
    with writing(paths.image) as part:
        shutil.copyfile(picture, part)
    if not rewriter.keeps:
        save_label(paths.label, label, dataset.classes)
    elif label is before and isinstance(dataset, Folder):
        with writing(paths.label) as part:
            shutil.copyfile(label_file, part)
    else:
        save_stored(paths.label, label)
    return cure


def _resized(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if label.ndim == 2:
        return resize_label(label, size)
    return np.stack([resize_label(label[..., channel], size) for channel in range(label.shape[2])], axis=-1)


def _targets(case: Case, cures: dict[_Key, Cure], folder: Path, keeps: bool) -> dict[_Key, _Paths]:
    """Where each sample goes that is not left out; no two to one place, whatever the letter case."""
    targets: dict[_Key, _Paths] = {}
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
            image, label = map(Path, survey.files(index))
            suffix = label.suffix if keeps and case.layout else ".png"
            below = [folder / kind / survey.split for kind in ("images", "labels")]
            targets[survey.split, index] = _Paths(
                below[0] / f"{name}{image.suffix}", below[1] / f"{name}{suffix}", name
            )
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
            raise OutputError(f"{path}: would replace a file of the data set: choose another `out`")


def _described(case: Case, splits: list[str], mended: Mended, names: list[str]) -> str:
    """The content of dataset.yaml; of undecided.yaml, what stands for what as it was."""
    coding = coding_of(case)
    lines = [_UNDECIDED if mended.keeps else _HEADER, yaml_classes(case.classes), "format: index"]
    if mended.keeps and coding is not None:
        lines[1:] = [coding.lines()]
    lines += [] if case.bands == 3 else [f"bands: {case.bands}"]
    for key, pattern in _patterns(case).items():
        if all(re.search(pattern, name) for name in names):
            lines.append(f"{key}: {quoted(pattern)}")
    lines.append("splits:")
    for split in splits:
        lines.append(f"  {quoted(split)}: {{images: {quoted(f'images/{split}')}, labels: {quoted(f'labels/{split}')}}}")
    return "\n".join(lines) + "\n"


def _patterns(case: Case) -> dict[str, str]:
    """What tells domains and films by the names of pictures."""
    layout = case.layout
    if layout is None:
        return {}
    film = layout.sequence_by or (layout.split.group_by if layout.split else None)
    return {key: pattern for key, pattern in (("domain_by", layout.domain_by), ("sequence_by", film)) if pattern}

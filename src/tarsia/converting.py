"""The command `convert`: polygons and coloured masks in, index masks with a dataset.yaml out.

What is written below the folder `to`:

    images/NAME.jpg    a link to the picture, or a copy
    labels/NAME.png    the label map: class indices with the classes' palette, 255 = ignored
    skipped.txt        only where something was left out: what, a line each
    dataset.yaml       last: a folder without it was not finished

NAME is the picture's path below the folder of pictures; where the source has splits, images/SPLIT/NAME.jpg.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import console
from tarsia.annotations import to_tool as handing
from tarsia.annotations.anew import Anew, Marks
from tarsia.annotations.class_list import ClassList
from tarsia.annotations.detect import find
from tarsia.annotations.faults import Fault, Faults
from tarsia.annotations.finding import WRITTEN
from tarsia.annotations.form import Reading
from tarsia.annotations.placing import Placed, check_targets, place, placed
from tarsia.annotations.source import BACKGROUND, Annotations, lowered
from tarsia.annotations.tool import Tool
from tarsia.annotations.tools import all_tools
from tarsia.card import IGNORED, Classes
from tarsia.data._folders import nearby_name
from tarsia.data._layout import Layout
from tarsia.data._names import nfc
from tarsia.doctor.layout_lines import yaml_classes, yaml_splits
from tarsia.drawing.paint import save_label
from tarsia.errors import DatasetError, OutputError, RecipeError, nearest
from tarsia.files import holds_files, remove_parts, require_new, write_text
from tarsia.folder_lock import holding
from tarsia.pictures.files import shown
from tarsia.pictures.find import stream
from tarsia.plain_text import number

SKIPPED = "skipped.txt"
_ALONE = (
    "one class alone ({name}): whatever is learned of it, all pixels are right and mIoU is 1 by definition; name what "
    "the rest is (the background: leave out `background=None`, or list it in `classes`)"
)
_HEADER = WRITTEN + "  Names, colours and the split are yours to change (docs/folder-data.md).\n"


@dataclass(frozen=True)
class Conversion:
    """What was written: `pixels` of each class and last of what is ignored; `notes` on what was left out or altered."""

    folder: Path
    kind: str
    pictures: int
    objects: int
    classes: Classes
    pixels: tuple[int, ...]
    notes: tuple[str, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def skipped(self) -> int:
        """How many pictures were left out for their faults: with `pictures` all that there were."""
        return len({fault.picture for fault in self.faults if fault.picture})

    @property
    def exit_code(self) -> int:
        """0 where all of it was converted, 1 where something was left out."""
        return 1 if self.faults else 0

    def facts(self) -> dict[str, Any]:
        """All of it as plain values, with each class's share of the pixels."""
        total = max(sum(self.pixels), 1)
        shares = [count / total for count in self.pixels]
        return {
            "folder": str(self.folder),
            "kind": self.kind,
            "pictures": self.pictures,
            "objects": self.objects,
            "shares": dict(zip(self.classes.names, shares, strict=False)),  # one more: the ignored
            "ignored": shares[-1],
            "notes": list(self.notes),
            "skipped": self.skipped,
            "faults": [{"picture": shown(fault.picture), "what": shown(fault.what)} for fault in self.faults],
        }

    def lines(self) -> list[str]:
        """What the terminal shows: the classes' shares of the pixels, the notes, the counts."""
        facts = self.facts()
        shares = list(facts["shares"].items()) + ([("(ignored, 255)", facts["ignored"])] if self.pixels[-1] else [])
        width = max(len(name) for name, _ in shares)
        objects = f" with {self.objects:,} objects" if self.kind not in ("masks", "folder") else ""
        return [
            *(f"{name:{width}}  {100 * share:6.2f} % of the pixels" for name, share in shares),
            *(f"Note: {note}" for note in self.notes),
            *([self._left_out()] if self.faults else []),
            f"{self.pictures:,} pictures{objects}, {len(self.classes)} classes, from {self.kind}: {self.folder}",
        ]

    def _left_out(self) -> str:
        """`Left out: 2 of 61 pictures, for 3 faults: out/skipped.txt`."""
        told = dict.fromkeys(fault.what for fault in self.faults)
        more = len(told.keys() - {fault.what for fault in self.faults if fault.picture})
        total = self.pictures + self.skipped
        faults = number(len(told), "fault")
        of_none = f" ({more:,} of no picture)" if more else ""
        return f"Left out: {self.skipped:,} of {total:,} pictures, for {faults}{of_none}: {self.folder / SKIPPED}"


def convert(
    source: str | Path,
    to: str | Path,
    *,
    kind: str | None = None,
    images: str | Path | None = None,
    classes: str | Path | None = None,
    background: str | None = BACKGROUND,
    crowd: str | None = None,
    class_from: str | None = None,
    run_order: str | None = None,
    to_tool: str | None = None,
    simplify: float = 0.0,
    skip_bad: bool = False,
    copy: bool = False,
    overwrite: bool = False,
) -> Conversion:
    """Write the data set that `source` (a file or folder) annotates as index masks with a dataset.yaml into `to`.

    `kind`: which form it has (annotations/forms/); found out where it is None.  `images`: where the pictures are.
    `classes`: a file of names, numbers or colours.  `background`: the class of what nothing covers, which is left out
    where everything is covered; another name is kept; with None that is 255, ignored.  `crowd`: what COCO's regions
    marked iscrowd are, "ignore" or "objects"; found out where it is None.  `class_from`: the attribute, property or
    column that says an object's class.  `run_order`: "columns" or "rows", of run lengths in tables.  Pictures are
    linked, or copied with `copy`.  `to_tool`: in place of a data set, write the files of an annotation program
    (coco, cvat, label-studio, labelme), exact with `simplify` 0, else polygons of that tolerance.  All annotations are
    checked before anything is written.

    Raises DatasetError that lists all that is wrong with them; with `skip_bad` pictures with a fault are left out and
    listed instead, and it is raised for what concerns all of them.  RecipeError for options that do not go together,
    OutputError where `to` holds files (without `overwrite`) or a result would replace a source.
    """
    source, to = Path(source), Path(to)
    if to_tool is not None and to_tool not in all_tools():
        raise RecipeError(f"{to_tool=}{nearest(to_tool, all_tools())}")
    if simplify < 0 or (simplify and to_tool is None):
        raise RecipeError(f"{simplify=}: expected 0 or more pixels, with `to_tool`")
    _require_free(to, overwrite)
    options: dict[str, object] = {"--from": kind, "--images": images, "--classes": classes}
    options |= {"--background": background} if background != BACKGROUND else {}
    options |= {"--class-from": class_from, "--run-order": run_order, "--to-tool": to_tool}
    options |= {"--simplify": simplify} if simplify else {}
    flags = {"--no-background": background is None, "--skip-bad": skip_bad, "--copy": copy, "--overwrite": overwrite}
    typed = _words(source, to, options, flags)
    of = None if images is None else Path(images)
    reading = Reading(of, None, background, crowd, class_from, run_order, typed)
    ready = _ready(source, kind, classes, reading, to, skip_bad)
    if to_tool is not None:
        return _hand_over(ready, all_tools()[to_tool], simplify, copy, overwrite)
    return _data_set(ready, copy, overwrite)


class _Ready(NamedTuple):
    """What a source says, checked, and where it goes."""

    kind: str
    found: Annotations
    chosen: Collection[Placed]
    to: Path
    faults: Faults
    splits: list[str]  # of which pictures are left
    objects: int


def _ready(
    source: Path, kind: str | None, classes: str | Path | None, reading: Reading, to: Path, skip_bad: bool
) -> _Ready:
    """All that is to be written; DatasetError with all faults, where these are not left out."""
    faults = reading.faults
    try:
        kind, found = _read(source, kind, classes, reading)
        chosen = placed(found, to, faults)
        if not chosen and skip_bad:
            raise DatasetError(f"{source}: nothing is left once what has a fault is left out")
        if chosen and (skip_bad or not faults.found) and found.background_added and reading.background == BACKGROUND:
            found, chosen = _without_background(found, chosen)
        if chosen and len(found.classes) < 2:
            raise DatasetError(_ALONE.format(name=found.classes.names[0]))
    except DatasetError as error:
        raise (faults.error(" ".join(error.args)) if faults.found else error) from error
    if faults.found and not skip_bad:
        raise faults.error()
    counts = Counter[str]()
    for picture, *_ in chosen:
        counts[picture.split] += picture.objects
    return _Ready(kind, found, chosen, to, faults, list(counts), counts.total())


def _data_set(ready: _Ready, copy: bool, overwrite: bool) -> Conversion:
    """Index masks with a dataset.yaml."""
    _, found, chosen, to, faults, splits, _ = ready
    check_targets(found, chosen, to)
    with holding(require_new(to, overwrite)):
        pixels = _write(found, chosen, to, faults, copy)
        write_text(to / "dataset.yaml", _described(found.classes, splits, len(chosen)))
    read_back = sum(_read_back(to, split) for split in splits)
    if read_back != len(chosen):
        raise DatasetError(f"{to}: {len(chosen)} pictures were written, {read_back} are found there: please report it")
    return _done(ready, pixels)


def _done(ready: _Ready, pixels: np.ndarray) -> Conversion:
    """What was written, with the notes on all of it."""
    kind, found, chosen, to, faults, splits, objects = ready
    _note_names(found)
    lost = [split for split in found.splits if split not in splits]
    found.notes.add("splits of which no picture is left", "".join(lost[:1]), len(lost))
    if found.background_added and not pixels[0]:
        found.notes.add("no pixel is background; `background=None` leaves that class out", "")
    counts = (*pixels[: len(found.classes)].tolist(), int(pixels[IGNORED]))
    notes, left_out = found.notes.lines(), tuple(faults.found)
    return Conversion(to, kind, len(chosen), objects, found.classes, counts, notes, left_out)


def _hand_over(ready: _Ready, tool: Tool, simplify: float, copy: bool, overwrite: bool) -> Conversion:
    """The pictures, and the files of an annotation program with what is labelled in them."""
    _, found, chosen, to, faults, _, _ = ready
    only_pictures = Anew(len(chosen), lambda: (Placed(one, image, image) for one, image, _ in chosen))
    check_targets(found, only_pictures, to, handing.files(tool, found, chosen))
    with holding(require_new(to, overwrite)):
        pixels = handing.write(tool, found, chosen, to, copy, simplify)
        (to / SKIPPED).unlink(missing_ok=True)
        if faults.found:
            write_text(to / SKIPPED, "".join(f"{shown(line)}\n" for line in faults.lines()))
    return _done(ready, pixels)


def _write(found: Annotations, chosen: Collection[Placed], to: Path, faults: Faults, copy: bool) -> np.ndarray:
    """Pictures, label maps and the list of what was left out -> how many pixels have each value."""
    remove_parts({target.parent for _, image, label in chosen for target in (image, label)})
    for name in ("dataset.yaml", SKIPPED):
        (to / name).unlink(missing_ok=True)
    pixels = np.zeros(256, np.int64)
    for picture, image, label in console.track(chosen, len(chosen), "convert"):
        label_HW = picture.draw()
        pixels += np.bincount(label_HW.ravel(), minlength=256)
        place(picture, image, copy)
        save_label(label, label_HW, found.classes)
    if faults.found:
        write_text(to / SKIPPED, "".join(f"{shown(line)}\n" for line in faults.lines()))
    return pixels


def _words(source: Path, to: Path, options: Mapping[str, object], flags: Mapping[str, bool]) -> list[object]:
    """Those of the command that does the same."""
    words: list[object] = ["convert", source, "--to", to]
    for option, value in options.items():
        words += [option, value] if value is not None else []
    return [*words, *(flag for flag, on in flags.items() if on)]


def _note_names(found: Annotations) -> None:
    """Note names that look the same: a person meant one class."""
    seen: dict[str, str] = {}
    for name in found.classes.names:
        other = seen.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            found.notes.add("classes whose names differ by letter case or blanks alone", f"{other!r} and {name!r}")


def _require_free(to: Path, overwrite: bool) -> None:
    """OutputError where `to` holds files or is none; said before the source is read."""
    try:
        if to.exists() and holds_files(to) and not overwrite:
            raise OutputError(f"{to} exists and is not empty: choose another `to` or add `overwrite=True`")
    except OSError as error:
        raise OutputError(f"{to}: no folder that can be written ({error.strerror}): choose another `to`") from error


def _read(path: Path, kind: str | None, classes: str | Path | None, reading: Reading) -> tuple[str, Annotations]:
    """The kind of `path` and what it says."""
    if reading.images is not None and not reading.images.is_dir():
        raise DatasetError(f"{reading.images}: no such folder{nearby_name(reading.images)} (expected pictures)")
    form, source = find(path, kind)
    form.check([*reading.chosen(), *([] if classes is None else ["classes"])], path)
    if classes is not None:
        reading.classes = ClassList.read(Path(classes))
    return form.name, form.read(source, reading)


def _without_background(found: Annotations, chosen: Collection[Placed]) -> tuple[Annotations, Collection[Placed]]:
    """The same without a class that only the rest would have, where there is no rest in any picture."""
    if len(found.classes) < 3 or any((picture.draw() == 0).any() for picture, *_ in chosen):
        return found, chosen
    found.notes.add("everything is covered: no class for the rest", "")
    left = Anew(len(chosen), lambda: (one._replace(picture=lowered(one.picture)) for one in chosen))
    return found.without_background(), left


def _read_back(to: Path, split: str) -> int:
    """How many pictures of a split are there with a label, as the data set `folder` looks for them."""
    Layout.load(to / "dataset.yaml")
    images, labels = (
        Marks(nfc(os.path.splitext(name)[0]) for name in stream(to / part / split)) for part in ("images", "labels")
    )
    return images.common(labels)


def _described(classes: Classes, splits: Sequence[str], count: int) -> str:
    lines = [yaml_classes(classes), "format: index", "images: images", "labels: labels"]
    if any(splits):  # also where one of several is left: its pictures are not to be drawn anew
        lines.append(yaml_splits(splits))
    elif count > 1:
        lines.append("split: {val: 0.2}")
    return _HEADER + "\n".join(lines) + "\n"

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
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console, data
from tarsia.annotations import coco, labelme, masks, yolo
from tarsia.annotations.detect import Asked, find
from tarsia.annotations.faults import Fault, Faults
from tarsia.annotations.source import Annotations, Picture
from tarsia.card import IGNORED, Classes
from tarsia.data._folders import nearby_name
from tarsia.doctor.layout_lines import yaml_classes, yaml_splits
from tarsia.drawing.paint import save_label
from tarsia.errors import DatasetError, OutputError, RecipeError
from tarsia.files import holds_files, remove_parts, require_new, require_others, write_text, writing
from tarsia.folder_lock import holding
from tarsia.pictures.files import shown
from tarsia.pictures.find import walk
from tarsia.plain_text import listed, number, some

BACKGROUND = "background"
SKIPPED = "skipped.txt"
_ALONE = (
    "one class alone ({name}): whatever is learned of it, all pixels are right and mIoU is 1 by definition; name what "
    "the rest is (the background: leave out `background=None`, or list it in `classes`)"
)
_HEADER = "# Written by `tarsia convert`.  Names, colours and the split are yours to change (docs/folder-data.md).\n"


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
        objects = f" with {self.objects:,} objects" if self.kind != "masks" else ""
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
    skip_bad: bool = False,
    copy: bool = False,
    overwrite: bool = False,
) -> Conversion:
    """Write the data set that `source` (a file or folder) annotates as index masks with a dataset.yaml into `to`.

    `kind`: coco, labelme, yolo or masks; found out where it is None.  `images`: where the pictures are.  `classes`: a
    file of names, numbers or colours.  `background`: the class of what no polygon covers; with None that is 255,
    ignored.  `crowd`: what COCO's regions marked iscrowd are, "ignore" or "objects"; found out where it is None.
    Pictures are linked, or copied with `copy`.  All annotations are checked before anything is written.

    Raises DatasetError that lists all that is wrong with them; with `skip_bad` pictures with a fault are left out and
    listed instead, and it is raised for what concerns all of them.  RecipeError for options that do not go together,
    OutputError where `to` holds files (without `overwrite`) or a result would replace a source.
    """
    source, to = Path(source), Path(to)
    _require_free(to, overwrite)
    faults = Faults()
    options = {"--from": kind, "--images": images, "--classes": classes}
    options |= {"--background": background} if background != BACKGROUND else {}
    flags = {"--no-background": background is None, "--skip-bad": skip_bad, "--copy": copy, "--overwrite": overwrite}
    folder, names = (None if path is None else Path(path) for path in (images, classes))
    asked = Asked(folder, names, background, crowd, _words(source, to, options, flags))
    try:
        kind, found = _read(source, kind, asked, faults)
        placed = _placed(found, to, faults)
        if not placed and skip_bad:
            raise DatasetError(f"{source}: nothing is left once what has a fault is left out")
        if placed and len(found.classes) < 2:
            raise DatasetError(_ALONE.format(name=found.classes.names[0]))
    except DatasetError as error:
        raise (faults.error(" ".join(error.args)) if faults.found else error) from error
    if faults.found and not skip_bad:
        raise faults.error()
    _check_targets(found, placed, to)
    splits = list(dict.fromkeys(picture.split for picture, *_ in placed))
    with holding(require_new(to, overwrite)):
        pixels = _write(found, placed, to, faults, copy)
        write_text(to / "dataset.yaml", _described(found.classes, splits, len(placed)))
    read_back = sum(len(data.open("folder", to, split or "all")) for split in splits)
    if read_back != len(placed):
        raise DatasetError(f"{to}: {len(placed)} pictures were written, {read_back} are found there: please report it")
    _note_names(found)
    lost = [split for split in found.splits if split not in splits]
    found.notes.add("splits of which no picture is left", "".join(lost[:1]), len(lost))
    if kind != "masks" and background is not None and not pixels[0]:
        found.notes.add("no pixel is background; `background=None` leaves that class out", "")
    counts = (*pixels[: len(found.classes)].tolist(), int(pixels[IGNORED]))
    objects = sum(picture.objects for picture, *_ in placed)
    notes, left_out = found.notes.lines(), tuple(faults.found)
    return Conversion(to, kind, len(placed), objects, found.classes, counts, notes, left_out)


def _write(
    found: Annotations, placed: list[tuple[Picture, Path, Path]], to: Path, faults: Faults, copy: bool
) -> np.ndarray:
    """Pictures, label maps and the list of what was left out -> how many pixels have each value."""
    remove_parts({target.parent for _, image, label in placed for target in (image, label)})
    for name in ("dataset.yaml", SKIPPED):
        (to / name).unlink(missing_ok=True)
    pixels = np.zeros(256, np.int64)
    for picture, image, label in console.track(placed, len(placed), "convert"):
        label_HW = picture.draw()
        pixels += np.bincount(label_HW.ravel(), minlength=256)
        _place(picture.path, image, copy)
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


def _read(path: Path, kind: str | None, asked: Asked, faults: Faults) -> tuple[str, Annotations]:
    """The kind of `path` and what it says."""
    if asked.images is not None and not asked.images.is_dir():
        raise DatasetError(f"{asked.images}: no such folder{nearby_name(asked.images)} (expected pictures)")
    kind, source = find(path, kind)
    if kind == "yolo" and asked.images is not None:
        raise RecipeError("`images` is not for YOLO: data.yaml names the folders of pictures")
    if kind == "coco" and asked.classes is not None:
        raise RecipeError("`classes` is not for COCO: its file names the categories; edit dataset.yaml afterwards")
    if kind == "masks" and asked.background != BACKGROUND:
        raise RecipeError("`background` is for polygons: masks have a class everywhere; edit dataset.yaml afterwards")
    if kind != "coco" and asked.crowd is not None:
        raise RecipeError(f"`crowd` is for COCO, whose regions may be marked iscrowd: {path} is {kind}")
    read = {"coco": coco.read, "labelme": labelme.read, "yolo": yolo.read, "masks": masks.read}[kind]
    return kind, read(source, asked, faults)


def _placed(found: Annotations, to: Path, faults: Faults) -> list[tuple[Picture, Path, Path]]:
    """The pictures with where they go; several of one name are a fault of each."""
    placed = []
    for picture in found.pictures:
        name = Path(picture.split, picture.name)
        image, label = to / "images" / f"{name}{picture.path.suffix}", to / "labels" / f"{name}.png"
        placed.append((picture, image, label))
    counts = Counter(label for _, _, label in placed)
    for label in (label for label, count in counts.items() if count > 1):
        same = [str(picture.path) for picture, _, other in placed if other == label]
        which = listed(list(dict.fromkeys(same)))
        for index, path in enumerate(same):
            what = f"{which}: two pictures (or one twice) of one name: rename or remove one"
            faults.add(what, path if path not in same[:index] else f"{path} (again, {index})")
    return [one for one in placed if counts[one[2]] == 1]


def _check_targets(found: Annotations, placed: Sequence[tuple[Picture, Path, Path]], to: Path) -> None:
    """Errors for sources that would be replaced, and for what an earlier run has left."""
    planned = {path for _, *paths in placed for path in paths}
    sources = [*found.files, *(picture.path for picture, *_ in placed)]
    require_others([*planned, to / "dataset.yaml"], sources, "what is converted: choose another `to`")
    stale = [
        str(to / part / name)
        for part in ("images", "labels")
        for name in (walk(to / part) if (to / part).is_dir() else ())
        if to / part / name not in planned
    ]
    if stale:
        what = f"{len(stale)} files of something else are there: {some(stale)}"
        raise OutputError(f"{to}: {what}; remove them or choose another `to`")


def _place(source: Path, target: Path, copy: bool) -> None:
    if copy:
        with writing(target) as part:
            shutil.copyfile(source, part)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(os.path.realpath(source), os.path.realpath(target.parent)))
    except OSError as error:
        raise OutputError(
            f"cannot make the link {target}: {error.strerror}; `copy=True` copies pictures instead"
        ) from error


def _described(classes: Classes, splits: Sequence[str], count: int) -> str:
    lines = [yaml_classes(classes), "format: index", "images: images", "labels: labels"]
    if any(splits):  # also where one of several is left: its pictures are not to be drawn anew
        lines.append(yaml_splits(splits))
    elif count > 1:
        lines.append("split: {val: 0.2}")
    return _HEADER + "\n".join(lines) + "\n"

"""init: what a folder's dataset.yaml has to say, concluded from what lies there, and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarsia import console
from tarsia.annotations.detect import find as find_annotations
from tarsia.data import folder, open_incomplete, parse
from tarsia.data._folders import nearby_folders
from tarsia.data._layout import Layout
from tarsia.data._pairing import Pairing
from tarsia.errors import DatasetError, TarsiaError
from tarsia.files import write_text
from tarsia.look.described import completed, composed
from tarsia.look.look import Conclusions, look
from tarsia.plain_text import command, number, some
from tarsia.yaml_tree import Document


@dataclass(frozen=True)
class Described:
    """What was written where: `added`, the keys; `undecided`, the readings of which a person has to choose one.

    `pictures`: how many each split has; `left_out`: names and why; `notes`: what a person should know.
    """

    path: Path
    added: tuple[str, ...]
    undecided: tuple[str, ...] = ()
    pictures: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where all of it is clear, 1 where a person has to choose."""
        return 1 if self.undecided else 0

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "file": str(self.path),
            "added": list(self.added),
            "undecided": list(self.undecided),
            "pictures": dict(self.pictures),
            "classes": list(self.classes),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """What the terminal shows."""
        found = [f"Note: {note}" for note in self.notes]
        found += [f"Left out: {name}: {why}" for name, why in list(self.left_out.items())[:10]]
        if len(self.left_out) > 10:
            found.append(f"Left out: {len(self.left_out) - 10} more, see {self.path}")
        if self.undecided:
            found.append("The labels can be read in more than one way, and only you can know which is right:")
            found += [f"  {letter}: {words}" for letter, words in zip("ABCDEFGH", self.undecided, strict=False)]
            return [*found, f"Choose one in {self.path}: take the # away from its lines, and remove the others"]
        counts = ", ".join(f"{split} {count:,}" for split, count in self.pictures.items())
        told = f"{number(len(self.classes), 'class', 'classes')}: {some(self.classes, 12)}"
        written = f"{self.path}: {', '.join(self.added)}" if self.added else f"{self.path}: nothing to add"
        return [*found, told, f"pictures: {counts}", written]


def init(root: str | Path) -> Described:
    """Look at the pictures and labels below the folder `root`, and write its dataset.yaml -> what was concluded.

        tarsia.init("my photos")

    Each key stands there with what it was concluded from.  What can be read in more than one way is written with all
    readings as comments, and training refuses until one is chosen.  What stands in a dataset.yaml already is kept, and
    keys that it lacks are added.  Every picture and label is read; what cannot be used is listed under `leave_out`.

    Raises DatasetError where there are no pictures with labels, naming what to convert where an annotation program has
    been at work; RecipeError for a dataset.yaml that is no YAML; OutputError where it cannot be written.
    """
    root = Path(root).expanduser()
    path = root / folder.NAME
    try:
        found = look(root)
    except DatasetError as error:
        told = _annotated(root)
        raise DatasetError(told) if told else error from error
    added = tuple(dict.fromkeys([*(["classes"] if found.choices else []), *(block.key for block in found.blocks)]))
    if path.is_file():
        text, more = completed(path, found.blocks, found.choices)
        added = tuple(more)
    else:
        text = composed(found.blocks, found.choices)
    if added:
        write_text(path, text)
    return _read_back(root, path, added, found)


def describe_data(given: str) -> str:
    """DATA, whose folder gets a dataset.yaml where it is a plain one without; what was concluded is told.

    Raises DatasetError where there is nothing to describe, and where a person has to choose.
    """
    name, root, _ = parse(given)
    path = Path(root or "").expanduser()
    if name != "folder" or not root or not path.is_dir() or any(map(folder.described, (path, *nearby_folders(path)))):
        return given
    done = init(path)
    for line in done.lines() if not done.undecided else ():
        console.note(line)
    if done.undecided:
        raise DatasetError(*done.lines())
    return given


def _read_back(root: Path, path: Path, added: tuple[str, ...], found: Conclusions) -> Described:
    """What a training will find there now."""
    undecided = tuple(choice.words for choice in found.choices)
    notes = list(found.notes)
    if tool := _annotated(root):
        notes.append(tool)
    if undecided and "classes" not in _keys(path):
        return Described(path, added, undecided, left_out=found.bad, notes=tuple(notes))
    layout = Layout.load(path)
    counts: dict[str, int] = {}
    classes = layout.palette().names
    for split in _splits(layout):
        try:
            dataset = open_incomplete("folder", str(root), split, {})
        except TarsiaError as error:
            notes.append(f"{split}: {error}")
            continue
        counts[split] = len(dataset)
        pairing = getattr(dataset, "pairing", Pairing())
        if pairing.fault:
            notes.append(pairing.fault)
    return Described(path, added, (), counts, classes, dict(layout.leave_out), tuple(dict.fromkeys(notes)))


def _keys(path: Path) -> set[str]:
    return {*Document.read(path).tree}


def _splits(layout: Layout) -> list[str]:
    if layout.splits:
        return list(layout.splits)
    if layout.split is None:
        return ["train"]
    return ["train", *(["val"] if layout.split.val else []), *(["test"] if layout.split.test else [])]


def _annotated(root: Path) -> str:
    """Where an annotation program's files are, the command that makes labels of them; else ""."""
    try:
        form, _ = find_annotations(root, None)
    except TarsiaError:
        return ""
    kind = form.name
    if kind in ("masks", "folder"):
        return ""
    target = root.with_name(f"{root.name}-masks")
    pictures = ("--images", root) if kind != "yolo" else ()
    return f"{root}: annotations of kind {kind} are here; make labels of them: " + command(
        "convert", root, *pictures, "--to", target
    )

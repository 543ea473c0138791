"""A form of annotations, as one program writes them: how its files are recognised and who reads them.

Each file of annotations/forms/ has one, `FORM`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tarsia.annotations.class_list import ClassList
from tarsia.annotations.faults import Faults
from tarsia.annotations.look import Look
from tarsia.annotations.source import BACKGROUND, Annotations
from tarsia.errors import RecipeError

SETTINGS = (
    "images",
    "classes",
    "background",
    "crowd",
    "class_from",
    "run_order",
)  # of `Reading`, as `convert` has them


@dataclass
class Reading:
    """How a source is read: all that may be chosen of it, and where what is wrong with it goes.

    `images`: the folder of pictures; `classes`: names, numbers, colours; `background`: the class of what nothing
    covers, None for 255; `crowd`: what COCO's crowds are; `class_from`: the attribute, property or column that says an
    object's class; `run_order`: "rows" or "columns", of run lengths in tables.  None is what is found out.  `typed`:
    the words of the command that does the same.
    """

    images: Path | None = None
    classes: ClassList | None = None
    background: str | None = BACKGROUND
    crowd: str | None = None
    class_from: str | None = None
    run_order: str | None = None
    typed: Sequence[object] = ()
    faults: Faults = field(default_factory=Faults)

    def chosen(self) -> list[str]:
        """The settings that are not left as they are."""
        usual = Reading()
        return [name for name in SETTINGS if getattr(self, name) != getattr(usual, name)]


@dataclass(frozen=True)
class Found:
    """What there is of a form: `root`, the folder or that of the one file; its files; those of it `left_out`."""

    root: Path
    files: list[Path]
    one_file: bool = False
    left_out: Sequence[Path] = ()


@dataclass(frozen=True)
class Form:
    """`holds`: what a folder has of it, in words.  `is_one`: whether a file is of it, by its content.

    `suffixes`: of files that may be.  `root_only`: they lie in the folder itself.  `per_picture`: a file each, so that
    one that nobody recognises is a damaged one.  `takes`: the settings it has a use for; `refusals`: what is said of
    another.
    `chosen_of`: which of the files are it, where not all are.
    """

    name: str
    title: str
    holds: str
    is_one: Callable[[Look], bool]
    read: Callable[[Found, Reading], Annotations]
    suffixes: tuple[str, ...] = (".json",)
    root_only: bool = False
    per_picture: bool = False
    takes: tuple[str, ...] = ("images", "classes", "background")
    refusals: Mapping[str, str] = field(default_factory=dict)
    chosen_of: Callable[[list[Path], list[Path]], tuple[list[Path], list[Path]]] | None = None

    def check(self, chosen: Sequence[str], path: Path) -> None:
        """RecipeError for a setting that is chosen and that it has no use for."""
        usual = {
            "crowd": f"`crowd` is for COCO, whose regions may be marked iscrowd: {path} is {self.name}",
            "class_from": f"`class_from` is for objects with several attributes or columns: {path} is {self.name}",
            "run_order": f"`run_order` is for run lengths in tables: {path} is {self.name}",
        }
        for setting in chosen:
            if setting not in self.takes:
                plain = usual.get(setting, f"`{setting}` is not for {self.title}")
                raise RecipeError(self.refusals.get(setting, plain))

"""The schema of dataset.yaml, and which label value or colour means which class by it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tarsia.card import IGNORED, Classes
from tarsia.data._affixes import Affixes
from tarsia.data._class_entries import ClassEntry, Entries, hex_color
from tarsia.data._labels import MAX_VALUE, LabelTable, Rgb, distinct_colors
from tarsia.data._reading import Reading
from tarsia.data._split import Pattern, RandomSplit
from tarsia.errors import RecipeError
from tarsia.yaml_faults import Fault
from tarsia.yaml_tree import Document


def _inside(text: str) -> str:
    if not text or "\\" in text or PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
        raise ValueError("paths are relative to the folder of dataset.yaml and stay inside it (forward slashes, no ..)")
    return text


def _value_or_color(found: Any) -> Any:
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= MAX_VALUE:
        return found
    found = hex_color(found)
    if isinstance(found, list | tuple) and len(found) == 3 and all(type(v) is int and 0 <= v <= 255 for v in found):
        return tuple(found)
    raise ValueError(f"expected a label value (0 to {MAX_VALUE}) or a colour [r, g, b]")


def _listed(found: Any) -> Any:
    return [found] if isinstance(found, int) else found


def _alone(found: Any) -> Any:
    return [found] if isinstance(found, str) else found


def _all_inside(found: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_inside, found))


def _affix(text: str) -> str:
    if "/" in text or "\\" in text:
        raise ValueError("a part of file names, as _mask, holds no slash: folders are said by `images` and `labels`")
    return text


def _reasons(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: "" if why is None else str(why) for name, why in found.items()}
    names = _alone(found)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("expected names of pictures, as [a, b] or {a: why}; put names of digits in quotes")
    return dict.fromkeys(names, "")


Inside = Annotated[str, AfterValidator(_inside)]
Folders = Annotated[tuple[str, ...], BeforeValidator(_alone), Field(min_length=1), AfterValidator(_all_inside)]
Affix = Annotated[str, AfterValidator(_affix)]
_Key = str | int | Rgb  # a class's name, value or colour
_READING = re.compile(r"# *classes:(?: |$)")


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Node):
    """Where one split is; what is left out is as for the whole data set."""

    images: Folders | None = None
    labels: Folders | None = None
    list: Inside | None = None


class Layout(Reading):
    """All of dataset.yaml."""

    classes: Entries
    ignore: Annotated[tuple[Annotated[Any, BeforeValidator(_value_or_color)], ...], BeforeValidator(_listed)] = ()
    format: Literal["index", "rgb"] | None = None
    tolerance: Annotated[int, Field(strict=True, ge=0, le=127)] = 0
    images: Folders = ("images",)
    labels: Folders = ("labels",)
    image_prefix: Affix = ""
    image_suffix: Affix = ""
    label_prefix: Affix = ""
    label_suffix: Affix = ""
    join_labels: Annotated[bool, Field(strict=True)] = False
    leave_out: Annotated[dict[str, str], BeforeValidator(_reasons), Field(default_factory=dict)]
    splits: Annotated[dict[str, Place], Field(min_length=1)] | None = None
    split: RandomSplit | None = None
    domain_by: Pattern | None = None
    sequence_by: Pattern | None = None

    @classmethod
    def load(cls, path: Path) -> Layout:
        """The layout in `path`; RecipeError lists every fault, each with its line."""
        document = Document.read(path)
        if "classes" not in document.tree and (readings := _readings(path)):
            raise RecipeError(
                f"{path}: what its labels mean is not decided: uncomment the classes that are right, which begin in "
                f"line {' or '.join(map(str, readings))}"
            )
        layout = document.validate(cls)
        faults = layout._faults()
        return document.validate(cls, faults) if faults else layout

    def palette(self) -> Classes:
        """Names and colours; a class without a colour gets one far from the others."""
        chosen: list[Rgb | None] = [entry.color or (entry.colors or (None,))[0] for entry in self.classes]
        free = iter(distinct_colors(chosen.count(None), [color for color in chosen if color]))
        return Classes(
            names=tuple(entry.name for entry in self.classes), colors=tuple(color or next(free) for color in chosen)
        )

    def table(self, source: str) -> LabelTable:
        """The label of each value and colour; `source` is named in the remedy for others."""
        values: dict[int, int] = {}
        colors: dict[Rgb, int] = {}
        for index, entry in enumerate(self.classes):
            values |= dict.fromkeys(_values(index, entry), index)
            colors |= dict.fromkeys(_colors(entry), index)
        for found in self.ignore:
            if isinstance(found, int):
                values[found] = IGNORED
            else:
                colors[found] = IGNORED
        values.setdefault(IGNORED, IGNORED)  # 255 on disk is ignored wherever it is not a class
        remedy = f"in {source} add it to `ignore: [{{found}}]`, or to a class as `{{key}}: [{{found}}]`"
        return LabelTable(values, colors, remedy, self.tolerance)

    def _faults(self) -> list[Fault]:
        """Contradictions between entries, which no entry shows alone."""
        faults: list[Fault] = []
        owners: dict[_Key, int] = {}
        with_values = next((entry.name for entry in self.classes if entry.values), None)
        for index, entry in enumerate(self.classes):
            keys: list[_Key] = [entry.name, *_colors(entry)]
            if with_values and not entry.values:
                what = f"{entry.name} has no values but {with_values} has: write values for every class, or for none"
                faults.append((("classes", index), what))
            else:
                keys += _values(index, entry)
            taken = [key for key in keys if owners.setdefault(key, index) != index]
            faults += [(("classes", index), f"{_written(key)} is class {owners[key]} already") for key in taken]
        for index, key in enumerate(self.ignore):
            if key in owners:
                name = self.classes[owners[key]].name
                faults.append((("ignore", index), f"{_written(key)} is ignored and is class {name} too: keep one"))
        return faults + self._place_faults()

    def _place_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        if self.split and self.splits:
            faults.append((("split",), "split (drawn at random) and splits (by folder or list) exclude each other"))
        if self.spec.files and (self.image_prefix or self.image_suffix):
            key = "image_prefix" if self.image_prefix else "image_suffix"
            faults.append(((key,), "is said by the files of `bands` already: leave it out"))
        seen: dict[tuple[tuple[str, ...], tuple[str, ...], str | None], str] = {}
        for name, place in (self.splits or {"": Place()}).items():
            where = self.place(name) if name else (self.images, self.labels, None)
            at = ("splits", name) if name else ("labels",)
            if name and place == Place():
                faults.append((at, "is empty: give images and labels, or list"))
            elif seen.setdefault(where, name) != name:
                faults.append(
                    (at, f"has the same pictures as {seen[where]}: give each split folders or a list of its own")
                )
            told = self.label_prefix or self.label_suffix if self.spec.files else self.affixes.keys()
            if where[0] == where[1] and not where[2] and not told:
                faults.append(
                    (at, "images and labels are in one folder: add label_suffix (as _mask, or .png) to tell them apart")
                )
        return faults

    @property
    def affixes(self) -> Affixes:
        """What stands before and after names in the files of images and labels."""
        files = self.spec.files
        images = files[0].ends if files else (self.image_prefix, self.image_suffix)
        return Affixes(*images, self.label_prefix, self.label_suffix)

    def place(self, split: str) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
        """Image folders, label folders and list file of one of `splits`."""
        place = (self.splits or {})[split]
        return place.images or self.images, place.labels or self.labels, place.list


def _values(index: int, entry: ClassEntry) -> tuple[int, ...]:
    return entry.values or (index,)


def _colors(entry: ClassEntry) -> tuple[Rgb, ...]:
    return entry.colors or ((entry.color,) if entry.color else ())


def _written(found: _Key) -> str:
    if isinstance(found, tuple):
        return f"colour {list(found)}"
    return f"value {found}" if isinstance(found, int) else f"name {found}"


def _readings(path: Path) -> list[int]:
    """The lines of a dataset.yaml in which classes stand behind a #."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if _READING.match(line)]

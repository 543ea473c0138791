"""The schema of dataset.yaml, and which label value or colour means which class by it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tarsia.card import IGNORED, MAX_BANDS, MAX_CLASSES, Classes, Color, Spec
from tarsia.data._labels import MAX_VALUE, LabelTable, Rgb, distinct_colors
from tarsia.errors import DatasetError
from tarsia.yaml_tree import Document, Fault


def _inside(text: str) -> str:
    if not text or "\\" in text or PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
        raise ValueError("paths are relative to the folder of dataset.yaml and stay inside it (forward slashes, no ..)")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from error
    return text


def _value_or_color(found: Any) -> Any:
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= MAX_VALUE:
        return found
    found = _hex(found)
    if isinstance(found, list | tuple) and len(found) == 3 and all(type(v) is int and 0 <= v <= 255 for v in found):
        return tuple(found)
    raise ValueError(f"expected a label value (0 to {MAX_VALUE}) or a colour [r, g, b]")


def _name(found: Any) -> Any:
    if isinstance(found, bool | int | float):
        raise ValueError("expected a name; YAML reads yes, no, on, off and numbers otherwise: put it in quotes")
    return found


def _entry(found: Any) -> Any:
    return found if isinstance(found, dict) else {"name": found}


def _some(found: tuple[Any, ...]) -> tuple[Any, ...]:
    if not 1 <= len(found) <= MAX_CLASSES:
        raise ValueError(f"expected 1 to {MAX_CLASSES} entries, found {len(found)}")
    return found


def _no_mapping(found: Any) -> Any:
    if isinstance(found, dict):
        raise ValueError("expected a list: numbers are written as `- {name: road, values: [1]}`, for every class")
    return found


def _hex(found: Any) -> Any:
    code = re.fullmatch(r"#([0-9a-fA-F]{6})", found) if isinstance(found, str) else None
    if isinstance(found, str) and code is None:
        raise ValueError("expected a colour, as [128, 64, 128] or '#804080'")
    return found if code is None else tuple(bytes.fromhex(code[1]))


def _listed(found: Any) -> Any:
    return [found] if isinstance(found, int) else found


Taken = Annotated[int, Field(strict=True, ge=1, le=1024)]  # of a file's samples


def _rising(found: tuple[float, float]) -> tuple[float, float]:
    if found[0] >= found[1]:
        raise ValueError(f"{found[0]:g} is not below {found[1]:g}")
    return found


Percent = Annotated[float, Field(ge=0, le=100)]
Inside = Annotated[str, AfterValidator(_inside)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Value = Annotated[int, Field(ge=0, le=MAX_VALUE)]
Share = Annotated[float, Field(ge=0, lt=1)]
HexOrColor = Annotated[Color, BeforeValidator(_hex)]
_Key = str | int | Rgb  # a class's name, value or colour


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassEntry(_Node):
    """One class: its name, its colour, and what it is called in the masks."""

    name: Annotated[str, BeforeValidator(_name), Field(min_length=1)]
    color: HexOrColor | None = None
    values: Annotated[tuple[Value, ...], AfterValidator(_some)] | None = None
    colors: Annotated[tuple[HexOrColor, ...], AfterValidator(_some)] | None = None


class Place(_Node):
    """Where one split is; what is left out is as for the whole data set."""

    images: Inside | None = None
    labels: Inside | None = None
    list: Inside | None = None


class RandomSplit(_Node):
    """Shares of the pictures drawn for validation and test; the rest is for training."""

    val: Share = 0.2
    test: Share = 0.0
    seed: int = 0
    group_by: Pattern | None = None

    @model_validator(mode="after")
    def _leaves_some(self) -> RandomSplit:
        if self.val + self.test >= 1:
            raise ValueError("val and test together leave nothing to train on: keep them below 1")
        return self


class Percentiles(_Node):
    """Which values become 0 and 255: at these percentiles of the train split, of each band or of all together."""

    percentiles: Annotated[tuple[Percent, Percent], AfterValidator(_rising)]
    per: Literal["band", "all"] | None = None


class Ends(_Node):
    """Which values become 0 and 255, one for all bands or one for each."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]


class Layout(_Node):
    """All of dataset.yaml."""

    classes: Annotated[
        tuple[Annotated[ClassEntry, BeforeValidator(_entry)], ...], BeforeValidator(_no_mapping), AfterValidator(_some)
    ]
    ignore: Annotated[tuple[Annotated[Any, BeforeValidator(_value_or_color)], ...], BeforeValidator(_listed)] = ()
    format: Literal["index", "rgb"] | None = None
    bands: Annotated[int, Field(strict=True, ge=1, le=MAX_BANDS)] = 3
    alpha: Literal["none", "last", "drop"] | None = None
    take: Annotated[tuple[Taken, ...], AfterValidator(_some)] | None = None
    nodata: Literal["none"] | float | None = None
    dtype: Literal["uint8", "uint16", "int16", "float32"] | None = None
    range: Annotated[Literal["limits"] | Percentiles | Ends | None, Field(union_mode="left_to_right")] = None
    images: Inside = "images"
    labels: Inside = "labels"
    splits: Annotated[dict[str, Place], Field(min_length=1)] | None = None
    split: RandomSplit | None = None
    label_suffix: str = ""
    domain_by: Pattern | None = None
    sequence_by: Pattern | None = None

    @classmethod
    def load(cls, path: Path) -> Layout:
        """The layout in `path`; RecipeError lists every fault, each with its line."""
        document = Document.read(path)
        layout = document.validate(cls)
        faults = layout._faults()
        return document.validate(cls, faults) if faults else layout

    @property
    def spec(self) -> Spec:
        """How its pictures are read."""
        return Spec(
            len(self.take) if self.take else self.bands, self.dtype or "uint8", self.alpha, self.take or (), self.nodata
        )

    @property
    def range_rule(self) -> Any:
        """Which values become 0 and 255, as data/_range.py takes it; None where nothing is said."""
        return self.range if self.range is None or self.range == "limits" else self.range.model_dump()

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
        return LabelTable(values, colors, remedy)

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
        seen: dict[tuple[str, str, str | None], str] = {}
        for name, place in (self.splits or {"": Place()}).items():
            where = self.place(name) if name else (self.images, self.labels, None)
            at = ("splits", name) if name else ("labels",)
            if name and place == Place():
                faults.append((at, "is empty: give images and labels, or list"))
            elif seen.setdefault(where, name) != name:
                faults.append(
                    (at, f"has the same pictures as {seen[where]}: give each split folders or a list of its own")
                )
            if where[0] == where[1] and not self.label_suffix:
                faults.append(
                    (at, "images and labels are in one folder: add label_suffix (as _mask) to tell them apart")
                )
        return faults

    def place(self, split: str) -> tuple[str, str, str | None]:
        """Image folder, label folder and list file of one of `splits`."""
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


def divide(names: Sequence[str], rule: RandomSplit, groups: Sequence[str] = ()) -> dict[str, list[int]]:
    """Indices of train, val and test, the same for the same names whatever their order.

    `groups`, one a name, are kept together.  Shares are met as closely as the groups allow, val and test (where asked
    for) getting at least one.  Raises DatasetError where nothing is left to train on.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups or names):
        members.setdefault(group, []).append(index)
    left = sorted(members, key=lambda group: (hashlib.sha256(os.fsencode(f"{rule.seed}:{group}")).digest(), group))
    parts: dict[str, list[int]] = {}
    for part, share in (("val", rule.val), ("test", rule.test)):
        chosen: list[str] = []
        missing = max(1, round(share * len(names))) if share else 0
        for group in left:
            if abs(missing - len(members[group])) < missing:
                chosen.append(group)
                missing -= len(members[group])
        if share and not chosen and left:
            chosen = [min(left, key=lambda group: len(members[group]))]
        left = [group for group in left if group not in set(chosen)]
        parts[part] = sorted(index for group in chosen for index in members[group])
    parts["train"] = sorted(index for group in left for index in members[group])
    if not parts["train"]:
        what = f"{len(names)} pictures in {len(members)} groups" if groups else f"{len(names)} pictures"
        raise DatasetError(f"{what} cannot be divided by split: nothing is left to train on; add pictures or lower val")
    return parts

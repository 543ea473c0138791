"""What stands for what in a data set's labels, and how it is split, as the lines of a dataset.yaml that say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tarsia.card import IGNORED, Classes
from tarsia.data._class_entries import ClassEntry
from tarsia.data._labels import LabelTable, Rgb
from tarsia.data._layout import Layout
from tarsia.data._split import RandomSplit
from tarsia.yaml_tree import in_braces

Stored = int | Rgb  # what a label file holds at a pixel


@dataclass(frozen=True)
class Coding:
    """The classes, each with its values and colours in the labels, and what is ignored, as dataset.yaml has them."""

    entries: tuple[ClassEntry, ...]
    ignore: tuple[Stored, ...] = ()
    format: Literal["index", "rgb"] | None = None

    @classmethod
    def of_table(cls, classes: Classes, table: LabelTable) -> Coding:
        """Of a data set without dataset.yaml."""
        values = [[value for value, label in table.values.items() if label == k] for k in range(len(classes))]
        colors = [[color for color, label in table.colors.items() if label == k] for k in range(len(classes))]
        numbered = all(values)
        rows = zip(classes.names, classes.colors, values, colors, strict=True)
        entries = tuple(
            ClassEntry.model_construct(
                name=name, color=color, values=tuple(own) if numbered else None, colors=tuple(others) or None
            )
            for name, color, own, others in rows
        )
        void: list[Stored] = [value for value, label in table.values.items() if label == IGNORED and value != IGNORED]
        void += [color for color, label in table.colors.items() if label == IGNORED]
        return cls(entries, tuple(void))

    @property
    def told(self) -> bool:
        """Whether values are written down; else classes count from 0 in their order."""
        return any(entry.values for entry in self.entries)

    def values(self, k: int) -> tuple[int, ...]:
        """The numbers that mean class k."""
        return self.entries[k].values or (k,)

    def table(self) -> LabelTable:
        """Which value or colour means which label."""
        return Layout.model_construct(classes=self.entries, ignore=self.ignore, leave_out={}).table("")

    def numbered(self, values: Sequence[Iterable[int]], void: Iterable[int] = ()) -> Coding:
        """With other values, one list for each class, and `void` ignored."""
        own = [tuple(one) for one in values]
        entries = tuple(entry.model_copy(update={"values": one}) for entry, one in zip(self.entries, own, strict=True))
        taken = {value for one in own for value in one}
        kept = tuple(one for one in self.ignore if one not in taken)
        return replace(self, entries=entries, ignore=kept).ignoring(void)

    def ignoring(self, more: Iterable[Stored]) -> Coding:
        return replace(self, ignore=(*self.ignore, *(one for one in more if one not in self.ignore)))

    def adding(self, more: Iterable[Stored]) -> Coding:
        """With a class for each of `more`, whose name says what it is called in the labels."""
        entries = [entry.model_copy(update={"values": self.values(k)}) for k, entry in enumerate(self.entries)]
        free = len(entries)
        for one in more:
            if isinstance(one, int):
                entries.append(ClassEntry.model_construct(name=self._unused(f"class_{one}"), values=(one,)))
            else:
                name = self._unused(f"color_{'_'.join(map(str, one))}")
                while any(free in (entry.values or ()) for entry in entries) or free == IGNORED:
                    free += 1
                entries.append(ClassEntry.model_construct(name=name, values=(free,), color=one))
        if all(isinstance(one, tuple) for one in more) and not self.told:
            entries = [entry.model_copy(update={"values": None}) for entry in entries]  # numbers do not matter
        return replace(self, entries=tuple(entries))

    def without(self, which: Sequence[int]) -> Coding:
        """Without some classes; the others keep their values."""
        kept = [k for k in range(len(self.entries)) if k not in which]
        entries = tuple(self.entries[k].model_copy(update={"values": self.values(k)}) for k in kept)
        return replace(self, entries=entries)

    def merged(self, groups: Iterable[Sequence[int]]) -> Coding:
        """With one class in place of each group, the first of it, which takes what means the others."""
        entries, gone = [*self.entries], set()
        for group in groups:
            colors = [color for k in group for color in entry_colors(self.entries[k])]
            values = tuple(value for k in group for value in self.values(k))
            entries[group[0]] = entries[group[0]].model_copy(update={"values": values, "colors": tuple(colors) or None})
            gone |= {*group[1:]}
        return replace(self, entries=tuple(entries)).without(sorted(gone))

    def lines(self, before: Coding | None = None) -> str:
        """The keys `classes`, `ignore` and `format`; those alone that differ from `before`."""
        parts = []
        if before is None or self.entries != before.entries:
            parts += ["classes:", *map(_line, self.entries)]
        if self.ignore != (before.ignore if before is not None else ()):
            parts.append(f"ignore: [{', '.join(map(spelled, self.ignore))}]")
        if self.format and self.format != (before.format if before is not None else None):
            parts.append(f"format: {self.format}")
        return "\n".join(parts)

    def _unused(self, name: str) -> str:
        while any(entry.name == name for entry in self.entries):
            name += "_"
        return name


def spelled(one: Stored) -> str:
    """A value or a colour, as dataset.yaml has it."""
    return str(list(one) if isinstance(one, tuple) else one)


def entry_colors(entry: ClassEntry) -> tuple[Rgb, ...]:
    """The colours that mean a class."""
    return entry.colors or ((entry.color,) if entry.color else ())


def _line(entry: ClassEntry) -> str:
    parts = [f"name: {in_braces(entry.name)}"]
    parts += [f"values: {list(entry.values)}"] if entry.values else []
    parts += [f"color: {list(entry.color)}"] if entry.color else []
    parts += [f"colors: {[list(color) for color in entry.colors]}"] if entry.colors else []
    return f"  - {{{', '.join(parts)}}}"


def yaml_classes(classes: Classes) -> str:
    """The `classes` of a dataset.yaml for labels that count from 0, with their colours."""
    pairs = zip(classes.names, classes.colors, strict=True)
    return "\n".join(
        ["classes:", *(_line(ClassEntry.model_construct(name=name, color=color)) for name, color in pairs)]
    )


def yaml_splits(splits: Iterable[str]) -> str:
    """The `splits` of a dataset.yaml whose folders are images/SPLIT and labels/SPLIT."""
    rows = [(in_braces(one), in_braces(f"images/{one}"), in_braces(f"labels/{one}")) for one in splits]
    return "\n".join(["splits:", *(f"  {one}: {{images: {images}, labels: {labels}}}" for one, images, labels in rows)])


def rule_line(rule: RandomSplit) -> str:
    """The key `split` of a dataset.yaml."""
    parts = [f"val: {rule.val:g}", *([f"test: {rule.test:g}"] if rule.test else [])]
    parts += [f"seed: {rule.seed}"] if rule.seed else []
    parts += [f"group_by: {in_braces(rule.group_by)}"] if rule.group_by else []
    return f"split: {{{', '.join(parts)}}}"

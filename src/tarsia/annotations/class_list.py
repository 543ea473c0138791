"""A file of classes: names, and which number or colour each of them has in the masks.

It is YAML as dataset.yaml has it (classes with color or values, ignore), or text: a class a line, a table with column
names, or a list or object as JSON and Python write them.  Where a list says numbers these count, and where it says none
they are the places in it, from 0.  A name that ends in `(ignored)` is no class: what it stands for becomes 255.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tarsia.annotations.class_lines import FORMS, Line, read_lines
from tarsia.annotations.class_table import role_of
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._labels import MAX_VALUE, LabelTable, Rgb, distinct_colors
from tarsia.data._layout import Layout
from tarsia.errors import DatasetError
from tarsia.plain_text import listed

_IGNORED = re.compile(r"\s*\(ignored\)$")
_NO_CLASS = re.compile(
    r"void|un_?label+ed|unlabel|ignored?|don_?t_?care|no_?label|undefined|unknown|none|no_?data|null", re.IGNORECASE
)
_HEX = re.compile(r"#([0-9a-f]{6})$", re.IGNORECASE)


@dataclass
class ClassList:
    """Classes, and how masks call them.

    `by_color`: by colours (True), by numbers (False), or as each mask has it.  `numbers`: each number's class, None
    for what is ignored; they are places in the list unless it is `numbered`.  `notes`: what a person should know.
    """

    classes: Classes
    table: LabelTable
    by_color: bool | None = None
    numbers: dict[int, str | None] = field(default_factory=dict)
    numbered: bool = True
    ignored: tuple[str, ...] = ()
    notes: list[tuple[str, str, int]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> ClassList:
        """The classes in a YAML or text file; RecipeError or DatasetError, with the line, where there are none."""
        if path.suffix.lower() in (".yaml", ".yml"):
            layout = Layout.load(path)
            by_color = None if layout.format is None else layout.format == "rgb"
            classes, table = layout.palette(), layout.table(str(path))
            names = dict(enumerate(classes.names))
            return cls(classes, table, by_color, {value: names.get(label) for value, label in table.values.items()})
        return _list(path, _checked(path, _read(path)))


def _read(path: Path) -> list[Line]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"{error}: save it as UTF-8"
        raise DatasetError(f"{path}: no list of classes, one a line ({reason})") from error
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return _literal(path, text)
    return read_lines(path, text)


def _literal(path: Path, text: str) -> list[Line]:
    """A list of names or of objects, or an object of names and numbers, as JSON or Python write it."""
    try:
        tree = _Plain().visit(ast.parse(text.strip(), mode="eval")).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise _strange(path, line, getattr(error, "msg", None) or str(error)) from error
    if isinstance(tree, ast.Dict) and None not in tree.keys:
        pairs = zip(tree.keys, tree.values, strict=True)  # not evaluated whole: of a key that stands twice one would go
        return [_of_pair(path, _value(path, key), value) for key, value in pairs if key is not None]
    if not isinstance(tree, ast.List | ast.Tuple):
        raise _strange(path, tree.lineno, "neither a list nor an object")
    return [_of_item(path, item) for item in tree.elts]


def _strange(path: Path, line: int, what: str) -> DatasetError:
    expected = '["road", "car"], {"0": "road", "1": "car"}, [{"id": 0, "name": "road"}]'
    return DatasetError(f"{path}:{line}: {what}; expected one of {expected}, or a class a line, as {FORMS}")


def _of_pair(path: Path, key: Any, value: ast.expr) -> Line:
    """`"2": "blue"` or `"blue": 2`."""
    found = _value(path, value)
    one, other = (key, found) if _whole(key) is not None else (found, key)
    number = _whole(one)
    if number is None or not isinstance(other, str) or _whole(other) is not None:
        raise _strange(path, value.lineno, f"{key!r}: {found!r} is no number with a name")
    return Line(value.lineno, f"{key!r}: {found!r}", other, number)


def _of_item(path: Path, item: ast.expr) -> Line:
    found = _value(path, item)
    if isinstance(found, str):
        return Line(item.lineno, repr(found), found)
    if isinstance(found, dict):
        words = {key: value for key, value in found.items() if isinstance(value, str) and _whole(value) is None}
        named = [value for key, value in words.items() if role_of(str(key)) == "name"]
        name = next(iter(named), None) or words.get("label") or words.get("class")
        number = _number(path, item, found)
        of = {role_of(str(key)): value for key, value in found.items()}
        color = of.get("color", [of[role] for role in ("red", "green", "blue") if role in of] or None)
        code = _HEX.match(color) if isinstance(color, str) else None
        if code:
            color = list(bytes.fromhex(code[1]))
        rgb = tuple(color) if isinstance(color, list | tuple) and all(type(part) is int for part in color) else None
        if name is not None and (color is None or (rgb is not None and len(rgb) == 3)):
            return Line(item.lineno, repr(found), name, number, rgb)
    raise _strange(path, item.lineno, f"{found!r} is no class")


def _number(path: Path, item: ast.expr, found: dict[Any, Any]) -> int | None:
    """The number of an object; DatasetError where several keys, or one of unknown name, may say it."""
    roles = {key: role_of(str(key)) for key, value in found.items() if value is not None}
    said = {key: _whole(found[key]) for key, role in roles.items() if role == "number"}
    said |= {
        key: _whole(found[key]) for key, role in roles.items() if role == "either" and _whole(found[key]) is not None
    }
    if None in said.values():
        raise _strange(path, item.lineno, f"{found!r} is no class")
    if len(set(said.values())) > 1:
        raise _strange(path, item.lineno, f"{listed([*map(str, said)])} say the number: keep one in {found!r}")
    unknown = [key for key, role in roles.items() if not role and _whole(found[key]) is not None]
    if unknown and not said:
        what = f"is {unknown[0]} the value in the masks? Call it id, or remove it in {found!r}"
        raise _strange(path, item.lineno, what)
    return next(iter(said.values()), None)


class _Plain(ast.NodeTransformer):
    """JSON's true, false and null as Python's."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        words = {"true": True, "false": False, "null": None}
        return ast.copy_location(ast.Constant(words[node.id]), node) if node.id in words else node


def _value(path: Path, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _strange(path, node.lineno, "a word without quotes") from error


def _whole(found: Any) -> int | None:
    if type(found) is int:
        return found
    return int(found) if isinstance(found, str) and re.fullmatch(r"-?\d{1,9}", found.strip()) else None


def _checked(path: Path, lines: list[Line]) -> list[Line]:
    """The lines, each name, number and colour once; DatasetError naming the line where it is otherwise."""
    seen: dict[tuple[str, Any], Line] = {}
    for line in lines:
        where = f"{path}:{line.at}: {line.text!r}"
        if not line.name.isprintable() or not line.name.strip():
            raise DatasetError(f"{where}: its name is {line.name!r}, expected printable characters")
        if line.number is not None and not 0 <= line.number <= MAX_VALUE:
            raise DatasetError(f"{where}: no mask holds the number {line.number}, expected 0 to {MAX_VALUE}: remove it")
        if line.color is not None and not all(0 <= part <= 255 for part in line.color):
            raise DatasetError(f"{where}: its colour is {list(line.color)}, expected 0 to 255")
        keys = [("the name", line.name), ("the number", line.number), ("the colour", line.color)]
        for key in keys[1:] if _IGNORED.search(line.name) else keys:
            if key[1] is not None and seen.setdefault(key, line) is not line:
                written = list(key[1]) if isinstance(key[1], tuple) else key[1]
                raise DatasetError(f"{where}: {key[0]} {written} stands in line {seen[key].at} too: each only once")
    for what, found in (("number", [line.number for line in lines]), ("colour", [line.color for line in lines])):
        if None in found and any(one is not None for one in found):
            at = lines[found.index(None)].at
            raise DatasetError(
                f"{path}:{at}: some classes have a {what} and some have none: give one to each, or to none"
            )
    return lines


def _list(path: Path, lines: Sequence[Line]) -> ClassList:
    numbered = any(line.number is not None for line in lines)
    placed = [line if line.number is not None else line._replace(number=place) for place, line in enumerate(lines)]
    ordered = sorted(placed, key=lambda line: line.number or 0)
    kept = [line for line in ordered if not _IGNORED.search(line.name)]
    if not 1 <= len(kept) <= MAX_CLASSES:
        raise DatasetError(f"{path}: lists {len(kept)} classes, expected 1 to {MAX_CLASSES}, one a line")
    own = [line.color for line in kept]
    free = iter(distinct_colors(own.count(None), [color for color in own if color]))
    names = tuple(line.name for line in kept)
    classes = Classes(names=names, colors=tuple(color or next(free) for color in own))
    labels = {line.number: names.index(line.name) if line in kept else IGNORED for line in ordered}
    values = {IGNORED: IGNORED} | {number: label for number, label in labels.items() if number is not None}
    colors: dict[Rgb, int] = {line.color: labels[line.number] for line in ordered if line.color}
    named = {line.number or 0: line.name if line in kept else None for line in ordered}
    ignored = tuple(_IGNORED.sub("", line.name) for line in ordered if line not in kept)
    table = LabelTable(values, colors, _remedy(path, numbered, lines))
    return ClassList(classes, table, bool(colors), named, numbered, ignored, _notes(path, numbered, ordered, names))


def _remedy(path: Path, numbered: bool, lines: Sequence[Line]) -> str:
    """What to do about a number or a colour that no line has."""
    add = f"add a line for it to {path}"
    if any(line.color for line in lines):
        return f"{add}, with `(ignored)` after its name if it is none of the classes"
    if numbered:
        return f"{add}, like its others, with `(ignored)` for a name if it is none of the classes"
    first = lines[0].name
    return f"{add}; its lines count from 0: if {first} is 1 in the masks, write the numbers too, as `1: {first}`"


def _notes(path: Path, numbered: bool, ordered: Sequence[Line], names: Sequence[str]) -> list[tuple[str, str, int]]:
    notes = []
    if numbered:
        first = f"{ordered[0].number} is {ordered[0].name}"
        notes.append((f"classes with the numbers that {path} gives them", first, len(ordered)))
    elif not any(line.color for line in ordered):
        notes.append(
            (f"classes by their places in {path}, which has no numbers", f"0 is {ordered[0].name}", len(ordered))
        )
    doubtful = [name for name in names if _NO_CLASS.fullmatch(re.sub(r"\W+", "_", name.strip()))]
    if doubtful:
        what = (
            f"classes learned and scored although their names may mean none (`{doubtful[0]} (ignored)` makes one 255)"
        )
        notes.append((what, doubtful[0], len(doubtful)))
    return notes

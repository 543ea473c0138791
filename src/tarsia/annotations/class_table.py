"""A list of classes with a line of column names at its head: `id,r,g,b,name`, `Pixel Value, Class` and their like."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError

_ROLES = {
    "number": "id ids value values pixelvalue pixel index idx no nr number num classid labelid categoryid classindex "
    "labelindex gray grey grayvalue greyvalue graylevel greylevel maskvalue labelvalue classvalue classnumber "
    "trainid key",
    "name": "name names classname labelname categoryname title",
    "either": "class classes label labels category categories description code",  # a name or a number: its cells tell
    "red": "r red",
    "green": "g green",
    "blue": "b blue",
    "color": "color colour hex hexcolor hexcolour colorhex colourhex rgb rgbcolor colorrgb html",
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_DELIMITERS = "\t;,|:"
_COMMENT = re.compile(r"\s#(\s.*)?$")
_HEX = re.compile(r"(?:#|0x)?([0-9a-f]{6})$", re.IGNORECASE)


def role_of(word: str) -> str:
    """What a column or key called `word` holds, one of `_ROLES`; "" where that is not known."""
    return _ROLE_OF.get(re.sub(r"[^a-z]", "", word.lower()), "")


class Header(NamedTuple):
    """What parts the columns (" " for any blanks), and what each is."""

    delimiter: str
    cells: list[str]
    roles: list[str]


def header_of(line: str) -> Header | None:
    """The columns that a line names; None where it names none."""
    delimiter = next((sign for sign in _DELIMITERS if sign in line), " ")
    cells = _cells(line, delimiter)
    roles = [role_of(cell) for cell in cells]
    named = "name" in roles or "either" in roles
    told = len(set(roles) - {""}) > 1 or roles.count("either") > 1
    return Header(delimiter, cells, roles) if named and told and not any(c.isdigit() for c in line) else None


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return [cell.strip("\"'") for cell in re.findall(r'"[^"]*"|\S+', line)]
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error:  # a cell longer than any name
        cells = line.split(delimiter)
    while cells and not cells[-1]:
        cells.pop()
    return cells


def table_rows(
    path: Path, header: Header, lines: Sequence[tuple[int, str]]
) -> Iterator[tuple[int, str, str, int | None, Rgb | None]]:
    """Line number, text, name, number and colour of each row below the header, which is the first of `lines`."""
    rows = [(at, text, _cells(_COMMENT.sub("", text), header.delimiter)) for at, text in lines[1:]]
    name = _name_column(path, header, lines[0], [cells for _, _, cells in rows])
    _check_unknown(path, header, lines[0], [cells for _, _, cells in rows])
    for at, text, cells in rows:
        more = len(cells) - len(header.cells)
        if header.delimiter == " " and more > 0:
            cells = [*cells[:name], " ".join(cells[name : name + more + 1]), *cells[name + more + 1 :]]
        if len(cells) != len(header.cells):
            what = f"{len(cells)} columns, expected {len(header.cells)}: {', '.join(header.cells)} (quote a name)"
            raise DatasetError(f"{path}:{at}: {text!r}: {what}")
        yield at, text, cells[name], *_numbers(path, at, text, header, name, cells)


def _name_column(path: Path, header: Header, first: tuple[int, str], rows: Sequence[Sequence[str]]) -> int:
    """Which column holds the names: the one called so, else the one of those that might that holds no numbers."""
    certain = [index for index, role in enumerate(header.roles) if role == "name"]
    likely = [index for index, role in enumerate(header.roles) if role == "either"]
    worded = [i for i in likely if not all(row[i].isdecimal() for row in rows if i < len(row))]
    chosen = certain or worded
    if len(chosen) != 1:
        found = f"{len(chosen)} columns may be the names" if chosen else "no column holds names"
        raise DatasetError(f"{path}:{first[0]}: {first[1]!r}: {found}: call one `name`")
    return chosen[0]


def _check_unknown(path: Path, header: Header, first: tuple[int, str], rows: Sequence[Sequence[str]]) -> None:
    """DatasetError where no column is known to be the number and one of another name may be."""
    if {"number", "either"} & set(header.roles):
        return
    for index, (cell, role) in enumerate(zip(header.cells, header.roles, strict=True)):
        column = [row[index] for row in rows if index < len(row)]
        if not role and column and all(map(str.isdecimal, column)):
            what = f"is the column {cell or index + 1} the value in the masks? Call it `id`, or remove it"
            raise DatasetError(f"{path}:{first[0]}: {first[1]!r}: {what}")


def _numbers(
    path: Path, at: int, text: str, header: Header, name: int, cells: Sequence[str]
) -> tuple[int | None, Rgb | None]:
    """The number and the colour of a row."""
    columns: dict[str, list[str]] = {}
    for index, (role, cell) in enumerate(zip(header.roles, cells, strict=True)):
        if index != name:
            columns.setdefault("number" if role == "either" and cell.isdecimal() else role, []).append(cell)
    for role in ("number", "red", "green", "blue", "color"):
        if len(columns.get(role, ())) > 1:
            raise DatasetError(f"{path}:{at}: {text!r}: {len(columns[role])} columns say the {role}: keep one")
    parts = [columns[role][0] for role in ("red", "green", "blue") if role in columns]
    if "color" in columns:
        parts = _parts(columns["color"][0])
    wrong = [cell for cell in (*columns.get("number", ()), *parts) if not cell.isdecimal()]
    if wrong or len(parts) not in (0, 3):
        what = f"{wrong[0]!r} is no whole number" if wrong else "no colour of three numbers"
        raise DatasetError(f"{path}:{at}: {text!r}: {what}")
    color = (int(parts[0]), int(parts[1]), int(parts[2])) if parts else None
    return (int(columns["number"][0]) if "number" in columns else None), color


def _parts(cell: str) -> list[str]:
    """`#808000`, `128 128 0` or `(128, 128, 0)` as three numbers."""
    found = _HEX.match(cell)
    if found:
        return [str(part) for part in bytes.fromhex(found[1])]
    return re.findall(r"[^\s,;()\[\]]+", re.sub(r"^rgb", "", cell, flags=re.IGNORECASE)) or [cell]

"""A list of classes as text, a class a line: names, numbers, colours; what could be read two ways is refused.

A line holds a name, and before or after it a number (the value in the masks), a colour (three numbers, or six digits
after `#`), or both.  All lines have the same form.  What a blank alone parts from the name (`7 eleven`) is a number
only where all lines have one, each once, and 0 or 1 is among them; quotes keep a name whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia.annotations.class_table import header_of, table_rows
from tarsia.data._labels import Rgb
from tarsia.errors import DatasetError

FORMS = "`road`, `1: road`, `road, 128, 64, 128`, `1, 128, 64, 128, road` or `road, #804080`"
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"]|"")*"|'[^']*')(?=[\s,;:|=]|$)|(?P<part>[-=]>|[,;:|=]|-(?=\s))|(?P<word>(?:(?![-=]>)[^\s,;:|=])+))"""
)
_CVAT = re.compile(r"(?P<name>[^:]+):(?P<color>\d+,\d+,\d+)?:[^:]*:[^:]*$")
_BRACKETS = re.compile(r"(?:rgb)?[(\[{]\s*(\d+)[\s,;]+(\d+)[\s,;]+(\d+)\s*[)\]}]", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+$")
_ORDINAL = re.compile(r"(\d+)[.)]$")  # `1.` or `1)`
_HEX = re.compile(r"(?:#|0x)([0-9a-f]{6})$", re.IGNORECASE)
_ANY_HEX = re.compile(r"#[0-9a-f]{3,8}$", re.IGNORECASE)
_BESIDE = re.compile(r"\W*\d+\W+\w|\W*(class|label|id|value|index)\W*\d+\W+\w|.*[(\[{]\s*\d+\s*[)\]}]$", re.IGNORECASE)
_IGNORED = "(ignored)"
_NAMES = frozenset({"name", "names", "class", "classes", "label", "labels", "category", "categories"})


class Line(NamedTuple):
    """What one line says.  `number`, a `color` of three numbers: as written, not yet checked."""

    at: int
    text: str
    name: str
    number: int | None = None
    color: Rgb | None = None


class _Token(NamedTuple):
    kind: str  # quoted, part (what stands between) or word
    text: str
    start: int
    end: int


class _Row(NamedTuple):
    """A line taken apart.  `lead_loose`, `trail_loose`: a blank alone is between the name and the number beside it."""

    at: int
    text: str
    name: str
    lead: tuple[int, ...] = ()
    trail: tuple[int, ...] = ()
    color: Rgb | None = None
    lead_loose: bool = False
    trail_loose: bool = False
    parts: str = ""  # what stands between words of the name
    joint: str = ""  # what stands between the name and its numbers
    quoted: bool = False
    own: tuple[int, ...] = ()  # a number that may be the name's

    def form(self) -> tuple[int, int, bool]:
        return len(self.lead), len(self.trail), self.color is not None


def read_lines(path: Path, text: str) -> list[Line]:
    """The classes of a text; DatasetError naming the line that is none, or that could be read two ways."""
    lines = [(at, line.strip()) for at, line in enumerate(text.splitlines(), 1)]
    lines = [(at, line) for at, line in lines if line and not _is_comment(line)]
    if not lines:
        return []
    header = header_of(lines[0][1])
    if header is not None:
        return [Line(*row) for row in table_rows(path, header, lines)]
    rows = [_row(path, at, line) for at, line in lines]
    if len(rows) > 1 and rows[0].name.lower() in _NAMES and not rows[0].quoted and rows[0].form() == (0, 0, False):
        at, line = lines[0]
        raise _fault(path, at, line, "the head of a column, or a class of this name? Remove the line, or quote it")
    rows = _settled(path, rows)
    _check_names(path, rows)
    return [_line(path, row, rows) for row in rows]


def _fault(path: Path, at: int, text: str, what: str) -> DatasetError:
    return DatasetError(f"{path}:{at}: {text!r}: {what}; expected a class a line, all of one form, as {FORMS}")


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not (_HEX.match(line.split()[0].rstrip(",;:")) and len(line.split()) > 1)


def _row(path: Path, at: int, line: str, nameless: bool = False) -> _Row:
    found = _CVAT.match(line)
    if found:
        numbers = tuple(map(int, found["color"].split(","))) if found["color"] else ()
        return _Row(at, line, found["name"].strip(), trail=numbers, joint=":")
    if line.startswith(("- ", "* ", "//")):
        raise _fault(path, at, line, "a bullet or part of the name? Remove it")
    plain = _BRACKETS.sub(r", \1, \2, \3 ,", line)
    at_the_end = plain.endswith(_IGNORED) and not nameless  # of the line it may stand too, not only of the name
    plain = plain.removesuffix(_IGNORED).rstrip() if at_the_end else plain
    tokens = _tokens(path, at, line, plain)
    while tokens and tokens[-1].kind == "part":
        tokens.pop()
    lead, color, first = _peeled(tokens)
    trail, other, last = _peeled(tokens[first:][::-1], backwards=True)
    middle = tokens[first : len(tokens) - last]
    if not middle and at_the_end:
        return _row(path, at, line, nameless=True)
    if not middle:
        raise _fault(path, at, line, "no name (quote one of digits alone)")
    if color and other:
        raise _fault(path, at, line, "two colours")
    quoted = len(middle) == 1 and middle[0].kind == "quoted"
    name = _unquoted(middle[0].text) if quoted else plain[middle[0].start : middle[-1].end].strip("\"'")
    name = f"{name} {_IGNORED}" if at_the_end else name
    before, after = tokens[first - 1 : first] if first else [], tokens[len(tokens) - last :][:1]
    joints = "".join(token.text for token in (*before, *after) if token.kind == "part")
    return _Row(
        at,
        line,
        name,
        tuple(lead),
        tuple(trail[::-1]),
        color or other,
        lead_loose=len(lead) > 0 and before[0].kind != "part" and not _ORDINAL.match(tokens[0].text),
        trail_loose=len(trail) > 0 and after[0].kind != "part",
        parts="" if quoted else "".join(token.text for token in middle if token.kind == "part"),
        joint=joints,
        quoted=quoted,
    )


def _tokens(path: Path, at: int, line: str, plain: str) -> list[_Token]:
    """The words of a line and what stands between them, up to a comment; tabs part as commas do."""
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(plain):
        kind = found.lastgroup or ""
        text = found[kind] if kind else ""
        gap = plain[found.start() : found.start(kind)] if kind else ""
        if kind == "word" and text.startswith("#") and not _HEX.match(text):
            if not text.strip("#"):
                break
            what = "six digits make a colour." if _ANY_HEX.match(text) else "a comment, or part of the name?"
            raise _fault(path, at, line, f"{text}: {what} Put a blank after # for a comment, or quote the name")
        if "\t" in gap and tokens and tokens[-1].kind != "part" and kind != "part":
            tokens.append(_Token("part", "\t", found.start(), found.start()))
        if kind:
            tokens.append(_Token(kind, text, found.start(kind), found.end(kind)))
    return tokens


def _peeled(tokens: Sequence[_Token], backwards: bool = False) -> tuple[list[int], Rgb | None, int]:
    """The numbers and the colour at an end of a line, and how many tokens they are."""
    numbers: list[int] = []
    color: Rgb | None = None
    taken = 0
    for token in tokens:
        ordinal = _ORDINAL.match(token.text) if not taken and not backwards else None
        found = _HEX.match(token.text)
        if token.kind == "word" and (_NUMBER.match(token.text) or ordinal):
            numbers.append(int(ordinal[1] if ordinal else token.text))
        elif token.kind == "word" and found and color is None:
            color = _three(bytes.fromhex(found[1]))
        elif token.kind != "part":
            break
        taken += 1
    return numbers, color, taken


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text[0] == '"' else text[1:-1]


def _settled(path: Path, rows: list[_Row]) -> list[_Row]:
    """The rows, with numbers that belong to names given back to them; DatasetError where that is not clear."""
    rows = [_with_own_number(row) for row in rows]
    loose = [row for row in rows if (row.trail_loose and len(row.trail) == 1) or row.own]
    if loose:
        bare = [row.name for row in loose]
        if len(loose) == len(rows) and len(set(bare)) == len(bare):
            row = loose[0]
            value = (row.own or row.trail)[0]
            what = f"the value {value} called {row.name}, or a class called {row.name} {value}?"
            raise _fault(path, row.at, row.text, f"{what} Write `{value}: {row.name}`, or quote the whole name")
        rows = [_renamed(row) if row in loose else row for row in rows]
    loose = [row for row in rows if row.lead_loose and len(row.lead) == 1]
    numbers = [row.lead[0] for row in loose]
    if loose and not (len(rows) == len(loose) > 1 and len(set(numbers)) == len(numbers) and {0, 1} & set(numbers)):
        row = loose[0]
        what = f"the value {row.lead[0]} called {row.name}, or a class called {row.lead[0]} {row.name}?"
        raise _fault(path, row.at, row.text, f"{what} Write `{row.lead[0]}: {row.name}`, or quote the whole name")
    _check_form(path, rows)
    return rows


def _with_own_number(row: _Row) -> _Row:
    """A number that stands with the name, or may: `0: lane 1`, `7 eleven: 3`, `lane 1, 9, 9, 9`."""
    if len(row.lead) == 1 and not row.lead_loose and row.trail_loose and len(row.trail) == 1:
        return _renamed(row)
    if len(row.trail) == 1 and not row.trail_loose and row.lead_loose and len(row.lead) == 1:
        return row._replace(name=f"{row.lead[0]} {row.name}", lead=(), lead_loose=False)
    if len(row.trail) == 4 and row.trail_loose and re.search(rf"\s{row.trail[0]}\s*[,;:|\t]", row.text):
        return row._replace(own=row.trail[:1], trail=row.trail[1:], trail_loose=False)
    return row


def _renamed(row: _Row) -> _Row:
    """The row with the number after its name as a part of that."""
    if row.own:
        return row._replace(name=f"{row.name} {row.own[0]}", own=())
    return row._replace(name=f"{row.name} {row.trail[0]}", trail=(), trail_loose=False)


def _check_form(path: Path, rows: list[_Row]) -> None:
    forms = {row.form() for row in rows[1:]}
    if rows[0].form() == (0, 0, False) and len(forms) == 1 and forms != {rows[0].form()} and len(rows) > 2:
        what = "no number where all other lines have some: if it names the columns, call them id, name, r, g, b"
        raise _fault(path, rows[0].at, rows[0].text, what)
    colored = [row.color is not None or len(row.lead) >= 3 or len(row.trail) >= 3 for row in rows]
    if any(colored) and not all(colored):
        row = rows[colored.index(not colored[0])]
        what = "some classes have a colour and some have none: give one to each, or to none"
        raise _fault(path, row.at, row.text, what)
    for row in rows:
        if row.form() != rows[0].form():
            have, other = (f"{sum(one.form()[:2])} numbers" for one in (row, rows[0]))
            what = f"{have} where line {rows[0].at} has {other}"
            if sum(row.form()[:2]) == sum(rows[0].form()[:2]):
                what = f"its numbers stand elsewhere than those of line {rows[0].at}"
            raise _fault(path, row.at, row.text, what)


def _check_names(path: Path, rows: list[_Row]) -> None:
    """DatasetError for names that may be several columns, or that hold numbers."""
    for row in rows:
        if row.parts and any(part in row.joint for part in row.parts):
            raise _fault(path, row.at, row.text, "a further column, or part of the name? Remove it, or quote the name")
        if re.search(r"\d+[\s,;:]+\d+[\s,;:]+\d+", row.name) and not row.quoted:
            raise _fault(path, row.at, row.text, "numbers amid the name: move them to an end, or quote the name")
    plain = [row for row in rows if not row.quoted]
    if len(plain) < len(rows) or rows[0].form() != (0, 0, False):
        return
    row = rows[0]
    if all(row.parts and row.parts == rows[0].parts for row in rows):
        raise _fault(
            path,
            row.at,
            row.text,
            f"`{row.parts}` in each line: columns, or part of the names? Quote the names, each whole, and no number",
        )
    if all(_BESIDE.match(row.name) for row in rows):
        raise _fault(path, row.at, row.text, "a number and a name, or a name? Write `number: name`, or quote the names")


def _line(path: Path, row: _Row, rows: list[_Row]) -> Line:
    number, parts = sorted((row.lead, row.trail), key=len)
    if not number and len(parts) == 4 and row.color is None:
        number, parts = (parts[:1], parts[1:]) if _place_of_number(path, rows) == 0 else (parts[3:], parts[:3])
    elif not number and len(parts) == 1:
        number, parts = parts, number
    if len(number) > 1 or (parts and (len(parts) != 3 or row.color is not None)):
        raise _fault(path, row.at, row.text, f"{len(row.lead) + len(row.trail)} numbers")
    return Line(row.at, row.text, row.name, number[0] if number else None, _three(parts) if parts else row.color)


def _place_of_number(path: Path, rows: list[_Row]) -> int:
    """Of four numbers, which is no part of the colour: the first or the last, whichever counts upwards."""
    fours = [row.lead or row.trail for row in rows]
    columns = {place: [four[place] for four in fours] for place in (0, 3)} if len(fours) > 1 else {}
    upwards = [place for place, column in columns.items() if column == sorted(set(column))]
    from_0, from_1 = list(range(len(fours))), list(range(1, len(fours) + 1))
    by_one = [place for place in upwards if columns[place] in (from_0, from_1)]
    places = by_one if len(by_one) == 1 else upwards
    if len(places) != 1:
        row = rows[0]
        what = "four numbers: is the first the value in the masks, or the last? Begin with a line of column names"
        raise _fault(path, row.at, row.text, f"{what}, as `id, r, g, b, name`")
    return places[0]


def _three(numbers: Sequence[int]) -> Rgb:
    return numbers[0], numbers[1], numbers[2]

"""A JSON file one value after the other: the entries of its lists come each with its place, and none is kept.

Values are read by Python's own decoder, so that what it takes (NaN, numbers of any length, a key that stands twice) and
what it says of a damaged file are the same as of a file that is read whole.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tarsia.annotations.trees import faults_of, no_utf8

_BLOCK = 1 << 20  # bytes that are read at once
_NEAR = 16  # signs from the end at which a value that is cut there may be found faulty
_BLANKS = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


class Span(NamedTuple):
    """Where a value stands in its file, in bytes."""

    at: int
    length: int


class Part(NamedTuple):
    """What stands under a key of the outermost object; under None, what is no object.

    A list is an empty one first, without a span, and then its entries, each with the span of its own.
    """

    key: str | None
    value: Any
    span: Span | None = None


def parts(path: Path) -> Iterator[Part]:
    """All of a JSON file, in its order; DatasetError, as of `load_json`, where it is damaged, once that is reached."""
    with faults_of(path), path.open("rb") as file:
        text = _Text(file)
        first = text.next()
        if first == "{":
            yield from _of_object(text)
        elif first == "[":
            yield from _of_list(text, None)
        else:
            yield Part(None, text.value())
        if text.next():
            raise text.fault("Extra data")


def _of_object(text: _Text) -> Iterator[Part]:
    text.skip()
    sign = text.next()
    if sign == "}":
        return text.skip()
    while True:
        if sign != '"':
            raise text.fault("Expecting property name enclosed in double quotes")
        key = text.value()
        if text.next() != ":":
            raise text.fault("Expecting ':' delimiter")
        text.skip()
        if text.next() == "[":
            yield from _of_list(text, key)
        else:
            yield Part(key, text.value())
        if text.ends("}"):
            return None
        sign = text.next()


def _of_list(text: _Text, key: str | None) -> Iterator[Part]:
    yield Part(key, [])
    text.skip()
    if text.next() == "]":
        return text.skip()
    while True:
        text.next()
        at = text.at
        value = text.value()
        yield Part(key, value, Span(at, text.at - at))
        if text.ends("]"):
            return None


class _Text:
    """A window on the text of a file, which grows where a value is longer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder("utf-8")()
        self._text, self._place, self._ended = "", 0, False
        self._signs = self._lines = self._line = 0  # before the window: signs, lines, and where the last line begins
        self.at = 3 if file.read(3) == codecs.BOM_UTF8 else 0  # the byte at which it stands
        file.seek(self.at)

    def next(self) -> str:
        """The next sign that is no blank, which is not passed; "" at the end."""
        while True:
            self._pass(_BLANKS.match(self._text, self._place).end())  # type: ignore[union-attr]
            if self._place < len(self._text):
                return self._text[self._place]
            if self._ended:
                return ""
            self._more()

    def skip(self) -> None:
        """Pass one sign."""
        self._pass(self._place + 1)

    def ends(self, sign: str) -> bool:
        """Pass the end of a list or object, or the comma before its next entry; ValueError for anything else."""
        found = self.next()
        if found not in (sign, ",") or not found:
            raise self.fault("Expecting ',' delimiter")
        self.skip()
        return found == sign

    def value(self) -> Any:
        """The value that begins here, which is passed; ValueError or RecursionError where it is none."""
        while True:
            try:
                value, end = _decode(self._text, self._place)
                if end < len(self._text) - 2 or self._ended:  # a number may go on, as 1 in 1e+6
                    self._pass(end)
                    return value
            except json.JSONDecodeError as error:
                cut = error.pos > len(self._text) - _NEAR or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    raise self.fault(error.msg, error.pos) from error
            self._more()

    def fault(self, what: str, place: int | None = None) -> ValueError:
        """The decoder's error, with its place in the file."""
        place = self._place if place is None else place
        line = self._text.count("\n", 0, place)
        begin = self._signs + self._text.rfind("\n", 0, place) + 1 if line else self._line
        signs = self._signs + place
        return ValueError(f"{what}: line {self._lines + line + 1} column {signs - begin + 1} (char {signs})")

    def _pass(self, end: int) -> None:
        plain = self._text.isascii()
        self.at += end - self._place if plain else len(self._text[self._place : end].encode())
        self._place = end

    def _more(self) -> None:
        """Leave behind what is passed, and read as much as is left, at least a block."""
        lines = self._text.count("\n", 0, self._place)
        if lines:
            self._line = self._signs + self._text.rfind("\n", 0, self._place) + 1
        self._lines, self._signs = self._lines + lines, self._signs + self._place
        left, self._place = self._text[self._place :], 0
        block = self._file.read(max(_BLOCK, len(left)))
        self._ended = not block
        try:
            self._text = left + self._decoder.decode(block, final=self._ended)
        except UnicodeDecodeError as error:
            at = self._file.tell() - len(error.object) + error.start
            raise no_utf8(Path(self._file.name), error.object[error.start], at) from error

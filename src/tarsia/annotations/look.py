"""A look into a file: its first keys, elements or columns, which tell what program wrote it, whatever its name."""

from __future__ import annotations

import csv
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from tarsia.annotations.streamed import parts
from tarsia.errors import DatasetError

_PEEK_BYTES = 65_536
_FEW, _MANY = 300, 20_000  # signs of a JSON that are looked at first, and where these tell nothing
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|([{}\[\]])')
_TAG = re.compile(rb"<([A-Za-z_][\w.-]*)")
_DEEPEST = 5


class Look:
    """One file, `where` its bytes begin; what of it is asked for is found out once."""

    def __init__(self, path: Path) -> None:
        """DatasetError for a file that cannot be read."""
        self.path = path
        try:
            with path.open("rb") as file:
                self.start = file.read(_PEEK_BYTES)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error

    @cached_property
    def keys(self) -> frozenset[str]:
        """Where the keys of a JSON stand: `images[]` (a list), `images[].id`, `[].data`; any of an object's `*.size`.

        Of its first keys alone, with `more` of many, of whatever size it is.
        """
        return frozenset(_keys(self.start, _FEW)) if self.is_json else frozenset()

    @cached_property
    def more(self) -> frozenset[str]:
        """As `keys`, of all of the first 64 KB, and where that is not all, of the whole, of which nothing is kept."""
        found = frozenset(_keys(self.start, _MANY)) if self.is_json else frozenset()
        if not self.is_json or len(self.start) < _PEEK_BYTES:
            return found
        try:
            return found | frozenset(_of_parts(self.path))
        except DatasetError:
            return found

    @property
    def is_json(self) -> bool:
        return self.start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")

    def contains(self, word: bytes) -> bool:
        """Whether `word` stands anywhere in the file."""
        if word in self.start or len(self.start) < _PEEK_BYTES:
            return word in self.start
        before = b""
        with self.path.open("rb") as file:
            while block := file.read(1 << 22):
                if word in before + block:
                    return True
                before = block[-len(word) :]
        return False

    @cached_property
    def elements(self) -> list[str]:
        """The names of an XML's first elements, the root's first."""
        if not self.start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            return []
        plain = re.sub(rb"<!--.*?-->", b"", self.start, flags=re.DOTALL)
        return [found.decode() for found in _TAG.findall(plain)]

    @cached_property
    def columns(self) -> list[str]:
        """The first line of a table, a cell each, without blanks around."""
        line = self.start.decode("utf-8-sig", "replace").partition("\n")[0]
        return [cell.strip() for cell in next(csv.reader([line.strip()]), [])]


def _keys(start: bytes, most: int) -> set[str]:
    found: set[str] = set()
    stack: list[str] = []  # what leads to each open object or list
    key = ""
    for number, token in enumerate(_TOKEN.finditer(start)):
        text, colon, sign = token.groups()
        if number == most:
            break
        if sign in (b"{", b"["):
            here = key or (stack[-1] if stack else "")
            stack.append(f"{here}[]" if sign == b"[" else here)
            if sign == b"[" and key:
                found.add(stack[-1])
            key = ""
        elif sign:
            key = ""
            if stack:
                stack.pop()
        elif colon and stack and len(stack) <= _DEEPEST:
            name = text.decode("utf-8", "replace")
            key = f"{stack[-1]}.{name}".removeprefix(".")
            found.add(key)
            if len(stack) == 2 and stack[-1] and not stack[0] and not stack[-1].endswith("]"):
                found.add(f"*.{name}")
        elif not colon:
            key = ""
    return found


def _of_parts(path: Path) -> set[str]:
    """The same of a whole JSON: all keys of its objects, and of the first three entries of its lists."""
    found: set[str] = set()
    entries: Counter[str] = Counter()
    keys = 0
    for key, value, span in parts(path):
        of = f"{key or ''}[]"
        keys += span is None
        if keys > 1000:
            break
        if span is not None:
            entries[of] += 1
            found |= _of_tree(value, of, 1 if key is None else 2) if entries[of] <= 3 else set()
        elif key is not None:
            found |= {key, *([of] if isinstance(value, list) else [])}
            found |= _of_tree(value, key, 1)
    return found


def _of_tree(tree: Any, prefix: str, depth: int) -> set[str]:
    """The same of what stands under a key."""
    if depth == _DEEPEST:
        return set()
    found: set[str] = set()
    if isinstance(tree, list):
        for entry in tree[:3]:
            found |= _of_tree(entry, f"{prefix}[]", depth + 1)
    elif isinstance(tree, dict):
        for name, value in list(tree.items())[:1000]:
            key = f"{prefix}.{name}".removeprefix(".")
            found |= {key, *([f"{key}[]"] if isinstance(value, list) else [])}
            found |= {f"*.{name}"} if depth == 1 and prefix and not prefix.endswith("]") else set()
            found |= _of_tree(value, key, depth + 1)
    return found

"""A data set as text, `NAME[:ROOT][,key=value...]`: taken apart, and what stands in it quoted."""

from __future__ import annotations

import re
from typing import Any

from tarsia.data._handed_in import is_handed_in
from tarsia.errors import DatasetError

OWN = re.compile(r'((?:[^:,"]*\.py(?::[A-Za-z_]\w*)?|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+:[A-Za-z_]\w*))(?=[:,]|\Z)')
_FORM = "expected NAME[:ROOT][,key=value...], as camvid:data/camvid or folder:photos,split=val"


def parse(spec: str) -> tuple[str, str | None, dict[str, str]]:
    """`NAME[:ROOT][,key=value...]` -> name, root or None, options as text.

    A root or value with a comma, or one that begins with a quote, stands in double quotes, where `""` is a quote.
    Raises DatasetError with the expected form; whether name and options exist is `open`'s to say.
    """
    head = spec.partition(",")[0]
    name, root, at = head.partition(":")[0], "", len(head.partition(":")[0])
    if is_handed_in(spec):
        return spec, None, {}
    if own := OWN.match(spec):
        name, at = own[1], own.end()
    elif not name.isidentifier():
        near = (
            f"; is it a folder? then write folder:{head} or another data set's name"
            if "/" in head or "." in head
            else ""
        )
        raise DatasetError(f"{spec!r}: no data set's name before ':'{near}; {_FORM}")
    if colon := spec[at : at + 1] == ":":
        root, at = _unquoted(spec, at + 1)
    if colon and not root:
        raise DatasetError(f"{spec!r}: no folder after ':'; {_FORM}")
    options: dict[str, str] = {}
    while at < len(spec):
        part = spec[at + 1 :].partition(",")[0]
        key, equals, _ = part.partition("=")
        if not equals or not key.isidentifier() or part == f"{key}=":
            raise DatasetError(
                f"{spec!r}: {part!r} is not key=value (what holds a comma stands in double quotes, as "
                f'folder:"a, b"); {_FORM}'
            )
        if key in ("root", "name", "cache"):
            raise DatasetError(f"{spec!r}: {key} cannot be given as an option; {_FORM}")
        if key in options:
            raise DatasetError(f"{spec!r}: {key} is given twice")
        options[key], at = _unquoted(spec, at + 1 + len(key) + 1)
    return name, root or None, options


_TEXT = re.compile(r'"((?:[^"]|"")*)"(?=,|\Z)|([^",][^,]*|)')


def _unquoted(spec: str, at: int) -> tuple[str, int]:
    """The root or value that begins at `at`, and where it ends: at a comma or with the text."""
    found = _TEXT.match(spec, at)
    if found is None or (found.end() == at and spec[at : at + 1] == '"'):
        raise DatasetError(f"{spec!r}: a quote that is not closed before a comma or the end; {_FORM}")
    inside, simple = found.groups()
    return (simple if inside is None else inside.replace('""', '"')), found.end()


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if not value or "," in value or value.startswith('"') else value


def written(value: Any) -> str:
    """A value as text, which `_coerced` reads again: a size (240, 320) as 240x320."""
    return quoted("x".join(map(str, value)) if isinstance(value, list | tuple) else str(value))

"""How names, numbers, lists and commands are written for a person.

As plain text, never as markup, escapes, or words a shell splits.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable, Sequence

_NO_ADDRESS = re.compile(r"[^A-Za-z0-9._-]+")


def number(count: int, what: str, many: str = "") -> str:
    """`1 picture`, `3 pictures`, `1,200 label files`; `many` is the plural where an s does not make it."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"


def decimal(value: float | None, digits: int = 4) -> str:
    """A figure as `0.1235`, `-` where it is not defined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def be(count: int) -> str:
    """`is` or `are`."""
    return "is" if count == 1 else "are"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def some(names: Iterable[str], most: int = 5, between: str = ", ") -> str:
    """The first `most` of some names, and how many more there are: `a, b, c and 4 more`."""
    names = list(names)
    more = len(names) - most
    return between.join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def first_line(error: BaseException) -> str:
    """What an error says, up to its first line break; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def shortened(text: str, length: int = 60, end: str = "...") -> str:
    """`text`, its end cut off for dots where it is longer than `length`."""
    return text if len(text) <= length else text[: length - len(end)].rstrip() + end


def for_address(name: str) -> str:
    """A name with `-` for what an address cannot hold, "" where nothing is left: of a model in a service."""
    return _NO_ADDRESS.sub("-", name).strip("._-")[:64]


def plain(text: object, lines: bool = False) -> str:
    r"""`text` with every character that does not print as `\x1b`, `\n`, `\u202e`; plain text stays as it is.

    Those are all control characters, what turns the direction of writing, and halves of surrogate pairs.  With `lines`
    its line breaks stay: for text of our own, whose names are plain already.
    """
    found = str(text)
    if found.isprintable():
        return found
    return "".join(c if c.isprintable() or (lines and c == "\n") else _escaped(c) for c in found)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def command(*words: object) -> str:
    r"""`tarsia` and `words` as one line for a shell, which gives these very words back.

    A path that begins with a dash gets `./` before it, so that it is no option; what does not print is written as
    `$'\033'`, which bash, zsh and ksh read.
    """
    return " ".join(["tarsia", *map(quoted, words)])


def quoted(word: object) -> str:
    """One word of a command line as a shell takes it."""
    text = str(word)
    if isinstance(word, os.PathLike) and text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_in_dollars, text)) + "'"


def _in_dollars(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character in "\\'" else character
    # Octal, as a hexadecimal escape would go on into letters after it.  Half a pair may be a byte of a file's name.
    rule = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", rule))

"""Everything Tarsia says no with.

    TarsiaError
    ├── RecipeError        a recipe or dataset.yaml: unknown key, wrong type, out of range
    ├── DatasetError       a data set: missing partner, other size, strange label value
    │   └── NoSplitError   a split that it does not have
    ├── ImageError         one picture: truncated, not a picture
    │   ├── TooLargeError  more pixels than may be decoded, or than the model may see
    │   └── ScoresError    a model whose scores of it are no numbers
    ├── ModelFileError     a model file: cut, flipped, from another program, a pickle
    ├── TrainingError      a training that cannot go on: loss not finite, out of memory
    ├── ExportError        an export that would change the model's answers
    ├── OutputError        a result that cannot be written: exists already, a folder in its place
    │   └── NoRoomError    nor can the next one: disk full, quota used up, read-only
    └── MissingExtraError  a feature whose optional packages are not installed

A message says where, what was found, what was expected (or is nearest), and what to do.
The command line prints the message alone and exits 2.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator

from tarsia import environment
from tarsia.plain_text import plain

_TORCH = "https://pytorch.org/get-started/locally/"  # its own page: which build a machine needs it alone knows
TOLD = 100  # faults of a recipe; more than that nobody reads


class TarsiaError(Exception):
    """Base of every error a user can cause or mend, told in one or more lines.

    A line is plain text: what it quotes, as the name of a file or class, forges no other line and moves no cursor.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*(plain(line) for line in lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class RecipeError(TarsiaError):
    """A recipe, study or dataset.yaml does not say what it must; lists every fault at once, the first 100 of more."""

    def __str__(self) -> str:
        more = len(self.args) - TOLD
        return "\n".join([*self.args[:TOLD], *([f"... and {more:,} more"] if more > 0 else [])])


class DatasetError(TarsiaError):
    """A data set is incomplete or a sample breaks its promises."""


class NoSplitError(DatasetError):
    """A data set has no split of that name."""


class ImageError(TarsiaError):
    """A picture cannot be read as one."""


class TooLargeError(ImageError):
    """A picture has more pixels than the limit, or than there is memory for."""


class ScoresError(ImageError):
    """What a model says of a picture is NaN or infinite: from no such number follows a label."""


class ModelFileError(TarsiaError):
    """A file is not a sound Tarsia model file."""


class TrainingError(TarsiaError):
    """Training cannot go on."""


class ExportError(TarsiaError):
    """An exported model would not answer as the original does."""


class OutputError(TarsiaError):
    """A result cannot be written."""


class NoRoomError(OutputError):
    """A result cannot be written, and nor can those after it; `fault` says why without what to do."""

    def __init__(self, fault: str, advice: str = "make room, or choose another folder") -> None:
        super().__init__(f"{fault}; {advice}")
        self.fault = fault


class MissingExtraError(TarsiaError):
    """A feature needs packages of an optional extra."""

    def __init__(self, feature: str, extra: str) -> None:
        line = environment.install_line(extra)
        first = (
            f"; without a GPU, torch's CPU build first: {_TORCH}"
            if re.search(r"(?<![\w-])torch(?![\w-])", line)
            else ""
        )
        what = f"{feature} needs packages that are not installed (the extra `{extra}`)"
        super().__init__(f"{what}{line and ': ' + line}{first}")


@contextlib.contextmanager
def needs(feature: str, extra: str) -> Iterator[None]:
    """Imports within that fail for want of another's package are a MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "tarsia":
            raise
        raise MissingExtraError(feature, extra) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean X?` for a misspelt word, or the known words where nothing is near."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f", did you mean {close[0]}?"
    return f"; known: {', '.join(sorted(known))}" if known else ""

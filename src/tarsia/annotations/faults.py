"""What is wrong with a source of annotations: all of it, and which pictures it costs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tarsia.errors import DatasetError, ImageError
from tarsia.plain_text import number

_SHOWN = 100  # in one message; the list that is written with `skip_bad` has all
_OFFER = "`skip_bad=True` leaves out what has a fault, converts the rest and lists what it left out"


class Fault(NamedTuple):
    """`what` names the place; `picture` is what is left out for it, "" where it belongs to none.

    A picture is its file, with the split where there are several: one file may be in two.
    """

    what: str
    picture: str = ""


class Faults:
    """Faults in the order in which they were found.

    A picture with a fault is left out whole: a label map that lacks one of its objects would be a wrong answer.
    """

    def __init__(self) -> None:
        self.found: dict[Fault, None] = {}  # each once
        self.pictures: set[str] = set()  # those that are left out

    def add(self, what: str, picture: str | Path = "") -> None:
        self.found[Fault(what, str(picture))] = None
        self.pictures |= {str(picture)} - {""}

    @contextlib.contextmanager
    def of(self, picture: str | Path = "") -> Iterator[None]:
        """Within, what is wrong is a fault of `picture`, and ends no more than this block."""
        try:
            yield
        except (DatasetError, ImageError) as error:
            self.add(" ".join(error.args), picture)

    def __contains__(self, picture: str | Path) -> bool:
        return str(picture) in self.pictures

    def lines(self) -> list[str]:
        """What is wrong, each once though it may cost several pictures."""
        return list(dict.fromkeys(fault.what for fault in self.found))

    def error(self, stopping: str = "") -> DatasetError:
        """All of it as one error; `stopping`: a fault of the whole, which nothing can be converted with."""
        told = [*([stopping] if stopping else []), *self.lines()]
        if len(told) == 1:
            return DatasetError(told[0] if stopping else f"{told[0]}; {_OFFER}")
        of = f" of {number(len(self.pictures), 'picture')}" if self.pictures else ""
        more = [f"and {len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
        ends = [] if stopping else [f"Mend them, or go on without them: {_OFFER}"]
        lines = [f"- {line}" for line in (*told[:_SHOWN], *more)]
        return DatasetError(f"{len(told):,} faults{of}, nothing was written:", *lines, *ends)

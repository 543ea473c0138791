"""What a person sees in the terminal: one progress bar for long work, plain lines where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
_PLAIN_INTERVAL_SECONDS = 10.0

out = Console(highlight=False, soft_wrap=True)  # results
err = Console(stderr=True, highlight=False, soft_wrap=True)  # progress, warnings, errors


def quiet(on: bool) -> None:
    """Silence progress and notes (errors are printed by the command line itself)."""
    err.quiet = on


def note(text: str) -> None:
    """One line a person should see, on standard error."""
    err.print(text, markup=False)


def track(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """Pass `items` on, showing how far it is: a bar on a terminal, a line every ten seconds elsewhere."""
    if err.quiet:
        yield from items
        return
    if not sys.stderr.isatty():
        yield from _plain(items, total, what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        yield from bar.track(items, total=total, description=what)


def _plain(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    started = shown = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - shown >= _PLAIN_INTERVAL_SECONDS:
            shown = now
            left = f", {(now - started) / max(count, 1) * (total - count):.0f} s left" if total else ""
            note(f"{what}: {count} of {total or '?'}{left}")
        yield item

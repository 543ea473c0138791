"""What a person sees in the terminal: plain lines and tables, and one progress bar for long work.

All that is printed goes through here, as plain text (`plain_text.plain`): a name may hold whatever it likes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar

import rich.table
from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from tarsia.plain_text import plain
from tarsia.progress_line import LineColumn, pace

T = TypeVar("T")
_PLAIN_INTERVAL_SECONDS = 10.0

out = Console(highlight=False, soft_wrap=True)  # results
err = Console(stderr=True, highlight=False, soft_wrap=True)  # progress, warnings, errors
_words: Callable[[str], str] = str


@contextlib.contextmanager
def worded(words: Callable[[str], str]) -> Iterator[None]:
    """Say lines, notes, errors and cells within as `words` puts them, which knows what flag a setting is."""
    global _words
    before, _words = _words, words
    try:
        yield
    finally:
        _words = before


def quiet(on: bool) -> None:
    """Silence progress and notes, but neither warnings nor errors."""
    err.quiet = on


def say(text: object, style: str = "", wrapped: bool = False) -> None:
    """One line of the result, on standard output; `wrapped` at words, for prose."""
    out.print(Text(_shown(text)), style=style, soft_wrap=not wrapped)


def show(table: RenderableType, wrapped: bool = True) -> None:
    """A `Table` of the result, or several in a `stack`; `wrapped`: within the terminal's width."""
    out.print(table, soft_wrap=not wrapped)


def data(value: Any) -> None:
    r"""JSON for a program, a value or the text of it: exact, and what does not print is `\uXXXX` in it."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    text = text.removesuffix("\n")
    utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
    print("".join(c if c == "\n" or (c.isprintable() and (utf8 or c < "\x7f")) else json.dumps(c)[1:-1] for c in text))


def note(text: object) -> None:
    """One line a person should see, on standard error; a terminal that has been closed is no reason to fail."""
    try:
        err.print(Text(_shown(text)))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        leave_closed_terminal()


def warn(text: object) -> None:
    """A note that a person has to see, however quiet."""
    before, err.quiet = err.quiet, False
    try:
        note(f"warning: {text}")
    finally:
        err.quiet = before


def leave_closed_terminal() -> None:
    """Point output that nothing takes any more, as after SIGHUP, to nowhere: the next line would be an error."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def complain(error: object) -> None:
    """Why there is no result, on standard error, however quiet; of an error of ours its lines are lines."""
    quiet(False)
    err.print(Text(_shown(f"tarsia: {error}", lines=isinstance(error, Exception))))


def crash(error: BaseException) -> None:
    """The traceback of an error that nobody foresaw, on standard error."""
    quiet(False)
    err.print(Text(plain("".join(traceback.format_exception(error)).rstrip(), lines=True)))


class Table(rich.table.Table):
    """rich's, of plain text in place of markup; a heading or caption of ours may have several lines."""

    def __init__(self, *headings: str, title: str | None = None, caption: str | None = None, **options: Any) -> None:
        super().__init__(title=_lines(title, "table.title"), caption=_lines(caption, "table.caption"), **options)
        for heading in headings:
            self.add_column(heading)

    def add_column(self, header: RenderableType = "", footer: RenderableType = "", **options: Any) -> None:
        """A column under a heading."""
        super().add_column(_lines(header), _lines(footer), **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """A row, each cell of one line."""
        super().add_row(*(Text(_shown(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def _shown(text: object, lines: bool = False) -> str:
    return plain(_words(str(text)), lines)


def _lines(text: Any, style: str = "") -> Any:
    return Text(plain(text, lines=True), style) if isinstance(text, str) else text


def stack(title: str, table: Table, caption: str = "") -> Group:
    """A table between a bold title and a dim caption, with room below."""
    below = [Text(plain(caption), style="dim")] if caption else []
    return Group(Text(plain(title), style="bold"), table, *below, "")


class Work:
    """One long piece of work while it lasts: a bar on a terminal, a line every ten seconds elsewhere, nothing if quiet.

    It is `total` `unit` (frames, rows; "" where `what` says it), None where nobody knows how many; `before` of them
    were done by an earlier process.
    """

    def __init__(self, what: str, total: int | None, unit: str = "", before: int = 0) -> None:
        self.count = 0  # of what is done
        self._what, self._total, self._unit, self._before = what, total, unit, before
        self._started = self._shown = monotonic()
        live = not err.quiet and sys.stderr.isatty()
        self._bar = Progress(LineColumn(), console=err, transient=True, disable=not live, expand=True)
        self._task = self._bar.add_task(plain(what), total=total, completed=before, unit=unit, facts="")

    def __enter__(self) -> Work:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def of(self, total: int) -> None:
        """There is more or less to do than was thought."""
        self._total = total
        self._bar.update(self._task, total=total)

    def skip(self) -> None:
        """One more was done before."""
        self._before += 1
        self._bar.update(self._task, advance=1)

    def step(self, count: int = 1, facts: str = "") -> None:
        """So many more are done; `facts`: what else is to be said of it now."""
        self.count += count
        self._bar.update(self._task, advance=count, facts=plain(facts))
        now = monotonic()
        if self._bar.disable and now - self._shown >= _PLAIN_INTERVAL_SECONDS:
            self._shown = now
            rate, done = max(self.count, 1) / (now - self._started), self._before + self.count
            of = f" of {self._total}" if self._total else ""
            speed = f" {self._unit}, {pace(rate)} {self._unit}/s" if self._unit else ""
            left = f", {(self._total - done) / rate:.0f} s left" if self._total else ""
            note(f"{self._what}: {done}{of}{speed}{left}{facts and '  '}{facts}")

    def end(self) -> None:
        """The line at the end, for work of a `unit`."""
        seconds = max(1e-9, monotonic() - self._started)
        rate = self.count / seconds
        note(f"{self._what}: {self.count} {self._unit} in {seconds:.1f} s, {pace(rate)} {self._unit}/s")


def track(items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """Pass `items` on, showing as `Work` how far it is."""
    with Work(what, total) as work:
        for item in items:
            yield item
            work.step()

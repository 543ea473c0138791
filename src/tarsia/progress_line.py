"""The line of a progress bar: what, bar, per cent, rate and time left stand whole; the rest as far as there is room."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

_BAR = 20  # cells; fewer where the terminal is narrower than all that has to be said
_WHAT = 8  # cells that what is done keeps in any case


def pace(rate: float) -> str:
    """A number a second: `0.0512`, `12.3`, `1,234`."""
    return f"{rate:.3g}" if rate < 999.5 else f"{rate:,.0f}"


def clock(seconds: float) -> str:
    """Seconds as `0:01:05`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class LineColumn(ProgressColumn):
    """The whole line; a task has fields `unit` ("" where its description says it) and `facts`, said where room is."""

    def __init__(self) -> None:
        super().__init__(Column(ratio=1, no_wrap=True))

    def render(self, task: Task) -> _Line:
        """The line of a task as it stands."""
        return _Line(task)


class _Line:
    """Of one task; it fills the width that there is."""

    def __init__(self, task: Task) -> None:
        self.what, self.facts, self.finished = task.description, str(task.fields["facts"]), task.finished
        self.done, self.total = int(task.completed), None if task.total is None else int(task.total)
        self.rate, self.left = task.finished_speed or task.speed, task.time_remaining
        self.unit, self.now = str(task.fields["unit"]), task.get_time()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        told, count = self._told(), "" if self.total is None else f"  {self.done:,}/{self.total:,}"
        width = options.max_width - cell_len(told)
        bar = max(0, min(_BAR, width - 1 - min(_WHAT, cell_len(self.what))))
        what, more = Text(self.what), Text(count + (self.facts and f"  {self.facts}"))
        what.truncate(max(0, width - bar - 1), overflow="ellipsis")
        more.truncate(max(0, width - bar - 1 - what.cell_len), overflow="ellipsis")
        yield Segment(f"{what.plain} ")
        drawn = console.render(ProgressBar(self.total, self.done, bar, animation_time=self.now), options)
        yield from Segment.adjust_line_length(list(drawn), bar)  # without colours rich draws what is done alone
        yield Segment(told, console.get_style("progress.remaining"))
        yield Segment(more.plain)

    def _told(self) -> str:
        """How far it is, how fast, and how long it takes yet; what nobody knows is `-`."""
        unit = f" {self.unit}" if self.unit else ""
        rate = f"{'-' if self.rate is None else pace(self.rate)}{unit}/s"
        if self.total is None:
            return f"  {self.done:,}{unit}  {rate}"
        # Rounded down: 100 % is said of what is done alone.
        share = 100 if self.done >= self.total else 100 * self.done // self.total
        return f"  {share:3} %  {rate}  {'-:--:--' if self.left is None else clock(self.left)} left"

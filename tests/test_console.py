"""Progress of long work: bars on a terminal, one below another, lines now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tarsia import console
from tarsia.progress_line import pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes on where a test says so; the console's alone, not that of a service in another thread."""
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(console, "monotonic", lambda: found.now)
    return found


def test_no_terminal_a_line_every_ten_seconds(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in console.track(range(9), 9, "scoring"):
        clock.now += 4
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 3 of 9, 24 s left",
        "scoring: 6 of 9, 12 s left",
        "scoring: 9 of 9, 0 s left",
    ]


@pytest.mark.parametrize(("total", "of"), [(None, ""), (40, " of 40")])
def test_work_of_a_unit_says_its_rate(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str], total: int | None, of: str
) -> None:
    with console.Work("[b]a.mp4", total, "frames") as work:
        for _ in range(2):
            clock.now += 5
            work.step(10)
        clock.now += 1
        work.end()
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"[b]a.mp4: 20{of} frames, 2 frames/s" + (", 10 s left" if total else "")
    assert last == "[b]a.mp4: 20 frames in 11.0 s, 1.82 frames/s" and work.count == 20


def test_work_goes_on_where_an_earlier_process_ended(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with console.Work("step", 50, before=40) as work:
        clock.now += 10
        work.step(5, "loss 0.5")
    assert capsys.readouterr().err == "step: 45 of 50, 10 s left  loss 0.5\n"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace) -> Callable[..., str]:
    """The last line that a terminal of some width shows; `clock` is the bars' too."""
    shown = io.StringIO()

    def last(width: int = 0) -> str:
        if width:
            monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
            options: dict[str, Any] = {"get_time": lambda: clock.now, "color_system": None}
            monkeypatch.setattr(console, "err", Console(file=shown, force_terminal=True, width=width, **options))
            return ""
        shown.truncate(0)
        console.err._live_stack[0].refresh()
        return re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", shown.getvalue()).splitlines()[-1].strip("\0\r")

    return last


FACTS = "epoch 1/20  loss 0.5123  lr 3.00e-03  images/s 12.3  waiting 0 %  memory 1.2 GB"


@pytest.mark.parametrize(
    ("what", "unit", "steps"),
    [
        ("step", "", 45_000),
        ("predict", "pictures", 12_000),
        ("evaluating", "", 300),
        ("counting the range of the values", "", 9),
        ("a/very/long/path/to/one/of/many/videos/" + "long name " * 9 + ".mp4", "frames", 99_999),
        ("\u5f71\u50cf" * 30, "rows", 6_999),
    ],
)
@pytest.mark.parametrize("width", [80, 60, 50])
def test_per_cent_rate_and_time_left_stand_whole_in_every_bar(
    clock: SimpleNamespace, terminal: Callable[..., str], what: str, unit: str, steps: int, width: int
) -> None:
    terminal(width)
    rate = f" {unit}/s" if unit else "/s"
    with console.Work(what, steps, unit) as work:
        assert f"  0 %  -{rate}  -:--:-- left" in terminal()
        for done in range(0, steps, steps // 3):
            clock.now += 20
            work.step(steps // 3, FACTS)
            line = terminal()
            assert cell_len(line) <= width and line.startswith(what[:3])
            pattern = rf"  {min(100, 100 * (done // (steps // 3) + 1) // 3):3} %  [\d.,-]+{rate}  [\d:-]+ left"
            assert re.search(pattern, line) and (not done or " - left" not in line)
        assert "100 %" in line and line.partition(" left")[0].endswith("0:00:00")


def test_a_bar_says_more_where_there_is_room(clock: SimpleNamespace, terminal: Callable[..., str]) -> None:
    lines = []
    for width in (60, 80, 160):
        terminal(width)
        with console.Work("step", 450) as work:
            for _ in range(3):
                clock.now += 2
                work.step(7, FACTS)
            lines.append(terminal().rstrip())
    assert all("4 %  3.5/s  0:02:03 left" in line for line in lines)
    assert "21/450" in lines[1] and "epoch 1/20" in lines[1] and "images/s" not in lines[1]
    assert lines[2].endswith(f"21/450  {FACTS}") and lines[1].endswith("\u2026")


@pytest.mark.parametrize(("rate", "shown"), [(0.05124, "0.0512"), (12.34, "12.3"), (999.7, "1,000"), (12345, "12,345")])
def test_a_rate_is_short_and_never_in_powers(rate: float, shown: str) -> None:
    assert pace(rate) == shown


def test_a_warning_is_shown_however_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    console.quiet(True)
    console.note("a note")
    console.warn("a licence")
    console.note("a note")
    assert capsys.readouterr().err == "warning: a licence\n"


def test_quiet_says_nothing(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    console.quiet(True)
    with console.Work("a.mp4", 9, "frames") as work:
        for _ in console.track(range(9), 9, "scoring"):
            clock.now += 20
            work.step()
        work.end()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_bars_below_each_other_that_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=shown, force_terminal=True, width=100))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    for _ in console.track(range(2), 2, "predict"):
        with console.Work("[b]a.mp4", None, "frames") as work:
            work.step(7)
            console.err._live_stack[0].refresh()
    text = shown.getvalue()
    assert "predict" in text and "[b]a.mp4" in text and "7 frames" in text and "1/2" in text
    assert text.rstrip().endswith("\x1b[2K")  # the last that is written takes the bar away

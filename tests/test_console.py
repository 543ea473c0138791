"""Progress of long work: bars on a terminal, one below another, lines now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from tarsia import console


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


def test_a_narrow_terminal_shows_how_far_it_is_whatever_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=shown, force_terminal=True, width=80))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    with console.Work("step", 450) as work:
        work.step(7, "epoch 1/20  loss 0.5123  lr 3.00e-03  images/s 12.3  waiting 0 %  memory 1.2 GB")
        console.err._live_stack[0].refresh()
    text = shown.getvalue()
    assert "7/450" in text and "loss 0.5123" in text and "memory" not in text


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
    assert "predict" in text and "[b]a.mp4" in text and "7/?" in text and "1/2" in text
    assert text.rstrip().endswith("\x1b[2K")  # the last that is written takes the bar away

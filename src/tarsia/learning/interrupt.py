"""Stopping politely: SIGTERM, SIGUSR1, SIGHUP and Ctrl-C are noted, the loop saves at the next step and leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from tarsia import console

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)  # SIGUSR1: what Slurm is told to send in time


class Interrupted(Exception):
    """Training was asked to stop and has saved.  `exit_code` is the shell's 128 + signal number."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message or signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number


class Interrupt:
    """Within `with`, notes SIGTERM, SIGUSR1, SIGHUP and SIGINT instead of dying; a second Ctrl-C dies at once.

    SIGHUP, of a terminal that is closed, stays ignored where it is (nohup).  `most`: the largest number of all
    processes of a training, which stop together, whichever of them was told to.
    """

    def __init__(self, most: Callable[[int], int] = int) -> None:
        self.number: int | None = None
        self._most = most
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Interrupted where any process was told to stop; all of them ask at the same place."""
        number = self._most(self.number or 0)
        if number:
            raise Interrupted(number)

    def look(self) -> None:
        """The same of this process alone; where `check` follows."""
        if self.number is not None:
            raise Interrupted(self.number)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            console.leave_closed_terminal()
        self.number = number

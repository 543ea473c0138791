"""Stopping politely: SIGTERM, SIGHUP and Ctrl-C are noted, the loop saves at the next step and leaves."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from tarsia import console


class Interrupted(Exception):
    """Training was asked to stop and has saved.  `exit_code` is the shell's 128 + signal number."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message or signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number


class Interrupt:
    """Within `with`, notes SIGTERM, SIGHUP and SIGINT instead of dying; a second Ctrl-C dies at once.

    SIGHUP, of a terminal that is closed, stays ignored where it is (nohup).
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        if self.number is not None:
            raise Interrupted(self.number)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGHUP:
            console.leave_closed_terminal()
        self.number = number

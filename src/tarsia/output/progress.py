"""How far one long piece of work is: a line now and then, and one at its end."""

from __future__ import annotations

import time

from tarsia import console

_INTERVAL_SECONDS = 10.0


class Pace:
    """Counts `unit`s (frames, rows) of `what` and says how many there are a second."""

    def __init__(self, what: str, unit: str, total: int | None = None) -> None:
        self._what, self._unit, self._total = what, unit, total
        self._started = self._shown = time.monotonic()
        self.count = 0

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self.count += count
        if time.monotonic() - self._shown >= _INTERVAL_SECONDS:
            self._shown = time.monotonic()
            of = f" of {self._total}" if self._total else ""
            console.note(f"{self._what}: {self.count}{of} {self._unit}, {self.rate():.3g} {self._unit}/s")

    def rate(self) -> float:
        """Units a second so far."""
        return self.count / max(1e-9, time.monotonic() - self._started)

    def end(self) -> None:
        """The line at the end."""
        seconds = time.monotonic() - self._started
        console.note(f"{self._what}: {self.count} {self._unit} in {seconds:.1f} s, {self.rate():.3g} {self._unit}/s")

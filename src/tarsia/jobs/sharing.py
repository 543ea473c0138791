"""Chunks of a job shared among processes, whoever runs them: one that dies is replaced, and its chunk begun again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tarsia import console
from tarsia.errors import TarsiaError
from tarsia.learning.interrupt import Interrupt

_POLL_SECONDS = 0.5  # between looks at signals, and at chunks that others have
_OPENINGS = 3  # of a model, in which a process died, until that is no chance


class News(NamedTuple):
    """What a process says, or what became of it."""

    place: int
    kind: str  # as `Answers` has it (worker.py), or "died"
    text: str  # of the answer; how it died, as `was killed by SIGKILL`


class Crew(Protocol):
    """Who runs the processes: on this machine (processes.py), or on those of Ray (ray_actors.py).  Each has a place."""

    def start(self, place: int) -> None:
        """Begin a process, which opens the model and says so; nothing is waited for."""

    def give(self, place: int, index: int) -> None:
        """Give a chunk to a process that has opened the model and has none."""

    def news(self, seconds: float) -> list[News]:
        """What there is to hear, after so long at most."""

    def stop(self) -> None:
        """End all processes, so that chunks in hand do not count as ones that have killed theirs."""


@dataclass
class Sharing:
    """The chunks of one run, and at most `count` processes that do them."""

    crew: Crew
    count: int
    done: Callable[[int], None]  # told of each chunk, by whomever it was done
    said: str = ""  # what runs the network
    _left: deque[int] = field(default_factory=deque)
    _starting: set[int] = field(default_factory=set)  # places
    _ready: set[int] = field(default_factory=set)
    _in_hand: dict[int, int] = field(default_factory=dict)  # chunks by place
    _held: list[int] = field(default_factory=list)  # chunks that processes of other runs have
    _unopened: int = 0  # processes, one after the other, that died before they had the model

    def run(self, chunks: Iterable[int]) -> None:
        """Do these chunks; those that others have are waited for, and done where these others die.

        Raises TarsiaError for what no other process would do better, as a full disk; Interrupted after SIGTERM or
        Ctrl-C, once all processes have stopped.
        """
        self._left.extend(chunks)
        with Interrupt() as interrupt:
            try:
                while self._hand_out():
                    self._listen()
                    interrupt.check()
            finally:
                self.crew.stop()

    def _hand_out(self) -> bool:
        """Give chunks to processes without one, and begin more where too few are; False where nothing is left to do."""
        for place in sorted(self._ready - self._in_hand.keys()):
            if self._left:
                self._in_hand[place] = self._left.popleft()
                self.crew.give(place, self._in_hand[place])
        for place in range(self.count):
            if place not in self._ready | self._starting and len(self._left) > len(self._starting):
                self._starting.add(place)
                self.crew.start(place)
        return bool(self._left or self._in_hand or self._held)

    def _listen(self) -> None:
        heard = self.crew.news(_POLL_SECONDS)
        for place, kind, text in heard:
            self._hear(place, kind, text)
        if not heard or not self._in_hand:
            self._left.extend(self._held)
            self._held.clear()

    def _hear(self, place: int, kind: str, text: str) -> None:
        if kind == "ready":
            self._starting.discard(place)
            self._ready.add(place)
            if not self.said:
                self.said = text
                console.note(text)
        elif kind == "died":
            self._lose(place, text)
        elif kind == "failed":
            raise TarsiaError(*text.splitlines())
        elif kind == "crashed":
            raise RuntimeError(text)
        else:
            index = self._in_hand.pop(place)
            assert index == int(text)
            if kind == "held":
                self._held.append(index)
                time.sleep(_POLL_SECONDS / 10)  # nobody is asked more often than that
            else:
                self.done(index)

    def _lose(self, place: int, how: str) -> None:
        """A process has died: its chunk is begun again by another."""
        self._unopened = 0 if place in self._ready else self._unopened + 1
        if self._unopened == _OPENINGS:
            raise TarsiaError(f"a process {how} before it had opened the model, {_OPENINGS} in a row: is there memory?")
        self._ready.discard(place)
        self._starting.discard(place)
        if place in self._in_hand:
            index = self._in_hand.pop(place)
            console.note(f"a process {how} in chunk {index}, which another one begins again")
            self._left.appendleft(index)

"""Processes of this machine that share a job's chunks: one that dies is replaced, and its chunk begun again.

They are forked from a server that has imported what they need and computed nothing: quick, and safe with threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tarsia import console
from tarsia.engines.model_file import is_onnx
from tarsia.errors import TarsiaError
from tarsia.jobs.worker import Opening, work
from tarsia.learning.interrupt import Interrupt

_POLL_SECONDS = 0.5  # between looks at signals, and at chunks that others have
_OPENINGS = 3  # of a model, in which a process died, until that is no chance
_LEAVE_SECONDS = 20.0  # from being asked to stop to being killed


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    chunk: int | None = None  # in hand
    ready: bool = False


@dataclass
class Processes:
    """The processes of one run, of at most `count` at once."""

    opening: Opening
    count: int
    done: Callable[[int], None]  # told of each chunk, by whomever it was done
    said: str = ""  # what runs the network
    _workers: dict[int, _Worker] = field(default_factory=dict)  # by place
    _again: deque[int] = field(default_factory=deque)  # chunks of processes that died
    _held: list[int] = field(default_factory=list)  # chunks that others have
    _unopened: int = 0  # processes, one after the other, that died before they had the model

    def run(self, chunks: Iterator[int]) -> None:
        """Do these chunks; those that others have are waited for, and done where these others die.

        Raises TarsiaError for what no other process would do better, as a full disk; Interrupted after SIGTERM or
        Ctrl-C, once all processes have stopped.
        """
        with Interrupt() as interrupt:
            try:
                while self._hand_out(chunks):
                    self._listen()
                    interrupt.check()
            finally:
                self._stop()

    def _hand_out(self, chunks: Iterator[int]) -> bool:
        """Give chunks to processes without one; False where nothing is left to do."""
        for place in range(self.count):
            worker = self._workers.get(place)
            if worker is not None and worker.chunk is not None:
                continue
            index = self._again.popleft() if self._again else next(chunks, None)
            if index is None:
                break
            worker = self._workers[place] = worker or self._started(place)
            worker.chunk = index
            with contextlib.suppress(OSError):  # it has died, which shows when it is listened to
                worker.pipe.send(index)
        return bool(self._held) or any(worker.chunk is not None for worker in self._workers.values())

    def _listen(self) -> None:
        """Wait for news of the processes, for a moment."""
        pipes = {worker.pipe: place for place, worker in self._workers.items()}
        heard = wait(list(pipes), _POLL_SECONDS)
        for pipe in heard:
            assert isinstance(pipe, Connection)
            place = pipes[pipe]
            try:
                kind, text = pipe.recv()
            except (EOFError, OSError):
                self._replace(place)
                continue
            self._hear(self._workers[place], kind, text)
        if not heard or not any(worker.chunk is not None for worker in self._workers.values()):
            self._again.extend(self._held)
            self._held.clear()

    def _hear(self, worker: _Worker, kind: str, text: str) -> None:
        if kind == "ready":
            worker.ready = True
            if not self.said:
                self.said = text
                console.note(text)
            return
        if kind in ("failed", "crashed"):
            raise TarsiaError(*text.splitlines()) if kind == "failed" else RuntimeError(text)
        index, worker.chunk = worker.chunk, None
        assert index == int(text)
        if kind == "held":
            self._held.append(index)
            time.sleep(_POLL_SECONDS / 10)  # nobody is asked more often than that
        else:
            self.done(index)

    def _replace(self, place: int) -> None:
        """A process has died: its chunk is begun again by another."""
        worker = self._workers.pop(place)
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._unopened = 0 if worker.ready else self._unopened + 1
        if self._unopened == _OPENINGS:
            raise TarsiaError(f"a process {how} before it had opened the model, {_OPENINGS} in a row: is there memory?")
        if worker.chunk is not None:
            console.note(f"a process {how} in chunk {worker.chunk}, which another one begins again")
            self._again.append(worker.chunk)

    def _started(self, place: int) -> _Worker:
        context = multiprocessing.get_context("forkserver")
        engine = "onnx_engine" if is_onnx(self.opening.model) else "torch_engine"
        context.set_forkserver_preload(["tarsia.jobs.worker", f"tarsia.engines.{engine}", "pyarrow.parquet"])
        ours, theirs = context.Pipe()
        opening = self.opening.of(place, self.count)
        process = context.Process(target=work, args=(theirs, opening, console.err.quiet), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _stop(self) -> None:
        """End all processes, politely first; one that is idle ends at once."""
        for worker in self._workers.values():
            worker.process.terminate()
        ends = time.monotonic() + _LEAVE_SECONDS
        for worker in self._workers.values():
            worker.process.join(max(0.0, ends - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

"""Processes of this machine that do a job's chunks.

They are forked from a server that has imported what they need and computed nothing: quick, and safe with threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from tarsia import console
from tarsia.engines.model_file import is_onnx
from tarsia.jobs.sharing import News
from tarsia.jobs.worker import Opening, work

_LEAVE_SECONDS = 20.0  # from being asked to stop to being killed


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Connection


@dataclass
class Processes:
    """`count` processes, each with its share of the cores: a `Crew` (sharing.py)."""

    opening: Opening
    count: int
    _workers: dict[int, _Worker] = field(default_factory=dict)  # by place

    def start(self, place: int) -> None:
        context = multiprocessing.get_context("forkserver")
        engine = "onnx_engine" if is_onnx(self.opening.model) else "torch_engine"
        context.set_forkserver_preload(["tarsia.jobs.worker", f"tarsia.engines.{engine}", "pyarrow.parquet"])
        ours, theirs = context.Pipe()
        opening = self.opening.of(place, self.count)
        process = context.Process(target=work, args=(theirs, opening, console.err.quiet), daemon=True)
        process.start()
        theirs.close()
        self._workers[place] = _Worker(process, ours)

    def give(self, place: int, index: int) -> None:
        with contextlib.suppress(OSError):  # it has died, which shows when it is listened to
            self._workers[place].pipe.send(index)

    def news(self, seconds: float) -> list[News]:
        pipes = {worker.pipe: place for place, worker in self._workers.items()}
        heard = []
        for pipe in wait(list(pipes), seconds):
            assert isinstance(pipe, Connection)
            try:
                heard.append(News(pipes[pipe], *pipe.recv()))
            except (EOFError, OSError):
                heard.append(News(pipes[pipe], "died", self._how_it_died(pipes[pipe])))
        return heard

    def _how_it_died(self, place: int) -> str:
        worker = self._workers.pop(place)
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def stop(self) -> None:
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

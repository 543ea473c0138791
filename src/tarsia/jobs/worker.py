"""A process that does chunks: it opens the model once, takes chunk after chunk, and says what became of each."""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from tarsia import console, hardware
from tarsia.errors import TarsiaError
from tarsia.inference import Inference, load
from tarsia.jobs.chunk import ChunkWork
from tarsia.jobs.job import Job
from tarsia.jobs.pictures import Segmenting
from tarsia.output.what_to_write import WhatToWrite, class_indices
from tarsia.prediction.predictor import Predictor

_LONGEST_MESSAGE = 4000  # well within what a pipe holds
_LAYOUT_SIDE = 512  # of the picture by which torch chooses how it computes


@dataclass(frozen=True)
class Opening:
    """All that a process needs to begin: it goes to other processes, so that it holds no engine."""

    job: Job
    model: Path
    sha256: str
    settings: dict[str, Any]  # of the job, without what is found when the model is open
    inference: Inference
    only: tuple[str, ...] = ()
    min_confidence: float = 0.0
    batch: int = 1
    share: tuple[int, int] = (0, 1)  # this process's of the cores
    run: str = ""
    load: Callable[[Path, Inference], Predictor] = load

    def of(self, place: int, processes: int) -> Opening:
        """The same for one of several processes."""
        return replace(self, share=(place, processes))

    def open(self) -> tuple[ChunkWork, str]:
        """What does chunks, and what runs the network, in words.

        Raises what `load` does, OutputError where the job was begun with other settings, for classes that there are
        not, and for a predictor that needs whole pictures where there are tiles.
        """
        hardware.keep_to(*self.share)
        predictor = self.load(self.model, self.inference)
        if predictor.tile or predictor.card.input.tile:
            predictor.check_tiles()
        what = WhatToWrite(("label",), class_indices(self.only, predictor.classes), self.min_confidence)
        kept = self.job.settings()
        if kept is None:
            predictor.labels(
                np.zeros((1, _LAYOUT_SIDE, _LAYOUT_SIDE, predictor.card.bands), predictor.card.input.dtype)
            )
            found = {"memory_format": predictor.engine.memory_format, "classes": list(predictor.classes.names)}
            kept = self.settings | {"found": found}
        kept = self.job.agree(self.settings | {"found": kept["found"]})
        if kept["found"]["memory_format"] is not None:
            predictor.engine.keep(kept["found"]["memory_format"])  # another layout's sums differ by rounding
        segmenting = Segmenting(predictor, what, self.batch)
        return ChunkWork(self.job, segmenting, self.sha256, self.run), str(predictor.engine.describe())


class Answers:
    """A process that does chunks, for whoever asks: `open` first, then `do` chunk after chunk.

    An answer is what became of it and its words: "ready" and what runs the network; "done" or "held" and the chunk;
    "failed", of what no other process would do better, or "crashed", and why, after which it is of no more use.
    """

    def __init__(self, opening: Opening, quiet: bool) -> None:
        self._opening, self._quiet = opening, quiet
        self._work: ChunkWork | None = None

    def open(self) -> tuple[str, str]:
        return self._answer(self._open)

    def do(self, index: int) -> tuple[str, str]:
        return self._answer(lambda: self._do(index))

    def _open(self) -> tuple[str, str]:
        console.quiet(self._quiet)
        self._work, described = self._opening.open()
        return "ready", described

    def _do(self, index: int) -> tuple[str, str]:
        assert self._work is not None, "it was not opened"
        return self._work.do(index), str(index)

    def _answer(self, doing: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        try:
            return doing()
        except TarsiaError as error:
            return "failed", "\n".join(error.args)[-_LONGEST_MESSAGE:]
        except Exception:
            return "crashed", traceback.format_exc()[-_LONGEST_MESSAGE:]


def work(ours: Connection, opening: Opening, quiet: bool) -> None:
    """What a process of this machine does: `ours` gives numbers of chunks, and takes answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the first process asks us to stop
    signal.signal(signal.SIGTERM, _stop)
    answers = Answers(opening, quiet)
    with contextlib.suppress(EOFError, OSError):  # the first process has ended, however
        ours.send(answers.open())
        while True:
            ours.send(answers.do(ours.recv()))


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)

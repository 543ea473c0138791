"""A process that does chunks: it opens the model once, takes chunk after chunk, and says what became of each."""

from __future__ import annotations

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


def work(ours: Connection, opening: Opening, quiet: bool) -> None:
    """What a process does: `ours` gives numbers of chunks, and takes pairs of what became of them and its words."""
    console.quiet(quiet)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the first process asks us to stop
    signal.signal(signal.SIGTERM, _stop)
    try:
        chunk_work, described = opening.open()
        ours.send(("ready", described))
        while True:
            index = ours.recv()
            ours.send((chunk_work.do(index), str(index)))
    except (EOFError, BrokenPipeError):  # the first process has ended, however
        return
    except TarsiaError as error:
        _tell(ours, "failed", "\n".join(error.args))
    except Exception:
        _tell(ours, "crashed", traceback.format_exc())


def _tell(ours: Connection, kind: str, text: str) -> None:
    try:
        ours.send((kind, text[-_LONGEST_MESSAGE:]))
    except OSError:
        return


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)

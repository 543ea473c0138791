"""A process that does chunks: it opens the model once, takes chunk after chunk, and says what became of each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
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
from tarsia.errors import OutputError, TarsiaError
from tarsia.inference import Inference, load
from tarsia.jobs.chunk import ChunkWork
from tarsia.jobs.job import Job
from tarsia.jobs.pictures import Segmenting
from tarsia.jobs.storage import LocalFolder
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
    cores: int | None = None  # as many, of a machine that others use, too
    started_in: str = ""  # the folder that relative names are of, where it is there
    run: str = ""
    load: Callable[[Path, Inference], Predictor] = load

    def of(self, place: int, processes: int) -> Opening:
        """The same for one of several processes."""
        return replace(self, share=(place, processes))

    def elsewhere(self, cores: int) -> Opening:
        """The same for a process of any machine that has the job and the model under the same names."""
        folder = self.job.folder
        if isinstance(folder, LocalFolder):
            folder = LocalFolder(folder.path.absolute())
        job, model = replace(self.job, folder=folder), self.model.absolute()
        return replace(self, job=job, model=model, cores=cores, started_in=os.getcwd())

    def open(self) -> tuple[ChunkWork, str]:
        """What does chunks, and what runs the network, in words.

        Raises what `load` does, OutputError where the job was begun with other settings, for classes that there are
        not, and for a predictor that needs whole pictures where there are tiles.
        """
        if self.cores is None:
            hardware.keep_to(*self.share)
        else:
            self._settle(self.cores)
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

    def _settle(self, cores: int) -> None:
        """Be as the first process, wherever this one is; OutputError where the model's file is another there."""
        hardware.take(cores)
        with contextlib.suppress(OSError):
            os.chdir(self.started_in)
        try:
            same = sum_of(self.model) == self.sha256
        except OSError as error:
            where = f"{self.model}: cannot be read on {platform.node()} ({error.strerror})"
            raise OutputError(f"{where}: put the model where all machines have it under one name") from error
        if not same:
            raise OutputError(f"{self.model}: is another model on {platform.node()}: copy it there")


def sum_of(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

    def give_back(self) -> None:
        """This process is about to be ended, through no fault of the pictures in hand."""
        if self._work is not None:
            self._work.give_back()

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

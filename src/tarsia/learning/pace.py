"""How fast a machine trains a network on the pictures at hand: measured, with reading and augmentation."""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

from tarsia.data import Dataset
from tarsia.learning.loader import Key, Samples
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take
from tarsia.prediction.predictor import Predictor

_TIMED = 3  # steps, after one that warms up


class Pace(NamedTuple):
    """Seconds of a step on pictures in memory, of reading one that is not there, and of a validation picture.

    `busy`: how many times as long as on an idle machine things take, as others work on it too; 1 or more.
    """

    step: float
    read: float
    validation: float
    busy: float

    def steps(self, seconds: float, batch: int, pictures: int, kept: float) -> float:
        """How many steps fit, where the share `kept` of the pictures stays in memory once it is read.

        Steps that read a picture for the first time take longer, and so do those with one that is not kept.
        """
        first, slow = kept * pictures / batch, self.step + batch * self.read
        if seconds <= first * slow:
            return seconds / slow
        return first + (seconds - first * slow) / (self.step + (1 - kept) * batch * self.read)


def measured(state: TrainingState, workers: int, val_data: Dataset | None) -> Pace:
    """The pace of a training that begins, whose pictures `workers` processes (0: its own) will read and augment."""
    settings = state.recipe.train
    state.model.train()
    batches, times = state.batches(), []
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(1 + _TIMED):
        group = [next(batches) for _ in range(settings.accumulate)]
        started = time.perf_counter()
        gradients(state, group)
        take(state)
        times.append(time.perf_counter() - started)
    worked = time.process_time() - worked
    on_cpu = state.device == "cpu"
    busy = max(1.0, (time.perf_counter() - began) / max(worked, 1e-9)) if on_cpu else 1.0
    read, augment = (seconds / max(1, workers) for seconds in _reading(state))
    step, beside = statistics.median(times[1:]), settings.batch * settings.accumulate * augment
    return Pace(max(step, beside) if workers else step + beside, read, _validation(state, val_data), busy)


def _validation(state: TrainingState, val_data: Dataset | None) -> float:
    if val_data is None:
        return 0.0
    predictor, times = Predictor(state.engine()), []
    for index in (0, 0, len(val_data) - 1):
        started = time.perf_counter()
        predictor.labels(val_data[index].image[None])
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def _reading(state: TrainingState) -> tuple[float, float]:
    """Seconds of reading a picture and bringing it to its size, and of augmenting one that is in memory."""
    samples = Samples(state.train_data, state.augment, state.card.input, state.recipe.seed, keep=2**60)
    reads, changes = [], []
    for index in dict.fromkeys((0, len(state.train_data) // 2, len(state.train_data) - 1)):
        took = []
        for _ in range(2):
            started = time.perf_counter()
            samples.read(Key(0, index))
            took.append(time.perf_counter() - started)
        reads.append(max(0.0, took[0] - took[1]))
        changes.append(took[1])
    return statistics.median(reads), statistics.median(changes)

"""Trying things out on copies of a model, leaving it and the random state as they were: speed and memory."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from tarsia import hardware
from tarsia.engines.measuring import Measured, measure
from tarsia.engines.memory_limit import is_exhausted
from tarsia.engines.torch_engine import autocast
from tarsia.learning.loader import Batch
from tarsia.models._segmenter import MEMORY_FORMATS, Criterion, Segmenter

_LEAST_SECONDS = 3.0


class Way(NamedTuple):
    """How a network is computed."""

    precision: str
    memory_format: str

    def __str__(self) -> str:
        return f"{self.precision} {self.memory_format}"


def ways(precision: str, memory_format: str, device: str) -> list[Way]:
    """Those that a recipe's settings leave open with `auto`: the default first, then what differs most from it.

    bfloat16 is among them where the device has hardware for it.
    """
    precisions = [precision]
    if precision == "auto":
        precisions = ["float32", "bfloat16"] if hardware.torch_computes_bfloat16(device) else ["float32"]
    formats = list(MEMORY_FORMATS) if memory_format == "auto" else [memory_format]
    first, *others = [Way(one, other) for one in precisions for other in formats]
    return [first, *reversed(others)]


def fastest_way(
    model: Segmenter, batch: Batch, criterion: Criterion, device: str, candidates: Sequence[Way]
) -> Measured[Way]:
    """How long a step of a copy of `model` takes in each of the `candidates`, the default first."""
    with torch.random.fork_rng():
        trial = copy.deepcopy(model).train()

        def step(way: Way) -> float:
            trial.arrange(way.memory_format)
            started = time.perf_counter()
            _step(trial, batch, criterion, device, way.precision)
            return time.perf_counter() - started

        return measure(candidates, step, _LEAST_SECONDS)


def fitting_batch(model: Segmenter, batch: Batch, criterion: Criterion, device: str, precision: str) -> int:
    """The largest halving of `batch` whose step fits in memory, 0 where not even one picture does."""
    size = len(batch.names) // 2
    while size:
        try:
            part = Batch(batch.image_B3HW[:size], batch.label_BHW[:size], batch.names[:size])
            with torch.random.fork_rng():
                _step(copy.deepcopy(model).train(), part, criterion, device, precision)
            return size
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            size //= 2
    return 0


def _step(model: Segmenter, batch: Batch, criterion: Criterion, device: str, precision: str) -> None:
    model.zero_grad(set_to_none=True)
    with autocast(device, precision):
        terms, _ = model.loss(batch.image_B3HW.to(device), batch.label_BHW.to(device), criterion)
    torch.stack(list(terms.values())).sum().backward()
    if device.startswith("cuda"):
        torch.cuda.synchronize()

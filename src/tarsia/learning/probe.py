"""Trying things out on copies of a model, leaving it and the random state as they were: speed and memory."""

from __future__ import annotations

import copy
import statistics
import time

import torch

from tarsia.learning.loader import Batch
from tarsia.learning.torch_engine import autocast
from tarsia.models._segmenter import Criterion, Segmenter

_WORTH_IT = 1.1  # bfloat16 must be this much faster than float32 to be chosen
_ROUNDS = 2
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
    "bad_alloc",
)


def faster_precision(model: Segmenter, batch: Batch, criterion: Criterion, device: str) -> tuple[str, float]:
    """(`bfloat16` or `float32`, how many times faster bfloat16 was): interleaved steps on a copy, medians."""
    with torch.random.fork_rng():
        trial = copy.deepcopy(model).train()
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        for _ in range(_ROUNDS + 1):
            for precision, times in seconds.items():
                started = time.perf_counter()
                _step(trial, batch, criterion, device, precision)
                times.append(time.perf_counter() - started)
    ratio = statistics.median(seconds["float32"][1:]) / statistics.median(seconds["bfloat16"][1:])
    return ("bfloat16" if ratio >= _WORTH_IT else "float32"), ratio


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (on any device) or the system ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _MEMORY_WORDS)


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
            if not is_out_of_memory(error):
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

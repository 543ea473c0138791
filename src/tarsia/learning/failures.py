"""What stops a training, as the error that says what to do: memory that runs out, a loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tarsia.engines import memory_limit
from tarsia.errors import TrainingError
from tarsia.files import writing
from tarsia.learning import probe
from tarsia.learning.loader import Batch
from tarsia.learning.state import TrainingState
from tarsia.learning.step_loss import per_batch
from tarsia.plain_text import listed
from tarsia.yaml_tree import as_override

T = TypeVar("T")


def within_memory(explain: Callable[[], TrainingError], work: Callable[..., T], *arguments: Any) -> T:
    """`work(*arguments)`; where memory runs out the error that `explain` makes."""
    try:
        return work(*arguments)
    except (RuntimeError, MemoryError) as error:
        if not memory_limit.is_exhausted(error):
            raise
    # Not within `except`, which holds on to the failed step's tensors: `explain` tries what would fit.
    raise explain()


def out_of_memory(state: TrainingState, batch: Batch) -> TrainingError:
    """The error of a step that `batch` was too much for, with the batch that would fit."""
    state.optimizer.zero_grad(set_to_none=True)
    fits = probe.fitting_batch(state.model, batch, state.criterion, state.device, state.recipe.train.precision)
    if state.adaptation:
        fits //= 2  # tried without the pictures that it adds, as many at most
    size, accumulate = len(batch.names), state.recipe.train.accumulate
    advice = "not even one picture fits: use a smaller augment.crop, input.size or model"
    if fits:
        both = f"train.batch={fits}", f"train.accumulate={math.ceil(size / fits) * accumulate}"
        advice = f"a batch of {fits} fits: {as_override(*both)} learns alike"
        apart = per_batch(state.criterion)
        advice += f" but for {listed(apart)}, which each batch has for itself" if apart else ""
    return TrainingError(f"out of memory in step {state.progress.step + 1} with a batch of {size}; {advice}")


def out_of_memory_in_validation(state: TrainingState) -> TrainingError:
    """The error of a validation, which reads as many pictures at a time as a step."""
    batch = state.recipe.train.batch
    return TrainingError(
        f"out of memory in validation after epoch {state.progress.epoch + 1}, where whole pictures go through the "
        f"network {batch} at a time: lower train.batch and raise train.accumulate as much, or set input.short_side"
    )


def not_finite(state: TrainingState, batch: Batch, terms: dict[str, float]) -> TrainingError:
    """The error of a loss of these `terms`; `batch` is saved as bad_batch.npz in the run folder."""
    path = state.folder / "bad_batch.npz"
    with writing(path) as part, part.open("wb") as file:
        image = batch.image_B3HW.movedim(1, -1).numpy()
        np.savez_compressed(file, image=image, label=batch.label_BHW.numpy(), names=np.array(batch.names))
    return TrainingError(
        f"loss is not finite in step {state.progress.step + 1} of epoch {state.progress.epoch + 1} ({terms}); "
        f"samples {', '.join(batch.names)}, saved in {path}: lower train.learning_rate, set train.clip_norm, or "
        "train.precision float32"
    )

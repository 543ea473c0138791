"""How a training is computed: precision, memory layout and threads, measured where its recipe leaves them open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from tarsia import console, hardware
from tarsia.learning import probe
from tarsia.learning.loader import Batch
from tarsia.learning.processes import Processes
from tarsia.models._segmenter import Criterion, Segmenter
from tarsia.recipe_train import TrainRecipe
from tarsia.yaml_tree import as_override


def settle(
    settings: TrainRecipe, model: Segmenter, batch: Callable[[], Batch], criterion: Criterion, processes: Processes
) -> tuple[TrainRecipe, list[str]]:
    """The settings with nothing left open, the model arranged by them, and what was measured, for the log.

    `batch` gives the training's first one: the real network is measured at the real size, by the first process.
    """
    device, notes = processes.device, list[str]()

    def measured() -> list[str]:
        ways = probe.ways(settings.precision, settings.memory_format, device)
        if len(ways) == 1:
            return [*ways[0]]
        found = probe.fastest_way(model, batch(), criterion, device, ways)
        notes.append(f"computed in {found.chosen}; steps measured, times as fast as {ways[0]}: {found.ratios()}")
        return [*found.chosen]

    way = probe.Way(*processes.first(measured))
    if settings.precision == "bfloat16" and not hardware.torch_computes_bfloat16(device):
        console.note(
            "train.precision bfloat16: there is no hardware for it here, and without it float32 is many times faster: "
            f"{as_override('train.precision=auto')} takes the faster one"
        )
    model.arrange(way.memory_format)
    chosen = {"precision": way.precision, "memory_format": way.memory_format, "threads": torch.get_num_threads()}
    return TrainRecipe.model_validate(settings.model_dump() | chosen), notes


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """torch computes with `count` threads for as long as this lasts; None changes nothing."""
    before = torch.get_num_threads()
    if count is not None:
        if count > hardware.cores():
            console.note(f"train.threads: {count} threads on {hardware.cores()} cores, which is slower than as many")
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)

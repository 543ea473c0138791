"""What a training keeps in its resume point, and how it goes on from one, in as many processes as there are then."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tarsia import console, own_parts, recipe_changes
from tarsia.errors import RecipeError, TrainingError
from tarsia.learning import resume_point
from tarsia.learning.limit import Limit
from tarsia.learning.processes import Processes
from tarsia.plain_text import first_line, plain
from tarsia.recipe import Recipe

if TYPE_CHECKING:
    from tarsia.learning.state import TrainingState


def has_point(folder: Path) -> bool:
    """Whether `folder` holds a point to resume from."""
    return any((folder / "resume").glob("state*.safetensors"))


def save(state: TrainingState) -> None:
    """Write the resume point: what is of each process alone, as its random numbers, comes to the first before."""
    processes = state.processes
    state.counts_KK1 = state.counted() * (processes.rank == 0)
    random = processes.gathered(torch.get_rng_state())
    cuda = state.device.startswith("cuda")
    random_cuda = processes.gathered(torch.cuda.get_rng_state(state.device)) if cuda else None
    processes.first(lambda: _write(state, random, random_cuda))


def read(folder: Path, recipe: Recipe, processes: Processes) -> dict[str, Any]:
    """The newest sound resume point; the first process looks for it, and puts a damaged one away.

    Says what was changed in the run's recipe since; RecipeError where that cannot be taken.
    """
    path = _path(folder)
    found: list[dict[str, Any]] = []
    processes.first(lambda: found.append(resume_point.load_state(path)))
    tree = found[0] if found else resume_point.load_state(path)
    if "recipe" in tree:  # else of an earlier version: what does not fit the state is found when that is taken
        _note_changes(tree, recipe, folder)
    return tree


def restore(state: TrainingState, tree: dict[str, Any]) -> None:
    """Have `state` go on where `tree` was saved; TrainingError where it does not fit."""
    folder = state.folder
    if tree["samples"] != len(state.train_data):
        raise TrainingError(
            f"{folder}: the training split held {tree['samples']} samples and now holds "
            f"{len(state.train_data)}: restore the data set, or start a new training with train.start_from"
        )
    if tree["threads"] != torch.get_num_threads():
        console.note(
            f"{torch.get_num_threads()} threads instead of {tree['threads']}: sums are rounded differently, so the "
            f"weights will not be equal bit by bit to an unbroken training's (OMP_NUM_THREADS={tree['threads']})"
        )
    try:
        _take(state, tree)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder}: the resume point does not fit {folder / 'recipe.yaml'} ({first_line(error)}): "
            "the recipe was changed; undo that, or start a new training with train.start_from"
        ) from error


def _write(state: TrainingState, random: list[Tensor], random_cuda: list[Tensor] | None) -> None:
    if state.limit:
        state.progress.limit = state.limit.facts()
    tree = {
        "recipe": state.recipe.model_dump(mode="json"),
        "model": state.model.state_dict(),
        "average": state.average.model.state_dict() if state.average else None,
        "optimizer": state.optimizer.state_dict(),
        "random": random,
        "random_cuda": random_cuda,
        "threads": torch.get_num_threads(),
        "samples": len(state.train_data),
        "code": own_parts.sources(state.recipe.parts),
        "progress": asdict(state.progress),
        "counts": torch.from_numpy(state.counts_KK1),
        "history": state.history,
    }
    resume_point.save_state(_path(state.folder), tree)


def _take(state: TrainingState, tree: dict[str, Any]) -> None:
    state.model.load_state_dict(tree["model"])
    if state.average:
        state.average.model.load_state_dict(tree["average"])
    mine, theirs = (one["param_groups"][0] for one in (state.optimizer.state_dict(), tree["optimizer"]))
    if ("momentum" in mine) != ("momentum" in theirs):  # torch would take it, and fail in the first step
        raise ValueError("it is of another optimizer")
    state.optimizer.load_state_dict(tree["optimizer"])
    for parameter, values in state.optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # The fused kernels walk memory: state must lie as its parameter does, in its memory format.
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    own = _of_rank(tree["random"], state.processes.rank)
    if own is not None:
        torch.set_rng_state(own)
    own = _of_rank(tree["random_cuda"], state.processes.rank)
    if own is not None and state.device.startswith("cuda"):
        torch.cuda.set_rng_state(own, state.device)
    state.take_progress(tree["progress"])
    if state.progress.limit:  # what was left of it when the resume point was written is left now
        state.limit = Limit(**state.progress.limit)
    state.counts_KK1 = tree["counts"].numpy() * (state.processes.rank == 0)
    state.history = tree["history"]


def _of_rank(random: Tensor | list[Tensor] | None, rank: int) -> Tensor | None:
    """A process's random state; None, so that it begins by its seed, of one that there was not."""
    states = [random] if isinstance(random, Tensor) else random or []  # earlier versions kept that of one process
    return states[rank] if rank < len(states) else None


def _note_changes(tree: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    where, done = plain(folder / "recipe.yaml"), tree["progress"]["epoch"]
    for line in recipe_changes.taken(tree["recipe"], recipe, where):
        console.note(f"{where}: {line}")
    now = own_parts.sources(recipe.parts)
    for name in [name for name, sha256 in tree.get("code", {}).items() if now.get(name, sha256) != sha256]:
        console.warn(f"{name} was changed since this training began: it goes on with the code as it is now")
    if recipe.train.epochs < done:
        raise RecipeError(f"{where}: train.epochs is {recipe.train.epochs}, and {done} are done: give as many, or more")


def _path(folder: Path) -> Path:
    return folder / "resume" / "state.safetensors"

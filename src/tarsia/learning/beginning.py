"""How a training begins or goes on: its recipe, its folder, which the first process holds, and what it writes there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tarsia import formerly
from tarsia.errors import RecipeError
from tarsia.files import new_folder, require_new
from tarsia.folder_lock import holding
from tarsia.learning.augment import Extra
from tarsia.learning.processes import Processes
from tarsia.learning.run_folder import clear, note_environment
from tarsia.learning.state import Adapted, TrainingState
from tarsia.recipe import Recipe


def settled(recipe: Recipe | str | Path | None, resumed: Path | None) -> Recipe:
    """The recipe, or that of the run folder to go on with."""
    if resumed is None:
        if recipe is None:
            raise RecipeError("train needs a recipe, or a run folder to resume")
        return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    if recipe is not None:
        raise RecipeError(f"resume={str(resumed)!r} goes on with the run's own recipe: leave the other recipe out")
    if not (resumed / "recipe.yaml").is_file():
        what = "a folder without recipe.yaml" if resumed.is_dir() else "no such folder"
        raise RecipeError(f"resume={str(resumed)!r}: {what}, expected the run folder of a training that has started")
    return formerly.resumed(Recipe.load(resumed / "recipe.yaml"))


def opened(
    recipe: Recipe,
    adapted: Adapted,
    augment: Extra | None,
    processes: Processes,
    held: ExitStack,
    folder: Path,
    resume: bool = False,
) -> TrainingState:
    """The state of a training in `folder`, which the first process holds as long as `held` lasts if it is resumed.

    Raises RecipeError where a process was given another recipe than the first, and what TrainingState.open raises.
    """
    own = recipe.model_dump(mode="json")
    if processes.first(lambda: own) != own:
        raise RecipeError(f"rank {processes.rank}: its recipe is not that of rank 0: give all processes the same file")
    if resume:
        processes.first(lambda: _hold(held, folder))
    with processes.explained(str(folder)):
        return TrainingState.open(recipe, folder, processes.device, adapted, augment, resume, processes)


def new(
    opened: Callable[[Path], TrainingState], out: Path | None, overwrite: bool, processes: Processes, held: ExitStack
) -> TrainingState:
    """A state in a new folder, which comes after all that can be wrong: a mistake leaves nothing behind."""

    def look() -> None:
        if out is not None and out.exists():
            require_new(out, overwrite)  # said now, before anything slow
            _hold(held, out)

    def make() -> str:
        folder = require_new(out, overwrite) if out else new_folder(Path("runs"), state.recipe.name or "train")
        _hold(held, folder)
        if out is not None:
            require_new(out, overwrite)  # another training may have begun and ended there meanwhile
        processes.note_begun(folder)
        return str(folder)

    processes.first(look)
    state = opened(out or Path("runs"))
    state.folder = Path(processes.first(make))
    return state


def written(state: TrainingState, resumed: bool) -> None:
    """Write what stands in a run's folder before its first step."""

    def begin() -> dict[str, Any]:
        clear(state.folder, keep_run=resumed)
        state.write_recipe()
        return note_environment(state.folder, state.processes.count)

    state.environment = state.processes.first(begin)


def _hold(held: ExitStack, folder: Path) -> None:
    held.enter_context(holding(folder))

"""How a step's batches are shared by the processes of a training, which may be others than it began with."""

from __future__ import annotations

from tarsia.errors import RecipeError
from tarsia.learning.processes import Processes
from tarsia.plain_text import number
from tarsia.recipe import Recipe
from tarsia.recipe_train import TrainRecipe


def batches_per_step(settings: TrainRecipe, count: int) -> int:
    """Batches of a step, of all `count` processes; RecipeError where these cannot have equally many.

    A recipe that says with how many processes it began has steps as large with any other number.
    """
    batches = settings.accumulate * (settings.processes or count)
    if batches % count:
        raise RecipeError(
            f"train.processes: {settings.processes}, with train.accumulate {settings.accumulate}, make "
            f"{number(batches, 'batch', 'batches')} a step, which {count} processes cannot share evenly: start a "
            f"number that divides it; or begin a training with other steps, by train.processes={count}"
        )
    return batches


def settled(recipe: Recipe, processes: Processes) -> Recipe:
    """The recipe with the number of processes that it began with."""
    settings = recipe.train
    batches_per_step(settings, processes.count)
    train = settings.model_copy(update={"processes": settings.processes or processes.count})
    return recipe.model_copy(update={"train": train})


def told(settings: TrainRecipe, processes: Processes) -> list[str]:
    """What is said of a step that several processes share, or of one that was theirs."""
    began, count = settings.processes or 1, processes.count
    if began == count == 1:
        return []
    batches = batches_per_step(settings, count)
    turns = batches // count
    each = f"{number(settings.batch, 'picture')} each" + (f", {turns} batches one after the other" if turns > 1 else "")
    other = "" if began == count else f" (train.processes is {began}: a step stays as large)"
    lines = [
        f"{number(count, 'process', 'processes')}, {each}: {number(settings.batch * batches, 'picture')} a step"
        f"{other}; the learning rate is the recipe's, {settings.learning_rate:g}, whatever their number"
    ]
    if settings.sync_batch_norm and began != count:
        seen = f"{settings.batch * count} instead of {settings.batch * began} pictures together"
        lines.append(f"train.sync_batch_norm: batch normalisation sees {seen}, which changes what is learned")
    return lines

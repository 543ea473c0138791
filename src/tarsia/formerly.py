"""What was written by earlier versions, and while this package was called Inlay: the one place that knows that name.

Files of that time keep its marks (`inlay_card` in a model's header, `inlay train` in a report's record).  They are
translated as they are read, and what is written anew carries the new ones.  What its runs left unsaid is said here too,
and what an option meant before it was two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tarsia.errors import RecipeError

if TYPE_CHECKING:
    from tarsia.models import HeadStart
    from tarsia.recipe import Recipe

_NAME, _NOW = "inlay", "tarsia"
# How the layers that give scores started before recipes said it, in today's words; all others by he, or near it.
_HEAD_STARTS: dict[str, HeadStart] = {"fcn": 0.0, "msanet": 0.01}


def key(name: str) -> str:
    """A key of a file's metadata under its present name: `inlay_card` -> `tarsia_card`; others as they are."""
    return f"{_NOW}_{name.removeprefix(f'{_NAME}_')}" if name.startswith(f"{_NAME}_") else name


def command(provenance: Mapping[str, Any]) -> str:
    """The command that a report or a model says it is of, under the present name; empty where it says none."""
    said = str(provenance.get("command") or "")
    program, space, rest = said.partition(" ")
    return f"{_NOW}{space}{rest}" if program == _NAME else said


def version_of(versions: Mapping[str, Any]) -> str | None:
    """Which version of this package stands among `versions`, under either name."""
    return versions.get(_NOW) or versions.get(_NAME)


def started(recipe: Recipe) -> Recipe:
    """A run's own recipe.  One without `train.processes` was trained in one."""
    recipe = asked(recipe)
    if recipe.train.processes is not None:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"processes": 1})})


def asked(recipe: Recipe) -> Recipe:
    """A training's recipe as it was asked for.  One without `model.head_start` began as its network did by itself."""
    model = recipe.model
    if "head_start" in model.model_fields_set:
        return recipe
    own = "he" if model.options.get("init") == "kaiming" else _HEAD_STARTS.get(model.name, "he")
    return recipe.model_copy(update={"model": model.model_copy(update={"head_start": own})})


def resumed(recipe: Recipe) -> Recipe:
    """A run's own recipe, to go on with.  One of that time names no memory layout: then all were channels-last."""
    recipe = started(recipe)
    if recipe.train.memory_format != "auto":  # which a run's own recipe never says
        return recipe
    train = recipe.train.model_copy(update={"memory_format": "channels_last"})
    return recipe.model_copy(update={"train": train})


def refining(options: Any) -> Any:
    """A PSPNet's options.  `squeeze_excitation: true` meant `refine: true` as well before that was one of its own.

    Cards and recipes of that time name no `refine`; where it is named, it is as it says.
    """
    if isinstance(options, dict) and options.get("squeeze_excitation") in (True,) and "refine" not in options:
        return {**options, "refine": True}
    return options


def refuse_old_key(environment: Mapping[str, str]) -> None:
    """RecipeError where a service's key is given under the old name alone: unread, it would leave the service open."""
    old, now = (f"{name.upper()}_API_KEY" for name in (_NAME, _NOW))
    if old in environment and now not in environment:
        raise RecipeError(f"{old} is set and {now} is not: the package's name has changed, rename the variable")

"""What differs between the recipe a training began with and the one it is to go on with, and what of it it can take."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tarsia import formerly
from tarsia.errors import RecipeError
from tarsia.plain_text import plain
from tarsia.recipe import Recipe

# None of these changes what is learned, or which model is kept.
_FREE = (
    *("name", "expected", "data.cache", "data.keep_megabytes"),
    *("train.workers", "train.save_every_seconds", "train.keep", "train.timeout_seconds"),
    *("train.callbacks", "train.cache_features.folder"),
    *("model.licence", "model.accept_licence"),
)
# What a training can take on its way, and what it means there; epochs have their own words.
_TAKEN = {
    "data.root": "the same samples are expected there",
    "train.early_stop": "asked after each epoch from here on",
    "train.precision": "from here on, so that the weights are not those of an unbroken training",
    "train.memory_format": "from here on, so that the weights are not those of an unbroken training bit by bit",
    "train.threads": "from here on, so that the weights are not those of an unbroken training bit by bit",
    "train.compile": "from here on, so that the weights are not those of an unbroken training bit by bit",
    "train.replan": "followed from here on",
    "train.epochs": "",
}


def flat(tree: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as key.key and value."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def words(settings: dict[str, Any], key: str) -> str:
    """The value of `key` as it stands in a recipe."""
    return "not set" if settings.get(key) is None else plain(json.dumps(settings[key], ensure_ascii=False))


def taken(before: dict[str, Any], now: Recipe, where: str) -> list[str]:
    """A line for each setting of `now` that differs from `before`, the recipe of a resume point, and can be taken.

    Raises RecipeError, naming `where` the recipe stands, for those that cannot: each with both values.
    """
    old, new = _settings(before), dict(flat(now.model_dump(mode="json")))
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    keys = [key for key in keys if not any(key == free or key.startswith(f"{free}.") for free in _FREE)]
    changed = {key: f"{key} was {words(old, key)} and is {words(new, key)}" for key in keys}
    refused = [line for key, line in changed.items() if key not in _TAKEN]
    if refused:
        raise RecipeError(
            f"{where}: the recipe was changed since this training began: {'; '.join(refused)}: undo that, or start a "
            "new training with train.start_from, which takes the weights alone"
        )
    return [f"{line}: {_TAKEN[key] or _rate(old, now)}" for key, line in changed.items()]


def _settings(before: dict[str, Any]) -> dict[str, Any]:
    """The settings of a stored recipe, with defaults for those that there were not when it was stored."""
    with contextlib.suppress(ValidationError):  # of another version, which knew other settings: as it stands
        before = formerly.started(Recipe.model_validate(before)).model_dump(mode="json")
    return dict(flat(before))


def _rate(old: dict[str, Any], now: Recipe) -> str:
    """What another number of epochs means for the learning rate."""
    schedule = now.train.schedule
    if schedule == "constant":
        return "the learning rate is constant, so this is what a training of that length would have been"
    return (
        f"the {schedule} schedule of the learning rate spans {now.train.epochs} epochs from here on and spanned "
        f"{old['train.epochs']} so far, so this is not what a training of that length would have been from its start"
    )

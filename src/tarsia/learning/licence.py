"""The licence of the weights that a network starts from, which its model keeps: stated, and said where it matters."""

from __future__ import annotations

import re
from pathlib import Path

from tarsia import models
from tarsia.card import Card
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.recipe import ModelRecipe, Recipe

# By SPDX's names, of those that let anybody use what is made with the weights, also for money.
FREE = frozenset({"apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "isc", "mit"})
_NOT_FOR_MONEY = re.compile(r"(?:^|\W)(nc|non-?commercial)(?:$|\W)", re.IGNORECASE)


def settled(recipe: Recipe) -> Recipe:
    """The recipe with `model.licence`, where weights are started from and it is not said: as their source states it.

    "" where that states none.
    """
    model = recipe.model
    if model.licence is not None or (model.weights == "none" and not recipe.train.start_from):
        return recipe
    if recipe.train.start_from:
        found = _of_model(read_card(find_model_file(Path(recipe.train.start_from))))
    else:
        from tarsia.models._weights import licence

        options = models.config_class(model.name).model_validate(model.options)
        found = licence(str(getattr(options, "encoder", "")), model.weights)
    return recipe.model_copy(update={"model": model.model_copy(update={"licence": found})})


def _of_model(card: Card) -> str | None:
    """Of what a model started from, "" where nobody knows; None where it learned from scratch."""
    before = card.provenance.get("recipe") or {}
    said = (before.get("model") or {}).get("licence")
    scratch = before and (before.get("model") or {}).get("weights", "none") == "none"
    started = (before.get("train") or {}).get("start_from")
    return None if said is None and scratch and not started else str(said or "")


def remark(model: ModelRecipe) -> str:
    """What a person should know of the licence before a model is used; "" where nothing, or where it is accepted."""
    said = model.licence
    if said is None or model.accept_licence or said.lower() in FREE:
        return ""
    if not said:
        what = "nothing says under which licence these weights are: look it up, and state it (model.licence)"
    elif _NOT_FOR_MONEY.search(said):
        what = f"these weights are under {said}, which forbids commercial use, and so is the model"
    else:
        what = f"these weights are under {said}, a licence with terms of its own, which hold for the model"
    return f"{what}; `model.accept_licence=True` says that you know"

"""What the weights that a network starts from were trained to see: mean and deviation, and how the encoder pads.

A model to start from says it in its card, a file of an encoder's weights in its metadata (`mean`, `std`, `pad`), else
timm in its configuration of the encoder.  What is concluded stands in the run's recipe and card; what nobody says is
told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tarsia import models
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.plain_text import listed
from tarsia.recipe import ModelRecipe, Recipe


def settled(recipe: Recipe) -> tuple[Recipe, str]:
    """The recipe with `model.mean`, `std` and `encoder_options.pad_type` as what it starts from states them.

    What the recipe says itself stands.  And a line on what is not stated anywhere; "" where there is nothing to tell.
    """
    model, start = recipe.model, recipe.train.start_from
    fields = models.config_class(models.accept(model.name)).model_fields
    if start:
        card = read_card(find_model_file(Path(start)))
        theirs = {key: value for key, value in card.model.items() if key in ("mean", "std")}
        padding = (card.model.get("encoder_options") or {}).get("pad_type")
        return _with(recipe, fields, theirs, padding), ""
    if model.weights in ("none", "imagenet"):
        return recipe, ""
    from tarsia.models._weights import stated, weights_file

    file = stated(weights_file(model.weights))
    said = {"mean": file.mean, "std": file.std} if model.options.get("bands", 3) == 3 else {}
    recipe = _with(recipe, fields, said, "same" if file.same_padding else None)
    return recipe, _unsaid(recipe.model, fields, said)


def _with(recipe: Recipe, fields: Any, said: dict[str, Any], padding: str | None) -> Recipe:
    model = recipe.model
    more = {key: value for key, value in said.items() if value and key in fields and not model.options.get(key)}
    own = model.options.get("encoder_options") or {}
    if padding and "encoder_options" in fields and "pad_type" not in own:
        more["encoder_options"] = {**own, "pad_type": padding}
    if not more:
        return recipe
    return recipe.model_copy(update={"model": ModelRecipe.model_validate(model.model_dump(exclude_unset=True) | more)})


def _unsaid(model: ModelRecipe, fields: Any, said: dict[str, Any]) -> str:
    from tarsia.models._segmenter import IMAGENET_MEAN, IMAGENET_STD
    from tarsia.models._weights import timm_knows

    if "mean" not in fields:
        others = [value for value in said.values() if value and value not in (IMAGENET_MEAN, IMAGENET_STD)]
        told = (
            f"{model.weights} was trained with another mean or deviation than ImageNet's, which {model.name} is shown"
        )
        return told if others else ""
    unsaid = [key for key, value in said.items() if not value and not model.options.get(key)]
    if not unsaid:
        return ""
    encoder = str(model.options.get("encoder", fields["encoder"].default if "encoder" in fields else ""))
    source = f"timm's of {encoder}" if timm_knows(encoder) else "ImageNet's, since timm does not know them either,"
    return (
        f"{model.weights} does not say with which {listed(unsaid)} it was trained: {source} are taken; if it was "
        f"others, say {listed([f'model.{key}' for key in unsaid])}"
    )

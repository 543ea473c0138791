"""Tiny: a study on drawn streets, in seconds: does all of it work, before hours are spent on it?

Every training keeps its name and the switches of its variation.  It sees a few small scenes in place of its data, has
its network's smallest form and from scratch, and learns two steps; of the seeds there is the first.  Each further
evaluation is on a scene of every condition.  Its figures mean nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tarsia.data._streets.conditions import CONDITIONS
from tarsia.recipe import Recipe
from tarsia.studies.schema import Evaluation
from tarsia.studies.study import Study

_SIDE, _CROP = 64, 48  # pixels
_SCENES: dict[str, Any] = {"name": "streets", "count": 4, "size": [_SIDE, _SIDE], "val_options": {"count": 2}}
_EVERY_CONDITION: dict[str, Any] = {"condition": "all", "count": len(CONDITIONS), "size": [_SIDE, _SIDE]}
_OF_OTHERS = {"encoder_options", "bands", "mean", "std"}  # options that fit another encoder or other pictures


def tiny_study(study: Study) -> Study:
    """The study NAME as NAME-tiny."""
    first = study.runs[0].recipe.seed
    runs = [replace(run, recipe=tiny_recipe(run.recipe)) for run in study.runs if run.recipe.seed == first]
    evaluate = [
        Evaluation(
            name=one.name,
            data="streets",
            split="test",
            options=_EVERY_CONDITION,
            reference_domain=one.reference_domain if one.reference_domain in CONDITIONS else None,
        )
        for one in study.evaluate
    ]
    name = f"{study.name}-tiny"
    return replace(study, name=name, runs=tuple(runs), evaluate=tuple(evaluate), reference_domain=None)


def tiny_recipe(recipe: Recipe) -> Recipe:
    """The recipe with all its settings but those that make it long, large, or of other pictures."""
    from tarsia import data, models
    from tarsia.models._segmenter import EncoderConfig

    tree = recipe.model_dump(mode="json")
    options = {key: value for key, value in recipe.model.options.items() if key not in _OF_OTHERS}
    smallest = models.config_class(recipe.model.name).smallest
    if "encoder" in options and "encoder" not in smallest:
        smallest = EncoderConfig.smallest  # the other is that of the network's own encoder
    network = {"name": recipe.model.name, **options, **smallest}
    train = tree["train"] | {"epochs": 1, "steps_per_epoch": 2, "batch": 2, "accumulate": 1, "workers": 0}
    train |= {"precision": "float32", "memory_format": "contiguous", "start_from": None}
    if isinstance(train["class_weights"], list):
        train["class_weights"] = [1.0] * len(data.open("streets", split="train", count=1).classes)
    seen = {"size": [_SIDE, _SIDE]} if recipe.input.size else {}
    augment = tree["augment"] | ({"crop": [_CROP, _CROP]} if recipe.augment.crop else {})
    kept = {"name": recipe.name, "seed": recipe.seed}
    return Recipe.model_validate(
        kept | {"data": _SCENES, "model": network, "input": seen, "augment": augment, "train": train}
    )

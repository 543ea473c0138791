"""Every recipe that ships trains: on tiny street scenes, with the smallest form of its network, for two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tarsia import data, models
from tarsia.recipe import Recipe
from tarsia.scores import Report
from tarsia.training import train

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
SCENES = {"name": "streets", "count": 4, "size": [64, 64], "val_options": {"count": 2}}


def tiny(tree: dict[str, Any]) -> dict[str, Any]:
    """The recipe with all its settings but those that make it long, large, or of other pictures."""
    small = {key: value for key, value in tree["model"].items() if key not in ("encoder_options", "weights", "freeze")}
    small |= models.config_class(small["name"]).smallest
    section = dict(tree["train"], epochs=1, steps_per_epoch=2, batch=2, accumulate=1, workers=0, precision="float32")
    if isinstance(section.get("class_weights"), list):
        section["class_weights"] = [1.0] * len(data.open("streets", split="train", count=1).classes)
    seen = {"size": [64, 64]} if "size" in tree.get("input", {}) else {}
    augment = dict(tree.get("augment", {}))
    if "crop" in augment:
        augment["crop"] = [48, 48]
    return {"name": "tiny", "data": SCENES, "model": small, "input": seen, "augment": augment, "train": section}


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 7


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipe_trains(path: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(tiny(yaml.safe_load(path.read_text(encoding="utf-8"))))
    run = train(recipe, out=tmp_path / "run")
    report = Report.read(run)
    assert 0 <= report.metrics.pixel_accuracy <= 1 and len(report.names) == 2
    steps = (run / "metrics.csv").read_text().splitlines()
    assert len(steps) == 2 and steps[1].split(",")[1] == "2"

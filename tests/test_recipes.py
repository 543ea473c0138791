"""Every recipe that ships trains: on tiny street scenes, with the smallest form of its network, for two steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tarsia.evaluation.report import Report
from tarsia.recipe import Recipe
from tarsia.studies.tiny import tiny_recipe
from tarsia.training import train

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
STUDIES = sorted((Path(__file__).parents[1] / "studies").glob("*.yaml"))


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 7


def keys(tree: Any) -> Iterator[str]:
    """Every key of nested settings, of those with dots the last part."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key).rpartition(".")[2]
            yield from keys(value)
    elif isinstance(tree, list):
        for one in tree:
            yield from keys(one)


TIME = re.compile(r"\d (minutes|hours|s a step|s for each|s an epoch)|(an|half an|about an) hour")


@pytest.mark.parametrize("path", [*RECIPES, *STUDIES], ids=lambda path: path.stem)
def test_nothing_of_a_machine_is_written_in(path: Path) -> None:
    """How it is computed is measured where it runs; a header's times say on what kind of processor they were taken."""
    text = path.read_text(encoding="utf-8")
    assert not {"precision", "memory_format", "threads"} & {*keys(yaml.safe_load(text))}
    header = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert not TIME.search(header) or re.search(r"AVX2|AVX-512|bfloat16|AMX", header)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipe_trains(path: Path, tmp_path: Path) -> None:
    run = train(tiny_recipe(Recipe.load(path)), out=tmp_path / "run")
    report = Report.read(run)
    assert 0 <= report.metrics.pixel_accuracy <= 1 and len(report.names) == 2
    steps = (run / "metrics.csv").read_text().splitlines()
    assert len(steps) == 2 and steps[1].split(",")[1] == "2"

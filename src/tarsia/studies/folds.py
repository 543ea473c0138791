"""Folds of a study: the trainings they make of one, and the report of all folds of a seed as one.

A study's folder holds a run folder for each fold, VARIATION-seedN-FOLD, and for all folds of a seed a folder
VARIATION-seedN with the joined report, the recipe, and folds.json: which runs it was joined from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console, data, yaml_tree
from tarsia.data import Dataset, Sample
from tarsia.errors import DatasetError, OutputError, RecipeError
from tarsia.evaluation.folder import write_folder
from tarsia.evaluation.joined import joined
from tarsia.evaluation.report import Report, data_hash
from tarsia.evaluation.thresholds import judge
from tarsia.files import write_json
from tarsia.recipe import DataRecipe, Recipe
from tarsia.studies.schema import Run, Target

FILE = "folds.json"


def folded(runs: Sequence[Run], by: str, where: str) -> list[Run]:
    """Each training once for each fold of its data; RecipeError, beginning with `where`, where there are none."""
    known: dict[str, list[str]] = {}
    found: list[Run] = []
    for run in runs:
        section = run.recipe.data
        fold = section.options.get("fold")
        if fold is not None:
            raise RecipeError(f"{where}: {run.name}: its recipe holds out {fold} already: leave data.fold out of it")
        section = section.model_copy(update={"folds": by})
        key = json.dumps([section.name, section.root, section.options], sort_keys=True, default=str)
        try:
            folds = known.get(key) or list(data.folds(section.name, section.root, section.options))
        except DatasetError as error:
            raise RecipeError(f"{where}: {error}") from error
        known[key] = folds
        for fold in folds:
            recipe = run.recipe.model_copy(update={"data": section.model_copy(update={"fold": fold}), "expected": None})
            one = replace(run, recipe=recipe, fold=fold, expected=run.recipe.expected)
            found.append(replace(one, recipe=recipe.model_copy(update={"name": one.name})))
    return found


def by_seed(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The folds of each seed of a variation, by the name that they have together."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.seed_name, []).append(run)
    return found


def refuse_others(study: Path, runs: Sequence[Run]) -> None:
    """OutputError where another training stands in the place of a joined report."""
    for name in by_seed(run for run in runs if run.fold):
        if (study / name / "recipe.yaml").is_file() and not (study / name / FILE).is_file():
            raise OutputError(f"{study / name}: holds a training without folds: choose another `out`")


def join(
    folder: Path, reports: Sequence[tuple[Run, Path]], target: Target, pictures: Dataset, hashes: dict[str, str]
) -> None:
    """Write into `folder` the report of all folds of a seed, unless it is there: `reports` are where each one's is.

    `target` and `pictures` are all that they have scored; `hashes` keeps what is found of those, by their key.  Raises
    DatasetError where the reports are not of each picture once.
    """
    facts = {run.fold: _facts(folder, path) for run, path in reports}
    if _is_joined(folder, facts):
        return
    if target.key not in hashes:
        count = len(pictures)
        hashes[target.key] = data_hash(pictures[k] for k in console.track(range(count), count, "reading all folds"))
    said = {"split": target.split, "folds": target.options["folds"], "data_hash": hashes[target.key]}
    names = [pictures.name(index) for index in range(len(pictures))]
    found = joined({run.fold: Report.read(path) for run, path in reports}, names, said)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)  # written last: where it is, all is
    yaml_tree.dump(folder / "recipe.yaml", _recipe(reports), f"of each fold in turn; the trainings are in {FILE}")
    write_folder(folder, found, pictures, 0, _not_drawn)
    expected = reports[0][0].expected
    if expected is not None:
        judge(expected, found, folder)
    write_json(folder / FILE, facts)


def _not_drawn(sample: Sample) -> np.ndarray:
    raise AssertionError(f"{sample.name} is drawn by its own fold's report")


def _facts(folder: Path, report: Path) -> dict[str, str]:
    """Where the report of a fold is, and what tells it from another one."""
    counts = hashlib.sha256((report / "counts.npz").read_bytes()).hexdigest()
    return {"report": Path(os.path.relpath(report, folder)).as_posix(), "counts_sha256": counts}


def _is_joined(folder: Path, facts: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / FILE).read_text(encoding="utf-8")) == facts)
    except (OSError, ValueError):
        return False


def _recipe(reports: Sequence[tuple[Run, Path]]) -> Recipe:
    """What all folds were trained by: as it was asked for, with precision and memory layout where they agree."""
    first = reports[0][0]
    section = {key: value for key, value in first.recipe.data.model_dump().items() if key != "fold"}
    stored = [Recipe.load(path / "recipe.yaml").train for _, path in reports]
    measured = {
        name: getattr(stored[0], name)
        for name in ("precision", "memory_format")
        if all(getattr(one, name) == getattr(stored[0], name) for one in stored)
    }
    changes = {"data": DataRecipe.model_validate(section), "expected": first.expected, "name": first.seed_name}
    return first.recipe.model_copy(update=changes | {"train": first.recipe.train.model_copy(update=measured)})

"""Scores: which reports there are of a study's trainings, where, and which of them can be compared with each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tarsia.card import SUM_KEY, read_header
from tarsia.engines.model_file import find_model_file
from tarsia.studies import folds
from tarsia.studies.run_state import run_folder, state
from tarsia.studies.schema import Evaluation, Run, Target, validation
from tarsia.studies.study import Study


class Scored(NamedTuple):
    """A report to be compared, in `folder`: of the pictures of `target`, by a training or by all folds of a seed.

    `label`: what its seeds have in common; `cache`: where its pictures are decoded.
    """

    name: str
    label: str
    parts: tuple[str, ...]
    folder: Path
    target: Target
    cache: str | None


def target_of(run: Run, evaluation: Evaluation | None) -> Target:
    """The pictures of a report of `run`, of its own without `evaluation`."""
    return validation(run.recipe) if evaluation is None else evaluation.target(run.recipe)


def scores_folder(study: Path, run: Run, evaluation: Evaluation | None) -> Path:
    """Where the report of `run` is, its own without `evaluation`."""
    return _within(run_folder(study, run), evaluation)


def is_scored(study: Path, run: Run, evaluation: Evaluation) -> bool:
    """Whether the report of this very model on these very pictures is there."""
    try:
        found = json.loads((scores_folder(study, run, evaluation) / "scored.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == scored_on(run_folder(study, run), target_of(run, evaluation)))


def scored_on(model: Path, target: Target) -> dict[str, str]:
    """What scored.json says of a report: which model it is of, and which pictures."""
    return {"model_sha256": read_header(find_model_file(model)).get(SUM_KEY, ""), "pictures": target.key}


def scored(
    folder: Path, study: Study, finished: Sequence[Run], evaluation: Evaluation | None
) -> tuple[list[Scored], list[str]]:
    """What there is of finished trainings to be compared, and a line for each seed of which folds are missing.

    Where trainings have scored a fold each, those of a seed are one, joined here if they are not yet: also with folds
    that another process has trained.  Raises DatasetError where they do not fit together.
    """
    found: list[Scored] = []
    said: list[str] = []
    hashes: dict[str, str] = {}
    there = [run for run in finished if evaluation is None or is_scored(folder, run, evaluation)]
    for run in there:
        target = target_of(run, evaluation)
        if not target.is_fold or not run.fold:
            place = scores_folder(folder, run, evaluation)
            found.append(Scored(run.name, run.label, run.parts, place, target, run.recipe.data.cache))
    for name in folds.by_seed(run for run in there if run.fold and target_of(run, evaluation).is_fold):
        every = [run for run in study.runs if run.seed_name == name]
        lacking = [run.fold for run in every if not _is_there(folder, run, evaluation)]
        if lacking:
            said.append(f"{name}: compared once all its {len(every)} folds are finished; missing: {', '.join(lacking)}")
            continue
        first = every[0]
        whole, place = target_of(first, evaluation).whole, _within(folder / name, evaluation)
        reports = [(run, scores_folder(folder, run, evaluation)) for run in every]
        folds.join(place, reports, whole, whole.open(first.recipe.data.cache), hashes)
        found.append(Scored(name, first.label, first.parts, place, whole, first.recipe.data.cache))
    return found, said


def _is_there(folder: Path, run: Run, evaluation: Evaluation | None) -> bool:
    if state(folder, run).kind != "finished":
        return False
    return evaluation is None or is_scored(folder, run, evaluation)


def _within(run: Path, evaluation: Evaluation | None) -> Path:
    return run if evaluation is None else run / "evaluations" / evaluation.name

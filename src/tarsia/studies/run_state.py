"""Run state: what of a study's training is in its folder already, and whether that is the training asked for.

A study's folder holds a run folder for each training, and in recipes/ each one's recipe as it was asked for, before
precision, memory layout, threads and class weights were measured and the file of its weights was asked.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import importlib.util
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tarsia import formerly, yaml_tree
from tarsia.errors import RecipeError
from tarsia.files import LOCK
from tarsia.folder_lock import Busy, holding
from tarsia.plain_text import some
from tarsia.recipe import ModelRecipe, Recipe
from tarsia.recipe_changes import flat, words
from tarsia.studies.study import Run

# What may differ between a training and the one asked for: none of it changes the model.
_IDLE = {"workers", "save_every_seconds", "timeout_seconds"}
_OF_THE_PLACE: Any = {"name": True, "expected": True, "data": {"cache", "keep_megabytes"}, "train": _IDLE}
_MEASURED = ("precision", "memory_format", "threads", "processes", "class_weights")
_STATED = ("licence", "mean", "std")  # of a model, by the file of its weights where the recipe does not say it
_NAMED = 3  # settings that differ, named one by one


class State(NamedTuple):
    """`missing`, `started` (killed, or at work), `finished`, or `changed`: there is another training's; in words."""

    kind: Literal["missing", "started", "finished", "changed"]
    detail: str


def run_folder(study: Path, run: Run) -> Path:
    """The folder of `run` in the study's."""
    return study / run.name


def asked_path(study: Path, run: Run) -> Path:
    """The recipe of `run` as it was asked for."""
    return study / "recipes" / f"{run.name}.yaml"


def note_asked(study: Path, run: Run) -> None:
    """Write the recipe of `run` as it is asked for."""
    yaml_tree.dump(asked_path(study, run), run.recipe, "as the study asks for it; the run's recipe.yaml is resolved")


def as_other_seeds(study: Path, run: Run) -> Recipe:
    """The recipe of `run`, with precision and memory layout as another seed's training has measured them.

    Each would measure for itself, and on a busy machine not always find the same; of two precisions no pool is made.
    """
    for path in sorted((study / "recipes").glob(f"{glob.escape(run.label)}-seed*.yaml")):
        stored = study / path.stem / "recipe.yaml"
        if path == asked_path(study, run) or not stored.is_file():
            continue
        with contextlib.suppress(RecipeError):
            if not _difference(run.recipe, _as(run, _asked(path))):
                return _settled(run.recipe, Recipe.load(stored), ("precision", "memory_format"))
    return run.recipe


def _as(run: Run, other: Recipe) -> Recipe:
    """`other` with the seed of `run`, and the fold."""
    data = other.data.model_copy(update={"fold": run.fold}) if run.fold else other.data
    return other.model_copy(update={"seed": run.recipe.seed, "data": data})


def state(study: Path, run: Run) -> State:
    """What of `run` is in the study's folder."""
    folder = run_folder(study, run)
    stored = folder / "recipe.yaml"
    if not stored.is_file():
        others = [path.name for path in folder.glob("*") if not path.name.endswith(".part") and path.name != LOCK]
        return State("changed", f"{others[0]}, but no recipe.yaml") if others else State("missing", "")
    asked = asked_path(study, run)
    try:
        there = formerly.started(Recipe.load(stored))
        difference = _difference(_stated(_settled(run.recipe, there), there), there)
        if not difference and asked.is_file():  # which other class weights gave the numbers that are stored
            difference = _difference(run.recipe, _asked(asked))
    except RecipeError as error:
        difference = f"a recipe that is not sound: {error}"
    if difference:
        return State("changed", difference)
    if all((folder / name).is_file() for name in _last_files()):
        return State("finished", f"mIoU {_miou(folder)}")
    return State("started", f"after epoch {len(_epochs(folder))} of {run.recipe.train.epochs}")


def seconds_taken(folder: Path) -> float:
    """How long a finished run took, 0 where it does not say: by the clock, or for one that was stopped its epochs."""
    try:
        began = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        ended = json.loads((folder / "report.json").read_text(encoding="utf-8"))["provenance"]
        if "resumed" not in began:
            return _moment(ended) - _moment(began)
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
    return sum(float(row["seconds"]) for row in _epochs(folder))


@contextlib.contextmanager
def alone(study: Path, run: Run) -> Iterator[bool]:
    """Whether no other process is at work on `run`; none begins while this one is within.

    A folder in which nothing was written goes again.
    """
    folder = run_folder(study, run)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(holding(folder))
            except Busy:
                yield False
                return
            yield True
    finally:
        with contextlib.suppress(OSError):  # there is something in it, as there should be
            folder.rmdir()


def _asked(path: Path) -> Recipe:
    """The recipe of a training as it was asked for, and as that training understood it."""
    return formerly.asked(Recipe.load(path))


def _last_files() -> list[str]:
    """What a training writes last: its report, and the report's page where that can be drawn."""
    return ["counts.npz", "report.json", *(["report.html"] if importlib.util.find_spec("jinja2") else [])]


def _settled(wanted: Recipe, there: Recipe, names: Sequence[str] = _MEASURED) -> Recipe:
    """`wanted` with what a training measures before it starts (or `names` of that) taken from `there`."""
    measured: dict[str, Any] = {}
    for name in set(names) - {"class_weights"}:
        if getattr(wanted.train, name) in ("auto", None):
            measured[name] = getattr(there.train, name)
    weights = wanted.train.class_weights
    if "class_weights" in names and isinstance(weights, str) and weights != "none":
        measured["class_weights"] = there.train.class_weights
    return wanted.model_copy(update={"train": wanted.train.model_copy(update=measured)})


def _stated(wanted: Recipe, there: Recipe) -> Recipe:
    """`wanted` with what a training reads of the weights that it starts from taken from `there`."""
    own, theirs = wanted.model.model_dump(exclude_unset=True), there.model.model_dump()
    more = {name: theirs[name] for name in _STATED if own.get(name) is None and theirs.get(name) is not None}
    options, padding = own.get("encoder_options") or {}, (theirs.get("encoder_options") or {}).get("pad_type")
    if padding and "pad_type" not in options:
        more["encoder_options"] = {**options, "pad_type": padding}
    return wanted.model_copy(update={"model": ModelRecipe.model_validate(own | more)})


def _difference(wanted: Recipe, there: Recipe) -> str:
    """The settings in which two trainings differ, in words; at most three of them."""
    ours, theirs = (dict(flat(recipe.model_dump(mode="json", exclude=_OF_THE_PLACE))) for recipe in (wanted, there))
    keys = [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]
    found = [f"{key} is {words(theirs, key)} there and {words(ours, key)} in the study" for key in keys]
    return some(found, _NAMED, "; ")


def _epochs(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv, one for each epoch that is done."""
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []


def _miou(folder: Path) -> str:
    """The mIoU in report.json, as text; ? where it cannot be read."""
    try:
        return f"{json.loads((folder / 'report.json').read_text(encoding='utf-8'))['miou']:.4f}"
    except (OSError, ValueError, KeyError, TypeError):
        return "?"


def _moment(facts: dict[str, Any]) -> float:
    return datetime.fromisoformat(facts["created"]).timestamp()

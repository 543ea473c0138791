"""Reading a study: what is sound in it is looked into, even where the rest is not, so that all faults come at once."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from tarsia import data, shipped
from tarsia.comparison.claims import Claim
from tarsia.errors import TOLD, DatasetError, RecipeError, nearest
from tarsia.plain_text import plain
from tarsia.recipe import Recipe
from tarsia.studies.schema import Evaluation, Run, Variation
from tarsia.yaml_faults import Fault, Location
from tarsia.yaml_tree import Document, Node, as_override

Entry = TypeVar("Entry", bound=Node)
_MOST = 1_000_000  # settings of all trainings together


class _Settings(NamedTuple):
    """`set` of one place in the study: as arguments of --set, each with the line that says it."""

    name: str
    place: str
    overrides: list[tuple[str, str]]


def read_runs(document: Document, overrides: Sequence[str]) -> tuple[list[Run], list[str]]:
    """The trainings whose recipes are sound, and a line for each fault of the others."""
    recipes, lines = _recipe_files(document)
    common = _settings(document, (), document.tree).overrides
    given = [(override, as_override(override)) for override in overrides]
    variations, variants = (
        [_settings(document, (key, k), one.model_dump()) for k, one in _sound(document, key, Variation)]
        for key in ("variations", "data")
    )
    seeds = document.tree.get("seeds", [0])
    count = len(recipes) * max(1, len(variants)) * max(1, len(variations))
    count *= len(seeds) if isinstance(seeds, list) else 1
    if count * (1 + len(common) + len(given)) > _MOST:
        raise RecipeError(
            f"{document.source}: {count:,} trainings of {len(common) + len(given)} settings or more each, too many"
        )
    runs: list[Run] = []
    for called, path in recipes:
        said: list[tuple[str, list[str]]] = []
        for changes in itertools.product(*filter(None, (variants, variations))):
            by_recipe = [called] if len(recipes) > 1 or not changes else []
            parts = (*by_recipe, *(one.name for one in reversed(changes)))
            sets = [*common, *(pair for one in changes for pair in one.overrides), *given]
            recipe, faults = _resolved(path, sets)
            said.append(("; ".join(one.place for one in changes), faults))
            if recipe is not None:
                runs += [_seeded(parts, recipe, seed) for seed in seeds if type(seed) is int]
        lines += _told(said, document.source)
    return runs, list(dict.fromkeys(lines))


def _recipe_files(document: Document) -> tuple[list[tuple[str, Path]], list[str]]:
    """The recipes that are there, each with what it is called, and a line for each that is not."""
    listed = document.tree.get("recipes")
    named: list[tuple[Location, Any]] = [(("recipe",), document.tree["recipe"])] if "recipe" in document.tree else []
    named += [(("recipes", k), text) for k, text in enumerate(listed)] if isinstance(listed, list) else []
    found: list[tuple[str, Path]] = []
    lines: list[str] = []
    folder = Path(document.source).parent
    for where, text in named:
        if not isinstance(text, str):
            continue  # which is a fault of the form
        path = folder / text
        try:
            file = shipped.recipe(text, folder)
        except RecipeError as error:
            there = sorted(path.parent.glob("*.yaml")) if len(lines) < TOLD else []
            near = nearest(text, [*(str(Path(text).parent / one.name) for one in there), *shipped.recipes()])
            lines.append(f"{document.lines[where]}: recipe: {error if path.exists() else f'no file {path}{near}'}")
        else:
            found.append((path.name if path.is_dir() else file.stem, file))
    return found, lines


def _sound(document: Document, key: str, schema: type[Entry]) -> Iterator[tuple[int, Entry]]:
    """The entries of a list that are what they should be, with their numbers."""
    entries = document.tree.get(key)
    for k, entry in enumerate(entries if isinstance(entries, list) else []):
        with contextlib.suppress(ValidationError):
            yield k, schema.model_validate(entry)


def _settings(document: Document, where: Location, node: dict[str, Any]) -> _Settings:
    given = node.get("set")
    # JSON is YAML: what stands here could stand on a command line.
    overrides = [
        (f"{key}={json.dumps(value, ensure_ascii=False, default=str)}", document.lines[(*where, "set", key)])
        for key, value in (given.items() if isinstance(given, dict) else ())
    ]
    return _Settings(str(node.get("name")), document.lines[where], overrides)


def _resolved(path: Path, sets: Sequence[tuple[str, str]]) -> tuple[Recipe | None, list[str]]:
    """The recipe with its settings; where it has faults, these, each with the line of the study that makes it."""
    try:
        recipe = Recipe.load(path, [override for override, _ in sets])
    except RecipeError as error:
        places = {plain(f"{as_override(override)}: "): place for override, place in sets}
        return None, [_placed(line, places) for line in error.args]
    if recipe.data.val is None:
        return None, [f"{path}: data.val is null, and a study compares scores on it: name a split"]
    return recipe, []


def _placed(line: str, places: dict[str, str]) -> str:
    """A fault of a recipe with the study's line in the place of --set."""
    for found in re.finditer(": ", line):
        if (place := places.get(line[: found.end()])) is not None:
            return f"{place}: {line[found.end() :]}"
    return line


def _told(said: Sequence[tuple[str, list[str]]], source: str) -> list[str]:
    """The faults of one recipe's variations; where not all of them have it, a line of the recipe says whose it is."""
    counts = Counter(line for _, faults in said for line in faults)
    return [
        line if counts[line] == len(said) or line.startswith(source) else f"{place}: {line}"
        for place, faults in said
        for line in faults
    ]


def _seeded(parts: tuple[str, ...], recipe: Recipe, seed: int) -> Run:
    run = Run(parts, recipe.model_copy(update={"seed": seed}))
    return replace(run, recipe=run.recipe.model_copy(update={"name": run.name}))


def faults_of(document: Document, runs: Sequence[Run]) -> Iterator[Fault]:
    """What a study's own keys have wrong besides their form."""
    yield from _setting_faults(document)
    yield from _name_faults(document, runs)
    yield from _evaluation_faults(document, runs)
    yield from _claim_faults(document, runs)


def _setting_faults(document: Document) -> Iterator[Fault]:
    """Settings that the study makes itself."""
    for where, given in _all_sets(document):
        for key in given.keys() & {"seed", "name"}:
            yield (*where, "set", key), "the study says it itself, by seeds and the names of variations"
        for key in given.keys() & _said_by_folds(document):
            yield (*where, "set", key), "the study says it itself, by folds"


def refuse_taken(document: Document, overrides: Sequence[str]) -> None:
    """RecipeError for --set of what differs between the trainings: it would make them equal."""
    varied = ({"seed", "name"} | _said_by_folds(document)).union(
        *(given for where, given in _all_sets(document) if where)
    )
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in varied:
            raise RecipeError(
                f"{as_override(override)}: {document.source} varies {key} from run to run; `only` chooses runs"
            )


def _said_by_folds(document: Document) -> set[str]:
    return {"data.folds", "data.fold"} if document.tree.get("folds") else set()


def _all_sets(document: Document) -> Iterator[tuple[Location, dict[str, Any]]]:
    if isinstance(document.tree.get("set"), dict):
        yield (), document.tree["set"]
    for key in ("variations", "data"):
        for k, one in _sound(document, key, Variation):
            yield (key, k), one.set


def _name_faults(document: Document, runs: Sequence[Run]) -> Iterator[Fault]:
    """Two trainings or evaluations of one name, and a reference that there is not."""
    for name in _repeated(run.name for run in runs):
        yield (), f"two trainings are named {name}: variations, data, recipes and seeds need different names"
    for name in _repeated(one.name for _, one in _sound(document, "evaluate", Evaluation)):
        yield ("evaluate",), f"two are named {name}: give each a name of its own"
    reference = document.tree.get("reference")
    known = {run.label for run in runs}
    if isinstance(reference, str) and known and reference not in known:
        yield ("reference",), f"no variation {reference}{nearest(reference, known)}"


def _claim_faults(document: Document, runs: Sequence[Run]) -> Iterator[Fault]:
    """Claims about variations, or on pictures, that there are not."""
    labels = {run.label for run in runs}
    scored = {one.name for _, one in _sound(document, "evaluate", Evaluation)}
    for k, claim in _sound(document, "claims", Claim):
        for key, name in (("better", claim.better), ("than", claim.than)):
            if labels and name not in labels:
                yield ("claims", k, key), f"no variation {name}{nearest(name, labels)}"
        if claim.better == claim.than:
            yield ("claims", k, "than"), f"{claim.than} cannot be better than itself"
        if claim.on is not None and claim.on not in scored:
            yield ("claims", k, "on"), f"nothing under evaluate is named {claim.on}{nearest(claim.on, scored)}"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _evaluation_faults(document: Document, runs: Sequence[Run]) -> Iterator[Fault]:
    """What is wrong with the further pictures, as far as can be said without opening them."""
    for k, evaluation in _sound(document, "evaluate", Evaluation):
        try:
            targets = {target.key: target for run in runs for target in [evaluation.target(run.recipe)]}
        except DatasetError as error:
            yield ("evaluate", k, "data"), str(error)
            continue
        trained = evaluation.data is None and evaluation.split in {run.recipe.data.train for run in runs}
        if trained and document.tree.get("folds"):
            yield (
                ("evaluate", k, "split"),
                "each fold is trained on other pictures of it: give a split beyond the folds",
            )
        for target in targets.values():
            for place, what in data.option_faults(target.name, target.options):
                yield ("evaluate", k, *(("data",) if place == ("name",) else ("options", *place))), what

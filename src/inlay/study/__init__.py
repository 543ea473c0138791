"""Study: STUDY.yaml -> the trainings it means, each with its recipe, and the pictures their models are scored on.

    name: s1-attention-fcn                  # default: the file's name
    recipe: ../recipes/camvid-protocol.yaml # from the study's folder; or recipes: [one.yaml, other.yaml]
    set: {model.name: attention_fcn}        # for all, with the keys of `inlay train --set`
    variations:
      - {name: full}
      - {name: no-skips, set: {model.skips: false}}
    data:                                   # variations of the data: each of those above is trained on each
      - {name: few, set: {data.train: few}}
    seeds: [0, 1, 2]
    evaluate:                               # what models are scored on besides data.val
      - {name: test, split: test}           # of the recipe's data set, whose options `options` changes; or of another:
      - {name: city, data: "cityscapes:data/cityscapes,classes=8", reference_domain: bonn}
    reference: full                         # the variation that others are held against
    reference_domain: dawn                  # of data.val, the condition that others are held against

The trainings are the product of recipes, variations, data and seeds, named VARIATION-seedN; RECIPE-VARIATION-DATA-seedN
where there are several of each.  Later settings win: recipe, `set`, data, variation, then --set of the command line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from inlay import data
from inlay.data import Dataset
from inlay.errors import DatasetError, RecipeError, nearest
from inlay.recipe import Recipe
from inlay.yaml_tree import Document, Fault, Location, Node

Entry = TypeVar("Entry", bound=Node)


def _one_folder(name: str) -> str:
    if name.strip() in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("it names a folder, without /")
    return name


_Name = Annotated[str, AfterValidator(_one_folder)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Target(NamedTuple):
    """Labelled pictures that a model is scored on: a split of a data set."""

    name: str
    root: str | None
    split: str
    options: dict[str, Any]

    def open(self, cache: str | None = None) -> Dataset:
        """The pictures, decoded once into `cache`; DatasetError where they are not there."""
        return data.open(self.name, self.root, self.split, cache=cache, **self.options)

    @property
    def key(self) -> str:
        """The same text for the same pictures."""
        return json.dumps(self, sort_keys=True, default=str)

    @property
    def spec(self) -> str:
        """The data set as on a command line, without its split."""
        values = {
            key: "x".join(map(str, one)) if isinstance(one, list | tuple) else one for key, one in self[3].items()
        }
        return ",".join([self.name + (f":{self.root}" if self.root else ""), *(f"{k}={v}" for k, v in values.items())])


def validation(recipe: Recipe) -> Target:
    """What a training of `recipe` scores its model on."""
    section = recipe.data
    return Target(section.name, section.root, section.val or "", section.options | section.val_options)


class Variation(Node):
    """Settings under a name."""

    name: _Name
    set: dict[str, Any] = Field({}, description="key.key: value, as of `inlay train --set`")


class Evaluation(Node):
    """Further pictures to score each model on: of the recipe's data set, or of `data`, NAME[:ROOT][,key=value...]."""

    name: _Name
    data: str | None = None
    split: str | None = None
    options: dict[str, Any] = Field({}, description="of the data set, in the place of the recipe's for val")
    reference_domain: str | None = None

    @model_validator(mode="after")
    def _something(self) -> Evaluation:
        if not (self.data or self.split or self.options):
            raise ValueError("nothing but data.val, which is scored anyway: give split, options or data")
        return self

    def target(self, recipe: Recipe) -> Target:
        """The pictures, for a model of `recipe`; DatasetError where `data` is not of its form."""
        if self.data is None:
            own = validation(recipe)
            return own._replace(split=self.split or own.split, options=own.options | self.options)
        name, root, options = data.parse(self.data)
        split = options.pop("split", None)
        if split and self.split and split != self.split:
            raise DatasetError(f"split is {split} in {self.data} and {self.split} beside it: give it once")
        return Target(name, root, self.split or split or "val", options | self.options)


class _Tree(Node):
    """STUDY.yaml as it is written."""

    name: _Name
    recipe: str | None = None
    recipes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    set: dict[str, Any] = Field({}, description="for all trainings")
    variations: tuple[Variation, ...] = ()
    data: tuple[Variation, ...] = ()
    seeds: Annotated[tuple[_Seed, ...], Field(min_length=1)] = (0,)
    evaluate: tuple[Evaluation, ...] = ()
    reference: str | None = None
    reference_domain: str | None = None

    @model_validator(mode="after")
    def _one_or_other(self) -> _Tree:
        if (self.recipe is None) == (self.recipes is None):
            raise ValueError("give either recipe: FILE or recipes: [FILE, FILE]")
        return self


@dataclass(frozen=True)
class Run:
    """One training.  `parts`: its names in the study, of recipe, variation and data, as far as there are several."""

    parts: tuple[str, ...]
    recipe: Recipe

    @property
    def label(self) -> str:
        """What all seeds have in common."""
        return "-".join(self.parts)

    @property
    def name(self) -> str:
        """Of its folder within the study's."""
        return f"{self.label}-seed{self.recipe.seed}"


@dataclass(frozen=True)
class Study:
    """Trainings to compare; `source` is the file."""

    name: str
    source: str
    runs: tuple[Run, ...]
    evaluate: tuple[Evaluation, ...] = ()
    reference: str | None = None
    reference_domain: str | None = None

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Study:
        """The study at `path`, with `overrides` as of `inlay train --set` for all its trainings.

        RecipeError lists every fault of the study and of every recipe that it means, each with its line.
        """
        document = Document.read(path)
        document.tree.setdefault("name", Path(path).stem)
        _refuse_taken(document, overrides)
        runs, lines = _runs(document, overrides)
        faults = [*_setting_faults(document), *_name_faults(document, runs), *_evaluation_faults(document, runs)]
        try:
            tree = document.validate(_Tree, faults)
        except RecipeError as error:
            lines.insert(0, str(error))
        if lines:
            raise RecipeError("\n".join(lines))
        return cls(tree.name, str(path), tuple(runs), tree.evaluate, tree.reference, tree.reference_domain)

    def chosen(self, only: Sequence[str] = ()) -> list[Run]:
        """All trainings, or those that `only` names: single ones, or all of a recipe, a variation or data."""
        names = [{run.name, run.label, *run.parts} for run in self.runs]
        for name in only:
            if not any(name in known for known in names):
                raise RecipeError(f"--only {name}: {self.source} has no such run{nearest(name, set().union(*names))}")
        return [run for run, known in zip(self.runs, names, strict=True) if not only or known & set(only)]


# ---- reading: what is sound in a study is looked into, even where the rest is not, so that all faults come at once


class _Settings(NamedTuple):
    """`set` of one place in the study: as arguments of --set, each with the line that says it."""

    name: str
    place: str
    overrides: list[tuple[str, str]]


def _runs(document: Document, overrides: Sequence[str]) -> tuple[list[Run], list[str]]:
    """The trainings whose recipes are sound, and a line for each fault of the others."""
    recipes, lines = _recipe_files(document)
    common = _settings(document, (), document.tree).overrides
    given = [(override, f"--set {override}") for override in overrides]
    variations, variants = (
        [_settings(document, (key, k), one.model_dump()) for k, one in _sound(document, key, Variation)]
        for key in ("variations", "data")
    )
    seeds = document.tree.get("seeds", [0])
    runs: list[Run] = []
    for path in recipes:
        said: list[tuple[str, list[str]]] = []
        for changes in itertools.product(*filter(None, (variants, variations))):
            by_recipe = [path.stem] if len(recipes) > 1 or not changes else []
            parts = (*by_recipe, *(one.name for one in reversed(changes)))
            sets = [*common, *(pair for one in changes for pair in one.overrides), *given]
            recipe, faults = _resolved(path, sets)
            said.append(("; ".join(one.place for one in changes), faults))
            if recipe is not None:
                runs += [_seeded(parts, recipe, seed) for seed in seeds if type(seed) is int]
        lines += _told(said, document.source)
    return runs, list(dict.fromkeys(lines))


def _recipe_files(document: Document) -> tuple[list[Path], list[str]]:
    """The recipes that are there, and a line for each that is not."""
    listed = document.tree.get("recipes")
    named: list[tuple[Location, Any]] = [(("recipe",), document.tree["recipe"])] if "recipe" in document.tree else []
    named += [(("recipes", k), text) for k, text in enumerate(listed)] if isinstance(listed, list) else []
    found, lines = [], []
    for where, text in named:
        path = Path(document.source).parent / str(text)
        if path.is_file():
            found.append(path)
        elif isinstance(text, str):
            near = nearest(text, [str(Path(text).parent / one.name) for one in sorted(path.parent.glob("*.yaml"))])
            lines.append(f"{document.lines[where]}: recipe: no file {path}{near}")
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
        return None, [_placed(line, sets) for line in str(error).split("\n")]
    if recipe.data.val is None:
        return None, [f"{path}: data.val is null, and a study compares scores on it: name a split"]
    return recipe, []


def _placed(line: str, sets: Sequence[tuple[str, str]]) -> str:
    """A fault of a recipe with the study's line in the place of --set."""
    for override, place in reversed(sets):
        if line.startswith(f"--set {override}: "):
            return place + line.removeprefix(f"--set {override}")
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


def _setting_faults(document: Document) -> Iterator[Fault]:
    """Settings that the study makes itself."""
    for where, given in _all_sets(document):
        for key in given.keys() & {"seed", "name"}:
            yield (*where, "set", key), "the study says it itself, by seeds and the names of variations"


def _refuse_taken(document: Document, overrides: Sequence[str]) -> None:
    """RecipeError for --set of what differs between the trainings: it would make them equal."""
    varied = {"seed", "name"}.union(*(given for where, given in _all_sets(document) if where))
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in varied:
            raise RecipeError(f"--set {override}: {document.source} varies {key} from run to run; --only chooses runs")


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
        for target in targets.values():
            for place, what in data.option_faults(target.name, target.options):
                yield ("evaluate", k, *(("data",) if place == ("name",) else ("options", *place))), what

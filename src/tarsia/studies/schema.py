"""What STUDY.yaml may hold, and what a study is made of: trainings, and pictures to score their models on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from tarsia import data
from tarsia.comparison.claims import Claim
from tarsia.data import Dataset, _folds
from tarsia.errors import DatasetError
from tarsia.evaluation.thresholds import Expected
from tarsia.plain_text import command
from tarsia.recipe import Recipe
from tarsia.yaml_tree import Node


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
        return data.spec(self.name, self.root, self.options)

    @property
    def is_fold(self) -> bool:
        """Whether it is a fold of all pictures, which other models of the study score the rest of."""
        return _folds.concerns(self.options, self.split)

    @property
    def whole(self) -> Target:
        """All folds, of a target that is one of them."""
        split, options = _folds.whole(self.options)
        return self._replace(split=split, options=options)


def validation(recipe: Recipe) -> Target:
    """What a training of `recipe` scores its model on."""
    section = recipe.data
    return Target(section.name, section.root, section.val or "", section.options | section.val_options)


class Variation(Node):
    """Settings under a name."""

    name: _Name
    set: dict[str, Any] = Field({}, description=f"key.key: value, as of `{command('train', '--set')}`")


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
            target = own._replace(split=self.split or own.split, options=own.options | self.options)
            return target if target.is_fold else target._replace(options=_folds.without(target.options))
        name, root, options = data.parse(self.data)
        split = options.pop("split", None)
        if split and self.split and split != self.split:
            raise DatasetError(f"split is {split} in {self.data} and {self.split} beside it: give it once")
        return Target(name, root, self.split or split or "val", options | self.options)


class Tree(Node):
    """STUDY.yaml as it is written."""

    name: _Name
    recipe: str | None = None
    recipes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    set: dict[str, Any] = Field({}, description="for all trainings")
    variations: tuple[Variation, ...] = ()
    data: tuple[Variation, ...] = ()
    seeds: Annotated[tuple[_Seed, ...], Field(min_length=1)] = (0,)
    folds: Literal["sequence"] | None = Field(None, description="each training once for each fold that it leaves out")
    evaluate: tuple[Evaluation, ...] = ()
    reference: str | None = None
    reference_domain: str | None = None
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _one_or_other(self) -> Tree:
        if (self.recipe is None) == (self.recipes is None):
            raise ValueError("give either recipe: FILE or recipes: [FILE, FILE]")
        return self


@dataclass(frozen=True)
class Run:
    """One training.  `parts`: its names in the study, of recipe, variation and data, as far as there are several.

    `fold`: what it leaves out and is scored on, "" where it is no fold; `expected`: of all folds of its seed together.
    """

    parts: tuple[str, ...]
    recipe: Recipe
    fold: str = ""
    expected: Expected | None = None

    @property
    def label(self) -> str:
        """What all seeds have in common."""
        return "-".join(self.parts)

    @property
    def seed_name(self) -> str:
        """What all folds have in common."""
        return f"{self.label}-seed{self.recipe.seed}"

    @property
    def name(self) -> str:
        """Of its folder within the study's."""
        folder = self.fold.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
        return f"{self.seed_name}-{folder}" if folder else self.seed_name

"""What STUDY.yaml may hold, and what a study is made of: trainings, and pictures to score their models on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from tarsia import data
from tarsia.data import Dataset
from tarsia.errors import DatasetError
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
            return own._replace(split=self.split or own.split, options=own.options | self.options)
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
    evaluate: tuple[Evaluation, ...] = ()
    reference: str | None = None
    reference_domain: str | None = None

    @model_validator(mode="after")
    def _one_or_other(self) -> Tree:
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

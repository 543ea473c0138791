"""What a word on the command line means, where a recipe, a run folder or a data set may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tarsia import data, shipped
from tarsia.data import Dataset, folder
from tarsia.errors import RecipeError, TarsiaError
from tarsia.recipe import Recipe
from tarsia.yaml_tree import as_overrides

_SUFFIXES = (".yaml", ".yml")


class Given(NamedTuple):
    """A recipe (the path of its file), a run (its folder), or data (NAME[:ROOT][,key=value...])."""

    kind: Literal["recipe", "run", "data"]
    value: str

    @property
    def file(self) -> Path:
        """Of a recipe or run: the recipe's file."""
        return Path(self.value) / "recipe.yaml" if self.kind == "run" else Path(self.value)


def resolve(word: str | Path) -> Given:
    """A recipe file, one that comes with Tarsia, a run folder, a folder of pictures, a dataset.yaml, or DATA.

    Raises RecipeError where it means none of them, and where it can mean two things, with both spellings; DatasetError
    where both are data.
    """
    text = str(word)
    path, comes_with = Path(text).expanduser(), shipped.named("recipes", word)
    is_named = text.partition(",")[0].partition(":")[0] in data.known()
    if comes_with is not None and is_named:
        raise RecipeError(
            f"{text}: the recipe and the data set of that name: write recipes/{comes_with.name} or catalogue:{text}"
        )
    if comes_with is not None:
        return Given("recipe", str(comes_with))
    file = shipped.find(path)
    if not is_named and path.name != folder.NAME and file.is_file() and not data.is_own(text):
        return Given("recipe", str(file))
    if not is_named and (path / "recipe.yaml").is_file() and not (path / folder.NAME).is_file():
        return Given("run", str(path))
    meant = data.meant(text)
    if meant == text and (path.suffix in _SUFFIXES or not (is_named or ":" in text or data.is_own(text))):
        recipes, sets = ", ".join(shipped.recipes()), ", ".join(data.names())
        raise RecipeError(
            f"{text}: no such file or folder, no recipe that comes with Tarsia ({recipes}) and no data set "
            f"(NAME[:ROOT][,key=value...], with {sets})"
        )
    return Given("data", meant)


def word_for(pictures: str | Path) -> str | Path:
    """What `resolve` takes for the data set in a folder: its path, or folder:PATH where that could mean more."""
    exact = data.spec("folder", pictures)
    try:
        alone = resolve(str(pictures)) == Given("data", exact)
    except TarsiaError:
        alone = False
    return Path(pictures) if alone else exact


class Asked(NamedTuple):
    """What a program wants trained: a recipe (None: a run is resumed), or `data` for which one is to be derived."""

    recipe: Recipe | str | Path | None
    data: str | None = None
    overrides: tuple[str, ...] = ()


def asked(
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    dataset: Dataset | str | Path | None = None,
    val: Dataset | str | None = None,
    model: Mapping[str, Any] | str | None = None,
    settings: Mapping[str, Any] | None = None,
    resumed: bool = False,
) -> Asked:
    """What the arguments of `tarsia.train` mean together; RecipeError where they contradict each other."""
    if dataset is None and val is not None:
        raise RecipeError("val: pictures to validate on go with those to learn from: give data too")
    named = None if dataset is None else _named(dataset, val)
    if resumed:  # data handed in as objects are known by their name now
        if model is not None or settings is not None or isinstance(dataset, str | Path):
            raise RecipeError("`resume` goes on with a run as it is: leave out model, set, and data by name")
        return Asked(recipe if not isinstance(recipe, Mapping) else Recipe.of(recipe))
    word = resolve(recipe) if isinstance(recipe, str | Path) else None
    if word is not None and word.kind == "data":
        if named is not None:
            raise RecipeError(f"data: given twice, as {word.value} and as {named}: give one of them")
        named = word.value
        word = None
    section = {"name": model} if isinstance(model, str) else dict(model or {})
    told = {f"model.{key}": value for key, value in section.items()} | dict(settings or {})
    if word is None and (recipe is None or isinstance(recipe, str | Path)):
        if named is None:
            raise RecipeError("train needs a recipe, or data: a folder, NAME[:ROOT][,key=value...] or a Dataset")
        return Asked(None, named, tuple(as_overrides(told)))
    if word is not None and named is None and not told:
        return Asked(word.file)
    alone = val is None and not isinstance(dataset, str | Path)
    changes = [*_replaced(named, alone, model), *as_overrides(told)]
    if isinstance(recipe, Recipe):
        tree = recipe.model_dump(mode="json", exclude_unset=True)
    elif isinstance(recipe, Mapping):
        tree = dict(recipe)
    else:
        return Asked(Recipe.load(word.file if word else "", changes))
    return Asked(Recipe.of(tree, changes))


def _replaced(named: str | None, alone: bool, model: object) -> list[str]:
    """Sections that are given whole, in the place of the recipe's; `alone`: without pictures to validate on."""
    found: dict[str, Any] = {} if model is None else {"model": {}}
    if named is not None:
        name, root, options = data.parse(named)
        found["data"] = {"name": name, **({"root": root} if root else {}), **options}
        found["data"] |= {"val": None} if alone else {}
    return as_overrides(found)


def _named(dataset: Dataset | str | Path, val: Dataset | str | None) -> str:
    """Data as `NAME[:ROOT][,key=value...]`."""
    if not isinstance(dataset, str | Path):
        if isinstance(val, str):
            raise RecipeError("val: a name, and data a Dataset: expected a Dataset too, or None")
        return data.hand_in(dataset, val)
    if val is not None:
        raise RecipeError("val: of data by name the split is a setting: set={'data.val': NAME}")
    found = resolve(str(dataset))
    if found.kind != "data":
        raise RecipeError(f"data: {dataset} is a {found.kind}, expected a folder or NAME[:ROOT][,key=value...]")
    return found.value

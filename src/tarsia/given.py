"""What a word on the command line means, where a recipe, a run folder or a data set may stand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from tarsia import data, shipped
from tarsia.data import folder
from tarsia.errors import RecipeError

_CATALOGUE = "catalogue:"
_SUFFIXES = (".yaml", ".yml")


class Given(NamedTuple):
    """A recipe (the path of its file), a run (its folder), or data (NAME[:ROOT][,key=value...])."""

    kind: Literal["recipe", "run", "data"]
    value: str

    @property
    def file(self) -> Path:
        """Of a recipe or run: the recipe's file."""
        return Path(self.value) / "recipe.yaml" if self.kind == "run" else Path(self.value)


def resolve(text: str) -> Given:
    """A recipe file, one that comes with Tarsia, a run folder, a folder of pictures, a dataset.yaml, or DATA.

    Raises RecipeError where it can mean two things, with both spellings, or none of them.
    """
    if text.startswith(_CATALOGUE):
        return Given("data", text.removeprefix(_CATALOGUE))
    path = Path(text).expanduser()
    comes_with = shipped.recipes().get(text)
    named = text.partition(",")[0].partition(":")[0] in data.names()
    if path.exists() and named:
        raise _both(text, f"./{text}", "the folder" if path.is_dir() else "the file", f"{_CATALOGUE}{text}")
    if shipped.find(path).is_file():
        return Given("data", data.spec("folder", path.parent)) if path.name == folder.NAME else Given("recipe", text)
    if path.is_dir():
        return _folder(path)
    if comes_with is not None and named:
        raise _both(text, f"recipes/{comes_with.name}", "the recipe", f"{_CATALOGUE}{text}")
    if comes_with is not None:
        return Given("recipe", str(comes_with))
    if path.suffix in _SUFFIXES or (not named and ":" not in text):
        known = ", ".join(data.names())
        raise RecipeError(
            f"{text}: no such file or folder, no recipe that comes with Tarsia ({', '.join(shipped.recipes())}) and no "
            f"data set (NAME[:ROOT][,key=value...], with {known})"
        )
    return Given("data", text)


def _folder(path: Path) -> Given:
    run, described = (path / "recipe.yaml").is_file(), (path / folder.NAME).is_file()
    if run and described:
        raise RecipeError(
            f"{path}: a run (it holds recipe.yaml) and a data set (it holds {folder.NAME}): "
            f"write {path / 'recipe.yaml'} or folder:{path}"
        )
    return Given("run", str(path)) if run else Given("data", data.spec("folder", path))


def _both(text: str, one: str, what: str, other: str) -> RecipeError:
    return RecipeError(f"{text}: {what} of that name and the data set of that name: write {one} or {other}")

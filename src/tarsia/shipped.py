"""Recipes and studies: which file a word means, and those that come with Tarsia.

These lie in `recipes/` and `studies/` of a checkout, and inside of a wheel.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from tarsia.errors import RecipeError

_PACKAGE = Path(__file__).parent
_WORDS = {"recipes": "recipe", "studies": "study"}  # the folders, and what one of each is called


def recipe(word: str | Path, folder: Path = Path()) -> Path:
    """The recipe's file that is meant: by its path from `folder`, its run folder, or the name of one that comes along.

    Raises RecipeError where it is none of them, and where it is two.
    """
    path = named("recipes", word, folder) or find(word, folder)
    if (path / "recipe.yaml").is_file():
        return path / "recipe.yaml"
    return _there(path, "recipes", "run folder")


def study(word: str | Path) -> Path:
    """The study's file that is meant, by its path or the name of one that comes along; RecipeError as of `recipe`."""
    return _there(named("studies", word) or find(word), "studies", "study")


def recipes() -> dict[str, Path]:
    """The recipes that come with Tarsia, by their names."""
    return _shipped("recipes")


def studies() -> dict[str, Path]:
    """The studies that come with Tarsia, by their names."""
    return _shipped("studies")


def named(kind: str, word: str | Path, folder: Path = Path()) -> Path | None:
    """The one of the `kind` (recipes, studies) that comes with Tarsia by this very name, None where none does.

    RecipeError where a file or folder is called so too, with both spellings.  A Path is that first: it forgets `./`.
    """
    found = _shipped(kind).get(str(word))
    if found is None or not (folder / word).exists():
        return found
    if isinstance(word, Path):
        return None
    other = "folder" if (folder / word).is_dir() else "file"
    raise RecipeError(f"{word}: the {_WORDS[kind]} and the {other} of that name: write {kind}/{found.name} or ./{word}")


def find(word: str | Path, folder: Path = Path()) -> Path:
    """The file at a path from `folder`, or else the one of that name that comes with Tarsia.

    Only `recipes/NAME` and `studies/NAME`, as documents and messages write them, can be one that comes with it.
    """
    path, parts = folder / word, Path(word).parts
    if not path.exists() and len(parts) == 2 and parts[0] in _WORDS:
        for root in _roots():
            if root.joinpath(*parts).is_file():
                return root.joinpath(*parts)
    return path


def _there(path: Path, kind: str, what: str) -> Path:
    if path.is_dir():
        raise RecipeError(f"{path}: a folder, and no {what}: expected the file of a {_WORDS[kind]}")
    if not path.exists():
        known = f"{_WORDS[kind]} that comes with Tarsia ({', '.join(_shipped(kind))})"
        raise RecipeError(f"{path}: no such file, and no {known}")
    return path


def _shipped(kind: str) -> dict[str, Path]:
    return {path.stem: path for root in reversed(_roots()) for path in sorted((root / kind).glob("*.yaml"))}


def about(path: Path) -> str:
    """The first sentence of the comment that a recipe begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    words = [line.removeprefix("#").strip() for line in itertools.takewhile(lambda line: line.startswith("# "), lines)]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(words))[0]


def _roots() -> tuple[Path, Path]:
    """Where they lie in a wheel, and in a checkout."""
    return _PACKAGE / "shipped", _PACKAGE.parents[1]

"""What the arguments of `tarsia serve` mean: models by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tarsia import console
from tarsia.engines.model_file import own_name
from tarsia.errors import ModelFileError, RecipeError
from tarsia.plain_text import for_address

_RUN = "model.safetensors"  # what makes a folder a run's
_SUFFIXES = (".safetensors", ".onnx")


def named(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Model files, run folders and folders of several, as they are or as NAME=PATH -> each model's path by its name.

    A name that is not given is the file's without suffix, or its folder's where the file is called model, with `-` for
    what an address cannot hold.  Raises
    ModelFileError for a path or a folder without a model, RecipeError for names that are equal, and for one name given
    to several.
    """
    found: dict[str, Path] = {}
    for given in map(str, paths):
        name, path = "", Path(given)
        if "=" in given and not path.exists():
            name, path = given.partition("=")[0], Path(given.partition("=")[2])
        meant = _meant(path)
        if name and len(meant) > 1:
            raise RecipeError(f"{given}: one name, but {path} holds {len(meant)} models: leave the name out")
        for one in meant:
            called = name or _own_name(one)
            if called in found:
                other = f"{found[called]} and {one} are both called {called}"
                raise RecipeError(f"{other}: give each by itself, and one with a name, as other={one}")
            found[called] = one
    return found


def _own_name(path: Path) -> str:
    """The file's name, or its folder's, as an address can hold it; said where that is another."""
    own = own_name(path)
    name = for_address(own) or "model"
    if name != own:
        console.note(f"{path} is served as {name}; to choose another: NAME={path}")
    return name


def _meant(path: Path) -> list[Path]:
    """The model files and run folders in a folder of several, in the order of their names; else `path` itself.

    What begins with a dot is hidden and no model.  ModelFileError for a folder without any, or that cannot be read.
    """
    if not path.is_dir() or (path / _RUN).is_file():
        return [path]
    try:
        inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    found = [one for one in inside if (one / _RUN).is_file() or (one.is_file() and one.suffix.lower() in _SUFFIXES)]
    if not found:
        kinds = ", ".join(f"*{suffix}" for suffix in _SUFFIXES)
        raise ModelFileError(f"{path}: holds no model: expected {_RUN}, model files ({kinds}) or run folders")
    return found

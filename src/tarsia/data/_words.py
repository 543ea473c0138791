"""What a person may write where a data set is asked for: its name, a folder as it lies there, or its dataset.yaml."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tarsia.data._handed_in import is_handed_in
from tarsia.data._text import OWN, quoted
from tarsia.errors import DatasetError

CATALOGUE = "catalogue:"
_RUN, _DESCRIBED = "recipe.yaml", "dataset.yaml"  # files that say what a folder is
_FORM = "expected a folder of pictures, or NAME[:ROOT][,key=value...]"


def meant(word: str | Path, names: Collection[str]) -> str:
    """NAME[:ROOT][,key=value...] that is meant: by the same, a folder's path or that of its dataset.yaml.

    Options may follow a path after a comma; `catalogue:` before one of `names` says that no path is meant.
    DatasetError where it can mean two things, with both spellings, and where it is a run or a recipe.
    """
    text = str(word)
    if isinstance(word, str):
        if text.startswith(CATALOGUE):
            return text.removeprefix(CATALOGUE)
        refuse_two_meanings(text, names)
        if OWN.match(text) or is_handed_in(text) or text.partition(",")[0].partition(":")[0] in names:
            return text
    place, comma, options = (text, "", "") if Path(text).expanduser().exists() else text.partition(",")
    found = _folder(Path(place).expanduser())
    return text if found is None else f"folder:{quoted(str(found))}{comma}{options}"


def refuse_two_meanings(text: str, names: Collection[str]) -> None:
    """DatasetError where a text is one of `names` and that of a folder or file that is here."""
    if text in names and Path(text).exists():
        what = "the folder" if Path(text).is_dir() else "the file"
        said = f"{what} of that name and the data set of that name"
        raise DatasetError(f"{text}: {said}: write ./{text} or {CATALOGUE}{text}")


def _folder(path: Path) -> Path | None:
    """The folder of pictures that is meant by a path; None where there is none."""
    if path.name == _DESCRIBED and path.is_file():
        return path.parent
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        raise DatasetError(f"{path}: a file like a recipe; {_FORM}")
    if not path.is_dir():
        return None
    if (path / _RUN).is_file() and (path / _DESCRIBED).is_file():
        said = f"a run (it holds {_RUN}) and a data set (it holds {_DESCRIBED})"
        raise DatasetError(f"{path}: {said}: write {path / _RUN} or folder:{path}")
    if (path / _RUN).is_file():
        raise DatasetError(f"{path}: a run (it holds {_RUN}); {_FORM}")
    return path

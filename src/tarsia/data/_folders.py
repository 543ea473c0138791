"""The folders of a data set: there, or one DatasetError that says where they may be instead."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tarsia.errors import DatasetError, nearest
from tarsia.plain_text import some

_LOOKED_AT = 200  # folders of a parent that are tried where another one may have been meant
_LOOKED_INTO = 20  # of these, how many are opened
_LEVELS = 3  # upwards


def require_root(root: str | Path | None, data: str, what: str) -> Path:
    """`root` as a path; DatasetError where none is given or nothing is there."""
    if root is None or not str(root):
        raise DatasetError(f"{data} needs a folder with {what}: write {data}:FOLDER, or data.root in the recipe")
    path = Path(root).expanduser()
    if not path.exists():
        raise DatasetError(f"{path}: no such folder{nearby_name(path)} (expected {what})")
    return path


def require_folders(root: Path, folders: Sequence[str], reader: str) -> list[Path]:
    """`folders` below `root` as paths; DatasetError for missing ones: what is there, where they may be instead."""

    def whole(folder: Path) -> bool:
        return all((folder / name).is_dir() for name in folders)

    if not whole(root):
        lacking, below = [name for name in folders if not (root / name).is_dir()], _folders(root)
        apart = [f"{near.name}/{name} to {name}" for name in lacking for near in below if (near / name).is_dir()]
        hint = nearby(root, whole) if any(map(whole, below)) or not apart else f"; move or link {' and '.join(apart)}"
        held = "; ".join(dict.fromkeys(_held(root, name) for name in lacking))
        missing = " and ".join(f"no {name}/" for name in lacking)
        raise DatasetError(f"{root}: {missing}, which {reader} needs ({held}){hint}")
    return [root / name for name in folders]


def nearby_folders(root: Path) -> list[Path]:
    """Folders that may have been meant: below `root`, and above it."""
    below = _folders(root)
    further = [folder for parent in below[:_LOOKED_INTO] for folder in _folders(parent)]
    return [*below, *root.absolute().parents[:_LEVELS], *further]


def nearby(root: Path, fits: Callable[[Path], bool]) -> str:
    """`; did you mean PATH?` where a folder above, beside or below `root` is what was looked for, else ""."""
    found = [folder for folder in (*nearby_folders(root), *_folders(root.absolute().parent)) if fits(folder)]
    return f"; did you mean {found[0]}?" if found else ""


def nearby_name(folder: Path) -> str:
    """`, did you mean X?` for a folder whose name is misspelt, else ""."""
    near = nearest(folder.name, [entry.name for entry in _folders(folder.parent)])
    return near if near.startswith(", did") else ""


def _held(root: Path, name: str) -> str:
    """Which folders stand in the deepest folder on the way from `root` to `name`."""
    place = root / name
    while place != root and not place.is_dir():
        place = place.parent
    where = "there" if place == root else f"in {place.relative_to(root)}/"
    return f"folders {where}: {some(folder.name for folder in _folders(place)) or 'none'}"


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            found = [parent / entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)[:_LOOKED_AT]

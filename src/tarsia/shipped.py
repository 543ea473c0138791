"""Recipes and studies that come with Tarsia: in `recipes/` and `studies/` of a checkout, and inside of a wheel."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

_PACKAGE = Path(__file__).parent
_KINDS = ("recipes", "studies")


def find(path: str | Path) -> Path:
    """The file meant by `path`: what lies there, or else the one of that name that comes with Tarsia.

    Only `recipes/NAME` and `studies/NAME`, as documents and messages write them, can be one that comes with it.
    """
    path = Path(path)
    if not path.exists() and len(path.parts) == 2 and path.parts[0] in _KINDS:
        for root in _roots():
            if (root / path).is_file():
                return root / path
    return path


def recipes() -> dict[str, Path]:
    """The recipes that come with Tarsia, by their names."""
    return {path.stem: path for root in reversed(_roots()) for path in sorted((root / "recipes").glob("*.yaml"))}


def about(path: Path) -> str:
    """The first sentence of the comment that a recipe begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    words = [line.removeprefix("#").strip() for line in itertools.takewhile(lambda line: line.startswith("# "), lines)]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(words))[0]


def _roots() -> tuple[Path, Path]:
    """Where they lie in a wheel, and in a checkout."""
    return _PACKAGE / "shipped", _PACKAGE.parents[1]

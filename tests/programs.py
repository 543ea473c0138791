"""The programs beside the package, in benchmarks/ and studies/, as modules of a test."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS, STUDIES = (Path(__file__).parents[1] / name for name in ("benchmarks", "studies"))


def program(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Imported anew, with the programs that stand beside it."""
    monkeypatch.syspath_prepend(str(path.parent))
    module = importlib.import_module(path.stem)
    monkeypatch.delitem(sys.modules, path.stem)
    return module

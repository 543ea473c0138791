"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from made_models import Made


@pytest.fixture
def shared() -> Path:
    """The folder of data and weights beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("TARSIA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"{folder} with data/ and weights/ is not here")
    return folder


@pytest.fixture(autouse=True)
def heard() -> None:
    """A command that a test before this one called with -q has silenced notes for the whole process."""
    from tarsia import console

    console.quiet(False)


@pytest.fixture(scope="session")
def made_models(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model of every kind, trained and exported by the commands; half a minute, so only for what needs real ones."""
    pytest.importorskip("torch", reason="torch is not installed (extra train)")
    from made_models import make

    return make(tmp_path_factory.mktemp("made"))

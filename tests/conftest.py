"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """The folder of data and weights beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("TARSIA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"{folder} with data/ and weights/ is not here")
    return folder

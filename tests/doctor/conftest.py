"""The doctor's tests print no progress."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tarsia import console


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    console.quiet(True)
    yield
    console.quiet(False)

"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from small_data import drawn_figures, white_figures

if TYPE_CHECKING:
    from made_models import Made


# Files of minutes.  They begin first: one that began last would run on while all other workers are done.
MINUTES = (
    *("docs/test_docs.py", "test_study.py", "test_resume.py", "models/test_export.py", "page/test_keeping.py"),
    *("test_printed_commands.py", "test_cli.py", "test_architecture.py", "test_study_folds.py", "test_adapting.py"),
    *("doctor/test_remedies.py", "test_training.py", "page/test_every_model.py", "test_hostile_names.py"),
    *("test_zoo.py", "test_exporting_int8.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(MINUTES)}
    assert all(path.is_file() for path in places)
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_configure() -> None:
    """Each worker of pytest-xdist keeps to a core of its own, with all that it starts.

    Two programs that compute in several threads on the same cores wait for one another: tests took up to ten times as
    long.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker[2:]) % len(cores)]})


@pytest.fixture
def shared() -> Path:
    """The folder of data and weights beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("TARSIA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"{folder} with data/ and weights/ is not here")
    return folder


@pytest.fixture(autouse=True, scope="session")
def white() -> Iterator[None]:
    with white_figures():
        yield


@pytest.fixture
def drawn() -> Iterator[None]:
    """Figures as they are."""
    with drawn_figures():
        yield


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

"""The browser and the service that the tests of the page share."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import pytest
from browsing import EVIL, FLAGS, LARGEST_BODY, Gated, drawing, encoded, predictor, serving, visiting


class Served(NamedTuple):
    """A service at work: its address, and its models."""

    url: str
    models: dict[str, Gated]


def absent(what: str) -> NoReturn:
    """Without a browser the page's tests skip, but not where they must not (.ci/run): nobody would have opened it."""
    if os.environ.get("TARSIA_REQUIRE_BROWSER"):
        pytest.fail(f"{what}, and TARSIA_REQUIRE_BROWSER is set")
    pytest.skip(what)


# Of a module: while it is open, its event loop counts as running for all other tests of the process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright import sync_api as playwright
    except ImportError:
        absent("playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        absent("no chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two small models behind an address, the first with pictures to try."""
    if importlib.util.find_spec("uvicorn") is None:
        absent("uvicorn is not installed (extra serve)")
    from tarsia.service.limits import Limits
    from tarsia.serving import create_app

    folder = tmp_path_factory.mktemp("models")
    models = {"small": predictor(folder, "small"), "other": predictor(folder, "other", order=(0, 2, 1))}
    examples = {"small": [folder / name for name in ("old-harbour.jpg", f"{EVIL}.png", "boats.jpg")]}
    for seed, path in enumerate(examples["small"]):
        path.write_bytes(encoded(drawing(seed + 10, (48, 60)), "PNG" if path.suffix == ".png" else "JPEG"))
    with serving(create_app(models, Limits(body_bytes=LARGEST_BODY, queue=1), examples=examples)) as url:
        yield Served(url, models)
        for model in models.values():
            model.gate.set()  # a picture that still waits would hold up the service's end


@pytest.fixture
def page(browser: Any, service: Served) -> Iterator[Any]:
    with visiting(browser, service.url, examples=False) as opened:
        yield opened

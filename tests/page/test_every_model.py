"""The page with real parts: models that Tarsia's own commands made, behind the program as a user starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import Started, ask, drawn, encoded, give, indices, pixel_by_pixel, shown, started, until, visiting

from made_models import Made
from small_data import CLASSES, draw
from tarsia.engines.model_file import read_card

FILE = encoded(draw(5000, (48, 64))[0])


@pytest.fixture(scope="module")
def colors(made_models: Made) -> np.ndarray:
    return np.array(read_card(made_models.onnx).classes.colors, np.uint8)


def look(page: Any, service: Started, name: str, colors: np.ndarray) -> None:
    """Choose a model, give it a picture, and see what it sees in it: pixel by pixel what the service answers."""
    page.select_option("#model", name)
    until(page, "#knows", f"{name} tells {len(CLASSES)} classes apart: {', '.join(CLASSES)}.")
    give(page, FILE, f"{name}.png")
    assert page.locator("#notice").is_hidden()
    assert set(page.locator("#legend .name").all_text_contents()) == set(CLASSES)
    assert f"64 × 48 · {name} in " in page.locator("#facts").text_content()
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), colors[indices(ask(service.url, FILE, model=name))])
    page.click("#new")


def test_one_model_alone(browser: Any, made_models: Made, colors: np.ndarray) -> None:
    with started(made_models.onnx) as service, visiting(browser, service.url) as page:
        (name,) = service.names
        assert page.locator("#other-field").is_hidden()
        look(page, service, name, colors)
        # Exported to a place of its own, and its classes are not those of streets.
        page.wait_for_selector("#examples-part", state="hidden")


def examples(page: Any, service: Started, made_models: Made, colors: np.ndarray) -> None:
    """What a run has kept is shown for its model, and seen by it."""
    page.select_option("#model", "run")
    page.locator("#examples img[src]").nth(5).wait_for()
    kept = sorted((made_models.run / "examples").iterdir())
    assert page.locator("#examples button").all_inner_texts() == [f"Validation {n}" for n in range(1, 7)]
    page.locator("#examples button").first.click()
    drawn(page)
    assert page.locator("#name").text_content() == "validation-1.jpg"
    pixel_by_pixel(page)
    assert np.array_equal(shown(page), colors[indices(ask(service.url, kept[0].read_bytes(), model="run"))])
    page.click("#new")


@pytest.fixture(scope="module")
def folder(made_models: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of several: links to a run folder and to exported files."""
    made = tmp_path_factory.mktemp("several") / "models"
    made.mkdir()
    for path in made_models.models.values():
        (made / path.name).symlink_to(path)
    return made


def test_a_folder_of_every_kind_and_one_by_name(
    browser: Any, made_models: Made, folder: Path, colors: np.ndarray
) -> None:
    with started(folder, f"again={made_models.run}") as service, visiting(browser, service.url) as page:
        assert service.names == ["int8", "plain", "run", "again"]
        for name in service.names:
            look(page, service, name, colors)
        examples(page, service, made_models, colors)
        page.select_option("#model", "again")
        give(page, FILE)
        page.select_option("#other", "run")
        drawn(page)
        pixel_by_pixel(page)
        for pane, name in enumerate(("again", "run")):
            assert np.array_equal(shown(page, pane), colors[indices(ask(service.url, FILE, model=name))])

"""A stranger with sixty photographs and coloured masks: init, train --minutes, predict, serve, a real browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import ask, give, indices, pixel_by_pixel, shown, started, until, visiting
from PIL import Image

from drawn_layouts import newcomer
from tarsia import cli
from tarsia.engines.model_file import find_model_file, read_card


def type_in(patch: pytest.MonkeyPatch, *words: str) -> None:
    patch.setattr(sys, "argv", ["tarsia", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def test_four_commands_serve_a_stranger(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer(tmp_path / "my photos")
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "init", "my photos")
    type_in(monkeypatch, "train", "my photos", "--minutes", "0.2", "--offline", "--set", "model.encoder=test_resnet")
    run = Path("runs/my photos")
    picture = Path("my photos/Pictures/IMG 2000 (copy).JPG")
    type_in(monkeypatch, "predict", str(run), str(picture), "--out", "seen")
    label_HW = np.asarray(Image.open("seen/IMG 2000 (copy).png"))
    classes = read_card(find_model_file(run)).classes
    assert label_HW.shape == (48, 64) and set(classes.names) == {"Building", "Car", "Road"}
    with started(run) as service, visiting(browser, service.url) as page:
        assert service.names == ["my-photos"]
        until(page, "#knows", f"my-photos tells 3 classes apart: {', '.join(classes.names)}.")
        give(page, picture.read_bytes(), picture.name)
        assert page.locator("#notice").is_hidden()
        pixel_by_pixel(page)
        answered = indices(ask(service.url, picture.read_bytes()))
        assert np.array_equal(answered, label_HW)
        assert np.array_equal(shown(page), np.array(classes.colors, np.uint8)[label_HW])

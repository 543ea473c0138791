"""`GET /v1/models`, and the commands that open a model, for every kind of model that Tarsia makes."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from made_models import Made
from small_data import CLASSES
from small_service import decoded, encoded, engine, pixels, segment
from tarsia import cli, examples
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor
from tarsia.serving import create_app

ENGINES = {"run": "torch ", "exported": "onnxruntime ", "int8": "onnxruntime "}


class Dumb(OnnxEngine):
    """Segments, but cannot say what it is."""

    def describe(self):
        raise RuntimeError("/secret/place: out of words")


def test_every_kind_of_model_is_listed_and_none_is_run_for_it(made_models: Made) -> None:
    predictors = {name: load(path, device="cpu") for name, path in made_models.models.items()}
    app = TestClient(create_app(predictors))
    for predictor in predictors.values():
        predictor.engine.run = predictor.engine.run_to_labels = None  # what runs the network now fails
    answer = app.get("/v1/models")
    assert answer.status_code == 200
    listed = {one["name"]: one for one in answer.json()["models"]}
    assert list(listed) == list(ENGINES)
    for name, one in listed.items():
        assert one["engine"].startswith(ENGINES[name]) and one["problem"] is None
        assert [found["name"] for found in one["classes"]] == list(CLASSES)
        assert one["architecture"] == "unet_original" and one["card"]["architecture"] == "unet_original"
        assert one["precision"] == ("int8, the rest float32" if name == "int8" else "float32")


def test_a_model_that_cannot_describe_itself_takes_nobody_down(caplog: pytest.LogCaptureFixture) -> None:
    dumb = engine()
    dumb.__class__ = Dumb
    no_number = engine()
    no_number.card = no_number.card.model_copy(update={"provenance": {"val_miou": math.nan}})
    models = {"dumb": dumb, "well": engine(), "nan": no_number}
    app = TestClient(create_app({name: Predictor(one) for name, one in models.items()}))
    with caplog.at_level(logging.ERROR, "tarsia.service"):
        answer = app.get("/v1/models")
    assert answer.status_code == 200 and "secret" not in answer.text
    first, well, nan = answer.json()["models"]
    assert first["default"] and "cannot describe itself (RuntimeError)" in first["problem"] and first["engine"] == ""
    assert well["problem"] is None and well["engine"].startswith("onnxruntime ") and well["card"]
    assert "cannot describe itself (ValueError)" in nan["problem"] and nan["card"] == {}
    assert first["classes"] == well["classes"] == nan["classes"]
    assert [record.facts["model"] for record in caplog.records] == ["dumb", "nan"]
    assert segment(app, encoded(pixels()), "?model=dumb").status_code == 200


@pytest.mark.parametrize("kind", ENGINES)
def test_info_and_predict_of_every_kind(
    made_models: Made, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made_models.models[kind]
    cli.app(["info", str(path), "--json"])
    card = json.loads(capsys.readouterr().out)
    assert card["classes"]["names"] == list(CLASSES) and card["provenance"]["run"] == "tiny"
    picture = sorted((made_models.data / "val" / "images").iterdir())[0]
    assert not cli.app(["predict", str(path), str(picture), "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert ENGINES[kind] in capsys.readouterr().err
    expected = load(path, device="cpu")(picture).label_HW
    (found,) = [one for one in (tmp_path / "out").rglob("*.png") if decoded(one.read_bytes()).shape == expected.shape]
    assert (decoded(found.read_bytes()) == expected).all()


def test_a_trained_model_has_pictures_to_try_from_every_file_of_its_run(made_models: Made) -> None:
    kept = sorted((made_models.run / "examples").iterdir())
    assert examples.beside(made_models.run) == kept and len(kept) == 6
    shown = decoded(kept[0].read_bytes())
    first = decoded((made_models.data / "val" / "images" / "val00.png").read_bytes())
    assert shown.shape == first.shape and np.abs(shown.astype(int) - first).mean() < 12  # JPEG of a noisy picture
    assert examples.beside(made_models.onnx) == []  # exported to another place

"""Each format says what the predictor found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from small_onnx import CLASSES
from small_service import decoded, engine, pixels
from tarsia.card import IGNORED
from tarsia.drawing import paint
from tarsia.polygons.formats import geojson
from tarsia.prediction.predictor import Predictor
from tarsia.service import responses
from tarsia.service.problems import Problem
from tarsia.service.responses import Ask, Seen, encode

IMAGE = pixels(24, 32)
LABEL, CONFIDENCE = (found[0] for found in Predictor(engine()).labels_and_confidence(IMAGE[None]))
SEEN = Seen("small", CLASSES, IMAGE, LABEL, CONFIDENCE, {"decode": 0.1, "queue": 0.2, "network": 0.3}, ["a remark"])


def test_png_is_what_predict_writes(tmp_path: Path) -> None:
    Predictor(engine())(IMAGE).save(tmp_path / "label.png")
    written = (tmp_path / "label.png").read_bytes()
    from PIL import Image

    sent = encode(SEEN, Ask()).content
    (tmp_path / "sent.png").write_bytes(sent)
    with Image.open(tmp_path / "sent.png") as found, Image.open(tmp_path / "label.png") as wanted:
        assert found.mode == wanted.mode == "P" and np.array_equal(found, wanted)
        assert found.convert("RGB").tobytes() == wanted.convert("RGB").tobytes()
    assert decoded(sent).tolist() == decoded(written).tolist()


@pytest.mark.parametrize("least", [0.0, 0.6, 0.9, 1.0])
def test_what_is_doubtful_is_ignored(least: float) -> None:
    label_HW = decoded(encode(SEEN, Ask("png", least)).content)
    for (y, x), value in np.ndenumerate(label_HW):
        assert value == (IGNORED if CONFIDENCE[y, x] < least else LABEL[y, x])
    said = json.loads(encode(SEEN, Ask("json", least)).content)
    assert sum(one["pixels"] for one in said["classes"]) == (label_HW != IGNORED).sum()
    assert np.array_equal(decoded(base64.b64decode(said["label"])), label_HW)


def test_json() -> None:
    answer = encode(SEEN, Ask("json", request_id="r"))
    said = json.loads(answer.content)
    assert answer.media_type == "application/json"
    assert (said["model"], said["width"], said["height"], said["request_id"]) == ("small", 32, 24, "r")
    assert said["remarks"] == ["a remark"] and set(said["seconds"]) == {"decode", "queue", "network", "encode"}
    assert np.abs(decoded(base64.b64decode(said["confidence"])) / 255 - CONFIDENCE).max() <= 0.5 / 255 + 1e-6
    for index, one in enumerate(said["classes"]):
        there = np.equal(LABEL, index)
        assert (one["index"], one["name"], one["pixels"]) == (index, CLASSES.names[index], there.sum())
        assert tuple(one["color"]) == CLASSES.colors[index]
        assert one["share"] == pytest.approx(there.mean(), abs=1e-6)
        assert one["mean_confidence"] == pytest.approx(CONFIDENCE[there].mean(), abs=1e-4)


def test_a_class_without_pixels_has_no_confidence() -> None:
    seen = Seen("small", CLASSES, IMAGE, np.zeros_like(LABEL), CONFIDENCE, {})
    said = json.loads(encode(seen, Ask("json")).content)["classes"]
    assert [one["mean_confidence"] is None for one in said] == [False, True, True]


def test_overlay_is_the_picture_in_the_classes_colours() -> None:
    answer = encode(SEEN, Ask("overlay"))
    assert answer.media_type == "image/jpeg"
    expected = np.array(paint.overlay(IMAGE, LABEL, CLASSES, legend=False), int)
    smooth = Seen("small", CLASSES, np.full_like(IMAGE, 90), np.zeros_like(LABEL), None, {})
    assert decoded(answer.content).shape == expected.shape
    wanted = np.array(paint.overlay(smooth.image_HW3, smooth.label_HW, CLASSES, legend=False), int)
    assert np.abs(decoded(encode(smooth, Ask("overlay")).content) - wanted).max() <= 3


def test_an_overlay_too_long_for_a_jpeg_is_a_png() -> None:
    long = Seen("small", CLASSES, np.zeros((1, 66_000, 3), np.uint8), np.zeros((1, 66_000), np.uint8), None, {})
    answer = encode(long, Ask("overlay"))
    assert answer.media_type == "image/png" and decoded(answer.content).shape == (1, 66_000, 3)


def test_geojson() -> None:
    answer = encode(SEEN, Ask("geojson"))
    assert answer.media_type == "application/geo+json" and json.loads(answer.content) == geojson(LABEL, CLASSES)


def test_outlines_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    length = int((LABEL[1:] != LABEL[:-1]).sum() + (LABEL[:, 1:] != LABEL[:, :-1]).sum())
    monkeypatch.setattr(responses, "_LONGEST_OUTLINES", length)
    encode(SEEN, Ask("geojson"))
    monkeypatch.setattr(responses, "_LONGEST_OUTLINES", length - 1)
    with pytest.raises(Problem, match="ask for png") as refused:
        encode(SEEN, Ask("geojson"))
    assert refused.value.status == 413


def test_every_label_value_has_its_colour() -> None:
    label_HW = np.array([[0, 1, 2, IGNORED]], np.uint8)
    from PIL import Image

    from small_service import io

    with Image.open(io.BytesIO(paint.label_png(label_HW, CLASSES))) as picture:
        assert np.array_equal(picture.convert("RGB"), paint.colorize(label_HW, CLASSES))

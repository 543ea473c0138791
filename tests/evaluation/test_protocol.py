"""A report says in words how a picture became labels, and in figures what that cost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tarsia.card import Calibration, Card, Classes, Input
from tarsia.engines.engine import Description
from tarsia.evaluation import protocol as of_reports
from tarsia.evaluation.protocol import inference_of, model_facts, protocol
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
from tarsia.prediction.style import Style

CLASSES = Classes(names=("road", "sky"), colors=((128, 64, 128), (70, 130, 180)))
FITTED = Calibration(
    temperature=2.5,
    dataset="noise",
    split="val",
    data_hash="abc",
    pixels=9,
    nll_before=2.0,
    nll_after=1.0,
    ece_before=0.2,
    ece_after=0.1,
)


def predictor(settings=None, calibration=None, **more):
    card = Card(
        architecture="red", model={}, classes=CLASSES, input=settings or Input(stride=4), calibration=calibration
    )
    stub = {"describe": lambda: Description("stub", "float32", 1, 0), "multiply_adds": lambda size: None}
    return Predictor(SimpleNamespace(card=card, device="cpu", **stub | more))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Input(size=(224, 320)), "resized to 224x320 (height x width), padded to multiples of 32"),
        (Input(short_side=512, stride=1), "resized to a short side of 512"),
        (Input(stride=4), "the picture's own size, padded to multiples of 4"),
        (Input(stride=1), "the picture's own size"),
    ],
)
def test_network_input_in_words(settings, text):
    found = inference_of(predictor(settings))
    assert found == {"tta": "none", "post_process": "none", "style": "none", "network_input": text}


@pytest.mark.parametrize(
    ("tta", "text"),
    [
        (TestTimeAugmentation(), "mean of probabilities: scales 1, each also mirrored"),
        (TestTimeAugmentation(flip=False, scales=(0.75, 1.0, 1.5)), "mean of probabilities: scales 0.75, 1, 1.5"),
    ],
)
def test_what_else_makes_the_labels_in_words(tta, text):
    model = predictor()
    model.tta, model.crf, model.style = (
        tta,
        CrfSettings(iterations=3),
        Style(lambda images: images, described="in the look of dawn"),
    )
    found = inference_of(model)
    assert (found["tta"], found["post_process"]) == (text, str(CrfSettings(iterations=3)))
    assert found["style"] == "in the look of dawn"


def test_the_protocol_holds_what_was_scored_and_how():
    found = protocol("noise", "val", CLASSES, 7, "abc", {"tta": "none"})
    assert (found["dataset"], found["split"], found["images"], found["data_hash"]) == ("noise", "val", 7, "abc")
    assert found["classes"] == ["road", "sky"] and found["ignored_value"] == 255
    assert list(found)[-2:] == ["size", "tta"]


def test_model_facts_come_from_the_engine():
    facts = Description("stub", "float32", threads=3, parameters=7)
    engine = predictor(describe=lambda: facts, multiply_adds=lambda size: 10 * size[0] * size[1])
    model = model_facts(engine, (7, 10), [9.0, 0.2, 0.4], 2)
    assert model["parameters"] == 7 and model["multiply_adds"] == 960 and model["network_size"] == [8, 12]
    assert (model["engine"], model["precision"], model["threads"]) == ("stub", "float32", 3)
    assert (model["architecture"], model["device"], model["batch"]) == ("red", "cpu", 2)
    assert model["latency_seconds"] == pytest.approx(0.3), "the first batch warms the network up"
    assert model_facts(engine, (7, 10), [9.0], 1)["latency_seconds"] == 9.0
    assert model_facts(predictor(Input(size=(20, 30), stride=8)), (7, 10), [1.0], 1)["network_size"] == [24, 32]


def test_a_temperature_is_told_where_it_was_used():
    def told(model):
        found = model_facts(model, (8, 8), [1.0], 1)
        return {key: found[key] for key in ("temperature", "calibrated_on") if key in found}

    fitted = predictor(calibration=FITTED)
    assert told(fitted) == {"temperature": 2.5, "calibrated_on": "noise val"}
    fitted.temperature = 1.0
    assert told(fitted) == told(predictor()) == {}
    fitted = predictor(calibration=FITTED)
    fitted.crf = CrfSettings()
    assert told(fitted) == {}, "the CRF has no use for it"


def test_memory_is_not_told_where_the_system_does_not_say(monkeypatch, tmp_path):
    found = model_facts(predictor(), (8, 8), [1.0], 1)["peak_memory_bytes"]
    assert found is None or found > 2**20
    monkeypatch.setattr(of_reports, "Path", lambda _: tmp_path / "status")
    assert model_facts(predictor(), (8, 8), [1.0], 1)["peak_memory_bytes"] is None
    (tmp_path / "status").write_text("VmPeak:\t 9 kB\nVmHWM:\t    7 kB\n")
    assert model_facts(predictor(), (8, 8), [1.0], 1)["peak_memory_bytes"] == 7 * 1024

"""The torch engine against the network called by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tarsia import hardware, models
from tarsia.card import Card, Classes, Input
from tarsia.engines import torch_engine
from tarsia.engines.open import open_engine
from tarsia.engines.torch_engine import TorchEngine, pick_device
from tarsia.engines.weights import save_model
from tarsia.errors import ModelFileError, OutputError, RecipeError
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor

pytestmark = pytest.mark.processor

CLASSES = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (9, 0, 0), (0, 9, 0)))
OPTIONS = {"encoder": "test_resnet", "channels": [8]}


def new_engine(precision: str = "float32") -> TorchEngine:
    model = models.create("unet", 3, seed=1, options=OPTIONS)
    card = Card(architecture="unet", model=OPTIONS, classes=CLASSES, input=Input(stride=32))
    return TorchEngine(model.eval(), card, "cpu", precision)


@pytest.fixture(scope="module")
def engine():
    return new_engine()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).integers(0, 256, (2, 32, 64, 3), np.uint8)


def test_scores_are_the_network_s(engine, images):
    with torch.no_grad():
        expected = engine.model(torch.from_numpy(images).permute(0, 3, 1, 2))
    torch.testing.assert_close(engine.run(images), expected)
    assert torch.equal(engine.run(images[:, :, ::-1][:, :, ::-1]), engine.run(images))  # strides do not matter


def test_labels_and_probabilities_at_another_size(engine, images):
    scores = engine.run(images)
    resized = functional.interpolate(scores, size=(45, 50), mode="bilinear")
    labels = engine.labels(scores, (45, 50))
    assert labels.dtype == np.uint8 and np.array_equal(labels, resized.argmax(1).numpy())
    probabilities = engine.probabilities(scores, (45, 50))
    assert probabilities.dtype == np.float32 and probabilities.shape == (2, 3, 45, 50)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities, resized.softmax(1).numpy(), atol=1e-6)


def test_bfloat16_is_close_and_probabilities_are_float32(engine, images):
    rough = new_engine("bfloat16")
    scores = rough.run(images)
    assert scores.dtype == torch.bfloat16
    probabilities = rough.probabilities(scores, (32, 64))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, engine.probabilities(engine.run(images), (32, 64)), atol=0.05)


def test_a_network_in_training_is_only_looked_at():
    engine = new_engine()
    engine.model.train()
    before = {key: value.clone() for key, value in engine.model.state_dict().items()}
    engine.run(np.zeros((1, 32, 32, 3), np.uint8))
    engine.multiply_adds((32, 32))
    assert engine.model.training and engine.model.encoder.training
    assert all(torch.equal(value, before[key]) for key, value in engine.model.state_dict().items())


def test_multiply_adds_against_a_count_by_hand():
    engine = new_engine()
    total = 0

    def count(part, given, result):
        nonlocal total
        kernel = part.weight.shape[2] * part.weight.shape[3]
        if isinstance(part, torch.nn.ConvTranspose2d):  # each input value meets each weight of its channel
            total += given[0].numel() * part.out_channels * kernel
        else:
            total += result.numel() * part.in_channels // part.groups * kernel

    for part in engine.model.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            part.register_forward_hook(count)
    assert engine.multiply_adds((64, 32)) == total > 0


def test_facts_run_nothing_and_say_what_described_says(engine):
    ran = []
    hook = engine.model.register_forward_hook(lambda *_: ran.append(1))
    facts = engine.describe()
    hook.remove()
    assert facts.parameters == sum(one.numel() for one in engine.model.parameters())
    assert str(engine.describe()) == f"{facts.engine}, {facts.threads} threads" and facts.precision == "float32"
    assert not ran


def test_opened_from_a_file_it_answers_as_before(engine, images, tmp_path):
    save_model(tmp_path / "model.safetensors", engine.model, engine.card)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        opened = open_engine(path, "cpu")
        assert opened.card == engine.card and opened.device == "cpu"
        assert str(opened.describe()) == f"torch {torch.__version__}, cpu, {torch.get_num_threads()} threads"
        torch.testing.assert_close(opened.run(images), engine.run(images))
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelFileError):
        open_engine(tmp_path)


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta", "cpu:x", ""])
def test_a_device_that_is_not_there_is_named_with_the_known_ones(device):
    with pytest.raises(RecipeError, match=r"not usable here.*known: auto, cpu, cuda"):
        pick_device(device)


@pytest.mark.parametrize(("seconds", "expected"), [((0.1, 0.05), "channels_last"), ((0.05, 0.1), "contiguous")])
def test_the_memory_layout_is_the_faster_one_on_a_picture_of_a_real_size(monkeypatch, seconds, expected):
    taken, clock = dict(zip(("contiguous", "channels_last"), seconds, strict=True)), [0.0]
    engine = new_engine()
    monkeypatch.setattr(torch_engine, "perf_counter", lambda: clock[0])
    engine.model.register_forward_hook(lambda model, *_: clock.__setitem__(0, clock[0] + taken[model.memory_format]))
    small, large = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((2, 128, 160, 3), np.uint8)
    engine.run(small)
    assert clock[0] == taken["contiguous"] and engine.model.memory_format == "contiguous"
    before = engine.run(large)
    assert engine.model.memory_format == expected
    clock[0] = 0.0
    torch.testing.assert_close(engine.run(large), before)
    assert clock[0] == taken[expected]  # once and for all


def test_only_a_part_of_a_large_picture_is_tried(monkeypatch):
    engine, seen = new_engine(), []
    monkeypatch.setattr(torch_engine, "_LARGEST_SIDE", 150)
    engine.model.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    engine.run(np.zeros((3, 64, 320, 3), np.uint8))
    assert seen[-1] == (3, 3, 64, 320) and set(seen[:-1]) == {(1, 3, 64, 128)}


@pytest.mark.parametrize("first", ["contiguous", "channels_last"])
def test_a_prediction_that_is_resumed_keeps_its_memory_layout(first, monkeypatch, tmp_path):
    """Where the machine would choose the other one by then."""
    other = {"contiguous": "channels_last", "channels_last": "contiguous"}[first]
    sources = [tmp_path / f"{name}.png" for name in "ab"]
    for path in sources:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 160, 3), np.uint8)).save(path)
    for chosen, resume in ((first, False), (other, True)):
        monkeypatch.setattr(torch_engine, "measure", lambda *_, chosen=chosen: SimpleNamespace(chosen=chosen))
        engine = new_engine()
        run = predict(Predictor(engine), sources[: 2 if resume else 1], tmp_path / "out", resume=resume)
        assert len(run.done) == 1 and engine.memory_format == first


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_a_memory_layout_that_is_asked_for_is_kept(memory_format, images):
    model = new_engine().model
    engine = TorchEngine(model, new_engine().card, "cpu", memory_format=memory_format)
    found = engine.run(np.zeros((1, 160, 160, 3), np.uint8))
    assert model.memory_format == memory_format and found.shape == (1, 3, 160, 160)
    torch.testing.assert_close(engine.run(images), new_engine().run(images))


def test_devices_that_are():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if hardware.has_cuda() else "cpu")


def attentive(architecture: str = "msanet", **options: object) -> TorchEngine:
    options = {"width": 0.125, **options}
    model = models.create(architecture, 3, seed=1, options=options)
    card = Card(architecture=architecture, model=options, classes=CLASSES, input=Input(stride=model.stride))
    return TorchEngine(model.train(), card, "cpu")


def test_attention_is_the_network_s_in_arrays(images):
    engine = attentive()
    engine.check_attention()
    found = engine.attention(images[1])
    assert engine.model.training
    assert [(one.name, one.kind, one.map_HW.shape, one.weights_C) for one in found] == [
        ("attention_56", "received", (8, 16), None),
        ("attention_56", "active", (8, 16), None),
        ("attention_112", "received", (16, 32), None),
        ("attention_112", "active", (16, 32), None),
    ]
    with torch.no_grad():
        expected = engine.model.eval().attention(torch.from_numpy(images[1:]).permute(0, 3, 1, 2))
    wanted = [map_BHW for _, of_module in expected for map_BHW in (of_module.received_BHW, of_module.active_BHW)]
    for one, map_BHW in zip(found, wanted, strict=True):
        assert one.map_HW.dtype == np.float32
        np.testing.assert_allclose(one.map_HW, map_BHW[0].numpy(), rtol=1e-4)
    assert [found[0].map_HW.mean(), found[2].map_HW.mean()] == pytest.approx([1, 1], abs=1e-4)


def test_attention_of_a_position_stands_between_what_all_receive_and_what_comes_of_it(images):
    engine = attentive()
    engine.check_attention(of_a_position=True)
    found = engine.attention(images[1], (0.5, 0.25))
    assert [one.kind for one in found] == ["received", "paid", "active"] * 2
    with torch.no_grad():
        expected = engine.model.eval().attention(torch.from_numpy(images[1:]).permute(0, 3, 1, 2), (0.5, 0.25))
    np.testing.assert_allclose(found[1].map_HW, expected[0][1].paid_BHW[0].numpy(), rtol=1e-4)
    with pytest.raises(
        OutputError, match=r"`attention_at`: in this attention_fcn no position attends .*: leave it out"
    ):
        attentive("attention_fcn").check_attention(of_a_position=True)


def test_channel_weights_come_along(images):
    found = attentive("attention_fcn").attention(images[0])
    assert len(found) == 5
    assert all(one.weights_C.ndim == 1 and 0 <= one.weights_C.min() <= one.weights_C.max() <= 1 for one in found)


def test_a_network_without_attention_says_what_has_it(engine):
    with pytest.raises(OutputError, match=r"this unet has no attention to draw: networks that have it: .*\bmsanet\b"):
        engine.check_attention()
    for switched_off in (attentive(attention=False), attentive("attention_fcn", skips=False, attention=False)):
        with pytest.raises(OutputError, match=r"has no attention.*trained with model\.attention: false, train one"):
            switched_off.check_attention()

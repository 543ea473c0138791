"""Probing leaves no trace; what is tried; which batch fits."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tarsia import hardware, models
from tarsia.learning import probe
from tarsia.learning.loader import Batch
from tarsia.learning.losses import CrossEntropy
from tarsia.learning.probe import Way
from tarsia.models._segmenter import MEMORY_FORMATS

pytestmark = pytest.mark.processor


@pytest.fixture
def model():
    return models.create("unet", 2, options={"encoder": "test_resnet", "channels": [8]})


def batch_of(size: int) -> Batch:
    image = torch.randint(0, 256, (size, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Batch(image, image[:, 0] // 128, [f"picture {index}" for index in range(size)])


def trace(model) -> tuple:
    return (
        {key: value.clone() for key, value in model.state_dict().items()},
        [one.grad for one in model.parameters()],
        model.training,
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
    )


def assert_untouched(before: tuple, model) -> None:
    after = trace(model)
    assert all(torch.equal(before[0][key], after[0][key]) for key in before[0])
    assert after[1:] == before[1:]


ALL = [Way(a, b) for a, b in product(("float32", "bfloat16"), ("contiguous", "channels_last"))]


@pytest.mark.parametrize("has_bfloat16", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_is_tried_hangs_on_the_recipe_and_on_the_hardware(monkeypatch, has_bfloat16, device):
    monkeypatch.setattr(hardware, "torch_computes_bfloat16", lambda asked: asked == device and has_bfloat16)
    tried = probe.ways("auto", "auto", device)
    assert tried[0] == Way("float32", "contiguous")
    assert set(tried) == ({*ALL} if has_bfloat16 else {*ALL[:2]}) and len(set(tried)) == len(tried)
    assert probe.ways("auto", "channels_last", device) == [ALL[1], ALL[3]][: 1 + has_bfloat16]
    for precision in ("float32", "bfloat16"):  # as the recipe says, whatever the hardware
        assert probe.ways(precision, "auto", device) == [Way(precision, one) for one in MEMORY_FORMATS]
        assert probe.ways(precision, "contiguous", device) == [Way(precision, "contiguous")]


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_everything_as_it_was(model, training):
    """And whatever the hardware, every way can be computed."""
    model.train(training)
    before, strides = trace(model), [one.stride() for one in model.parameters()]
    found = probe.fastest_way(model, batch_of(2), CrossEntropy(), "cpu", ALL)
    assert found.chosen in ALL and found.seconds.keys() == {*ALL} and min(found.seconds.values()) > 0
    assert_untouched(before, model)
    assert [one.stride() for one in model.parameters()] == strides and model.memory_format is None


def test_every_way_is_the_one_it_says(monkeypatch, model):
    ran = []

    def step(trial, batch, criterion, device, precision):
        assert trial is not model and trial.training
        assert trial.encoder.net.conv1[6].weight.is_contiguous(memory_format=MEMORY_FORMATS[trial.memory_format])
        ran.append(Way(precision, trial.memory_format))

    monkeypatch.setattr(probe, "_step", step)
    probe.fastest_way(model, batch_of(1), CrossEntropy(), "cpu", ALL)
    assert set(ran) == {*ALL}


@pytest.mark.parametrize(("limit", "expected"), [(7, 4), (4, 4), (3, 2), (1, 1), (0, 0)])
def test_the_fitting_batch_is_the_largest_halving_that_passes(monkeypatch, model, limit, expected):
    def step(trial, batch, criterion, device, precision):
        assert trial is not model and len(batch.names) == len(batch.image_B3HW) == len(batch.label_BHW)
        if len(batch.names) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(probe, "_step", step)
    assert probe.fitting_batch(model, batch_of(8), CrossEntropy(), "cpu", "float32") == expected


def test_fitting_leaves_everything_as_it_was_and_other_errors_pass(model):
    before = trace(model)
    assert probe.fitting_batch(model, batch_of(4), CrossEntropy(), "cpu", "float32") == 2
    assert_untouched(before, model)
    with pytest.raises(ValueError, match="stride"):
        probe.fitting_batch(
            model,
            Batch(torch.zeros(2, 3, 30, 30), torch.zeros(2, 30, 30), ["a", "b"]),
            CrossEntropy(),
            "cpu",
            "float32",
        )

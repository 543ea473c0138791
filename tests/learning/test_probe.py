"""Probing leaves no trace; what counts as out of memory; which batch fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tarsia import models
from tarsia.learning import probe
from tarsia.learning.loader import Batch
from tarsia.learning.losses import CrossEntropy

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


@pytest.mark.parametrize("training", [True, False])
def test_measuring_the_precision_leaves_everything_as_it_was(model, training):
    model.train(training)
    before = trace(model)
    precision, ratio = probe.faster_precision(model, batch_of(2), CrossEntropy(), "cpu")
    assert precision in ("float32", "bfloat16") and np.isfinite(ratio) and ratio > 0
    assert_untouched(before, model)


@pytest.mark.parametrize(
    ("slowness", "expected"), [({"float32": 3.0}, "bfloat16"), ({"bfloat16": 3.0}, "float32"), ({}, "float32")]
)
def test_the_faster_precision_is_chosen_and_a_draw_is_float32(monkeypatch, model, slowness, expected):
    clock = [0.0]

    def step(trial, batch, criterion, device, precision):
        assert trial is not model and trial.training
        clock[0] += slowness.get(precision, 1.0)

    monkeypatch.setattr(probe, "_step", step)
    monkeypatch.setattr(probe.time, "perf_counter", lambda: clock[0])
    precision, ratio = probe.faster_precision(model, batch_of(1), CrossEntropy(), "cpu")
    assert precision == expected
    assert ratio == pytest.approx(slowness.get("float32", 1.0) / slowness.get("bfloat16", 1.0))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype(int)), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_is_out_of_memory(error, expected):
    assert probe.is_out_of_memory(error) is expected


def test_a_real_refused_allocation_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert probe.is_out_of_memory(caught.value)


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

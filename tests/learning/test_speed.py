"""What a recipe leaves open is measured and then fixed; what it names is taken; threads are given back."""

from __future__ import annotations

import pytest
import torch

from tarsia import hardware, models
from tarsia.engines.measuring import Measured
from tarsia.learning import probe, speed
from tarsia.learning.probe import Way
from tarsia.learning.processes import Processes
from tarsia.models._segmenter import MEMORY_FORMATS
from tarsia.recipe_train import TrainRecipe

pytestmark = pytest.mark.processor

FAST = Way("bfloat16", "channels_last")


@pytest.fixture
def model():
    return models.create("unet_original", 2, options={"channels": (4, 4)})


def no_batch():
    raise AssertionError("nothing is left to be measured")


@pytest.mark.parametrize("has_bfloat16", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_the_fastest_way_is_taken_and_said(model, monkeypatch, has_bfloat16, fast):
    monkeypatch.setattr(hardware, "torch_computes_bfloat16", lambda _: has_bfloat16)

    def fastest_way(trial, batch, criterion, device, candidates):
        assert trial is model and batch == "the first" and (FAST in candidates) == has_bfloat16
        wins = candidates[1] if fast else candidates[0]
        return Measured(candidates, {one: [0.5 if one == wins else 1.0] for one in candidates})

    monkeypatch.setattr(probe, "fastest_way", fastest_way)
    settings, notes = speed.settle(TrainRecipe(), model, lambda: "the first", None, Processes())
    expected = (FAST if has_bfloat16 else Way("float32", "channels_last")) if fast else Way("float32", "contiguous")
    assert (settings.precision, settings.memory_format) == expected
    assert settings.threads == torch.get_num_threads()
    (said,) = notes
    ratio = "2.00" if fast else "0.50"
    assert said.startswith(f"computed in {expected}; ") and f"channels_last {ratio}" in said
    assert model.memory_format == expected.memory_format
    for parameter in model.parameters():
        assert parameter.is_contiguous(memory_format=MEMORY_FORMATS[expected.memory_format]) or parameter.ndim != 4


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_what_the_recipe_names_is_not_measured_but_slowness_is_told(model, monkeypatch, capsys, has_bfloat16):
    monkeypatch.setattr(hardware, "torch_computes_bfloat16", lambda _: has_bfloat16)
    asked = TrainRecipe(precision="bfloat16", memory_format="channels_last")
    settings, notes = speed.settle(asked, model, no_batch, None, Processes())
    assert (settings.precision, settings.memory_format) == FAST and notes == []
    assert ("no hardware for it here" in capsys.readouterr().err) == (not has_bfloat16)


@pytest.mark.parametrize("cores", [1, 64])
def test_threads_are_those_asked_for_while_it_lasts(monkeypatch, capsys, cores):
    monkeypatch.setattr(hardware, "cores", lambda: cores)
    before = torch.get_num_threads()
    with pytest.raises(InterruptedError), speed.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise InterruptedError
    assert torch.get_num_threads() == before
    assert ("slower than as many" in capsys.readouterr().err) == (before + 1 > cores)
    with speed.threads(None):
        assert torch.get_num_threads() == before

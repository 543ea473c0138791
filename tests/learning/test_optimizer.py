"""Schedules at their ends, groups, and the average against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tarsia import models
from tarsia.learning import optimizer
from tarsia.recipe_train import TrainRecipe


@pytest.fixture(scope="module")
def model():
    return models.create("unet", 2, options={"encoder": "test_resnet", "channels": [8]})


def settings(**changes) -> TrainRecipe:
    return TrainRecipe.model_validate(changes)


def factors(total: int, **changes) -> list[float]:
    return [optimizer.factor(settings(**changes), step, total) for step in range(total + 1)]


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_schedules_begin_at_one_fall_and_end_at_zero(schedule):
    found = factors(20, schedule=schedule)
    assert found[0] == 1.0 and found[-1] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in zip(found, found[1:], strict=False))


def test_schedules_at_the_middle_by_hand():
    assert factors(20, schedule="poly", power=2.0)[10] == pytest.approx(0.25)
    assert factors(20, schedule="cosine")[10] == pytest.approx(0.5)
    assert set(factors(20, schedule="constant")) == {1.0}


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_warm_up_rises_in_equal_steps_to_the_base_rate_then_the_schedule_begins(schedule):
    found = factors(20, schedule=schedule, warmup_steps=4)
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert found[4:] == pytest.approx(factors(16, schedule=schedule))


def test_a_warm_up_longer_than_the_training_is_all_warm_up():
    assert factors(3, warmup_steps=10) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("kind", "expected"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_the_encoder_s_rate_and_decay(model, kind, expected):
    found = optimizer.create(
        model, settings(optimizer=kind, learning_rate=0.2, encoder_multiplier=0.1, weight_decay=0.3, momentum=0.7)
    )
    assert type(found) is expected
    assert optimizer.set_learning_rate(found, 0.5) == pytest.approx(0.1)
    group_of = {id(one): group for group in found.param_groups for one in group["params"]}
    for name, one in model.named_parameters():
        group = group_of[id(one)]
        assert group["lr"] == pytest.approx(0.1 * (0.1 if name.startswith("encoder.") else 1.0)), name
        assert group["weight_decay"] == (0.3 if one.ndim > 1 else 0.0), name
    if kind == "sgd":
        assert {group["momentum"] for group in found.param_groups} == {0.7}


def test_frozen_parameters_are_left_out():
    model = models.create("unet", 2, options={"encoder": "test_resnet", "channels": [8]})
    model.encoder.freeze(("all",))
    found = optimizer.create(model, settings())
    encoder = {id(one) for one in model.encoder.parameters()}
    assert not any(id(one) in encoder for group in found.param_groups for one in group["params"])


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_against_its_formula(decay):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = optimizer.Average(net, decay)
    slow = {name: value.detach().clone() for name, value in net.state_dict().items()}
    for step in range(12):
        with torch.no_grad():
            for value in net.parameters():
                value += torch.randn_like(value)
        net(torch.randn(4, 3))  # moves the statistics
        average.update(net, step)
        kept = min(decay, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            slow[name] = kept * slow[name] + (1 - kept) * value if value.is_floating_point() else value
    for name, value in average.model.state_dict().items():
        torch.testing.assert_close(value, slow[name])
        assert not value.requires_grad
    assert average.model[1].num_batches_tracked == 12 and net[1].running_mean.ne(average.model[1].running_mean).all()
    assert not average.model.training and net.training

"""How the layers that give scores start: one choice for every network."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch

from tarsia import data, models
from tarsia.errors import RecipeError
from tarsia.learning.losses import CrossEntropy
from tarsia.models._blocks import Classifier
from tarsia.models._segmenter import Segmenter

every_model = pytest.mark.parametrize("name", models.names())


@functools.cache
def streets() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Two drawn streets, their labels and the number of classes."""
    scenes = data.open("streets", split="train", count=2, size=(64, 96))
    samples = [scenes[place] for place in range(2)]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) for one in samples])
    return images, torch.stack([torch.from_numpy(one.label) for one in samples]), len(scenes.classes)


def create(name: str, classes: int, seed: int = 0, options: dict[str, Any] | None = None, **more: Any) -> Segmenter:
    options = models.config_class(name).smallest if options is None else options
    return models.create(name, classes, seed=seed, options=options, **more)


def heads(model: Segmenter) -> dict[str, Classifier]:
    return {key: one for key, one in model.named_modules() if isinstance(one, Classifier)}


def first_losses(model: Segmenter) -> dict[str, float]:
    images, label, _ = streets()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        terms, _ = model.train().loss(images, label, CrossEntropy())
    return {key: float(one) for key, one in terms.items()}


@every_model
def test_whatever_grows_with_the_classes_is_a_classifier(name):
    with torch.device("meta"):
        three, four = create(name, 3), create(name, 4)
    grown = {
        key.rpartition(".")[0] for key, one in three.state_dict().items() if one.shape != four.state_dict()[key].shape
    }
    assert grown == heads(three).keys() != set()


@every_model
def test_only_the_classifiers_are_other_where_they_start_otherwise(name):
    one, other = (create(name, 3, head_start=start) for start in ("fan_in", 0.5))
    differing = {key for key, value in one.state_dict().items() if not torch.equal(value, other.state_dict()[key])}
    assert differing == {f"{key}.weight" for key in heads(one)}


@every_model
@pytest.mark.parametrize("start", ["fan_in", "he", 0.25, 0])
def test_they_start_as_they_are_told(name, start):
    for key, one in heads(create(name, 200, head_start=start)).items():
        window = one.kernel_size[0] * one.kernel_size[1]
        of_words = {"fan_in": (one.in_channels * window) ** -0.5, "he": (2 / (200 * window)) ** 0.5}
        deviation = of_words.get(start, start)
        assert float(one.weight.detach().std()) == pytest.approx(deviation, rel=0.1), key
        assert abs(float(one.weight.detach().mean())) <= 4 * deviation / one.weight.numel() ** 0.5, key
        assert one.bias is None or not one.bias.any(), key


@every_model
@pytest.mark.parametrize("start", ["fan_in", 0.01])
def test_the_first_loss_is_about_that_of_guessing(name, start):
    classes = streets()[2]
    if start == "fan_in" and name in UNNORMALISED:
        pytest.skip(f"{name} gives its classifiers features that nothing normalises")
    losses = [first_losses(create(name, classes, seed, head_start=start))["loss"] for seed in range(3)]
    assert max(losses) < 1.3 * math.log(classes), losses


# No batch normalisation between these networks' last additions or convolutions and their scores.
UNNORMALISED = ("deeplabv1", "fcn", "unet_xception")
DEEP = [
    ("unet", {"encoder": "resnet18"}),
    ("pspnet", {"encoder": "resnet50", "output_stride": 16}),
    ("pspnet", {"encoder": "vgg16", "output_stride": 16}),
    ("deeplabv3", {"encoder": "resnet50"}),
    ("deeplabv1", {"channels": 256}),
    ("fpn", {"encoder": "resnet18"}),
    ("segnet", {}),
    ("segformer", {}),
    ("attention_fcn", {}),
    ("msanet", {"width": 0.5}),
    ("unet_original", {"channels": (16, 32, 64, 128, 256)}),
]


@pytest.mark.parametrize(("name", "options"), DEEP)
def test_so_it_is_on_what_deep_encoders_give(name, options):
    classes = streets()[2]
    assert first_losses(create(name, classes, options=options))["loss"] < 1.3 * math.log(classes)


def test_an_auxiliary_head_by_itself_guesses_too():
    classes, auxiliary = streets()[2], 0.5
    for options in ({"encoder": "test_resnet"}, {"encoder": "resnet18"}):
        terms = first_losses(create("pspnet", classes, options=options | {"auxiliary": auxiliary}))
        assert terms["auxiliary"] / auxiliary < 1.3 * math.log(classes)


@pytest.mark.parametrize("name", ["fcn", "pspnet", "unet_xception"])
def test_scores_that_start_at_zero_are_learned(name):
    images, label, classes = streets()
    model = create(name, classes, head_start=0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model.loss(images, label, CrossEntropy())[0]["loss"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(classes)) and losses[-1] < 0.8 * losses[0]
    assert all(one.grad is not None and one.grad.any() for one in model.parameters())


@pytest.mark.parametrize("start", ["he_normal", -0.5, None])
def test_another_start_is_refused(start):
    with pytest.raises(RecipeError, match=r"model\.head_start: .*: expected a standard deviation .*, fan_in or he"):
        create("fcn", 3, head_start=start)

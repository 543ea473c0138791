"""What every network in the folder must keep, on its smallest configuration."""

from __future__ import annotations

import functools
import random
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tarsia import models
from tarsia.card import Card, Classes, Input
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import load_model, save_model
from tarsia.errors import ModelFileError, RecipeError
from tarsia.learning.losses import CrossEntropy
from tarsia.models._segmenter import Segmenter
from tarsia.prediction.predictor import Predictor

every_model = pytest.mark.parametrize("name", models.names())
CLASSES = Classes(names=("left", "right", "strip"), colors=((0, 0, 0), (200, 0, 0), (0, 200, 0)))


def create(name: str, class_count: int = len(CLASSES), seed: int = 0) -> Segmenter:
    return models.create(name, class_count, seed=seed, options=models.config_class(name).smallest)


@functools.cache
def shared_model(name: str) -> Segmenter:
    """One network for the tests that leave it as it is."""
    return create(name).eval()


def card_of(name: str, model: Segmenter) -> Card:
    config = models.config_class(name).model_validate(models.config_class(name).smallest)
    return Card(
        architecture=name, model=config.model_dump(mode="json"), classes=CLASSES, input=Input(stride=model.stride)
    )


def picture(batch: int = 1, size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def structured(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose dark left, bright right and red strip are the three classes, noise over all."""
    image, label = picture(batch) // 8, torch.zeros(batch, 64, 96, dtype=torch.uint8)
    image[..., 48:] += 150
    label[..., 48:] = 1
    image[:, 0, 20:36] = 220
    image[:, 1:, 20:36] = 20
    label[:, 20:36] = 2
    label[:, :4] = 255
    return image, label


def train_steps(model: Segmenter, batch: int, steps: int) -> list[float]:
    image, label = structured(batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        terms, scores = model.loss(image, label, CrossEntropy())
        assert scores.shape == (batch, len(CLASSES), 64, 96)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@every_model
@pytest.mark.parametrize("size", [(64, 96), (128, 64), (45, 71)])
def test_predicts_at_the_picture_s_own_size(name, size):
    model = shared_model(name)
    predictor = Predictor(TorchEngine(model, card_of(name, model), "cpu"))
    image = picture(1, size)[0].permute(1, 2, 0).numpy()
    found = predictor(image, confidence=True)
    assert found.label_HW.shape == size and found.label_HW.dtype == np.uint8
    assert found.label_HW.max() < len(CLASSES)
    assert found.confidence_HW.shape == size and np.isfinite(found.confidence_HW).all()


@every_model
def test_scores_are_at_full_size_and_independent_of_the_batch(name):
    model = shared_model(name)
    with torch.no_grad():
        three = model(picture(3))
        one = model(picture(3)[1:2])
    assert three.shape == (3, len(CLASSES), 64, 96) and three.isfinite().all()
    torch.testing.assert_close(three[1:2], one, rtol=1e-3, atol=1e-4)


@every_model
@pytest.mark.parametrize("size", [(33, 64), (64, 60), (1, 1)])
def test_refuses_sizes_off_the_stride(name, size):
    with pytest.raises(ValueError, match="stride"):
        shared_model(name)(picture(1, size))


@every_model
def test_learns_and_every_parameter_takes_part(name):
    model = create(name).train()
    losses = train_steps(model, batch=3, steps=8)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0], losses
    still = [key for key, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert still == []
    assert all(one.grad.isfinite().all() for one in model.parameters())


@every_model
def test_a_batch_of_one_picture_trains_even_at_the_smallest_size(name):
    model = create(name).train()
    assert np.isfinite(train_steps(model, batch=1, steps=2)).all()
    image = picture(1, (model.stride, model.stride))
    terms, scores = model.loss(image, torch.zeros(1, model.stride, model.stride, dtype=torch.uint8), CrossEntropy())
    terms["loss"].backward()
    assert scores.isfinite().all()
    assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)


@every_model
def test_the_seed_alone_decides_the_weights(name):
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    first = create(name, seed=7).state_dict()
    torch.rand(3)
    after = torch.get_rng_state()
    again, other = create(name, seed=7).state_dict(), create(name, seed=8).state_dict()
    assert torch.equal(torch.get_rng_state(), after)
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if first[key].ndim > 1 and first[key].any()]
    assert drawn and all(not torch.equal(first[key], other[key]) for key in drawn)


@every_model
def test_saved_and_loaded_it_answers_the_same(name, tmp_path):
    model = create(name).train()
    train_steps(model, batch=2, steps=1)  # moves the statistics of the batch normalisation too
    card = card_of(name, model)
    save_model(tmp_path / "m.safetensors", model, card)
    loaded, found = load_model(tmp_path / "m.safetensors")
    assert found == card and Card.from_json(card.to_json(), "here") == card
    with torch.no_grad():
        assert torch.equal(model.eval()(picture(2)), loaded.eval()(picture(2)))


@every_model
@pytest.mark.parametrize("class_count", [1, 255])
def test_any_number_of_classes_a_label_can_hold(name, class_count):
    model = models.create(name, class_count, head_start=0.01, options=models.config_class(name).smallest)
    image = picture(1, (2 * model.stride, model.stride))
    label = torch.full(image.shape[:1] + image.shape[2:], class_count - 1, dtype=torch.uint8)
    terms, scores = model.loss(image, label, CrossEntropy())
    assert scores.shape == (1, class_count, *image.shape[2:])
    assert float(terms["loss"].detach()) == pytest.approx(np.log(class_count), abs=1)


@every_model
def test_groups_hold_every_parameter_once_and_keep_biases_and_norms_from_decay(name):
    model = create(name)
    groups = model.parameter_groups(0.1, 0.01, encoder_multiplier=0.5)
    grouped = [id(one) for group in groups for one in group["params"]]
    assert sorted(grouped) == sorted(id(one) for one in model.parameters())
    place = {id(one): group for group in groups for one in group["params"]}
    for key, one in model.named_parameters():
        assert place[id(one)]["lr"] == (0.05 if key.startswith("encoder.") else 0.1), key
        assert place[id(one)]["weight_decay"] == (0.0 if one.ndim == 1 else 0.01), key


@every_model
def test_it_names_its_publication(name):
    assert re.search(r"\b(19|20)\d\d\b", models.config_class(name).publication)


@every_model
def test_an_unknown_option_is_refused_with_the_nearest_name(name):
    known = next(iter(models.config_class(name).model_fields))
    with pytest.raises(RecipeError, match=rf"model\.{known[:-1]}x: unknown key, did you mean {known}\?"):
        models.create(name, 3, options={known[:-1] + "x": 1})


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match=r"unknown model unett, did you mean unet\?"):
        models.create("unett", 3)


def test_every_wrong_option_is_named_at_once():
    with pytest.raises(RecipeError) as caught:
        models.create("pspnet", 3, options={"bins": [0, 2], "fusion_kernel": 2, "std": [1, 1, 0]})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "model.std.2",
        "model.bins.0",
        "model.fusion_kernel",
    ]


@every_model
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (3, 5)])
def test_pictures_smaller_than_the_stride_get_an_answer(name, size):
    model = shared_model(name)
    predictor = Predictor(TorchEngine(model, card_of(name, model), "cpu"))
    found = predictor(picture(1, size)[0].permute(1, 2, 0).numpy(), confidence=True)
    assert found.label_HW.shape == size and np.isfinite(found.confidence_HW).all()


@every_model
def test_weights_of_another_network_are_refused(name, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"stem.weight": torch.zeros(3, 3)}, other)
    with pytest.raises(ModelFileError, match=r"model\.weights|does not fit") as caught:
        models.create(name, 3, weights=str(other), options=models.config_class(name).smallest)
    assert "\n" not in str(caught.value)


@every_model
@pytest.mark.parametrize("levels", [[0], [2], [3, 4]])
def test_an_encoder_with_few_levels_works_or_is_refused(name, levels):
    config = models.config_class(name)
    if "encoder_options" not in config.model_fields:
        pytest.skip(f"{name} has no timm encoder")
    options = config.smallest | {"encoder_options": {"out_indices": levels}}
    try:
        model = models.create(name, 3, options=options).eval()
    except RecipeError as error:
        assert str(error).startswith("model.") and "\n" not in str(error)
        return
    with torch.no_grad():
        scores = model(picture(1, (2 * model.stride, model.stride)))
    assert scores.shape == (1, 3, 2 * model.stride, model.stride) and scores.isfinite().all()

"""What adapting adds to the loss: restyled pictures, the KL that ties them, pseudo-labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tarsia import models
from tarsia.adaptation.batch_statistics import take_statistics
from tarsia.adaptation.pseudo_labels import PseudoLabels, class_thresholds
from tarsia.adaptation.recolor import match_histogram
from tarsia.adaptation.restyle import Restyling, divergence
from tarsia.card import Card, Classes, Input
from tarsia.data._unlabelled import open_unlabelled
from tarsia.engines.torch_engine import TorchEngine
from tarsia.errors import RecipeError
from tarsia.learning.loader import TargetBatch
from tarsia.models._segmenter import Segmenter
from tarsia.prediction.predictor import Predictor
from tarsia.recipe import AdaptRecipe

OPTIONS = {"encoder": "test_resnet", "channels": [8] * 5}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for index in range(5):
        Image.fromarray(random.integers(0, 90, (32, 40, 3), np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


def model() -> Segmenter:
    return models.create("unet", 3, options=OPTIONS)


def card() -> Card:
    classes = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    return Card(architecture="unet", model=OPTIONS, classes=classes, input=Input(stride=model().stride))


def batch(seed: int = 0) -> tuple[Tensor, Tensor, TargetBatch]:
    made = torch.Generator().manual_seed(seed)
    image, other = (torch.randint(0, 256, (4, 3, 32, 64), dtype=torch.uint8, generator=made) for _ in range(2))
    label = torch.randint(0, 3, (4, 32, 64), dtype=torch.uint8, generator=made)
    mask = torch.ones(4, 32, 64, dtype=torch.bool)
    mask[:, :, 50:] = False
    return image, label, TargetBatch(other, mask)


def criterion(scores: Tensor, label: Tensor) -> Tensor:
    return functional.cross_entropy(scores, label.long(), ignore_index=255)


def test_divergence_is_the_slow_formula() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    p, q = one.softmax(1).numpy(), other.softmax(1).numpy()
    slow = np.mean(
        [
            sum(p[b, k, y, x] * np.log(p[b, k, y, x] / q[b, k, y, x]) for k in range(3))
            for b in range(2)
            for y in range(4)
            for x in range(5)
        ]
    )
    assert float(divergence(one, other)) == pytest.approx(float(slow), abs=1e-5)
    assert float(divergence(one, one)) == pytest.approx(0, abs=1e-6)


def test_the_gradient_of_the_divergence_reaches_both_sides() -> None:
    torch.manual_seed(0)
    one, other = (torch.randn(2, 3, 4, 5, requires_grad=True) for _ in range(2))
    divergence(one, other).backward()
    count = 2 * 4 * 5
    p, q = one.softmax(1), other.softmax(1)
    assert torch.allclose(other.grad, (q - p).detach() / count, atol=1e-6)
    log_ratio = (p.log() - q.log()).detach()
    wanted = p * (log_ratio - (p * log_ratio).sum(1, keepdim=True)) / count
    assert torch.allclose(one.grad, wanted.detach(), atol=1e-6)


def adapted_loss(adaptation: Restyling, net: Segmenter) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Of a step of one batch."""
    given = adaptation.extended(*batch())
    return adaptation.loss(net, given, criterion, given.tied)


@pytest.mark.parametrize(("share", "rows"), [(1.0, 4), (0.5, 2), (0.3, 2)])
def test_restyled_rows_share_the_labels_and_are_tied(share: float, rows: int, target: Path) -> None:
    recipe = AdaptRecipe(target=str(target), method="histogram", share=share, kl_weight=2.0)
    net = model().eval()
    image, label, others = batch()
    terms, scores = adapted_loss(Restyling(recipe, net, card(), "cpu"), net)
    pairs = zip(*(one[:rows].permute(0, 2, 3, 1).numpy() for one in (image, others.image_B3HW)), strict=True)
    restyled = torch.from_numpy(np.stack([match_histogram(*pair) for pair in pairs])).permute(0, 3, 1, 2)
    plain, again = net(image), net(restyled)
    wanted = criterion(torch.cat([plain, again]), torch.cat([label, label[:rows]]))
    assert terms.keys() == {"loss", "kl"}
    assert float(terms["loss"]) == pytest.approx(float(wanted), abs=1e-4)
    assert float(terms["kl"]) == pytest.approx(2 * float(divergence(plain[:rows], again)), abs=1e-4)
    assert torch.allclose(scores, plain, atol=1e-4)


def test_without_share_or_weight_nothing_is_added(target: Path) -> None:
    net = model().eval()
    image, label, _ = batch()
    plain = float(criterion(net(image), label))
    for recipe in ({"share": 0.0}, {"strength": 0.0, "kl_weight": 0.0}):
        given = AdaptRecipe(target=str(target), method="fourier", **recipe)
        terms, _ = adapted_loss(Restyling(given, net, card(), "cpu"), net)
        assert terms.keys() == {"loss"} and float(terms["loss"]) == pytest.approx(plain, abs=1e-4)


def test_self_training_learns_targets_where_the_start_is_sure(target: Path) -> None:
    net = model().eval()
    image, label, others = batch()
    adaptation = Restyling(AdaptRecipe(target=str(target), method="self-training"), net, card(), "cpu")
    assert adaptation.teacher is not None
    pseudo = adaptation.teacher(others.image_B3HW)
    pseudo[~others.mask_BHW] = 255
    wanted = criterion(net(torch.cat([image, others.image_B3HW])), torch.cat([label, pseudo]))
    for parameter in adaptation.teacher.model.parameters():
        assert not parameter.requires_grad
    terms, scores = adapted_loss(adaptation, net)
    assert terms.keys() == {"loss"} and float(terms["loss"]) == pytest.approx(float(wanted), abs=1e-4)
    assert len(scores) == 4


def test_pseudo_labels_are_the_models_own_or_none(target: Path) -> None:
    net = model().eval()
    image = batch()[0]
    teacher = PseudoLabels(net, card(), open_unlabelled(target), 0.9, "cpu")
    with torch.no_grad():
        confidence, own = net(image).softmax(1).max(1)
    found = teacher(image)
    sure = confidence >= teacher.thresholds_K[own]
    assert (found[sure] == own[sure]).all() and (found[~sure] == 255).all() and 0 < float(sure.float().mean()) < 1
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert torch.equal(teacher(image), found), "the teacher is a copy"


def test_thresholds_are_medians_below_the_cap(target: Path) -> None:
    predictor = Predictor(TorchEngine(model().eval(), card(), "cpu"))
    pictures = open_unlabelled(target)
    pixels: dict[int, list[float]] = {k: [] for k in range(3)}
    for image in pictures.spread(9):
        label, confidence = predictor.labels_and_confidence(image[None])
        for k, value in zip(label.ravel().tolist(), confidence.ravel().tolist(), strict=True):
            pixels[k].append(value)
    for cap in (0.9, 0.35):
        found = class_thresholds(predictor, pictures, cap)
        wanted = [min(cap, float(np.median(values))) if values else cap for values in pixels.values()]
        assert np.allclose(found, wanted, atol=1e-6)


def test_batch_statistics_are_the_targets(target: Path) -> None:
    net = model()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    count = take_statistics(net, open_unlabelled(target), Input(stride=32), 100, 5, "cpu")
    assert count == 5 and not net.training
    layers = [(name, part) for name, part in net.named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    seen: list[Tensor] = []
    handle = layers[0][1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = np.stack(list(open_unlabelled(target).spread(5)))
    padded = np.pad(images, ((0, 0), (0, 0), (0, 24), (0, 0)), mode="edge")
    with torch.no_grad():
        net(torch.from_numpy(padded).permute(0, 3, 1, 2))
    handle.remove()
    assert torch.allclose(layers[0][1].running_mean, seen[0].mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(layers[0][1].running_var, seen[0].var((0, 2, 3)), rtol=1e-3)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all("running_" in name or "num_batches" in name for name in changed)
    assert all(part.momentum == 0.1 for _, part in layers)


def test_batch_statistics_of_one_picture_are_finite(target: Path) -> None:
    net = models.create("pspnet", 3, options={"encoder": "test_resnet", "fusion_channels": 8})
    for path in list(target.iterdir())[1:]:
        path.unlink()
    assert take_statistics(net, open_unlabelled(target), Input(stride=32), 100, 8, "cpu") == 1
    assert torch.isfinite(net(batch()[0])).all()


def test_networks_without_batch_normalisation(target: Path) -> None:
    net = models.create("unet_original", 3, options={"channels": [4] * 5, "batch_norm": False})
    with pytest.raises(RecipeError, match="no batch normalisation"):
        take_statistics(net, open_unlabelled(target), Input(stride=32), 9, 2, "cpu")

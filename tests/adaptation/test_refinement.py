"""The refinement: fewer KL between a picture and the restyled one, and nothing of it is left afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tarsia import models
from tarsia.adaptation.refinement import Refinement
from tarsia.adaptation.restyle import divergence
from tarsia.card import Card, Classes, Input
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import save_model
from tarsia.errors import RecipeError
from tarsia.evaluation.protocol import inference_of
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.style import Style

CLASSES = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (9, 9, 9), (99, 9, 9)))


def engine(name: str = "unet", **options: Any) -> TorchEngine:
    torch.manual_seed(0)
    options = options or {"encoder": "test_resnet", "channels": [8] * 5}
    model = models.create(name, 3, options=options).eval()
    with torch.no_grad():
        for part in model.parameters():  # away from what is made, where scores hardly differ
            part.add_(0.1 * torch.randn_like(part))
    config = models.config_class(name).model_validate(options).model_dump(mode="json")
    return TorchEngine(
        model, Card(architecture=name, model=config, classes=CLASSES, input=Input(stride=model.stride)), "cpu"
    )


def brighter(images_BHW3: np.ndarray) -> np.ndarray:
    return (images_BHW3[..., ::-1] // 2 + 100).astype(np.uint8)


def refined(of: TorchEngine, steps: int = 3, rate: float = 1e-2) -> Predictor:
    return Predictor(of, style=Style(brighter, refine=Refinement(of, steps, rate)))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)


def apart(of: TorchEngine, images_BHW3: np.ndarray) -> float:
    """KL of the network's answers for pictures whose sides are no multiples of its stride, at the size it sees them."""
    predictor = Predictor(of)
    return float(divergence(predictor.scores(images_BHW3), predictor.scores(brighter(images_BHW3))))


def test_within_the_two_are_closer_and_afterwards_all_is_as_before(images: np.ndarray) -> None:
    of = engine()
    before = {name: value.clone() for name, value in of.model.state_dict().items()}
    far = apart(of, images[:1])
    with Refinement(of, 5, 1e-2)(images[:1], brighter(images[:1])):
        changed = {name for name, value in of.model.state_dict().items() if not torch.equal(value, before[name])}
        assert apart(of, images[:1]) < 0.9 * far
    assert changed and all(name.endswith(("weight", "bias")) and before[name].ndim == 1 for name in changed)
    assert all(torch.equal(value, before[name]) for name, value in of.model.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in of.model.parameters()) and not of.model.training


def test_no_answer_depends_on_what_was_seen_before_or_beside_it(images: np.ndarray) -> None:
    predictor = refined(engine())
    one_by_one = [predictor.probabilities(image[None]) for image in images]
    backwards = [predictor.probabilities(image[None]) for image in images[::-1]][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(one_by_one, backwards, strict=True))
    assert np.array_equal(predictor.probabilities(images), np.concatenate(one_by_one))
    plain = Predictor(predictor.engine, style=Style(brighter))
    assert not np.allclose(plain.probabilities(images), np.concatenate(one_by_one), atol=1e-4)


def test_a_picture_that_fails_leaves_the_network_as_it_was(images: np.ndarray) -> None:
    of = engine()
    before = [one.clone() for one in of.model.parameters()]
    refine = Refinement(of, 2, 1e-2)
    with pytest.raises(ZeroDivisionError), refine(images[:1], brighter(images[:1])):
        raise ZeroDivisionError
    assert all(torch.equal(one, old) for one, old in zip(of.model.parameters(), before, strict=True))
    with refine(images[:1], brighter(images[:1])):
        pass  # and it can be asked again


def test_after_a_picture_that_has_chosen_the_layout(images: np.ndarray) -> None:
    """Weights that were arranged while nothing was learned can be learned from nevertheless."""
    predictor = refined(engine())
    large = np.random.default_rng(1).integers(0, 256, (1, 160, 192, 3), np.uint8)
    Predictor(predictor.engine).labels(large)
    assert predictor.engine.memory_format is not None
    assert predictor.labels(large).shape == (1, 160, 192)


def test_whatever_has_no_normalisation_is_refused() -> None:
    of = engine("unet_original", channels=[4, 4], batch_norm=False)
    with pytest.raises(RecipeError, match="this unet_original has none"):
        Refinement(of, 1, 1e-3)


@pytest.mark.parametrize(("steps", "rate", "message"), [(-1, 1e-3, "kl_steps=-1"), (1, 0.0, "kl_learning_rate=0")])
def test_numbers_out_of_range(steps: int, rate: float, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Refinement(engine(), steps, rate)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    of = engine()
    save_model(tmp_path / "model.safetensors", of.model, of.card)
    (tmp_path / "day").mkdir()
    for index in range(2):
        Image.fromarray(np.full((9, 7, 3), 100 + 50 * index, np.uint8)).save(tmp_path / f"day/{index}.png")
    return tmp_path


def test_is_chosen_where_a_model_is_opened_and_told_by_the_protocol(saved: Path, images: np.ndarray) -> None:
    given: dict[str, Any] = {"style": "histogram", "reference": str(saved / "day"), "device": "cpu"}
    plain, some = (load(saved / "model.safetensors", kl_steps=steps, **given) for steps in (0, 2))
    assert "after 2 steps at 0.0001 on their KL" in inference_of(some)["style"]
    assert inference_of(some) != inference_of(plain) and "steps" not in inference_of(plain)["style"]
    assert not np.array_equal(some.probabilities(images), plain.probabilities(images))


def test_it_needs_a_style_and_a_network_of_torch(saved: Path) -> None:
    from small_onnx import content

    with pytest.raises(RecipeError, match="give `style` and `reference` too"):
        load(saved / "model.safetensors", kl_steps=1)
    (saved / "m.onnx").write_bytes(content())
    with pytest.raises(RecipeError, match=r"a \.safetensors model alone can"):
        load(saved / "m.onnx", style="histogram", reference=str(saved / "day"), kl_steps=1)

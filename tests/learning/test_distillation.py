"""A network learns the answers of trained ones: as the equations say, in steps of any batches, by recipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from small_data import same_weights, tiny, write_folder
from tarsia.adaptation.restyle import Restyling
from tarsia.card import Card, Classes, Input
from tarsia.engines.model_file import find_model_file
from tarsia.engines.weights import load_model, save_model
from tarsia.errors import DatasetError, ModelFileError, RecipeError
from tarsia.learning.distillation import Teacher
from tarsia.learning.loader import Batch
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients
from tarsia.recipe import Recipe, TeacherRecipe
from tarsia.training import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("distil") / "data", train=8, val=2, size=(32, 32))


@pytest.fixture(scope="module")
def teachers(data: Path) -> list[Path]:
    """Two runs of other seeds."""
    return [train(Recipe.model_validate(tiny(data) | {"seed": seed}), out=data.parent / f"t{seed}") for seed in (1, 2)]


def pictures(seed: int, size: tuple[int, int] = (32, 32), count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 3, *size), dtype=np.uint8))


def opened(data: Path, teacher: Any, **settings: Any) -> TrainingState:
    content = tiny(data, **settings) | {"teacher": teacher}
    state = TrainingState.open(Recipe.model_validate(content), data, "cpu", Restyling)
    state.model.eval()  # batch normalisation would see each batch by itself
    return state


def softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) / temperature)
    return powers / powers.sum(1, keepdims=True)


def test_the_loss_is_the_mean_divergence_from_the_mean_of_the_teachers(data: Path, teachers: list[Path]) -> None:
    recipe = TeacherRecipe(models=tuple(map(str, teachers)), weight=0.5, temperature=2.0)
    networks = [load_model(find_model_file(path)) for path in teachers]
    teacher, image = Teacher(recipe, networks[0][1], "cpu", "contiguous"), pictures(0)
    scores = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        p = np.mean([softmax(model.eval()(image).numpy(), 2.0) for model, _ in networks], 0)
    q = softmax(scores.numpy(), 2.0)
    wanted = 0.5 * 2.0**2 * (p * np.log(p / q)).sum() / (2 * 32 * 32)
    assert float(teacher.loss(scores, image, 2 * 32 * 32)) == pytest.approx(wanted, rel=1e-4)
    assert wanted > 0.1
    same = torch.from_numpy(np.log(p) * 2.0).float()
    assert float(teacher.loss(same, image, 2 * 32 * 32)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "dice"])
def test_a_step_of_batches_is_the_larger_batch(data: Path, teachers: list[Path], loss: str) -> None:
    state = opened(data, {"models": [str(teachers[0])], "weight": 3.0}, loss=loss)
    image = pictures(1, count=4)
    label = torch.from_numpy(np.random.default_rng(2).integers(0, 3, (4, 32, 32), dtype=np.uint8))
    label[2:, 8:] = 255  # the teacher knows an answer there too

    def learned(*sizes: int) -> tuple[torch.Tensor, float]:
        state.model.zero_grad(set_to_none=True)
        parts = zip(image.split(sizes), label.split(sizes), strict=True)
        value = gradients(state, [Batch(*part, ["a"] * len(part[0])) for part in parts]).loss
        found = [one.grad.flatten() for one in state.model.parameters() if one.grad is not None]
        return torch.cat(found), value

    (whole, value), (parts, added) = learned(4), learned(1, 3)
    assert added == pytest.approx(value, rel=1e-5) and float((whole - parts).norm() / whole.norm()) < 1e-4
    state.teacher = None
    plain, without = learned(4)
    assert value > without and float((whole - plain).norm() / whole.norm()) > 0.1


def test_pictures_of_no_multiple_of_a_teachers_stride_are_continued(data: Path, teachers: list[Path]) -> None:
    recipe = TeacherRecipe.model_validate(str(teachers[0]))
    model, card = load_model(find_model_file(teachers[0]))
    teacher = Teacher(recipe, card, "cpu", "contiguous")
    found = teacher.probabilities(pictures(3, (40, 33)))
    assert found.shape == (2, 3, 40, 33) and torch.allclose(found.sum(1), torch.ones(2, 40, 33), atol=1e-5)
    assert model.stride == 32 and all(not one.training for one in teacher.models)


def test_a_recipe_distils_and_resumes(data: Path, teachers: list[Path], tmp_path: Path) -> None:
    long, short = (tiny(data, epochs=epochs, schedule="constant") for epochs in (2, 1))
    taught = {"teacher": [str(path) for path in teachers]}
    before = [path.read_bytes() for path in map(find_model_file, teachers)]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(long | taught))
    run, plain = train(tmp_path / "r.yaml", out=tmp_path / "a"), train(Recipe.model_validate(long), out=tmp_path / "b")
    assert not same_weights(run / "last.safetensors", plain / "last.safetensors")
    begun = train(Recipe.model_validate(short | taught), out=tmp_path / "c")
    recipe = yaml.safe_load((begun / "recipe.yaml").read_text())
    assert recipe["teacher"]["models"] == taught["teacher"]
    recipe["train"]["epochs"] = 2
    (begun / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert same_weights(train(resume=begun) / "last.safetensors", run / "last.safetensors")
    assert before == [path.read_bytes() for path in map(find_model_file, teachers)]


def test_models_that_cannot_teach_are_refused_before_anything_is_written(
    data: Path, teachers: list[Path], tmp_path: Path
) -> None:
    other = Classes(names=("ground", "disc", "box"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    model, card = load_model(find_model_file(teachers[0]))
    save_model(tmp_path / "other.safetensors", model, card.model_copy(update={"classes": other}))
    shutil.copy(find_model_file(teachers[0]), tmp_path / "model.onnx")
    wrong = {
        str(tmp_path / "other.safetensors"): (DatasetError, "classes differ.*choose a teacher of the same data set"),
        str(tmp_path / "model.onnx"): (RecipeError, r"give the \.safetensors model"),
        str(tmp_path / "none.safetensors"): (ModelFileError, "none.safetensors"),
    }
    for path, (kind, message) in wrong.items():
        with pytest.raises(kind, match=message):
            train(Recipe.model_validate(tiny(data) | {"teacher": path}), out=tmp_path / "run")
        assert not (tmp_path / "run").exists()
    grey = Card(architecture="unet", model={"bands": 1}, classes=card.classes, input=Input(stride=32))
    with pytest.raises(RecipeError, match="takes 3 bands, the pictures have 1"):
        Teacher(TeacherRecipe.model_validate(str(teachers[0])), grey, "cpu", "contiguous")

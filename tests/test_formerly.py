"""What was written under the package's first name (by commit 6929375, see tests/formerly) still works."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tarsia
from small_data import tensors
from tarsia import formerly, models
from tarsia.adaptation.style import load_style
from tarsia.card import read_header
from tarsia.cli import main
from tarsia.comparing import compare
from tarsia.engines import onnx_file
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import RecipeError
from tarsia.recipe import Recipe

FILES = Path(__file__).parent / "formerly"
PICTURE = "data/val/images/val00.png"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in, as it lay then: the run's data are named by a path relative to it."""
    monkeypatch.chdir(shutil.copytree(FILES, tmp_path / "formerly"))
    return Path()


def command(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["tarsia", *words])
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", ["run", "run/model.onnx", "broken"])
def test_models_open_and_predict(old: Path, name: str) -> None:
    card = read_card(find_model_file(Path(name)))
    assert card.architecture == "unet_original" and card.classes.names == ("ground", "box", "disc")
    prediction = tarsia.load(old / name)(PICTURE)
    assert prediction.label_HW.shape == (32, 32)


def test_a_graph_and_its_network_still_agree(old: Path) -> None:
    graph, network = (tarsia.load(name)(PICTURE).label_HW for name in ("run/model.onnx", "run"))
    assert (graph == network).mean() > 0.99


def test_a_style_network_opens(old: Path) -> None:
    assert load_style("style")[1].stride == 4


def test_what_is_written_anew_carries_the_present_name_alone(old: Path) -> None:
    assert command("evaluate", "run", "--data", "folder:data", "--calibrate", "--out", "new") == 0
    assert b"tarsia_card" in Path("run/model.safetensors").read_bytes()
    assert b"inlay_card" not in Path("run/model.safetensors").read_bytes()
    graph = onnx_file.read(old / "run/model.onnx")
    made = onnx_file.with_card(graph.content, graph.card)
    assert made.count(b"tarsia_card") == 1 and b"inlay_card" not in made
    assert onnx_file.parse(made, "made").card == graph.card


def test_reports_are_compared_with_new_ones(old: Path) -> None:
    assert command("evaluate", "run", "--data", "folder:data", "--out", "new") == 0
    found = compare(["scores", "new"], out=old / "compared")
    assert [miou for standing in found.standings for miou in standing.model.mious] == pytest.approx(
        [0.2608, 0.2608], abs=1e-3
    )


def test_a_broken_training_goes_on_to_the_same_end(old: Path) -> None:
    assert command("train", "--resume", "broken") == 0
    with open("broken/metrics.csv", encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    ours, theirs = tensors(old / "broken/last.safetensors"), tensors(old / "run/last.safetensors")
    assert ours.keys() == theirs.keys()
    for name in ours:  # another processor rounds sums differently
        np.testing.assert_allclose(ours[name], theirs[name], atol=0.02, err_msg=name)
    assert "tarsia_card" in read_header(old / "broken/model.safetensors")


def test_a_training_of_that_time_was_channels_last(old: Path) -> None:
    assert "memory_format" not in Path("broken/recipe.yaml").read_text()
    assert command("train", "--resume", "broken") == 0
    settings = Recipe.load("broken/recipe.yaml").train
    assert settings.memory_format == "channels_last" and settings.precision == "float32"
    tree = {"data": {"name": "folder"}, "model": {"name": "unet", "head_start": 0}}
    tree |= {"train": {"memory_format": "contiguous", "processes": 1}}
    contiguous = Recipe.model_validate(tree)
    assert formerly.resumed(contiguous) is contiguous


def test_squeeze_excitation_meant_refining_too(tmp_path: Path) -> None:
    wanted = {"squeeze_excitation": True, "refine": True}
    assert formerly.refining({"squeeze_excitation": True}) == wanted == formerly.refining(wanted)
    for options in ({}, {"squeeze_excitation": False}, wanted | {"refine": False}, {"squeeze_excitation": "maybe"}):
        assert formerly.refining(options) == options
    text = "data: {name: streets}\nmodel: {name: pspnet, encoder: test_resnet, squeeze_excitation: true}\n"
    (tmp_path / "old.yaml").write_text(text)
    model = models.create("pspnet", 3, options=Recipe.load(tmp_path / "old.yaml").model.options)
    assert {"excitation.weigh.squeeze.weight", "excitation.merge.0.weight"} <= model.state_dict().keys()


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ({"name": "pspnet"}, "he"),
        ({"name": "fcn"}, 0),
        ({"name": "msanet"}, 0.01),
        ({"name": "msanet", "init": "kaiming"}, "he"),
        ({"name": "fcn", "head_start": "fan_in"}, "fan_in"),
    ],
)
def test_scores_started_as_each_network_did_by_itself(model: dict[str, Any], start: object) -> None:
    recipe = Recipe.model_validate({"data": {"name": "folder"}, "model": model})
    assert formerly.started(recipe).model.head_start == start


def test_a_broken_training_says_how_its_scores_started_and_is_the_one_that_began(old: Path) -> None:
    assert "head_start" not in Path("broken/recipe.yaml").read_text()
    assert command("train", "--resume", "broken") == 0
    assert Recipe.load("broken/recipe.yaml").model.head_start == "he"


def test_a_broken_prediction_goes_on(old: Path) -> None:
    pictures = ("data/val/images", "data/train/images")
    assert command("predict", "run/model.onnx", *pictures, "--out", "seen", "--resume") == 0
    assert len(list(Path("seen").glob("*_overlay.jpg"))) == 6


def test_what_a_command_was() -> None:
    assert formerly.command({"command": "inlay evaluate run"}) == "tarsia evaluate run"
    assert formerly.command({"command": "inlaying x"}) == "inlaying x"
    assert formerly.command({"command": "tarsia train inlay"}) == "tarsia train inlay"
    assert formerly.command({"command": None}) == formerly.command({}) == ""
    assert formerly.version_of({"inlay": "0.1.0"}) == "0.1.0"


def test_a_key_under_the_old_name_is_no_open_service(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("INLAY_API_KEY", "secret")
    monkeypatch.delenv("TARSIA_API_KEY", raising=False)
    assert command("serve", str(FILES / "run/model.onnx"), "--port", "0") == 2
    said = capsys.readouterr().err
    assert "TARSIA_API_KEY" in said and "INLAY_API_KEY" in said and "secret" not in said
    with pytest.raises(RecipeError, match="rename"):
        formerly.refuse_old_key({"INLAY_API_KEY": ""})
    formerly.refuse_old_key({"INLAY_API_KEY": "a", "TARSIA_API_KEY": "b"})

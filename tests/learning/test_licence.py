"""The licence of weights: stated in the recipe and the model, warned of where it has conditions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file

import small_onnx
import tarsia
from small_data import tiny, write_folder
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import ModelFileError
from tarsia.learning import licence, weights_input
from tarsia.recipe import ModelRecipe, Recipe


def recipe(**model: object) -> Recipe:
    return Recipe.model_validate({"data": {"name": "streets"}, "model": {"name": "unet"} | model})


@pytest.mark.parametrize(
    ("said", "warned"),
    [
        (None, ""),
        ("apache-2.0", ""),
        ("MIT", ""),
        ("", "nothing says under which licence"),
        ("cc-by-nc-4.0", "forbids commercial use"),
        ("fair-noncommercial-research-license", "forbids commercial use"),
        ("dinov3-license", "terms of its own"),
    ],
)
def test_what_is_warned_of(said: str | None, warned: str) -> None:
    remark = licence.remark(ModelRecipe(name="unet", licence=said))
    assert warned in remark and bool(remark) == bool(warned)
    assert licence.remark(ModelRecipe(name="unet", licence=said, accept_licence=True)) == ""


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ({"model": {"weights": "none"}}, None),
        ({"model": {"weights": "none", "licence": None}, "train": {"start_from": None}}, None),
        ({"model": {"weights": "none", "licence": "mit"}, "train": {"start_from": "a"}}, "mit"),
        ({"model": {"weights": "none"}, "train": {"start_from": "a"}}, ""),
        ({"model": {"weights": "imagenet"}}, ""),
        ({"model": {"weights": "imagenet", "licence": "cc-by-nc-4.0"}}, "cc-by-nc-4.0"),
        ({}, ""),
    ],
)
def test_of_a_model_that_learned_from_scratch_there_is_nothing_to_say(
    before: dict[str, Any], found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = small_onnx.card(provenance={"recipe": before})
    monkeypatch.setattr(licence, "read_card", lambda _: card)
    monkeypatch.setattr(licence, "find_model_file", lambda path: path)
    settled = licence.settled(Recipe.model_validate(recipe().model_dump() | {"train": {"start_from": "before"}}))
    assert settled.model.licence == found


def test_the_hubs_weights_are_under_what_timm_says() -> None:
    assert licence.settled(recipe(encoder="convnextv2_tiny", weights="imagenet")).model.licence == "cc-by-nc-4.0"
    assert licence.settled(recipe(encoder="resnet18", weights="imagenet")).model.licence == "apache-2.0"
    assert licence.settled(recipe(weights="imagenet", licence="mine")).model.licence == "mine"
    assert licence.settled(recipe()).model.licence is None


def test_mean_deviation_and_padding_are_those_the_weights_were_trained_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file its metadata say them, of a model to start from its card; what nobody says is told."""
    weights, said = timm.create_model("mobilenetv2_100").state_dict(), {"mean": "0.5, 0.5,0.5", "std": "[0.4 0.4 0.4]"}
    for name, metadata in (("silent", {}), ("tf", {**said, "pad": "trained with TensorFlow SAME padding"})):
        save_file(weights, tmp_path / name, metadata=metadata)

    def settled(**model: object) -> tuple[dict[str, Any], str]:
        found, told = weights_input.settled(recipe(**{"encoder": "mobilenetv2_100"} | model))
        return {key: value for key, value in found.model.options.items() if key != "encoder"}, told

    assert settled() == settled(weights="imagenet") == ({}, "")
    found, told = settled(weights=str(tmp_path / "tf"))
    assert found == {"mean": (0.5,) * 3, "std": (0.4,) * 3, "encoder_options": {"pad_type": "same"}} and told == ""
    own = {"mean": [0.1, 0.2, 0.3], "encoder_options": {"pad_type": ""}}
    assert settled(weights=str(tmp_path / "tf"), **own)[0] == own | {"std": (0.4,) * 3}
    assert settled(weights=str(tmp_path / "tf"), bands=4)[0] == {"bands": 4, "encoder_options": {"pad_type": "same"}}
    found, told = settled(weights=str(tmp_path / "silent"))
    assert found == {} and "does not say with which mean and std it was trained: timm's of mobilenetv2_100" in told
    assert (
        "ImageNet's, since timm does not"
        in settled(weights=str(tmp_path / "silent"), encoder="efficientnet_cc_b0_4e")[1]
    )
    assert "say model.std" in settled(weights=str(tmp_path / "silent"), mean=[0.5] * 3)[1]
    _, told = weights_input.settled(recipe(name="attention_fcn", weights=str(tmp_path / "tf")))
    assert "another mean or deviation than ImageNet's, which attention_fcn is shown" in told
    save_file(weights, tmp_path / "odd", metadata={"mean": "half"})
    with pytest.raises(ModelFileError, match="its metadata say mean 'half', expected three numbers"):
        settled(weights=str(tmp_path / "odd"))
    card = small_onnx.card(model={"mean": [0.5] * 3, "std": None, "encoder_options": {"pad_type": "same"}})
    monkeypatch.setattr(weights_input, "read_card", lambda _: card)
    monkeypatch.setattr(weights_input, "find_model_file", lambda path: path)
    start = Recipe.model_validate(recipe().model_dump() | {"train": {"start_from": "before"}})
    assert weights_input.settled(start)[0].model.options == {"mean": [0.5] * 3, "encoder_options": {"pad_type": "same"}}


def test_a_models_licence_goes_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "data", 4, 2, (32, 32))
    weights = timm.create_model("test_resnet").state_dict()
    save_file(weights, tmp_path / "silent.safetensors", metadata={"mean": "0.1,0.2,0.3"})
    save_file(weights, tmp_path / "nc.safetensors", metadata={"license": "cc-by-nc-4.0"})
    runs = {}
    for name in ("silent", "nc"):
        tree = tiny(tmp_path / "data")
        tree["model"] = {"name": "unet", "encoder": "test_resnet", "weights": str(tmp_path / f"{name}.safetensors")}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(tree))
        runs[name] = tarsia.train(tmp_path / f"{name}.yaml", out=tmp_path / name)
        told = capsys.readouterr().err
        assert "warning:" in told and ("does not say with which std it was" in told) == (name == "silent")
    scratch = {"model": tree["model"] | {"weights": "none"}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(tiny(tmp_path / "data", start_from=str(runs["nc"])) | scratch))
    settings = {"model.accept_licence": True}
    runs["more"] = tarsia.train(tmp_path / "more.yaml", set=settings, out=tmp_path / "more")
    assert "warning:" not in capsys.readouterr().err
    assert read_card(find_model_file(runs["silent"])).model["mean"] == [0.1, 0.2, 0.3]
    assert Recipe.load(runs["silent"] / "recipe.yaml").model.options["mean"] == [0.1, 0.2, 0.3]
    call = [sys.executable, "-m", "tarsia", "train", tmp_path / "nc.yaml", "-q", "--out", tmp_path / "again"]
    quiet = subprocess.run(call, capture_output=True, text=True)
    forbids = "warning: these weights are under cc-by-nc-4.0, which forbids commercial use, and so is the model"
    assert quiet.stderr == f"{forbids}; --accept-licence says that you know\n"
    said = {name: read_card(find_model_file(run)).weights_licence for name, run in runs.items()}
    assert said == {"silent": "", "nc": "cc-by-nc-4.0", "more": "cc-by-nc-4.0"}
    assert json.loads((runs["nc"] / "report.json").read_text())["model"]["weights_licence"] == "cc-by-nc-4.0"
    assert Recipe.load(runs["nc"] / "recipe.yaml").model.licence == "cc-by-nc-4.0"
    assert "licence" in (runs["nc"] / "report.html").read_text()

"""From a folder as it lies there to a trained model, in the minutes there are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

import tarsia
from small_data import tiny, write_folder
from tarsia import training
from tarsia.cli import app
from tarsia.errors import RecipeError
from tarsia.learning.interrupt import Interrupted
from tarsia.recipe import Recipe

MINUTES = 0.25
SMALL = {"model.encoder": "test_resnet", "model.weights": "none", "model.channels": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and labels without a word on what they are."""
    root = write_folder(tmp_path_factory.mktemp("auto") / "drawn", 24, 0)
    (root / "dataset.yaml").unlink()
    for part in ("images", "labels"):
        (root / "train" / part).rename(root / part)
    for empty in ("train", "val"):
        shutil.rmtree(root / empty)
    return root


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of the folder; that it ends in time: tests/learning/test_limit.py and benchmarks/auto.py."""
    return tarsia.train(folder, minutes=MINUTES, set=SMALL, out=tmp_path_factory.mktemp("runs") / "run")


def test_from_a_folder_to_a_scored_model(run: Path, folder: Path) -> None:
    assert (folder / "dataset.yaml").is_file()  # init's
    assert {"model.safetensors", "report.json", "report.html", "recipe.yaml"} <= {path.name for path in run.iterdir()}


def test_the_runs_recipe_says_why(run: Path) -> None:
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    assert "held out, as the data set says" in text and "encoder: test_resnet  # as you say" in text
    assert yaml.safe_load(text)["train"]["loss"]["dice"] == 1


def test_a_rerun_of_its_recipe_is_exact(run: Path, tmp_path: Path) -> None:
    again = tarsia.train(run / "recipe.yaml", out=tmp_path / "again")
    first, second = (load_file(one / "last.safetensors") for one in (run, again))
    assert first.keys() == second.keys() and all((first[key] == second[key]).all() for key in first)
    assert (again / "recipe.yaml").read_text() == (run / "recipe.yaml").read_text()


@pytest.mark.parametrize("replan", [[[1, 7]], [[1, 2]], [[1, 9], [5, 6]], [[1, 3], [2, 8]]])
def test_a_recipe_whose_plan_was_changed_is_followed(replan: list[list[int]], tmp_path: Path) -> None:
    recipe = tiny({"name": "streets", "count": 4, "size": [32, 32]}, epochs=2, steps_per_epoch=2, batch=2)
    recipe["train"]["replan"] = replan
    run = tarsia.train(recipe, out=tmp_path / "run")
    last = (run / "metrics.csv").read_text().splitlines()[-1]
    assert int(last.split(",")[1]) == replan[-1][1]


def test_a_stopped_run_goes_on_in_the_time_that_was_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(state: training.TrainingState) -> float:
        raise Interrupted(15)

    monkeypatch.setattr(training, "take", stop)  # in its first step: on a busy machine there may be no other
    with pytest.raises(Interrupted):
        tarsia.train(folder, minutes=MINUTES, set=SMALL, out=tmp_path / "run")
    monkeypatch.undo()
    tarsia.train(resume=tmp_path / "run")
    assert "held out, as the data set says" in (tmp_path / "run/recipe.yaml").read_text(encoding="utf-8")


def test_recipe_writes_without_training(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    app(["recipe", str(folder), "--minutes", "0.2", *sets, "--out", "mine.yaml"], exit_on_error=False)
    recipe = Recipe.load("mine.yaml")
    assert recipe.data.name == "folder" and recipe.train.replan == ()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_recipe_as_json_has_the_settings_and_their_reasons(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    written = tmp_path / "mine.yaml"
    words = ["recipe", str(folder), "--minutes", "0.2", *sets, "--accept-licence", "--json", "--out", str(written)]
    app(words, exit_on_error=False)
    facts = json.loads(capsys.readouterr().out)
    assert facts["recipe"] == yaml.safe_load(written.read_text()) and facts["file"] == str(written)
    assert facts["reasons"]["train.batch"] and facts["recipe"]["model"]["accept_licence"] is True
    app(["recipe", "camvid-fast", "--json"], exit_on_error=False)
    assert json.loads(capsys.readouterr().out)["recipe"]["data"]["name"] == "camvid"
    for words in (["--set", "seed=1"], ["--minutes", "1"], ["--accept-licence"]):
        with pytest.raises(RecipeError, match="are for data: camvid-fast is a recipe"):
            app(["recipe", "camvid-fast", *words], exit_on_error=False)


def test_shipped_recipes_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    app(["recipe", "--list"], exit_on_error=False)
    out = capsys.readouterr().out
    recipes, _, studies = out.partition("\nStudies, for `tarsia compare --study`:\n")
    assert "camvid-fast: CamVid in 1,500 steps" in recipes and "camvid-fast: What helps the light FPN" in studies
    told = [line for line in out.splitlines() if line.startswith("  ")]
    assert all(line[-1] in ".?" for line in told if line in recipes.splitlines())
    app(["recipe", "--list", "--json"], exit_on_error=False)
    listed = json.loads(capsys.readouterr().out)
    assert told == [f"  {name}: {what}" for kind in ("recipes", "studies") for name, what in listed[kind].items()]
    app(["recipe", "camvid-fast"], exit_on_error=False)
    out = capsys.readouterr().out
    assert out == (Path(__file__).parents[1] / "recipes/camvid-fast.yaml").read_text(encoding="utf-8")


def test_minutes_of_a_recipe_are_refused() -> None:
    with pytest.raises(RecipeError, match="are for data"):
        tarsia.train("recipes/camvid-fast.yaml", minutes=3)


def test_of_a_network_without_encoder_no_weights_are_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tarsia.auto.weights.at_hand", lambda *_: pytest.fail("looked for weights"))
    settings = {"model.name": "unet_original", "model.channels": [4, 8]}
    derived = tarsia.derive(folder, 0.2, set=settings)
    assert derived.recipe.model.weights == "none" and "ImageNet" not in capsys.readouterr().err
    assert "weights   none: unet_original has no encoder, from scratch" in derived.lines
    assert any(line.startswith("network   unet_original: ") for line in derived.lines)
    with pytest.raises(
        RecipeError, match=r"weights='w': unet_original has no encoder to start from them: leave it out"
    ):
        tarsia.derive(folder, 0.2, set=settings, weights="w")


def test_weights_that_are_not_there_are_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no file of it is called by one of them"):
        tarsia.derive(folder, 1, weights=tmp_path)


def test_where_pictures_are_kept_is_the_users_to_say(folder: Path) -> None:
    settings = {**SMALL, "data.keep_megabytes": 1, "data.cache": None}
    derived = tarsia.derive(folder, 0.2, set=settings)
    assert derived.recipe.data.keep_megabytes == 1 and derived.recipe.data.options == {}

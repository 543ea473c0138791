"""What a word means where a recipe, a run folder or a data set may stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tarsia
from small_data import write_folder
from tarsia import data, shipped
from tarsia.cli import app
from tarsia.data import _handed_in
from tarsia.errors import DatasetError, RecipeError, TarsiaError
from tarsia.given import Given, asked, resolve, word_for
from tarsia.recipe import Recipe
from tarsia.studies.study import Study


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_kind() -> None:
    write_folder(Path("photos"), 1, 1)
    Path("mine.yaml").write_text("model: {name: unet}\n")
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text("")
    assert resolve("mine.yaml") == Given("recipe", "mine.yaml")
    assert resolve("run") == Given("run", "run") and resolve("run").file == Path("run/recipe.yaml")
    assert resolve("photos") == resolve("photos/dataset.yaml") == Given("data", "folder:photos")
    assert resolve("folder:photos,split=val") == Given("data", "folder:photos,split=val")
    assert resolve("streets,count=4").kind == "data"
    assert resolve("camvid-fast").file == shipped.recipes()["camvid-fast"]
    assert resolve("recipes/camvid-fast.yaml").kind == "recipe"


def test_recipes_and_studies_go_by_name_wherever_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert Recipe.load("camvid-fast") == Recipe.load("recipes/camvid-fast.yaml") == Recipe.load(Path("camvid-fast"))
    run = Path("runs/one")
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("name: other\ndata: {name: streets}\nmodel: {name: unet}\n")
    assert Recipe.load(run) == Recipe.load("runs/one") == Recipe.load(run / "recipe.yaml")
    assert tarsia.study("streets", tiny=True, dry_run=True).folder == Path("runs/streets-tiny")
    app(["compare", "--study", "streets", "--tiny", "--dry-run"], exit_on_error=False)
    Path("mine.yaml").write_text("recipes: [camvid-fast, runs/one, recipes/msanet.yaml]\n")
    assert [one.name for one in Study.load("mine.yaml").runs] == ["camvid-fast-seed0", "one-seed0", "msanet-seed0"]
    (run / "recipe.yaml").write_text("augment: {horizontal_flip: 1}\ndata: {name: streets}\nmodel: {name: unet}\n")
    for recipe in ("camvid-fast", "runs/one"):
        out = f"drawn-{Path(recipe).name}"
        app(["check", "streets,count=1,size=64x64", "--augment", recipe, "--out", out], exit_on_error=False)
        assert Path(out, "augmentation.png").is_file()
    capsys.readouterr()


def test_a_name_that_is_here_too_is_refused_with_both_spellings() -> None:
    Path("camvid-fast").mkdir()
    Path("streets").write_text("")
    Path("mine.yaml").write_text("recipe: camvid-fast\n")
    for call in (Recipe.load, resolve):
        with pytest.raises(
            RecipeError, match=r"the recipe and the folder .*: write recipes/camvid-fast\.yaml or \./cam"
        ):
            call("camvid-fast")
    with pytest.raises(RecipeError, match=r"mine\.yaml:1: recipe: camvid-fast: the recipe and the folder"):
        Study.load("mine.yaml")
    with pytest.raises(RecipeError, match=r"the study and the file .*: write studies/streets\.yaml or \./streets"):
        tarsia.study("streets", dry_run=True)
    with pytest.raises(RecipeError, match=r"camvid-fast: a folder, and no run folder: expected the file of a recipe"):
        Recipe.load("./camvid-fast")
    with pytest.raises(RecipeError, match=r"nothing: no such file, and no study that comes with Tarsia \(.*streets"):
        Study.load("nothing")


def test_a_clash_is_refused_with_both_spellings() -> None:
    Path("streets").mkdir()
    with pytest.raises(DatasetError, match=r"write \./streets or catalogue:streets"):
        resolve("streets")
    assert resolve("./streets") == Given("data", "folder:streets")
    assert resolve("catalogue:streets") == Given("data", "streets")
    assert resolve("streets,count=4").kind == "data"
    write_folder(Path("both"), 1, 1)
    Path("both/recipe.yaml").write_text("")
    with pytest.raises(DatasetError, match=r"write both/recipe\.yaml or folder:both"):
        resolve("both")


@pytest.mark.parametrize("name", ["photos", "streets", "camvid-fast", "a, b", "-odd", "a:b", "photos.yaml", "run"])
def test_every_folder_has_a_word_that_is_taken(name: str) -> None:
    write_folder(Path(name), 1, 1)
    if name == "run":
        Path("run/recipe.yaml").write_text("")
    word = word_for(Path(name))
    assert resolve(str(word)) == Given("data", data.spec("folder", name))
    assert (word == Path(name)) == (name in ("photos", "a, b", "-odd", "a:b", "photos.yaml"))


@pytest.mark.parametrize("text", ["nothing", "nothing.yaml", "a/b/c"])
def test_what_is_nothing_is_said(text: str) -> None:
    with pytest.raises(RecipeError, match=r"no such file or folder, no recipe that comes with Tarsia .*camvid-fast"):
        resolve(text)


def test_python_takes_what_yaml_takes() -> None:
    base = {"data": {"name": "streets", "count": 3}, "model": {"name": "fpn", "channels": 128}}
    assert asked(None, "streets,count=3", model={"name": "unet", "encoder": "test_resnet"}) == (
        None,
        "streets,count=3",
        ('model.name="unet"', 'model.encoder="test_resnet"'),
    )
    assert asked("streets", settings={"train.batch": 2}) == (None, "streets", ("train.batch=2",))
    assert asked("camvid-fast") == (shipped.recipes()["camvid-fast"], None, ())
    recipe = asked(base, settings={"train.batch": np.int64(2), "data.cache": Path("x")}).recipe
    assert isinstance(recipe, Recipe) and (recipe.train.batch, recipe.data.cache) == (2, "x")
    assert recipe.replace({"train.batch": 8, "model.channels": 64}).model.options == {"channels": 64}
    assert recipe.replace({}) == recipe == Recipe.of(base, ["train.batch=2", "data.cache=x"])
    other = asked(recipe, "streets,count=9", model="unet").recipe
    assert isinstance(other, Recipe) and other.data.options == {"count": "9"}
    assert (other.model.name, other.model.options, other.train.batch) == ("unet", {}, 2)
    loaded = asked("camvid-fast", "streets", model="unet").recipe
    assert isinstance(loaded, Recipe) and (loaded.data.root, loaded.model.name) == (None, "unet")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda: Recipe.of({"data": {"name": "streets"}, "model": {"name": "fpn", "chanels": 3}}),
            "recipe: model.chanels: unknown key, did you mean channels?",
        ),
        (
            lambda: Recipe.of({"data": {"name": "streets"}, "model": {"name": "fpn"}, "train": {"batch": "x"}}),
            "recipe: train.batch: Input should be a valid integer",
        ),
        (lambda: Recipe.of({"data": {"name": "streets"}}), "recipe: model: is missing"),
        (lambda: Recipe.of({"data": {"name": object()}}), "is a object: expected keys, texts"),
        (
            lambda: asked({"data": {"name": "streets"}, "model": {"name": "fpn"}}, settings={"train.bacth": 3}),
            "train.bacth: unknown key, did you mean batch?",
        ),
        (lambda: asked("streets", "camvid"), "data: given twice, as streets and as camvid"),
        (lambda: asked("streets", model={"encoder": "x"}, val="streets"), "val: pictures to validate on"),
        (lambda: asked(None, "camvid-fast"), "data: camvid-fast is a recipe, expected a folder"),
        (lambda: asked(None, [1, 2]), "data: a list, expected a Dataset"),
        (lambda: asked(None), "train needs a recipe, or data"),
        (lambda: asked(None, model="unet", resumed=True), "`resume` goes on with a run as it is"),
    ],
)
def test_what_a_program_says_wrong_is_said_as_of_yaml(call, told) -> None:
    with pytest.raises(TarsiaError) as error:
        call()
    assert told in str(error.value)


def test_a_recipe_that_is_made_of_keywords_says_all_that_is_wrong() -> None:
    with pytest.raises(RecipeError) as caught:
        tarsia.Recipe(name="x", seed=-1, epochs=3)  # type: ignore[call-arg]
    lines = str(caught.value).splitlines()
    assert "recipe: data: is missing" in lines and "recipe: model: is missing" in lines
    assert [line.partition(": unknown key")[0] for line in lines if "unknown" in line] == ["recipe: epochs"]
    assert any(line.startswith("recipe: seed: ") and "got -1" in line for line in lines)
    parts = Recipe.of({"data": {"name": "streets"}, "model": {"name": "unet"}})
    assert tarsia.Recipe(data=parts.data, model=parts.model) == parts


@pytest.mark.parametrize("minutes", ["5", True, 0, float("nan"), [3]])
def test_minutes_are_a_number(minutes: Any) -> None:
    write_folder(Path("photos"), 1, 1)
    with pytest.raises(RecipeError, match=r"^minutes=.*: expected a number above 0$"):
        tarsia.train("photos", minutes=minutes)


def test_data_sets_as_objects_train_and_resume(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures, others = (data.open("streets", split=split, count=2, size=(64, 64)) for split in ("train", "val"))
    tiny = {
        "model": {"name": "unet", "encoder": "test_resnet"},
        "train": {"epochs": 1, "workers": 0, "precision": "float32"},
    }
    run = tarsia.train(tiny, data=pictures, val=others, set={"train.memory_format": "contiguous"})
    assert "val_miou" in (run / "metrics.csv").read_text() and (run / "report.json").is_file()
    assert tarsia.train(resume=run, data=pictures, val=others) == run
    alone = tarsia.train(tiny, data=pictures, out="alone")
    assert not (alone / "report.json").exists()
    _handed_in._GIVEN.clear()
    with pytest.raises(RecipeError, match=r"data\.name: unknown data set Data object"):
        tarsia.train(resume=run)
    with pytest.raises(RecipeError, match=r"was trained on 'Data object', which is not here: give `dataset`"):
        tarsia.evaluate(run)

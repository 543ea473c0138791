"""The verbs in Python: they are the command line's, wait for torch until they are called, and hand on what they get."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_onnx
import tarsia
from tarsia import cli, data
from tarsia.data._dataset import Dataset
from tarsia.engines.onnx_file import with_card
from tarsia.errors import RecipeError
from tarsia.recipe import Recipe

HOMES = {"train": "training.train", "study": "studying.run_study", "adapt": "adapting.adapt"}
HOMES |= {"export": "exporting.export", "serve": "serving.serve", "create_app": "serving.create_app"}
# What a verb has that the function behind it has not, and the other way round: it makes the one of the other.
MADE = {
    "train": ({"data", "val", "model", "set", "minutes", "weights"}, {"limit", "reasons"}),
    "study": ({"set"}, set()),
    "serve": ({"models", "inference"}, {"paths", "inference"}),
}
MADE |= {"export": ({"calibrate_on"}, {"dataset_name", "split"})}
TINY = "data: {name: streets, count: 2}\nmodel: {name: unet}\n"


def fresh(code: str) -> str:
    """What a new process prints, which must be all that it has to say."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_every_command_is_a_verb() -> None:
    """`recipe` is `derive` in Python, where `tarsia.recipe` is the room that says what a recipe is."""
    others = {"demo", "models", "datasets", "info", "recipe"}
    assert set(cli.COMMANDS) - others <= set(tarsia.__all__) and "derive" in tarsia.__all__


def test_no_room_has_the_name_of_a_verb() -> None:
    rooms = {room.name for room in pkgutil.iter_modules(tarsia.__path__)}
    assert not rooms & set(tarsia.__all__)


def test_dir_lists_what_is_public_alone() -> None:
    assert {name for name in dir(tarsia) if not name.startswith("__")} == set(tarsia.__all__)
    assert {"__version__", "__doc__"} < set(dir(tarsia))


def test_help_completion_and_version_load_neither_torch_nor_fastapi() -> None:
    code = (
        "import pydoc, rlcompleter, sys, tarsia\n"
        "text = pydoc.plain(pydoc.render_doc(tarsia))\n"
        "missing = [name for name in tarsia.__all__ if name not in dir(tarsia) or f'{name}(' not in text]\n"
        "print(missing, tarsia.__version__, rlcompleter.Completer({'tarsia': tarsia}).complete('tarsia.tra', 0))\n"
        "print([name for name in ('torch', 'fastapi', 'cv2', 'matplotlib') if name in sys.modules])"
    )
    missing, loaded = fresh(code).splitlines()
    assert missing.startswith("[] 0.") and missing.endswith(" tarsia.train(")
    assert loaded == "[]"


def given_to(verb: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A dictionary which, once `verb` is called, holds what the function behind it would have been called with."""
    home, name = HOMES[verb].split(".")
    signature, found, given = inspect.signature(behind(verb)), tarsia._found, dict[str, Any]()

    def record(*args: Any, **options: Any) -> str:
        bound = signature.bind(*args, **options)
        given.update(bound.arguments)
        return "done"

    monkeypatch.setattr(tarsia, "_found", lambda *asked: record if asked[:2] == (home, name) else found(*asked))
    return given


def behind(verb: str) -> Any:
    home, name = HOMES[verb].split(".")
    return getattr(importlib.import_module(f"tarsia.{home}"), name)


@pytest.mark.parametrize("verb", HOMES)
def test_a_verb_hands_on_all_that_it_is_given(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = getattr(tarsia, verb)
    theirs, ours = (inspect.signature(one).parameters for one in (behind(verb), function))
    more, fewer = MADE.get(verb, (set(), set()))
    assert set(ours) - more == set(theirs) - fewer
    named = [
        name for name in ours if name not in {*more, "int8"} and ours[name].kind is not inspect.Parameter.VAR_KEYWORD
    ]
    for name in set(named) - {"source", "check_on"}:  # these are the model's own, where none are given
        assert ours[name].default == theirs[name].default, name
    marks = {name: object() for name in named}
    given = given_to(verb, monkeypatch)
    assert function(**marks) == (None if verb == "serve" else "done")
    assert {name: given[name] for name in named} == marks


def test_settings_are_given_as_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, file = given_to("train", monkeypatch), tmp_path / "r.yaml"
    file.write_text(TINY)
    settings = {"train.learning_rate": 1e-5, "data.root": tmp_path, "input.size": (32, 48), "model.encoder": "no"}
    tarsia.train(file, set=settings | {"data.val": None, "augment.threefold": True})
    recipe = given["recipe"]
    assert isinstance(recipe, Recipe) and recipe.name == "r"
    assert recipe.train.learning_rate == 1e-5 and recipe.data.root == str(tmp_path) and recipe.input.size == (32, 48)
    assert recipe.model.options["encoder"] == "no" and recipe.data.val is None and recipe.augment.threefold
    with pytest.raises(RecipeError, match="batch"):
        tarsia.train(file, set={"train.bacth": 2})
    tarsia.train(recipe, set={"train.batch": 2})
    assert given["recipe"] == recipe.replace({"train.batch": 2}) != recipe
    with pytest.raises(RecipeError, match="train needs a recipe, or data"):
        tarsia.train(set={"train.batch": 2})


def test_settings_of_a_study_are_those_of_all_its_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to("study", monkeypatch)
    (tmp_path / "r.yaml").write_text(TINY)
    (tmp_path / "s.yaml").write_text("recipe: r.yaml\nvariations: [{name: a}, {name: b, set: {train.epochs: 2}}]\n")
    tarsia.study(tmp_path / "s.yaml", set={"train.batch": 3})
    assert [run.recipe.train.batch for run in given["study"].runs] == [3, 3]


def test_export_opens_the_data_sets_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to("export", monkeypatch)
    tarsia.export("m", "m.onnx", check_on="streets,count=3", int8="streets,count=5", calibrate_on=4)
    ranges = given["int8"]
    assert isinstance(given["check_on"], Dataset) and len(given["check_on"]) == 3
    assert (given["dataset_name"], given["split"]) == ("streets", "val")
    assert (len(ranges.dataset), ranges.images, ranges.name) == (5, 4, "streets train")
    opened = data.open("streets", split="test", count=2)
    tarsia.export("m", "m.onnx", check_on=opened, int8=opened)
    assert given["check_on"] is given["int8"].dataset is opened and given["int8"].images == 64


def test_adapt_has_the_settings_of_a_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    given = given_to("adapt", monkeypatch)
    tarsia.adapt("m", target="night", out="o", source="streets", steps=7, share=0.5)
    assert (given["tuning"].steps, given["tuning"].share, given["tuning"].batch) == (7, 0.5, 8)
    with pytest.raises(TypeError, match="stesp"):
        tarsia.adapt("m", target="night", out="o", source="streets", stesp=7)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An exported model of streets, which knows what it was trained on."""
    classes = data.open("streets", count=1, size=(32, 32)).classes
    weight_K3 = np.random.default_rng(0).normal(size=(len(classes), 3)).astype(np.float32)
    own = {"name": "streets", "size": [32, 48], "val_options": {"count": 3}}
    card = small_onnx.card(classes=classes, provenance={"recipe": {"data": own}})
    file = small_onnx.model(weight_K3, np.zeros(len(classes), np.float32)).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(with_card(file, card))
    return tmp_path / "model.onnx"


def test_a_model_is_scored_by_its_path_on_data_by_their_name(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened, spec = tarsia.load(model), "streets,count=3,size=32x48"
    wanted = tarsia.evaluate(opened, data.open_spec(spec), dataset_name="streets", split="val")
    assert capsys.readouterr().err == ""
    own, named = tarsia.evaluate(model), tarsia.evaluate(str(model), spec)
    for report in (own, named):
        assert np.array_equal(report.counts_NKK1, wanted.counts_NKK1) and report.protocol == wanted.protocol
    assert "the data that" in capsys.readouterr().err
    assert tarsia.evaluate(model, "streets,count=2,size=32x48", split="test").protocol["split"] == "test"
    twice = tarsia.evaluate(model, spec, inference=tarsia.Inference(tta=tarsia.TestTimeAugmentation()))
    assert twice.protocol["tta"] != wanted.protocol["tta"]
    with pytest.raises(RecipeError, match="`inference` is for a model file"):
        tarsia.evaluate(opened, spec, inference=tarsia.Inference())
    with pytest.raises(RecipeError, match=r"which labelled pictures.*`dataset`"):
        tarsia.evaluate(opened)


def test_pictures_are_predicted_by_the_path_of_a_model(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    Image.fromarray(data.open("streets", count=1, size=(32, 48))[0].image).save(picture)
    run = tarsia.predict(model, picture, tmp_path / "out", save=["label"], inference=tarsia.Inference(device="cpu"))
    assert [label for _, label in run.done] == [tmp_path / "out" / "one.png"] and not run.failed

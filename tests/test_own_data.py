"""A run knows its data: what evaluate, export and adapt work on where they are given no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from small_data import write_folder
from tarsia import console, data
from tarsia.card import CARD_KEY, Card, Classes
from tarsia.cli import app, main
from tarsia.errors import DatasetError, ModelFileError, RecipeError, TarsiaError
from tarsia.own_data import OwnData

RECIPES = Path(__file__).parents[1] / "recipes"
CLASSES = Classes(names=("ground", "box"), colors=((0, 0, 0), (255, 0, 0)))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=10)


def model_of(folder: Path, section: dict | None) -> Path:
    """A run folder with a model file that says what it was trained on; nothing here reads its weights."""
    folder.mkdir(exist_ok=True)
    provenance = {} if section is None else {"recipe": {"data": section}}
    card = Card(architecture="unet", model={}, classes=CLASSES, provenance=provenance)
    save_file({}, folder / "model.safetensors", metadata={CARD_KEY: card.to_json()})
    return folder


# ---- a data set as text


@settings(deadline=None)
@given(st.text(min_size=1, max_size=12), WORDS, WORDS)
def test_any_root_and_any_text_survive(root, sequences, split):
    found = data.spec("synthia", root, {"sequences": sequences, "split": split})
    assert data.parse(found) == ("synthia", root, {"sequences": sequences, "split": split})


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 999), st.integers(1, 999)),
    st.one_of(st.none(), st.integers(1, 10**6)),
    st.floats(0, 1e6),
    WORDS,
)
def test_options_of_every_type_survive(size, count, reach, city):
    given = {"size": list(size), "count": count, "reach": reach, "city": city}
    name, root, options = data.parse(data.spec("streets", None, given))
    assert (name, root) == ("streets", None)
    assert data._checked(name, options, ())[0] == {
        key: value for key, value in data._checked(name, given, ())[0].items() if value is not None
    }


def test_by_hand():
    assert data.spec("camvid", "data/camvid", {"split": "val"}) == "camvid:data/camvid,split=val"
    assert data.spec("folder", "a, b/c=d") == 'folder:"a, b/c=d"'
    assert data.parse('folder:"a, ""b""",split=val') == ("folder", 'a, "b"', {"split": "val"})
    assert data.parse('folder:C:\\my data,split=x"y') == ("folder", "C:\\my data", {"split": 'x"y'})
    assert data.spec("cityscapes", "c", {"classes": 8, "void": None}) == "cityscapes:c,classes=8"


@pytest.mark.parametrize("spec", ['folder:"a', 'folder:"a"b', 'voc:x,labels="a', "voc:x,labels=", "folder:a, b"])
def test_what_is_no_text_of_a_data_set(spec):
    with pytest.raises(DatasetError, match="expected NAME"):
        data.parse(spec)


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("streets", {"reach": None}, "reach"),
        ("streets", {"cuont": 3}, "cuont: unknown key, did you mean count"),
        ("nosuch", {}, "unknown data set nosuch"),
    ],
)
def test_what_has_no_text_is_refused_by_name(name, options, fault):
    with pytest.raises(DatasetError, match=fault):
        data.spec(name, None, options)


# ---- what the card says


@pytest.mark.parametrize(
    ("recipe", "held_out", "training"),
    [
        ("msanet", "voc:VOCdevkit/VOC2012,split=val10", "voc:VOCdevkit/VOC2012,split=train90"),
        (
            "street-categories",
            "cityscapes:cityscapes,split=val,classes=8",
            "cityscapes:cityscapes,split=train,classes=8",
        ),
        (
            "improved-pspnet",
            "synthia:SYNTHIA,split=val,sequences=01-dawn",
            "synthia:SYNTHIA,split=train,sequences=01-dawn",
        ),
        ("camvid-fast", "camvid:data/camvid,split=val", "camvid:data/camvid,split=train"),
    ],
)
def test_the_shipped_recipes(recipe, held_out, training, tmp_path):
    """Three of them were scored on other data than they were trained for by the command that train printed."""
    own = OwnData.of(model_of(tmp_path / "run", yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())["data"]))
    assert (own.held_out(), own.training) == (held_out, training)


def test_options_of_the_validation_split(tmp_path):
    section = {"name": "streets", "count": 30, "size": [64, 96], "val_options": {"count": 4}, "cache": "x"}
    own = OwnData.of(model_of(tmp_path / "run", section))
    assert own.held_out() == own.held_out("val") == "streets,split=val,count=4,size=64x96"
    assert own.held_out("train") == own.training == "streets,split=train,count=30,size=64x96"
    with pytest.raises(RecipeError, match=r"split=test,count=30.* or .*split=test,count=4"):
        own.held_out("test")


def test_without_a_validation_split(tmp_path):
    own = OwnData.of(model_of(tmp_path / "run", {"name": "streets", "val": None}))
    with pytest.raises(RecipeError, match="without a validation split: say with `split`"):
        own.held_out()
    assert own.held_out("test") == "streets,split=test"


@pytest.mark.parametrize("section", [None, {"name": 3}, {}, {"name": "streets", "train": []}])
def test_a_card_that_does_not_say(section, tmp_path):
    with pytest.raises(RecipeError, match=r"does not say .* with `check_on`: NAME"):
        OwnData.of(model_of(tmp_path / "run", section), "check_on")
    with pytest.raises(ModelFileError):
        OwnData.of(tmp_path / "nothing")


def test_data_that_has_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = OwnData.of(model_of(tmp_path / "run", {"name": "folder", "root": "my data"}))
    with pytest.raises(DatasetError, match=r"my data(.|\n)*where it has moved, data='folder:FOLDER,split=val'"):
        own.open(own.held_out())
    write_folder(tmp_path / "my data", 2, 2, (32, 32))
    assert len(own.open(own.held_out())) == 2


# ---- the commands


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose validation pictures are its own split's alone."""
    from tarsia.training import train

    place = tmp_path_factory.mktemp("own data")
    (place / "recipe.yaml").write_text(
        "data: {name: streets, count: 2, size: [64, 64], val: test, val_options: {count: 3}}\n"
        "model: {name: fpn, encoder: test_resnet, channels: 8}\n"
        "train: {epochs: 1, batch: 2, workers: 0, precision: float32, memory_format: contiguous}\n"
    )
    console.quiet(True)
    yield train(place / "recipe.yaml", out=place / "a run")
    console.quiet(False)


def test_evaluate_and_export_take_the_runs_own(run, tmp_path, capsys, monkeypatch):
    def tarsia(*words):
        monkeypatch.setattr("sys.argv", ["tarsia", *map(str, words)])
        with pytest.raises(SystemExit, match="0"):
            main()

    tarsia("evaluate", run, "--out", tmp_path / "scores")
    said = capsys.readouterr().err
    assert "--data 'streets" not in said and "--data streets,split=test,count=3,size=64x64: the data that" in said
    protocol = json.loads((tmp_path / "scores/report.json").read_text())["protocol"]
    assert (protocol["images"], protocol["split"]) == (3, "test")
    tarsia("export", run, "--out", tmp_path / "m.onnx", "--tolerance", "0.1", "--images", 1)
    assert "--check-on streets,split=test,count=3" in capsys.readouterr().err
    tarsia("evaluate", tmp_path / "m.onnx", "--out", tmp_path / "again", "-q")
    assert json.loads((tmp_path / "again/report.json").read_text())["protocol"]["images"] == 3


def test_data_that_is_given_comes_first(run, tmp_path, capsys):
    app(["evaluate", str(run), "--data", "streets,count=1,size=64x64", "--out", str(tmp_path / "scores")])
    assert "was trained with" not in capsys.readouterr().err
    protocol = json.loads((tmp_path / "scores/report.json").read_text())["protocol"]
    assert (protocol["images"], protocol["split"]) == (1, "val")


def test_predictions_need_data(tmp_path):
    with pytest.raises(TarsiaError, match="--predictions needs --data"):
        app(["evaluate", "--predictions", str(tmp_path)])

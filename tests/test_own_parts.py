"""Networks and data sets of the user's own: they do all that Tarsia's do, and no model file makes us run any."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tarsia
from tarsia import data, exporting, models, own_parts
from tarsia.card import Card, Classes, Code, Input
from tarsia.engines.model_file import read_card
from tarsia.engines.weights import load_model, save_model
from tarsia.errors import DatasetError, ModelFileError, RecipeError, TarsiaError, TrainingError
from tarsia.given import resolve
from tarsia.learning import losses
from tarsia.own_data import OwnData
from tarsia.recipe import Recipe
from tarsia.recipe_train import LossRecipe

NETS = '''
from typing import Annotated, Literal
from pydantic import Field
from torch import nn

class Small(nn.Sequential):
    """Two convolutions."""

    def __init__(self, classes: int, width: Annotated[int, Field(ge=1)] = 4, norm=nn.BatchNorm2d,
                 act: Literal["relu", "gelu"] = "relu", in_channels: int = 3):
        act = nn.ReLU() if act == "relu" else nn.GELU()
        super().__init__(nn.Conv2d(in_channels, width, 3, 2, 1), norm(width), act, nn.Conv2d(width, classes, 1))

class Wide(nn.Module):
    def __init__(self, num_classes, width): ...

class Deaf(nn.Module):
    def __init__(self): ...

class Flat(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.net = nn.Conv2d(3, classes, 1)
    def forward(self, x): return self.net(x).mean((2, 3))

def made(classes: int, width: int = 4): return Small(classes, width)
'''
FIELDS = '''
import numpy as np
from tarsia.card import Classes
from tarsia.data import Sample

class Data:
    """Halves, dark and bright."""
    classes = Classes(names=("dark", "bright"), colors=((0, 0, 0), (255, 255, 255)))

    def __init__(self, root, split="train", *, count: int = 4):
        self.split, self.count = split, count

    def __len__(self): return self.count
    def name(self, index): return f"{self.split}{index}"

    def __getitem__(self, index):
        label = np.zeros((32, 32), np.uint8)
        label[:, 8 + 4 * index % 16:] = 1
        return Sample(np.repeat(label[..., None] * 200, 3, 2), label, self.name(index))
'''
TREE = {"data": {"name": "./fields.py"}, "model": {"name": "./nets.py:Small"}, "train": {"epochs": 1, "workers": 0}}
RECIPE = """
data: {name: ./fields.py, count: 3}
model: {name: "./nets.py:Small", width: 6, bands: 3}
train: {epochs: 1, batch: 2, workers: 0, precision: float32, memory_format: contiguous}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, text in (("nets.py", NETS), ("fields.py", FIELDS), ("own.yaml", RECIPE)):
        (tmp_path / name).write_text(text)
    yield tmp_path
    in_another_process()


def in_another_process() -> None:
    """Nobody has named any code in it."""
    for known in (own_parts._NAMED, own_parts._TITLED, own_parts._STAND_INS):
        known.clear()


def test_a_module_and_a_data_set_train_evaluate_export_predict_resume_and_start_another(folder, capsys, monkeypatch):
    quick = [one for one in exporting.runners() if one.engine == "onnxruntime"]
    monkeypatch.setattr(exporting, "runners", lambda: quick)
    run = tarsia.train("own.yaml")
    card = read_card(run / "model.safetensors")
    code = own_parts.accepted("./nets.py:Small")
    assert code is not None and card.code == Code(name="nets.py:Small", sha256=code.sha256)
    assert (card.architecture, card.model["width"], card.model["act"]) == ("Small of nets.py", 6, "relu")
    assert set(card.provenance["code"]) == {"./nets.py:Small", "./fields.py"}
    assert Card.from_json(card.to_json(), "x") == card and '"format":3' in card.to_json()
    tarsia.load(run)  # named by the recipe, in this very process
    in_another_process()
    with pytest.raises(ModelFileError, match=r"runs no code: look at that code.*code='nets.py:Small' \(its sha256 was"):
        tarsia.load(run)
    (folder / "elsewhere").mkdir()
    shutil.copy("nets.py", "elsewhere/renamed.py")
    predictor = tarsia.load(run, code="elsewhere/renamed.py:Small")
    image = np.random.default_rng(0).integers(0, 255, (40, 52, 3), np.uint8)
    assert predictor(image).label_HW.shape == (40, 52)
    assert "not as it was" not in capsys.readouterr().err
    with pytest.raises(RecipeError, match=r"trained on '\./fields\.py', which is code"):
        tarsia.evaluate(run, inference=tarsia.Inference(code="nets.py:Small"))
    report = tarsia.evaluate(run, "./fields.py:Data,count=2", inference=tarsia.Inference(code="nets.py:Small"))
    assert report.counts_NKK1.sum() == 2 * 32 * 32
    in_another_process()
    (folder / "nets.py").write_text("# a comment\n" + NETS)
    gate = tarsia.export(run, "small.onnx", check_on="./fields.py", images=2, code="nets.py:Small")
    assert gate and "not as it was when" in capsys.readouterr().err
    in_another_process()
    assert tarsia.load("small.onnx")(image).label_HW.shape == (40, 52)
    Recipe.load(run / "recipe.yaml", ["train.epochs=2"])
    text = (run / "recipe.yaml").read_text().replace("epochs: 1", "epochs: 2")
    (run / "recipe.yaml").write_text(text)
    tarsia.train(resume=run)
    told = capsys.readouterr().err
    assert "./nets.py:Small was changed since this training began" in told and "fields.py was" not in told
    again = tarsia.train("own.yaml", set={"train.start_from": str(run)}, out="again")
    assert "all weights" in capsys.readouterr().err and (again / "report.json").is_file()
    with pytest.raises(RecipeError, match=r"code.* is for a network that is not Tarsia's own"):
        model = models.create("unet", 2, options={"encoder": "test_resnet"})
        classes = Classes(names=("a", "b"), colors=((0, 0, 0), (1, 1, 1)))
        save_model(Path("unet.safetensors"), model, Card(architecture="unet", model={}, classes=classes))
        tarsia.load("unet.safetensors", code="nets.py:Small")


CANARY = "open('ran', 'w').close()\nfrom nets import *\nfrom fields import *\nModel = Small\n"


@pytest.mark.parametrize("name", ["./canary.py", "canary.py:Model", "canary:Model", "Model of canary.py", "canary"])
def test_no_model_file_makes_us_run_code(name, folder, monkeypatch):
    """A stranger's model file beside a stranger's code, which is named wherever a card can name it."""
    monkeypatch.syspath_prepend(str(folder))
    (folder / "canary.py").write_text(CANARY)
    kind = models.accept("nets.py:Small")
    model = models.create(kind, 2)
    classes = Classes(names=("dark", "bright"), colors=((0, 0, 0), (255, 255, 255)))
    tree = {"data": {"name": name, "root": "x"}, "model": {"name": name}}
    in_another_process()
    for code in (None, Code(name=name, sha256="0" * 64)):
        card = Card(architecture=name, code=code, model={}, classes=classes, input=Input(), provenance={"recipe": tree})
        save_model(folder / "model.safetensors", model, card)
        calls: list[Any] = [
            lambda: load_model(Path("model.safetensors")),
            lambda: tarsia.load("model.safetensors"),
            lambda: (
                tarsia.load("model.safetensors", code="nets.py:Small")
                and OwnData.of(Path("model.safetensors")).training
            ),
            lambda: tarsia.evaluate("model.safetensors"),
            lambda: tarsia.calibrate("model.safetensors"),
            lambda: tarsia.predict("model.safetensors", "x.png", "seen"),
            lambda: tarsia.export("model.safetensors", "x.onnx", check_on="streets,count=1,size=32x32"),
            lambda: tarsia.adapt("model.safetensors", target="streets,count=1", out="to", method="self-training"),
            lambda: tarsia.train({**TREE, "train": {"start_from": "model.safetensors"}}, out="run"),
            lambda: tarsia.train({**TREE, "teacher": "model.safetensors"}, out="run"),
            lambda: tarsia.check("streets,count=1,size=32x32", model=tarsia.load("model.safetensors"), out="checked"),
        ]
        read_card(folder / "model.safetensors")
        for call in calls:
            with pytest.raises(TarsiaError):
                call()
            in_another_process()
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model.widht": 3}, "model.widht: unknown key, did you mean width?"),
        ({"model.width": "x"}, "model.width: Input should be a valid integer"),
        ({"model.width": 0}, "model.width: Input should be greater than or equal to 1, got 0"),
        ({"model.act": "tanh"}, "model.act: Input should be 'relu' or 'gelu', got 'tanh'"),
        ({"model.norm": "x"}, "model.norm: unknown key"),
        ({"model.bands": 4}, "model.bands: 4 (given), but the pictures"),
        ({"model.head_start": "he"}, "model.head_start: Small of nets.py says of no layer"),
        ({"model.weights": "imagenet"}, "model.weights: imagenet: Small of nets.py has no encoder"),
        ({"model.std": [0, 1, 1]}, "model.std.0: Input should be greater than 0, got 0"),
        ({"model.name": "./nets.py"}, "./nets.py: Small, Wide, Deaf, Flat are there: say which network is meant"),
        ({"model.name": "./nets.py:Smal"}, "no Smal is there, did you mean Small?"),
        ({"model.name": "./nets.py:Wide", "model.num_classes": 3}, "model.num_classes: unknown key"),
        ({"model.name": "./nets.py:Deaf"}, "takes no number of classes: call a parameter of it classes or num_classes"),
        ({"model.name": "./nets.py:Flat"}, "Flat of nets.py answers pictures of (1, 3, 64, 96) with (1, 2), expected"),
        ({"model.name": "./nots.py"}, "model.name: ./nots.py: cannot be read (No such file or directory)"),
        ({"model.name": "./bad.py"}, "model.name: ./bad.py:2: fails as it is read: NameError: name 'nobody'"),
        ({"model.name": "no.where:Net"}, "model.name: no module no.where is installed"),
        ({"model.name": "unett"}, "model.name: unknown model unett, did you mean unet?"),
        ({"data.name": "./nets.py"}, "data.name: ./nets.py: no data set is there"),
        ({"data.cuont": 1}, "data.cuont: unknown key, did you mean count?"),
    ],
)
def test_what_is_wrong_is_said_as_of_tarsia_s_own(change, told, folder):
    (folder / "bad.py").write_text("import os\nnobody\n")
    base = {} if "model.name" in change else {"model.width": 4}
    text = RECIPE.replace(", width: 6, bands: 3", "")
    (folder / "own.yaml").write_text(text)
    with pytest.raises(TarsiaError) as error:
        tarsia.train("own.yaml", set=base | change, out="run")
    assert told in str(error.value) and not Path("run").exists()


def test_a_file_in_tarsia_s_form_a_function_and_what_is_installed(folder, monkeypatch, capsys):
    (folder / "plugin.py").write_text(
        '"""Plug: a network."""\nfrom tarsia.models import Classifier, ModelConfig, Segmenter\n'
        "class Config(ModelConfig):\n    width: int = 3\n"
        "class Model(Segmenter):\n    stride = 8\n"
        "    def __init__(self, config: Config, class_count, weights='none'):\n"
        "        super().__init__(*config.normalisation())\n"
        "        self.classifier = Classifier(config.bands, class_count, 1)\n"
        "    def segment(self, image_B3HW): return self.classifier(image_B3HW)\n" + FIELDS
    )
    (folder / "plug-1.dist-info").mkdir()
    (folder / "plug-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (folder / "plug-1.dist-info" / "entry_points.txt").write_text(
        "[tarsia.models]\nplug = plugin\n[tarsia.data]\nplugged = plugin:Data\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    assert models.create(models.accept("./plugin.py"), 2).stride == 8
    assert models.create(models.accept("plugin:Model"), 2).stride == 8
    function = models.accept("nets.py:made")
    assert models.create(function, 2, options={"width": 9}).net[0].out_channels == 9
    assert "plug" in models.known() and "plugged" in data.known() and "plug" not in models.names()
    in_another_process()
    (folder / "own.yaml").write_text(
        "data: {name: plugged}\nmodel: {name: plug, width: 2}\ntrain: {epochs: 1, workers: 0}\n"
    )
    run = tarsia.train("own.yaml")
    in_another_process()
    assert tarsia.load(run).card.code.name == "plug"  # to have installed it is to have named it
    assert tarsia.evaluate(run).counts_NKK1.sum() > 0
    with pytest.raises(RecipeError, match=r"model.widht: unknown key, did you mean width?"):
        tarsia.train("own.yaml", set={"model.widht": 3})


PLUGIN = """
from torch.nn import functional
def half(scores_BKHW, label_BHW):
    return functional.cross_entropy(scores_BKHW, label_BHW.long(), ignore_index=255) / 2
def turn(image, mask):
    return {"image": image[:, ::-1], "mask": mask[:, ::-1]}
class Told:
    def __call__(self, row, folder): (folder / "told.txt").write_text(str(row["epoch"]))
number = 3
"""
POINTS = """[tarsia.losses]
plug = parts:half
dice = parts:half
[tarsia.augmentations]
plug = parts:turn
bad = parts:number
[tarsia.callbacks]
plug = parts:Told
[tarsia.data]
plug = fields:Data
[tarsia.models]
plug = nets:Small
"""


def test_an_installed_package_brings_losses_augmentations_and_callbacks_by_name(folder, monkeypatch):
    (folder / "parts.py").write_text(PLUGIN)
    made = folder / "made-1.2.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: made\nVersion: 1.2\n")
    (made / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(folder))
    loss = {"dice": 1, "plug": 0.5}
    named = {"train.loss": loss, "augment.extra": "plug", "train.callbacks": ["plug"]}
    run = tarsia.train("own.yaml", set=named | {"data.name": "plug", "model.name": "plug"})
    assert (run / "told.txt").read_text() == "1" and Recipe.load(run).train.loss.weights == loss
    said = read_card(run / "model.safetensors").provenance
    groups = ("data", "models", "losses", "augmentations", "callbacks")
    assert set(said["code"]) == {f"plug (tarsia.{group})" for group in groups}, "its own dice is none of them"
    assert said["code"]["plug (tarsia.losses)"] == hashlib.sha256(PLUGIN.encode()).hexdigest()
    assert said["packages"] == dict.fromkeys(said["code"], "made 1.2")
    in_another_process()
    assert tarsia.load(run).card.architecture == "plug", "a loss of that name, of another group, is no network"
    for change, told in (
        ({"train.loss": "plugg"}, "train.loss.plugg: unknown key, did you mean plug?"),
        (
            {"augment.extra": "plugg"},
            "an installed package brings as entry point of tarsia.augmentations, did you mean p",
        ),
        ({"augment.extra": "bad"}, "augment.extra: bad: parts:number of an installed package is no augmentation"),
    ):
        with pytest.raises(TarsiaError) as error:
            tarsia.train("own.yaml", set=change, out="bad")
        assert told in str(error.value), str(error.value)


LOSSES = """
import torch
def half(scores_BKHW, label_BHW):
    return torch.nn.functional.cross_entropy(scores_BKHW, label_BHW.long(), ignore_index=255) / 2
class Weighted(torch.nn.CrossEntropyLoss):
    def forward(self, scores, label): return super().forward(scores, label.long())
def rows(scores_BKHW, label_BHW): return scores_BKHW.mean((1, 2, 3))
"""
TURN = """
def augment(image, mask):
    open("turned", "w").close()
    return {"image": image[:, ::-1], "mask": mask[:, ::-1]}
"""


def test_losses_and_an_augmentation(folder, capsys):
    (folder / "losses.py").write_text(LOSSES)
    (folder / "turn.py").write_text(TURN)
    loss = {"dice": 1, "./losses.py:half": 0.5, "losses.py:Weighted": 2}
    run = tarsia.train("own.yaml", set={"train.loss": loss, "augment.extra": "./turn.py"})
    recipe = Recipe.load(run / "recipe.yaml")
    assert recipe.train.loss.weights == loss and recipe.augment.extra == "./turn.py" and Path("turned").exists()
    code = read_card(run / "model.safetensors").provenance["code"]
    assert set(code) == {"./fields.py", "./nets.py:Small", "./losses.py:half", "losses.py:Weighted", "./turn.py"}
    scores, label = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    assert float(losses.create(LossRecipe(**{"./losses.py:half": 2.0}))(scores, label)) == pytest.approx(math.log(2))
    for change, told in (
        (
            {"train.loss": "./losses.py"},
            "./losses.py: half, Weighted, rows are there: say which loss is meant",
        ),
        ({"train.loss": "./losses.py:haf"}, "no haf is there, did you mean half?"),
        ({"train.loss": {"dice": 1, "./losses.py:half": -1}}, "train.loss../losses.py:half: Input should be greater"),
        ({"train.loss": "./losses.py:rows"}, "train.loss: ./losses.py:rows gives (2,), expected one number"),
        ({"augment.extra": "./none.py"}, "augment.extra: ./none.py: cannot be read"),
        ({"augment.extra": "turn"}, "augment.extra: turn: expected FILE.py, FILE.py:NAME or package.module:NAME"),
    ):
        with pytest.raises(TarsiaError) as error:
            tarsia.train("own.yaml", set=change, out="bad", overwrite=True)
        assert told in str(error.value), str(error.value)
    with pytest.raises(RecipeError, match=r"augment\.extra: an augmentation was handed in too"):
        tarsia.train("own.yaml", set={"augment.extra": "./turn.py"}, augment=lambda **given: given)


TOLD = """
class Told:
    def __init__(self):
        self.seen = []
    def __call__(self, row, folder):
        self.seen.append((row["epoch"], (folder / "last.safetensors").is_file()))
        (folder / "seen.txt").write_text(str(self.seen))
        return row["epoch"] == END
"""


def test_callbacks_are_told_each_epoch_and_may_end_a_training(folder):
    (folder / "told.py").write_text(TOLD.replace("END", "2"))
    told = {"train.epochs": 4, "train.callbacks": ["./told.py"]}
    run = tarsia.train("own.yaml", set=told)
    assert (run / "seen.txt").read_text() == "[(1, True), (2, True)]"
    assert "ended by ./told.py (train.callbacks), after epoch 2 of 4" in (run / "log.txt").read_text()
    assert (run / "report.json").is_file() and tarsia.train(resume=run) == run
    assert (run / "seen.txt").read_text() == "[(1, True), (2, True)]", "a training that was ended stays so"
    (folder / "told.py").write_text(TOLD.replace("END", "2 and 1 / 0"))
    with pytest.raises(TrainingError, match=r"^train\.callbacks: \./told\.py: ZeroDivisionError: division by zero$"):
        tarsia.train("own.yaml", set=told, out="again")
    (folder / "told.py").write_text(TOLD.replace("END", "9"))
    tarsia.train(resume="again")
    assert (folder / "again" / "seen.txt").read_text() == "[(3, True), (4, True)]"
    for code, words in (("def told(row, folder): return row", "gave {'epoch': 1,"), ("x = 1", "callback is there")):
        (folder / "told.py").write_text(code)
        with pytest.raises(TarsiaError, match=r"train\.callbacks: ") as error:
            tarsia.train("own.yaml", set=told, out="bad", overwrite=True)
        assert words in str(error.value), str(error.value)


def test_a_data_set_is_named_where_a_command_asks_for_one(folder):
    spec = data.spec("./fields.py", "a,b", {"count": 2, "split": "val"})
    assert spec == './fields.py:Data:"a,b",split=val,count=2'
    assert data.parse(spec) == ("./fields.py:Data", "a,b", {"split": "val", "count": "2"})
    assert len(data.open_spec(spec)) == 2 and len(data.open_spec("./fields.py")) == 4
    assert resolve(spec) == ("data", spec) and resolve("./fields.py") == ("data", "./fields.py")
    with pytest.raises(DatasetError, match=r"no Dat is there, did you mean Data?"):
        data.open_spec("./fields.py:Dat:root")
    with pytest.raises(DatasetError, match=r"cuont: unknown key, did you mean count?"):
        data.open_spec("./fields.py,cuont=3")
    with pytest.raises(DatasetError, match=r"no data set's name before ':'"):
        data.parse("photos.v2:x/y")
    assert own_parts.stem("./fields.py:Data") == "fields" and own_parts.stem("streets") == "streets"

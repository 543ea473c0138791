"""Whatever a user gets wrong: one message that says where and what, exit code 2, nothing left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from small_data import tiny, write_folder
from tarsia import cli
from tarsia.recipe import Recipe


class Place:
    """A folder of its own for each case, with a recipe and a data set to spoil, and a trained model to borrow."""

    def __init__(self, folder: Path, data: Path, run: Path) -> None:
        self.folder, self.model = folder, run
        self.data = folder / "data"
        shutil.copytree(data, self.data)
        self.recipe = folder / "recipe.yaml"
        self.write(tiny(self.data))

    def write(self, content: dict) -> None:
        self.recipe.write_text(yaml.safe_dump(content, sort_keys=False))

    def changed(self, name: str, change: Callable[[bytes], bytes]) -> Path:
        """A copy of the model file with its bytes changed."""
        path = self.folder / name
        path.write_bytes(change((self.model / "model.safetensors").read_bytes()))
        return path


Build = Callable[[Place], list[object]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bad") / "data", train=8, val=2)


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    from tarsia.training import train

    return train(Recipe.model_validate(tiny(data, steps_per_epoch=1)), out=data.parent / "run")


@pytest.fixture
def place(tmp_path: Path, data: Path, run: Path) -> Place:
    return Place(tmp_path, data, run)


def refuse(
    place: Place, arguments: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run `tarsia` with `arguments`; the message, once it is sure that it is one, with exit code 2."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2, printed
    assert printed.out == "", "results although it failed"
    assert printed.err.count("tarsia: ") == 1 and "Traceback" not in printed.err, printed.err
    return printed.err[printed.err.index("tarsia: ") :]


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# What is wrong -> the arguments, and what the message must contain.
BEFORE_ANYTHING: dict[str, tuple[Build, tuple[str, ...]]] = {}


def case(*fragments: str) -> Callable[[Build], Build]:
    def note(build: Build) -> Build:
        BEFORE_ANYTHING[build.__name__] = (build, fragments)
        return build

    return note


# ---- the command line


@case("Unknown command", "train")
def unknown_command(place: Place) -> list[object]:
    return ["trian", place.recipe]


@case("--bogus")
def unknown_option(place: Place) -> list[object]:
    return ["train", place.recipe, "--bogus", 1]


@case("--batch", "int")
def no_number(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--batch", "four"]


@case("--batch", "1 or more")
def batch_of_none(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--batch", 0]


@case("--pictures", "0 or more")
def fewer_than_no_pictures(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--pictures", -1]


@case("train needs a folder", "--resume")
def no_recipe(place: Place) -> list[object]:
    return ["train"]


@case("--resume", "leave out the recipe")
def resume_and_recipe(place: Place) -> list[object]:
    return ["train", place.recipe, "--resume", place.model]


@case("--resume", "--set")
def resume_and_set(place: Place) -> list[object]:
    return ["train", "--resume", place.model, "--set", "train.epochs=5"]


@case("--set train.epochs", "key.key=value")
def set_without_value(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.epochs"]


@case("--set train.epoch=3: train.epoch: unknown key", "did you mean epochs?")
def set_misspelt(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.epoch=3"]


@case("--set train.epochs=many: train.epochs", "integer")
def set_of_wrong_type(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.epochs=many"]


@case("--device tpu", "auto, cpu, cuda")
def device_for_training(place: Place) -> list[object]:
    return ["train", place.recipe, "--device", "tpu"]


@case("--device cuda:99", "auto, cpu, cuda")
def device_for_evaluation(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--device", "cuda:99"]


@case("--tta turn", "flip,0.75,1,1.25")
def tta_word(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--tta", "turn"]


@case("--tta 99", "between 0.1 and 4")
def tta_scale(place: Place) -> list[object]:
    return ["predict", place.model, place.data, "--tta", "99"]


@case("either MODEL or --predictions")
def evaluate_nothing(place: Place) -> list[object]:
    return ["evaluate", "--data", f"folder:{place.data}"]


@case("--tta is for a MODEL")
def tta_of_predictions(place: Place) -> list[object]:
    predictions = place.data / "val" / "labels"
    return ["evaluate", "--predictions", predictions, "--data", f"folder:{place.data}", "--tta", "flip"]


@case("--ignored-values is for --predictions")
def ignored_values_of_a_model(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--ignored-values", 9]


@case("exists and is not empty", "--overwrite")
def full_folder_for_training(place: Place) -> list[object]:
    return ["train", place.recipe, "--out", place.data]


@case("exists and is not empty", "--overwrite")
def full_folder_for_a_report(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--out", place.data]


@case("exists and is not empty")
def full_folder_for_the_demo(place: Place) -> list[object]:
    return ["demo", "--out", place.data]


@case("recipe.yaml")
def file_as_folder(place: Place) -> list[object]:
    return ["train", place.recipe, "--out", place.recipe]


# ---- recipes


@case("nowhere.yaml", "no such file")
def missing_recipe(place: Place) -> list[object]:
    return ["train", place.folder / "nowhere.yaml"]


@case("recipe.yaml:3: not valid YAML")
def broken_yaml(place: Place) -> list[object]:
    place.recipe.write_text("name: x\ntrain: {epochs: [1\n")
    return ["train", place.recipe]


@case("recipe.yaml", "expected keys and values")
def yaml_of_a_list(place: Place) -> list[object]:
    place.recipe.write_text("- 1\n- 2\n")
    return ["train", place.recipe]


@case("recipe.yaml", "not UTF-8")
def recipe_is_a_picture(place: Place) -> list[object]:
    place.recipe.write_bytes((place.data / "val/images/val00.png").read_bytes())
    return ["train", place.recipe]


@case("unknown model unett", "did you mean unet?")
def unknown_model(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "model.name=unett"]


@case("unknown encoder resnet81", "did you mean resnet")
def unknown_encoder(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "model.encoder=resnet81"]


@case("unknown data set fodler", "did you mean folder?")
def unknown_data_set(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "data.name=fodler"]


@case("model.freeze", "no part layer9")
def freeze_nothing(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "model.freeze=[layer9]"]


@case("train.class_weights", "2 weights for 3 classes")
def too_few_class_weights(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.class_weights=[1.0, 2.0]"]


@case("train.early_stop", "data.val")
def early_stop_without_validation(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.early_stop=2", "--set", "data.val=null"]


@case("model.weights", "no such file")
def missing_weights(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "model.weights=nowhere.safetensors"]


@case("model.weights", "is a whole Tarsia model", "train.start_from")
def weights_of_a_whole_model(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", f"model.weights={place.model / 'model.safetensors'}"]


@case("nowhere.safetensors", "no such")
def start_from_nothing(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "train.start_from=nowhere.safetensors"]


@case("train.start_from", "is a unet", "pspnet")
def start_from_another_architecture(place: Place) -> list[object]:
    content = tiny(place.data, start_from=str(place.model / "model.safetensors"))
    place.write(content | {"model": {"name": "pspnet", "encoder": "test_resnet"}})
    return ["train", place.recipe]


# ---- data sets


@case("needs a folder", "data.root")
def no_data_root(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "data.root=null"]


@case("dta: no such folder", "did you mean data?")
def missing_data_root(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", f"data.root={place.folder / 'dta'}"]


@case("no dataset.yaml")
def folder_without_dataset_yaml(place: Place) -> list[object]:
    (place.data / "dataset.yaml").unlink()
    return ["train", place.recipe]


@case("dataset.yaml:1", "clases: unknown key, did you mean classes?")
def misspelt_dataset_yaml(place: Place) -> list[object]:
    path = place.data / "dataset.yaml"
    path.write_text(path.read_text().replace("classes:", "clases:"))
    return ["train", place.recipe]


@case("has no split valid", "did you mean val?")
def missing_split(place: Place) -> list[object]:
    return ["train", place.recipe, "--set", "data.val=valid"]


@case("2 of 8 images", "have no label", "train03, train05")
def images_without_labels(place: Place) -> list[object]:
    for number in (3, 5):
        (place.data / f"train/labels/train0{number}.png").unlink()
    return ["train", place.recipe]


@case("2 labels", "have no image", "val00, val01")
def labels_without_images(place: Place) -> list[object]:
    for path in (place.data / "val/images").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    return ["evaluate", place.model, "--data", f"folder:{place.data}"]


@case("images: no such folder")
def half_a_data_set(place: Place) -> list[object]:
    shutil.rmtree(place.data / "val/images")
    return ["evaluate", place.model, "--data", f"folder:{place.data}"]


@case("'folder:'", "no folder after ':'")
def spec_without_folder(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", "folder:"]


@case("spilt: unknown key; known: fold, folds, joined")
def spec_with_unknown_option(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", f"folder:{place.data},spilt=val"]


@case("height is 3 pixels, expected 32")
def spec_out_of_range(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", "streets,size=3x64"]


@case("classes differ", "only the model has ground, box, disc")
def other_classes(place: Place) -> list[object]:
    return ["evaluate", place.model, "--data", "streets,count=2,size=64x64"]


@case("val01.png", "damaged or cut off")
def truncated_image_in_evaluation(place: Place) -> list[object]:
    _cut(place.data / "val/images/val01.png")
    return ["evaluate", place.model, "--data", f"folder:{place.data}"]


@case("val00.png", "7", "dataset.yaml")
def strange_value_in_evaluation(place: Place) -> list[object]:
    _spoil(place.data / "val/labels/val00.png")
    return ["evaluate", place.model, "--data", f"folder:{place.data}", "--out", place.folder / "a" / "b"]


@case("1 of 2 predictions are missing: val01.png")
def missing_prediction(place: Place) -> list[object]:
    predictions = place.folder / "predictions"
    shutil.copytree(place.data / "val/labels", predictions)
    (predictions / "val01.png").unlink()
    return ["evaluate", "--predictions", predictions, "--data", f"folder:{place.data}"]


# ---- model files


@case("model.pt", "a pickle", "never loaded")
def pickle(place: Place) -> list[object]:
    path = place.folder / "model.pt"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    return ["predict", path, place.data]


@case("model.pkl", "a pickle", "never loaded")
def bare_pickle(place: Place) -> list[object]:
    path = place.folder / "model.pkl"
    path.write_bytes(b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00}q" + bytes(100))
    return ["info", path]


@case("cut.safetensors", "cut or damaged")
def cut_model(place: Place) -> list[object]:
    path = place.changed("cut.safetensors", lambda content: content[:-100])
    return ["evaluate", path, "--data", f"folder:{place.data}"]


@case("head.safetensors", "cut off within its header")
def cut_header(place: Place) -> list[object]:
    return ["info", place.changed("head.safetensors", lambda content: content[:200])]


@case("flipped.safetensors", "sha256 does not match")
def flipped_bit(place: Place) -> list[object]:
    flip = lambda content: content[:-100] + bytes([content[-100] ^ 4]) + content[-99:]  # noqa: E731
    return ["predict", place.changed("flipped.safetensors", flip), place.data]


@case("empty.safetensors", "an empty or cut file")
def empty_model(place: Place) -> list[object]:
    return ["predict", place.changed("empty.safetensors", lambda _: b""), place.data]


@case("val00.png", "another file format")
def picture_as_model(place: Place) -> list[object]:
    return ["predict", place.data / "val/images/val00.png", place.data]


@case("foreign.safetensors", "without a Tarsia card")
def foreign_model(place: Place) -> list[object]:
    from safetensors.numpy import save_file

    path = place.folder / "foreign.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    return ["evaluate", path, "--data", f"folder:{place.data}"]


@case("nowhere", "no such model file or run folder")
def missing_model(place: Place) -> list[object]:
    return ["predict", place.folder / "nowhere", place.data]


@case("a folder without model.safetensors")
def folder_without_model(place: Place) -> list[object]:
    return ["evaluate", place.data, "--data", f"folder:{place.data}"]


# ---- pictures


@case("predict needs pictures")
def nothing_to_predict(place: Place) -> list[object]:
    return ["predict", place.model]


@case("no pictures in this folder")
def folder_without_pictures(place: Place) -> list[object]:
    (place.folder / "none").mkdir()
    return ["predict", place.model, place.folder / "none"]


@case("results would lie among the pictures")
def results_among_pictures(place: Place) -> list[object]:
    return ["predict", place.model, place.data, "--out", place.data]


@pytest.mark.parametrize("name", BEFORE_ANYTHING)
def test_refused_and_nothing_left(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build, fragments = BEFORE_ANYTHING[name]
    arguments = build(place)
    before = files(place.folder) | files(place.model)
    message = refuse(place, arguments, monkeypatch, capsys)
    for fragment in fragments:
        assert fragment in message
    assert files(place.folder) | files(place.model) == before


def test_every_fault_of_a_recipe_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.recipe.write_text(
        """name: bad
data: {name: folder, rooot: data}
model:
  name: unet
  encodr: resnet18
augment:
  horizontal_flip: 1.5
  scale: {min: 2.0, max: 1.0}
train:
  epochs: 0
  batch: four
  learnin_rate: 0.1
  schedule: linear
  class_weights: some
  epochs: 3
inputs: {size: [64, 64]}
"""
    )
    message = refuse(place, ["train", place.recipe, "--set", "train.ema=2"], monkeypatch, capsys)
    lines = message.removeprefix("tarsia: ").splitlines()
    for start, end in (
        ("recipe.yaml:2: data.rooot: unknown key", "did you mean root?"),
        ("recipe.yaml:5: model.encodr: unknown key", "did you mean encoder?"),
        ("recipe.yaml:7: augment.horizontal_flip: ", "1.5"),
        ("recipe.yaml:8: augment.scale: ", "min is larger than max"),
        ("recipe.yaml:11: train.batch: ", "'four'"),
        ("recipe.yaml:12: train.learnin_rate: unknown key", "did you mean learning_rate?"),
        ("recipe.yaml:13: train.schedule: ", "'cosine'"),
        ("recipe.yaml:14: train.class_weights: ", "median_frequency"),
        ("train.epochs: key given twice", "line 15"),
        ("recipe.yaml:16: inputs: unknown key", "did you mean input?"),
        ("--set train.ema=2: train.ema: ", "less than 1"),
    ):
        assert [line for line in lines if start in line and end in line], f"{start} ... {end} is not in\n{message}"
    assert not (place.folder / "runs").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _spoil(path: Path) -> None:
    label = np.asarray(Image.open(path)).copy()
    label[3:5, 3:5] = 7
    Image.fromarray(label).save(path)


def _shrink(path: Path) -> None:
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(path)


FOUND_WHILE_TRAINING: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "truncated image": (_cut, "train/images/train06.png", ("train06.png", "damaged or cut off")),
    "strange value": (_spoil, "train/labels/train06.png", ("train06.png", "7", "dataset.yaml")),
    "mask of another size": (_shrink, "train/labels/train06.png", ("train06.png", "32x64", "64x64")),
    "in validation": (_spoil, "val/labels/val01.png", ("val01.png", "7", "dataset.yaml")),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", FOUND_WHILE_TRAINING)
def test_found_while_training(
    name: str, workers: int, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if workers and name == "in validation":
        pytest.skip("validation reads without worker processes")
    spoil, which, fragments = FOUND_WHILE_TRAINING[name]
    spoil(place.data / which)
    arguments = ["train", place.recipe, "--out", place.folder / "out", "--set", f"train.workers={workers}"]
    message = refuse(place, arguments, monkeypatch, capsys)
    for fragment in fragments:
        assert fragment in message
    assert len(message.strip().splitlines()) == 1
    assert not list(place.folder.rglob(".*.part"))


def test_counted_before_the_run_folder_is_made(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Class weights from the data read every label first."""
    _spoil(place.data / "train/labels/train06.png")
    before = files(place.folder)
    arguments = ["train", place.recipe, "--set", "train.class_weights=median_frequency"]
    assert "train06.png" in refuse(place, arguments, monkeypatch, capsys)
    assert files(place.folder) == before


def test_a_full_run_folder_is_not_touched_by_a_wrong_recipe(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--overwrite removes what the earlier run wrote only when the new one is sure to start."""
    old = place.folder / "old"
    shutil.copytree(place.model, old)
    contents = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    arguments = ["train", place.recipe, "--out", old, "--overwrite", "--set", "train.class_weights=[1.0]"]
    refuse(place, arguments, monkeypatch, capsys)
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == contents

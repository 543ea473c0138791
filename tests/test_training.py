"""Training: what a run folder holds, that the recipe in it repeats the run, and what every setting does."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from small_data import draw, drawn_figures, same_weights, tensors, tiny, write_folder, write_pair
from tarsia import models, training
from tarsia.card import IGNORED
from tarsia.data import open as open_data
from tarsia.engines.model_file import read_card
from tarsia.errors import DatasetError, OutputError, RecipeError, TrainingError
from tarsia.evaluation.report import Report
from tarsia.learning import resume_point
from tarsia.recipe import Recipe

COLUMNS = [
    *("epoch", "step", "learning_rate", "train_loss", "train_miou", "train_mpa", "train_pixel_accuracy"),
    *("images_per_second", "seconds", "waiting_share", "val_loss", "val_miou", "val_mpa", "val_pixel_accuracy"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Bit by bit equal sums, whatever else the machine does; and no waiting of threads for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("training") / "data", train=6, val=3, size=(32, 32))


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """A run with much of what a recipe can ask for."""
    content = tiny(
        data,
        epochs=2,
        workers=1,
        precision="auto",
        memory_format="auto",
        class_weights="median_frequency",
        ema=0.5,
        clip_norm=1.0,
        keep="all",
        label_smoothing=0.1,
        schedule="cosine",
        warmup_steps=2,
    )
    content["augment"] = {"horizontal_flip": 0.5, "rotation": {}, "color_jitter": {}, "blur": {}}
    with drawn_figures():
        return training.train(Recipe.model_validate(content), out=data.parent / "run")


def fit(folder: Path, content: dict[str, Any], **more: Any) -> Path:
    return training.train(Recipe.model_validate(content), out=folder, **more)


def unscored(data: Path, **train: Any) -> dict[str, Any]:
    """A recipe without validation: what most tests here need."""
    content = tiny(data, **train)
    content["data"]["val"] = None
    return content


def history(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(run: Path, name: str = "last.safetensors") -> dict[str, np.ndarray]:
    return tensors(run / name)


# ---- the run folder


def test_the_run_folder_is_complete(run: Path) -> None:
    found = {path.name for path in run.iterdir()}
    assert found == {
        *("recipe.yaml", "environment.json", "model.safetensors", "last.safetensors", "epochs", "resume"),
        "examples",
        *("metrics.csv", "tensorboard", "curves.png", "log.txt"),
        *("report.json", "counts.npz", "confusion.png", "details.png", "pictures", "report.html", "examples"),
    }
    for name in ("curves.png", "confusion.png", "details.png"):
        with Image.open(run / name) as picture:
            picture.load()
            assert min(picture.size) > 300
    assert list((run / "pictures").glob("worst-*.png"))
    log = (run / "log.txt").read_text().splitlines()
    assert len(log) == 3 and "steps measured, times as fast as float32 contiguous: " in log[0]  # then one an epoch
    assert not list(run.rglob(".*.part"))


def test_files_can_be_read_by_whom_the_umask_lets(run: Path) -> None:
    before = os.umask(0)
    os.umask(before)
    for name in ("model.safetensors", "last.safetensors", "recipe.yaml", "curves.png", "report.html"):
        assert (run / name).stat().st_mode & 0o777 == 0o666 & ~before, name


def test_metrics_csv_has_a_row_an_epoch(run: Path) -> None:
    rows = history(run)
    assert list(rows[0]) == COLUMNS
    assert [row["epoch"] for row in rows] == ["1", "2"] and [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        assert all(math.isfinite(float(value)) for value in row.values())
        assert 0 <= float(row["val_miou"]) <= 1 and float(row["train_loss"]) > 0


def test_tensorboard_tells_the_same(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {"loss/train", "loss/val", "miou/train", "miou/val", "learning_rate"} <= set(events.Tags()["scalars"])
    found = [(event.step, event.value) for event in events.Scalars("miou/val")]
    wanted = [(int(row["epoch"]), float(row["val_miou"])) for row in history(run)]
    assert [step for step, _ in found] == [step for step, _ in wanted]
    np.testing.assert_allclose([value for _, value in found], [value for _, value in wanted], rtol=1e-6)


def test_the_report_is_of_the_best_model(run: Path, data: Path) -> None:
    report, rows = json.loads((run / "report.json").read_text()), history(run)
    best = max(rows, key=lambda row: float(row["val_miou"]))
    card = read_card(run / "model.safetensors")
    assert card.provenance["epoch"] == int(best["epoch"]) and card.provenance["run"] == "tiny"
    assert report["miou"] == pytest.approx(float(best["val_miou"]), abs=0.02)  # bfloat16 there perhaps, float32 here
    assert report["protocol"]["split"] == "val" and report["protocol"]["images"] == 3
    counts = Report.read(run).counts_NKK1
    labels = [np.asarray(Image.open(path)) for path in sorted((data / "val" / "labels").iterdir())]
    assert [int(count.sum()) for count in counts] == [label.size for label in labels]


def test_the_environment_is_noted(run: Path) -> None:
    facts = json.loads((run / "environment.json").read_text())
    assert {"created", "command", "commit", "versions", "processor", "threads"} <= facts.keys()
    assert facts["versions"]["torch"] and facts["threads"] == 1
    assert read_card(run / "model.safetensors").provenance["environment"]["created"] == facts["created"]


def test_nothing_in_the_written_recipe_is_left_to_be_measured(run: Path, data: Path) -> None:
    written = Recipe.load(run / "recipe.yaml")
    assert written.train.precision in ("float32", "bfloat16")
    assert written.train.memory_format in ("contiguous", "channels_last") and written.train.threads == 1
    assert written.data.root == str(data) and written.train.ema == 0.5
    split = open_data("folder", data, "train")
    frequency = []
    for k in range(3):
        showing = [sample.label for sample in (split[i] for i in range(len(split))) if (sample.label == k).any()]
        frequency.append(sum((label == k).sum() for label in showing) / sum(label.size for label in showing))
    assert written.train.class_weights == pytest.approx(np.median(frequency) / np.array(frequency), rel=1e-4)


def test_a_run_keeps_its_threads(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    torch.set_num_threads(2)
    try:
        training.train(resume=folder)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert [one["threads"] for one in json.loads((folder / "environment.json").read_text())["resumed"]] == [1]


def test_the_written_recipe_repeats_the_run(run: Path, tmp_path: Path) -> None:
    again = training.train(run / "recipe.yaml", out=tmp_path / "again")
    other = training.train(Recipe.load(run / "recipe.yaml", ["seed=1", "data.val=null"]), out=tmp_path / "other")
    for name in ("last.safetensors", "model.safetensors"):
        assert same_weights(run / name, again / name)
    assert not same_weights(run / "last.safetensors", other / "last.safetensors")


def test_the_number_of_workers_changes_nothing(run: Path, tmp_path: Path) -> None:
    overrides = ["data.val=null", "train.epochs=1"]
    folders = [
        training.train(Recipe.load(run / "recipe.yaml", [*overrides, f"train.workers={n}"]), out=tmp_path / str(n))
        for n in (0, 2)
    ]
    assert same_weights(folders[0] / "last.safetensors", folders[1] / "last.safetensors")


def test_every_epoch_is_kept_on_request(run: Path) -> None:
    kept = sorted(path.name for path in (run / "epochs").iterdir())
    assert kept == ["epoch-001.safetensors", "epoch-002.safetensors"]
    assert same_weights(run / "epochs" / kept[1], run / "last.safetensors")
    assert not same_weights(run / "epochs" / kept[0], run / "last.safetensors")


def test_the_model_is_the_moving_average(run: Path) -> None:
    state = resume_point.load_state(run / "resume" / "state.safetensors")
    last = weights(run)
    assert all(np.array_equal(last[key], value.numpy()) for key, value in state["average"].items())
    assert any(not np.array_equal(last[key], value.numpy()) for key, value in state["model"].items())


def test_names_of_run_folders_count_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = unscored(data, steps_per_epoch=1)
    folders = [training.train(Recipe.model_validate(content)) for _ in range(2)]
    assert folders == [Path("runs/tiny"), Path("runs/tiny-2")]
    assert same_weights(folders[0] / "last.safetensors", folders[1] / "last.safetensors")


def test_overwriting_trains_anew_and_leaves_nothing_of_the_earlier_run(run: Path, data: Path, tmp_path: Path) -> None:
    """A resume point of the earlier run must not be taken for one of the new run."""
    content = unscored(data, steps_per_epoch=1)
    fresh = fit(tmp_path / "fresh", content)
    folder = tmp_path / "used"
    fit(folder, tiny(data, epochs=2, keep="all"))
    (folder / "pictures" / "mine.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="overwrite=True"):
        fit(folder, content)
    assert len(history(folder)) == 2
    fit(folder, content, overwrite=True)
    assert same_weights(folder / "last.safetensors", fresh / "last.safetensors")
    assert len(history(folder)) == 1
    assert not (folder / "report.json").exists() and not list((folder / "epochs").iterdir())
    assert (folder / "pictures" / "mine.png").read_bytes() == b"mine"


# ---- settings


def test_a_frozen_encoder_stays_as_it_was(data: Path, tmp_path: Path) -> None:
    content = unscored(data)
    content["model"]["freeze"] = ["all"]
    after = weights(fit(tmp_path / "run", content))
    before = models.create("unet", 3, options={"encoder": "test_resnet", "channels": [8] * 5}).state_dict()
    encoder = {key for key in after if key.startswith("encoder.")}
    assert encoder and all(np.array_equal(after[key], before[key].numpy()) for key in encoder)
    assert not np.array_equal(after["classifier.weight"], before["classifier.weight"].numpy())


def test_a_part_of_the_encoder_can_be_frozen(data: Path, tmp_path: Path) -> None:
    content = unscored(data)
    content["model"]["freeze"] = ["layer1"]
    after = weights(fit(tmp_path / "run", content))
    before = models.create("unet", 3, options={"encoder": "test_resnet", "channels": [8] * 5}).state_dict()
    stayed = {key for key in after if np.array_equal(after[key], before[key].numpy())}
    layer1 = {key for key in after if ".layer1." in key and "num_batches" not in key}
    assert layer1 and layer1 <= stayed
    assert not any(".layer2." in key and key.endswith("weight") for key in stayed)


def test_fixed_statistics_stay_as_the_weights_brought_them_in_a_resumed_training_too(
    run: Path, data: Path, tmp_path: Path
) -> None:
    settings = {"ema": 0.5, "schedule": "constant", "encoder_statistics": "fixed"}
    content = unscored(data, start_from=str(run / "model.safetensors"), epochs=2, **settings)
    whole = fit(tmp_path / "whole", content)
    content["train"]["epochs"] = 1
    parts = fit(tmp_path / "parts", content)
    (parts / "recipe.yaml").write_text((parts / "recipe.yaml").read_text().replace("epochs: 1\n", "epochs: 2\n"))
    training.train(resume=parts)
    assert same_weights(whole / "last.safetensors", parts / "last.safetensors")
    before, after = weights(run, "model.safetensors"), weights(whole)
    statistics = [key for key in after if key.endswith(("running_mean", "running_var"))]
    kept = [key for key in statistics if np.array_equal(before[key], after[key])]
    assert kept and kept == [key for key in statistics if key.startswith("encoder.")]
    norm = next(key for key in kept if key.endswith("running_mean")).replace("running_mean", "weight")
    assert not np.array_equal(before[norm], after[norm])


def test_statistics_are_fixed_only_where_an_encoder_brings_some(data: Path, tmp_path: Path) -> None:
    content = unscored(data, encoder_statistics="fixed")
    with pytest.raises(RecipeError, match=r"train\.encoder_statistics: fixed keeps .* pretrained .*train\.start_from"):
        fit(tmp_path / "run", content)
    content["model"] = {"name": "unet_original", "channels": [8]}
    with pytest.raises(RecipeError, match=r"train\.encoder_statistics: unet_original has no encoder"):
        fit(tmp_path / "run", content)
    assert not (tmp_path / "run").exists()


def test_starting_from_a_model_of_other_classes(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_folder(tmp_path / "other", 4, 0, (32, 32), classes=("disc", "ground", "lamp"))
    content = unscored(other, start_from=str(run / "model.safetensors"), learning_rate=1e-9, weight_decay=0.0)
    after = weights(fit(tmp_path / "run", content))
    told = capsys.readouterr().err
    assert "classes kept: disc, ground; new: lamp" in told and str(run / "model.safetensors") in told
    before = weights(run, "model.safetensors")
    np.testing.assert_allclose(after["classifier.weight"][[0, 1]], before["classifier.weight"][[2, 0]], atol=1e-6)
    parameters = [key for key in before if key.endswith("conv1.weight")]
    assert parameters
    for key in parameters:
        np.testing.assert_allclose(after[key], before[key], atol=1e-6)


def test_an_image_is_trained_on_as_often_as_the_recipe_says(data: Path, tmp_path: Path) -> None:
    """6 pictures: batches of 4 and 2; threefold 18 pictures: 4, 4, 4, 4, 2."""
    steps = history(fit(tmp_path / "once", unscored(data)))[0]["step"]
    content = unscored(data)
    content["augment"] = {"threefold": True}
    threefold = history(fit(tmp_path / "threefold", content))[0]["step"]
    assert (steps, threefold) == ("2", "5")


def test_accumulated_batches_are_one_step_each_group(data: Path, tmp_path: Path) -> None:
    """5 batches in groups of 2 are 3 steps; the learning rate follows the steps."""
    run = fit(tmp_path / "run", unscored(data, batch=1, steps_per_epoch=5, accumulate=2, epochs=2))
    assert [row["step"] for row in history(run)] == ["3", "6"]
    assert float(history(run)[1]["learning_rate"]) == pytest.approx(3e-3 * (1 - 5 / 6) ** 0.9)


def test_accumulated_gradients_are_those_of_the_whole_batch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to batch normalisation, which sees the smaller batches: so it is left out of training here."""
    monkeypatch.setattr("tarsia.models.unet.Model.train", lambda self, mode=True: nn.Module.train(self, False))
    common = {"optimizer": "sgd", "learning_rate": 0.1, "steps_per_epoch": 1, "momentum": 0.0}
    whole = weights(fit(tmp_path / "whole", unscored(data, **common | {"batch": 4})))
    parts = weights(
        fit(tmp_path / "parts", unscored(data, **common | {"batch": 2, "accumulate": 2, "steps_per_epoch": 2}))
    )
    start = models.create("unet", 3, options={"encoder": "test_resnet", "channels": [8] * 5}).state_dict()
    moved = 0.0
    for key, value in whole.items():
        np.testing.assert_allclose(parts[key], value, rtol=1e-4, atol=1e-6)
        moved = max(moved, float(np.abs(value - start[key].numpy()).max()))
    assert moved > 1e-3


def test_clipping_bounds_the_step(data: Path, tmp_path: Path) -> None:
    """Plain SGD moves by learning rate x gradient; a gradient clipped to norm 0.01 moves the weights by 0.01."""
    common = {"optimizer": "sgd", "learning_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "steps_per_epoch": 1}
    after = weights(fit(tmp_path / "run", unscored(data, clip_norm=0.01, **common)))
    model = models.create("unet", 3, options={"encoder": "test_resnet", "channels": [8] * 5})
    squares = sum(
        float(((after[key] - value.detach().numpy()).astype(np.float64) ** 2).sum())
        for key, value in model.named_parameters()
    )
    assert math.sqrt(squares) == pytest.approx(0.01, rel=1e-3)


def test_early_stop(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best epoch is the second; two later ones are no better; a resumed run does not train on either."""
    mious = iter([0.3, 0.5, 0.4, 0.5])
    names = ("val_loss", "val_mpa", "val_pixel_accuracy")
    monkeypatch.setattr(training, "_validate", lambda *_: dict.fromkeys(names, 0.5) | {"val_miou": next(mious)})
    run = fit(tmp_path / "run", tiny(data, epochs=9, early_stop=2, steps_per_epoch=1))
    assert "no better val mIoU for 2 epochs" in capsys.readouterr().err
    assert len(history(run)) == 4
    assert read_card(run / "model.safetensors").provenance["epoch"] == 2
    assert read_card(run / "last.safetensors").provenance["epoch"] == 4
    training.train(resume=run)
    assert "finished already, after epoch 4" in capsys.readouterr().err


def test_without_validation_the_model_is_the_last(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(tmp_path / "run", unscored(data, epochs=2))
    assert "unscored" in capsys.readouterr().err
    assert same_weights(run / "model.safetensors", run / "last.safetensors")
    assert read_card(run / "model.safetensors").provenance["epoch"] == 2
    assert [row["val_miou"] for row in history(run)] == ["", ""]
    assert not (run / "report.json").exists() and (run / "curves.png").exists()


def test_options_of_the_validation_split(tmp_path: Path) -> None:
    section = {"name": "streets", "count": 4, "size": [32, 64], "val_options": {"count": 2}}
    run = fit(tmp_path / "run", tiny(section))
    assert json.loads((run / "report.json").read_text())["protocol"]["images"] == 2


def test_an_augmentation_from_python(data: Path, tmp_path: Path) -> None:
    seen = []

    def invert(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        seen.append((image.shape, mask.shape, float(np.random.random())))
        return {"image": 255 - image, "mask": mask}

    plain = fit(tmp_path / "plain", unscored(data))
    runs = [fit(tmp_path / str(n), unscored(data), augment=invert) for n in range(2)]
    assert len(seen) == 12 and {entry[:2] for entry in seen} == {((32, 32, 3), (32, 32))}
    assert seen[:6] == seen[6:], "its random numbers are drawn from the recipe's seed"
    assert same_weights(runs[0] / "last.safetensors", runs[1] / "last.safetensors")
    assert not same_weights(runs[0] / "last.safetensors", plain / "last.safetensors")


# ---- odd batches


def test_a_last_batch_of_one(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", 5, 1, (32, 32))
    run = fit(tmp_path / "run", tiny(data, epochs=2))
    assert [row["step"] for row in history(run)] == ["2", "4"]
    assert all(math.isfinite(float(row["train_loss"])) for row in history(run))
    assert all(np.isfinite(value).all() for value in weights(run).values())


def test_a_picture_with_only_ignored_pixels(tmp_path: Path) -> None:
    """Alone in its batch it costs nothing and teaches nothing."""
    void, labelled = np.full((32, 32), IGNORED, np.uint8), draw(0, (32, 32))
    plain = {"batch": 1, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    for name in ("with", "without"):
        data = write_folder(tmp_path / name / "data", 0, 1, (32, 32))
        write_pair(data, "train", "some", *labelled)
        if name == "with":
            write_pair(data, "train", "void", draw(1, (32, 32))[0], void)
        fit(tmp_path / name / "run", unscored(data, **plain))
    found, expected = (weights(tmp_path / name / "run") for name in ("with", "without"))
    for key, _ in models.create("unet", 3, options={"encoder": "test_resnet", "channels": [8] * 5}).named_parameters():
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.parametrize("kind", ["none", "median_frequency"])
def test_an_absent_class(tmp_path: Path, kind: str) -> None:
    data = write_folder(tmp_path / "data", 4, 1, (32, 32), classes=("ground", "box", "disc", "unicorn"))
    run = fit(tmp_path / "run", tiny(data, class_weights=kind))
    row = history(run)[0]
    assert math.isfinite(float(row["train_loss"])) and math.isfinite(float(row["val_miou"]))
    if kind != "none":
        assert Recipe.load(run / "recipe.yaml").train.class_weights[3] == 1.0


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_labelled_pixel_is_an_error_before_anything_is_written(tmp_path: Path, split: str) -> None:
    counts = {"train": 2, "val": 2} | {split: 0}
    data = write_folder(tmp_path / "data", **counts, size=(32, 32))
    for name in ("void", "voided"):
        write_pair(data, split, name, draw(0, (32, 32))[0], np.full((32, 32), IGNORED, np.uint8))
    with pytest.raises(DatasetError, match=rf"data\.{split} {split}.*: no labelled pixels: those of all 2 pictures"):
        fit(tmp_path / "run", tiny(data))
    assert not (tmp_path / "run").exists()


def test_the_first_labelled_pixel_is_enough(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", 0, 1, (32, 32))
    label = np.full((32, 32), IGNORED, np.uint8)
    write_pair(data, "train", "a", draw(0, (32, 32))[0], label)
    label[3, 4] = 1
    write_pair(data, "train", "b", draw(0, (32, 32))[0], label)
    assert (fit(tmp_path / "run", tiny(data)) / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["defect", "background"])
def test_one_class_is_an_error_before_anything_is_written(tmp_path: Path, name: str) -> None:
    data = write_folder(tmp_path / "data", 0, 1, (32, 32), classes=(name,))
    for split in ("train", "val"):
        write_pair(data, split, "a", draw(0, (32, 32))[0], np.zeros((32, 32), np.uint8))
    with pytest.raises(DatasetError, match=rf"one class \({name}\).*list the background first: .*\[background, "):
        fit(tmp_path / "run", tiny(data))
    assert not (tmp_path / "run").exists()


# ---- what stops a training


def test_a_worker_that_is_killed_is_one_error(data: Path, tmp_path: Path) -> None:
    def die(image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {"image": image, "mask": mask}

    with pytest.raises(TrainingError, match="worker process"):
        fit(tmp_path / "run", unscored(data, workers=1), augment=die)


def test_signals_mean_what_they_did_before(data: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    fit(tmp_path / "run", unscored(data, steps_per_epoch=1))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_what_a_recipe_file_says_holds_for_a_path_too(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    content = unscored(data, steps_per_epoch=1)
    del content["name"]
    path.write_text(yaml.safe_dump(content))
    run = training.train(path, out=tmp_path / "run")
    assert Recipe.load(run / "recipe.yaml").name == "small"

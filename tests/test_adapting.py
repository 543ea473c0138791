"""adapt: every method end to end, what its card says, resuming, and what is refused."""

from __future__ import annotations

import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from small_data import same_weights, tiny, write_folder
from tarsia import adapting, cli, console, training
from tarsia.adaptation.style import load_style
from tarsia.adapting import METHODS, Tuning, adapt, stages_of, train_style
from tarsia.engines import measuring
from tarsia.engines.model_file import read_card
from tarsia.errors import DatasetError, ModelFileError, OutputError, RecipeError, TarsiaError
from tarsia.learning.interrupt import Interrupted
from tarsia.recipe import Recipe
from tarsia.training import train

FEW = Tuning(steps=2, batch=4, workers=0)


@pytest.fixture(autouse=True)
def one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trainings whose weights are held against each other compute alike, whatever a busy machine would measure."""
    monkeypatch.setattr(measuring, "WORTH_IT", math.inf)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("adapt") / "data", 6, 4, (32, 32))


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """A run folder of a small model."""
    tree = tiny(data)
    tree["data"]["val"] = None
    return train(Recipe.model_validate(tree), out=data.parent / "run", device="cpu")


@pytest.fixture(scope="module")
def night(data: Path) -> Path:
    """Dark pictures of another size, without labels."""
    folder = data.parent / "night"
    folder.mkdir()
    for index, path in enumerate(sorted((data / "val/images").iterdir())):
        Image.fromarray(np.asarray(Image.open(path))[:24] // 4).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def style(data: Path, night: Path) -> Path:
    path = data.parent / "style.safetensors"
    train_style(f"folder:{data}", night, path, encoder="test_resnet", weights="none", steps=2, device="cpu", batch=2)
    return path


@pytest.mark.parametrize("method", [*METHODS, "histogram+self-training", "style+batch-norm"])
def test_every_method_ends_in_a_model_that_says_what_was_done(
    method: str, data: Path, run: Path, night: Path, style: Path, tmp_path: Path
) -> None:
    given = {"style": style} if "style" in method else {}
    found = adapt(run, source=f"folder:{data}", target=night, out=tmp_path, method=method, tuning=FEW, **given)
    card = read_card(found.model)
    facts = card.provenance["adapted"]
    assert facts["method"] == method and facts["target"]["pictures"] == 4 and len(facts["target"]["hash"]) == 64
    assert facts["from"]["file"] == str(run / "model.safetensors") and len(facts["from"]["sha256"]) == 64
    assert (facts["tuning"] or {}).get("steps") == (None if method in ("none", "batch-norm") else 2)
    assert same_weights(found.model, run / "model.safetensors") == (method == "none")
    assert card.classes == read_card(run / "model.safetensors").classes and found.comparison is None
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors"} | {
        f"{number}-{stage}" for number, stage in enumerate(method.split("+"), 1) if stage != "none"
    }


def test_reports_before_and_after_by_domain(data: Path, run: Path, night: Path, tmp_path: Path) -> None:
    where = {"source": f"folder:{data}", "target": night, "out": tmp_path, "score": f"folder:{data},split=val"}
    found = adapt(run, method="batch-norm", **where)  # type: ignore[arg-type]
    assert found.comparison is not None and sorted(found.comparison.names) == ["after", "before"]
    for name in ("before/report.json", "after/report.json", "comparison.json"):
        assert json.loads((tmp_path / name).read_text())
    (pair,) = found.comparison.pairs
    assert pair.difference.low <= pair.difference.value <= pair.difference.high


def test_labels_of_the_target_are_never_read(data: Path, run: Path, style: Path, tmp_path: Path) -> None:
    target = write_folder(tmp_path / "target", 3, 1, (32, 32))
    for path in (target / "train/labels").iterdir():
        path.write_bytes(b"reading this raises")
    for method in ("batch-norm", "histogram", "self-training", "style"):
        given = {"style": style} if method == "style" else {}
        where = {"source": f"folder:{data}", "target": f"folder:{target}", "out": tmp_path / method}
        assert adapt(run, method=method, tuning=FEW, **where, **given).model.is_file()  # type: ignore[arg-type]


def test_one_picture_will_do(data: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    Image.fromarray(np.full((20, 50), 60, np.uint8)).save(folder / "grey-and-constant.png")
    for method in ("batch-norm", "histogram", "fourier", "self-training"):
        out = tmp_path / method
        found = adapt(run, source=f"folder:{data}", target=folder, out=out, method=method, tuning=FEW)
        assert read_card(found.model).provenance["adapted"]["target"]["pictures"] == 1


@pytest.mark.parametrize("method", ["style", "self-training"])
def test_a_stopped_stage_leaves_no_model_and_goes_on_to_the_same_weights(
    method: str, data: Path, run: Path, night: Path, style: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"source": f"folder:{data}", "target": night, "method": method}
    given |= {"tuning": Tuning(steps=4, batch=2, workers=0), "device": "cpu"}
    given |= {"style": style} if method == "style" else {}
    adapt(run, out=tmp_path / "whole", **given)
    steps = iter(range(9))

    def stop(*arguments: Any) -> float:
        if next(steps) == 2:
            signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    real = training.take
    monkeypatch.setattr(training, "take", stop)
    with pytest.raises(Interrupted, match="go on with"):
        adapt(run, out=tmp_path / "stopped", **given)
    monkeypatch.undo()
    out = tmp_path / "stopped"
    assert [path.name for path in out.iterdir()] == [f"1-{method}"]
    assert not (out / f"1-{method}/model.safetensors").exists() and not list(out.rglob("*.part"))
    train(resume=out / f"1-{method}", device="cpu")
    assert same_weights(out / f"1-{method}/model.safetensors", tmp_path / f"whole/1-{method}/model.safetensors")


def test_workers_change_nothing(data: Path, run: Path, night: Path, tmp_path: Path) -> None:
    models = []
    for workers in (0, 2):
        tuning = Tuning(steps=3, batch=4, workers=workers)
        where = {"source": f"folder:{data}", "target": night, "out": tmp_path / str(workers)}
        models.append(adapt(run, method="fourier", tuning=tuning, device="cpu", **where).model)  # type: ignore[arg-type]
    assert same_weights(*models)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"method": "stile"}, RecipeError, "no method 'stile', did you mean style"),
        ({"method": "none+style"}, RecipeError, "none by itself"),
        ({"method": "fourier+fourier"}, RecipeError, "each method once"),
        ({"method": "fourier", "style": "STYLE"}, RecipeError, "of use to method style alone"),
        ({"method": "style", "style": "MODEL"}, ModelFileError, "a segmentation model, give it as MODEL"),
        ({"model": "STYLE"}, ModelFileError, "a style network"),
        ({"model": "missing"}, ModelFileError, "no such model file"),
        ({"target": "EMPTY"}, DatasetError, "no pictures in it"),
        ({"target": "nights"}, DatasetError, "unknown data set nights"),
        ({"source": "OTHER"}, DatasetError, "classes are not the model's"),
        ({"score": "OTHER"}, DatasetError, "classes are not the model's"),
        ({"source": "streets"}, DatasetError, "13 classes are not the model's 3"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    changes: dict[str, str],
    error: type[TarsiaError],
    message: str,
    data: Path,
    run: Path,
    night: Path,
    style: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    other = write_folder(tmp_path / "other", 2, 2, (32, 32), ("ground", "box", "ball"))
    words = {
        "STYLE": style,
        "MODEL": run / "model.safetensors",
        "EMPTY": tmp_path / "empty",
        "OTHER": f"folder:{other}",
    }
    given: dict[str, Any] = {"model": run, "source": f"folder:{data}", "target": night, "method": "histogram"}
    given |= {key: words.get(value, value) for key, value in changes.items()}
    with pytest.raises(error, match=message):
        adapt(given.pop("model"), out=tmp_path / "out", tuning=FEW, **given)
    assert not (tmp_path / "out").exists()


def test_style_without_a_file_trains_one_on_the_models_encoder(
    data: Path, run: Path, night: Path, tmp_path: Path
) -> None:
    tuning = Tuning(steps=1, batch=2, workers=0, style_steps=2)
    found = adapt(run, source=f"folder:{data}", target=night, out=tmp_path, method="style", tuning=tuning)
    facts = read_card(found.model).provenance["adapted"]
    assert facts["style"]["file"] == str(tmp_path / "style.safetensors")
    assert load_style(tmp_path / "style.safetensors")[1].provenance["steps"] == 2


def test_a_later_adaptation_into_the_same_folder(data: Path, run: Path, night: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"source": f"folder:{data}", "target": night, "out": tmp_path, "tuning": FEW}
    adapt(run, method="none", **given)
    with pytest.raises(OutputError, match="overwrite=True"):
        adapt(run, method="batch-norm", **given)
    found = adapt(run, method="batch-norm", overwrite=True, **given)
    assert read_card(found.model).provenance["adapted"]["method"] == "batch-norm"


def test_stages() -> None:
    assert stages_of("style + self-training+batch-norm") == ["style", "self-training", "batch-norm"]


def test_the_section_of_a_recipe() -> None:
    tree = {"data": {"name": "streets"}, "model": {"name": "unet"}}
    for section, message in (
        ({"target": "x", "method": "style"}, "style: a file"),
        ({"target": "x", "method": "fourier", "style": "f"}, "for method style and no other"),
        ({"target": "x", "method": "self-training"}, "train.start_from"),
        ({"target": "x", "method": "fourier", "share": 2}, "share"),
    ):
        with pytest.raises(ValueError, match=message):
            Recipe.model_validate(tree | {"adapt": section})
    assert Recipe.model_validate(tree).adapt is None


def test_a_style_file_is_not_replaced_unasked(data: Path, night: Path, style: Path) -> None:
    with pytest.raises(RecipeError, match="overwrite=True"):
        train_style(f"folder:{data}", night, style, encoder="test_resnet", weights="none", steps=1)


def test_a_style_network_on_the_encoder_of_a_model(data: Path, run: Path, night: Path, tmp_path: Path) -> None:
    out = tmp_path / "style.safetensors"
    card = train_style(f"folder:{data}", night, out, encoder=str(run), steps=1, device="cpu", batch=2)
    assert card.encoder == "test_resnet" and card.provenance["encoder_weights"] == str(run / "model.safetensors")
    assert card.provenance["style"]["pictures"] == 4


def test_a_style_network_as_published(data: Path, night: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"encoder": "test_resnet", "weights": "none", "steps": 1, "device": "cpu", "batch": 2}
    card = train_style(f"folder:{data}", night, tmp_path / "a.safetensors", published=True, **given)
    assert (card.generator, card.skips) == ("mirrored", "none")
    said = card.provenance["training"]
    assert (said["stages_weight"], said["identity_weight"], said["norm"]) == (0, 0, "l2")
    usual = train_style(f"folder:{data}", night, tmp_path / "b.safetensors", **given)
    assert (usual.generator, usual.skips) == ("plain", "picture")
    assert usual.provenance["training"]["stages_weight"] == usual.provenance["training"]["identity_weight"] == 1
    some = train_style(f"folder:{data}", night, tmp_path / "c.safetensors", published=True, skips="maps", **given)
    assert (some.generator, some.skips) == ("mirrored", "maps"), "what is given wins"
    for wrong in ({"skips": "all"}, {"generator": "deep"}, {"stride": 1}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            train_style(f"folder:{data}", night, tmp_path / "d.safetensors", **given, **wrong)


# ---- the command line


def tarsia(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    console.quiet(False)
    return int(ended.value.code or 0)


def test_command_line(
    data: Path,
    run: Path,
    night: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = f"folder:{data}"
    made = ("--encoder", "test_resnet", "--weights", "none", "--steps", "2", "--batch", "2", "-q")
    train_it = ("adapt", "--train-style", "--content", spec, "--style", night, "--out", "s.safetensors", *made)
    assert tarsia(monkeypatch, *train_it) == 0
    assert "Style file: s.safetensors" in capsys.readouterr().out
    chosen = ("--published", "--identity-weight", "0.5", "--overwrite")
    assert tarsia(monkeypatch, *train_it, *chosen) == 0
    card = load_style("s.safetensors")[1]
    assert card.generator == "mirrored" and card.provenance["training"]["identity_weight"] == 0.5
    capsys.readouterr()
    common = ("adapt", run, "--source", spec, "--target", night, "--steps", "2", "--batch", "2", "-q")
    assert tarsia(monkeypatch, *common, "--style", "s.safetensors", "--score", spec, "--out", "out") == 0
    printed = capsys.readouterr().out
    assert "after" in printed and "Adapted: out/model.safetensors" in printed
    assert tarsia(monkeypatch, *common, "--method", "histogram", "--json") == 0
    assert json.loads(capsys.readouterr().out)["method"] == "histogram"
    assert (tmp_path / "runs/adapt-histogram/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("RUN",), "adapt needs MODEL and --target"),
        (("--train-style", "--content", "streets"), "--train-style needs --content, --style and --out"),
        (("RUN", "--source", "streets", "--target", "streets", "--method", "nothing"), "no method 'nothing'"),
        (("RUN", "--target", "streets", "--norm", "l2"), "--norm are for --train-style"),
    ],
)
def test_command_line_faults(
    arguments: tuple[str, ...],
    message: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tarsia(monkeypatch, "adapt", *(run if word == "RUN" else word for word in arguments)) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_every_method_is_named_in_the_help() -> None:
    assert set(METHODS) == {"none", "batch-norm", *adapting.LEARNED} and set(adapting.RESTYLING) < set(METHODS)

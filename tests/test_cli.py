"""The command line: what each command prints, and the path from a recipe to predictions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from small_data import tiny, write_folder
from tarsia import __doc__ as package_text
from tarsia import cli, console, demonstrating
from tarsia.recipe import Recipe

COMMANDS = (
    "demo",
    "check",
    "convert",
    "shard",
    "recipe",
    "train",
    "evaluate",
    "compare",
    "adapt",
    "export",
    "plan",
    "predict",
    "serve",
    "models",
    "datasets",
    "info",
)
Tarsia = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tarsia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tarsia:
    """`tarsia(arguments...)` -> exit code, standard output, standard error; run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("cli") / "data", 6, 3, (32, 32))


@pytest.fixture(scope="module")
def recipe(data: Path) -> Path:
    path = data.parent / "small.yaml"
    path.write_text(yaml.safe_dump(tiny(data)))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    from tarsia.training import train

    return train(recipe, out=recipe.parent / "run")


def test_help_loads_nothing_heavy() -> None:
    """Half a second is promised; what would take it is named here, since a busy machine's clock proves nothing."""
    code = "import sys, tarsia.cli\nsys.argv = ['tarsia', 'train', '--help']\ntry: tarsia.cli.main()\nfinally: "
    heavy = "print([n for n in ('torch', 'numpy', 'pydantic', 'PIL', 'matplotlib') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("[]"), done.stdout


def test_help_lists_the_commands(tarsia: Tarsia) -> None:
    for arguments in ((), ("--help",)):
        code, out, err = tarsia(*arguments)
        assert code == 0 and not err
        assert {name for name in COMMANDS if re.search(rf"^│ {name} ", out, re.MULTILINE)} == set(COMMANDS)
    assert tarsia("--version")[1].strip() == __import__("importlib.metadata").metadata.version("tarsia")


def test_help_is_a_word_too(tarsia: Tarsia) -> None:
    assert tarsia("help") == tarsia("--help")
    for command in ("train", "models"):
        assert tarsia("help", command) == tarsia(command, "--help")
    code, out, err = tarsia("help", "trian")
    assert code == 2 and not out and 'Unknown command "trian"' in err and "train" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_to_try(tarsia: Tarsia, command: str) -> None:
    code, out, _ = tarsia(command, "--help")
    assert code == 0 and "Try:" in out and f"tarsia {command}" in out.partition("Try:")[2]


def test_the_words_of_help_are_those_of_the_command_line(tarsia: Tarsia) -> None:
    """Every option that an example uses exists."""
    for command in COMMANDS:
        out = tarsia(command, "--help")[1]
        examples, options = out.partition("Try:")[2].partition("╭")[0], out.partition("╭")[2]
        for option in re.findall(r"--[a-z-]+", examples):
            assert option in options, f"{command}: {option}"


def test_help_names_arguments_and_says_no_default_that_is_nothing(tarsia: Tarsia) -> None:
    usages = {command: tarsia(command, "--help")[1].splitlines()[0] for command in COMMANDS}
    assert usages["train"] == "Usage: tarsia train [RECIPE] [OPTIONS]"
    assert usages["predict"] == "Usage: tarsia predict [MODEL] [PATHS...] [OPTIONS]"
    assert usages["convert"] == "Usage: tarsia convert SOURCE --to TO [OPTIONS]"
    assert not any("ARGS" in usage for usage in usages.values())
    for command in COMMANDS:
        out = tarsia(command, "--help")[1]
        assert not re.search(r"\[default: (False|\(\)|None|)\]", out), command
    assert "[default: auto]" in tarsia("train", "--help")[1]
    assert "[default: 0.0]" in tarsia("predict", "--help")[1]  # a number is something


def test_the_version_has_a_short_flag(tarsia: Tarsia) -> None:
    assert tarsia("-v")[1] == tarsia("--version")[1] != ""


def test_every_command_may_be_quiet_and_answers_a_program(tarsia: Tarsia) -> None:
    options = {command: tarsia(command, "--help")[1] for command in (*COMMANDS, "init")}
    assert not [command for command, told in options.items() if "--json" not in told]
    assert not [command for command, told in options.items() if "-q" not in told]


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path), "SHELL": "/bin/bash"}
    subprocess.run([sys.executable, "-m", "tarsia", "--install-completion"], env=home, check=True, capture_output=True)
    script = next(tmp_path.rglob("completions/tarsia"))
    ask = f"source {script}; COMP_WORDS=(tarsia $@); COMP_CWORD=$#; _tarsia; echo ${{COMPREPLY[@]}}"
    for words, found in ((["tra"], "train"), (["train", "--min"], "--minutes")):
        done = subprocess.run(["bash", "-c", ask, "bash", *words], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [found]


def test_models_lists_the_folder(tarsia: Tarsia, monkeypatch: pytest.MonkeyPatch) -> None:
    from tarsia import models

    code, out, _ = tarsia("models")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if " M " in line] == models.names()
    monkeypatch.setattr(models, "names", lambda: ["fcn", "fpn"])
    listed = json.loads(tarsia("models", "--json")[1])
    assert [one["name"] for one in listed] == ["fcn", "fpn"]
    assert listed[0]["parameters"] > 134e6 and listed[0]["size"] == [384, 480] and listed[0]["encoder"] == "vgg16_bn"


def test_models_lists_the_options_of_one(tarsia: Tarsia) -> None:
    code, out, _ = tarsia("models", "unet")
    assert code == 0 and out.startswith("unet: an encoder's maps") and "MICCAI 2015" in out
    assert any(line.startswith("    encoder = resnet18  (any name of") for line in out.splitlines())
    assert json.loads(tarsia("models", "unet", "--json")[1])["options"]["encoder"]["default"] == "resnet18"
    code, out, _ = tarsia("models", "msanet", "--classes", "21")
    assert code == 0 and "With the defaults and 21 classes: 19,558,293 parameters" in out
    assert json.loads(tarsia("models", "msanet", "--classes", "2", "--json")[1])["classes"] == 2
    assert tarsia("models", "--classes", "256")[0] == 2
    code, out, err = tarsia("models", "unett")
    assert (code, out) == (2, "") and "did you mean unet?" in err


def test_datasets_lists_the_folder(tarsia: Tarsia) -> None:
    from tarsia import data

    code, out, _ = tarsia("datasets")
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == data.names()
    assert all(len(line.partition(": ")[2]) > 20 for line in out.splitlines())


def test_info_of_this_machine(tarsia: Tarsia) -> None:
    code, out, _ = tarsia("info")
    assert code == 0 and "versions:" in out and "processor: " in out
    assert {"versions", "commit", "cores"} <= json.loads(tarsia("info", "--json")[1]).keys()


def test_info_of_a_model(tarsia: Tarsia, run: Path) -> None:
    code, out, _ = tarsia("info", run)
    assert code == 0 and out.startswith("unet: 3 classes, pictures of 3 bands, val mIoU 0.")
    assert yaml.safe_load(out.partition("\n")[2])["classes"]["names"] == ["ground", "box", "disc"]
    card = json.loads(tarsia("info", run / "last.safetensors", "--json")[1])
    assert card["classes"]["names"] == ["ground", "box", "disc"] and card["provenance"]["epoch"] == 1


def test_from_a_recipe_to_predictions(tarsia: Tarsia, recipe: Path, data: Path, tmp_path: Path) -> None:
    """train -> evaluate -> predict, each in its default folder; what train says next is what works next."""
    code, out, err = tarsia("train", recipe, "--set", "train.steps_per_epoch=2", "--seed", 3)
    assert code == 0, err
    assert "mean" in out and "disc" in out and "epoch 1: train_loss" in err
    assert "Run folder: runs/tiny (open runs/tiny/report.html)" in out
    following = out.partition("Next: ")[2].strip().split("; ")
    assert following == ["tarsia evaluate runs/tiny", "tarsia predict runs/tiny PICTURE"]
    assert Recipe.load("runs/tiny/recipe.yaml").seed == 3
    trained = json.loads(Path("runs/tiny/report.json").read_text())["miou"]
    code, out, _ = tarsia("train", "--resume", "runs/tiny", "--json", "-q")
    said = json.loads(out)
    assert code == 0 and said["folder"] == "runs/tiny" and said["report"]["miou"] == trained

    code, out, _ = tarsia(*following[0].split()[1:])
    assert code == 0 and f"mIoU {trained:.4f}; report: runs/evaluate-folder-val/report.html" in out
    code, out, _ = tarsia(*following[0].split()[1:], "--json", "-q", "--tta", "flip", "--split", "train")
    assert code == 0 and json.loads(out)["protocol"]["images"] == 6
    assert Path("runs/evaluate-folder-train/report.json").read_text() == out

    picture = data / "val/images/val00.png"
    code, out, _ = tarsia(*following[1].replace("PICTURE", str(picture)).split()[1:])
    assert code == 0 and "1 done, 0 failed; results in runs/predict" in out
    with Image.open("runs/predict/val00.png") as label:
        assert label.size == (32, 32) and label.mode == "P"
    code, out, _ = tarsia("predict", "runs/tiny", data / "val/images", "--out", "seen", "--json", "-q")
    assert code == 0 and len(json.loads(out)["pictures"]) == 3 and Path("seen/val02_overlay.jpg").is_file()


def test_a_bad_picture_does_not_stop_the_others(tarsia: Tarsia, run: Path, data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 no picture")
    code, out, err = tarsia("predict", run, bad, data / "val/images/val01.png", "--out", "seen")
    assert code == 2 and "1 done, 1 failed" in out
    assert err.count("bad.jpg") == 1 and "Traceback" not in err and Path("seen/val01.png").is_file()


@pytest.mark.parametrize("name", ["seen2.jpg", "seen2.PNG", "deep/seen2.tif", "seen2.mp4"])
def test_a_picture_is_no_folder_to_predict_into(tarsia: Tarsia, run: Path, data: Path, name: str) -> None:
    picture = next((data / "val/images").iterdir())
    code, out, err = tarsia("predict", run, picture, "--out", name)
    folder = name.rpartition(".")[0]
    assert code == 2 and not out and not any(Path().iterdir())
    told = "results are written into a folder, each named after its picture, and this is a file's name"
    assert err == f"tarsia: --out {name}: {told}: write --out {folder}\n"
    Path(name).mkdir(parents=True)
    assert tarsia("predict", run, picture, "--out", name)[0] == 0  # it is a folder


def test_predictions_of_others_are_scored(tarsia: Tarsia, data: Path) -> None:
    code, out, _ = tarsia("evaluate", "--predictions", data / "val/labels", "--data", f"folder:{data}", "--out", "s")
    assert code == 0 and "mIoU 1.0000; report: s/report.html" in out


def test_the_split_may_stand_in_the_data_set(tarsia: Tarsia, run: Path, data: Path) -> None:
    code, out, _ = tarsia("evaluate", run, "--data", f"folder:{data},split=train", "--json", "-q", "--pictures", 0)
    assert code == 0
    assert json.loads(out)["protocol"]["split"] == "train" and not list(Path("runs").rglob("worst-*"))


def test_overwrite(tarsia: Tarsia, run: Path, data: Path) -> None:
    arguments = ("evaluate", run, "--data", f"folder:{data}", "--out", "scores", "--pictures", 1)
    assert tarsia(*arguments)[0] == 0
    code, _, err = tarsia(*arguments)
    assert code == 2 and "--overwrite" in err
    assert tarsia(*arguments, "--overwrite")[0] == 0


def test_quiet_says_nothing_but_results(tarsia: Tarsia, recipe: Path) -> None:
    code, out, err = tarsia("train", recipe, "-q", "--set", "data.val=null", "--out", "run")
    assert code == 0 and err == "" and out.startswith("Run folder: run\n")


def test_offline_reaches_for_no_hub(tarsia: Tarsia, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # so that it is undone
    tarsia("train", recipe, "--offline", "--set", "train.class_weights=[1.0]")
    assert cli.os.environ["HF_HUB_OFFLINE"] == "1"


def test_demo(tarsia: Tarsia, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a training that takes a moment; once more it trains again, it does not go on with the earlier one."""
    whole = demonstrating.recipe

    def short(out: Path, seed: int = 0) -> Recipe:
        full = whole(out, seed)
        options = {"count": 4, "size": (64, 96)}
        computed = {"precision": "float32", "memory_format": "contiguous"}
        few_steps = {"epochs": 1, "steps_per_epoch": 2, "batch": 4, "workers": 0}
        train = full.train.model_copy(update=few_steps | computed)
        few = full.data.model_dump() | options | {"val_options": {"count": 2}}
        return full.model_copy(update={"train": train, "data": type(full.data).model_validate(few)})

    monkeypatch.setattr(demonstrating, "recipe", short)
    monkeypatch.setattr(demonstrating, "_SHOWN", 1)
    for _ in range(2):
        code, out, err = tarsia("demo", "--out", "shown")
        assert code == 0, err
        assert "epoch 1: train_loss" in err and "finished already" not in err
        assert "Open:  shown/report.html" in out and "Next:  tarsia predict shown YOUR_PICTURE.jpg" in out
        assert len(list(Path("shown/predictions").glob("*_overlay.jpg"))) == 1
        assert Path("shown/report.json").is_file()
    code, out, err = tarsia("demo", "--out", "shown", "--json", "-q")
    made = json.loads(out)
    assert (code, err) == (0, "") and made["folder"] == "shown" and Path(made["predictions"]).is_dir()
    assert made["report"] == json.loads(Path("shown/report.json").read_text()) and made["seconds"] > 0


def test_the_demo_recipe_is_a_sound_one(tmp_path: Path) -> None:
    from tarsia import yaml_tree

    yaml_tree.dump(tmp_path / "demo.yaml", demonstrating.recipe(tmp_path, 7))
    found, wanted = Recipe.load(tmp_path / "demo.yaml"), demonstrating.recipe(tmp_path, 7)
    assert found.model_dump(mode="json") == wanted.model_dump(mode="json")


def test_asked_to_stop(tarsia: Tarsia, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C where nothing is to be saved, a reader that went away, and a training that was asked to stop."""
    from tarsia.learning.interrupt import Interrupted

    def fails(error: BaseException) -> None:
        monkeypatch.setattr(cli, "app", lambda *_, **__: (_ for _ in ()).throw(error))

    fails(KeyboardInterrupt())
    assert tarsia("info") == (130, "", "")
    fails(Interrupted(15, "saved"))
    assert tarsia("train") == (143, "", "tarsia: saved\n")
    fails(RuntimeError("a fault of Tarsia's own"))
    code, out, err = tarsia("train")
    assert (code, out) == (1, "") and err.startswith("Traceback") and "RuntimeError: a fault of Tarsia's own" in err


def test_a_reader_that_goes_away_is_no_error() -> None:
    for command in ("datasets", "info --json", "train --help"):  # `info` is the one that loads torch
        line = f"{sys.executable} -m tarsia {command} | true; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("0\n", ""), command


def test_the_package_says_how_it_is_used() -> None:
    assert package_text is not None and "tarsia.train(" in package_text and "tarsia.load(run)" in package_text


def test_a_picture_is_also_seen_in_another_style(tarsia: Tarsia, run: Path, data: Path) -> None:
    picture, looks = next((data / "val/images").iterdir()), data / "train/images"
    styled = ("--style", "histogram", "--reference", looks)
    code, out, err = tarsia("predict", run, picture, *styled, "--out", "seen")
    assert code == 0 and "1 done, 0 failed" in out, err
    code, _, err = tarsia("evaluate", run, "--data", f"folder:{data}", *styled, "--out", "scores")
    assert code == 0 and json.loads(Path("scores/report.json").read_text())["protocol"]["style"].startswith("histogram")
    for wrong in (styled[:2], styled[2:], (*styled, "--tile", "32")):
        code, _, err = tarsia("predict", run, picture, *wrong, "--out", "unseen")
        assert code == 2 and "--style" in err and not Path("unseen").exists()


def test_attention_is_drawn_where_the_network_has_it(tarsia: Tarsia, run: Path, data: Path, tmp_path: Path) -> None:
    from tarsia import models
    from tarsia.card import Card, Classes, Input
    from tarsia.engines.weights import save_model

    classes = Classes(names=("a", "b"), colors=((0, 0, 0), (9, 9, 9)))
    card = Card(architecture="msanet", model={"width": 0.02}, classes=classes, input=Input(stride=8))
    save_model(tmp_path / "msanet.safetensors", models.create("msanet", 2, options={"width": 0.02}), card)
    picture = next((data / "val/images").iterdir())
    code, out, err = tarsia("predict", "msanet.safetensors", picture, "--attention", "--out", "seen")
    assert code == 0 and "1 done, 0 failed" in out, err
    assert {path.name.removeprefix(picture.stem) for path in Path("seen").iterdir()} == {
        ".png",
        "_overlay.jpg",
        "_attention.jpg",
        "shares.json",
        ".predict.jsonl",  # what --resume reads
    }
    whole = Image.open("seen/" + picture.stem + "_attention.jpg").size
    code, out, err = tarsia("predict", "msanet.safetensors", picture, "--attention-at", "3,2", "--out", "again")
    assert code == 0 and Image.open("again/" + picture.stem + "_attention.jpg").width > whole[0], err
    for wrong, said in (("3", "expected X,Y"), ("3,b", "expected X,Y"), ("9999,0", "--attention-at is 9999,0")):
        code, out, err = tarsia("predict", "msanet.safetensors", picture, "--attention-at", wrong, "--out", "wrong")
        assert code == 2 and said in err
    code, out, err = tarsia("predict", run, picture, "--attention", "--out", "unseen")
    assert code == 2 and not out and not Path("unseen").exists()
    (line,) = [line for line in err.splitlines() if line.startswith("tarsia: ")]
    assert "this unet has no attention to draw: networks that have it: " in line and "msanet" in line

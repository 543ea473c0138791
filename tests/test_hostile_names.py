"""Every command, with classes, files, folders and models whose names are made to harm: `WALKS` has a walk for each.

Nothing that is printed, logged or shown on a page moves a cursor, turns the direction of writing, forges a line or is
markup; no walk ends in a traceback.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from small_data import draw, tiny
from tarsia import cli, console
from tarsia.plain_text import plain

pytestmark = pytest.mark.timeout(1800)
# In a class's name anything may stand; in a file's neither a slash nor a byte that the file system does not take.
CLASSES = (
    *("[/red][bold]x", "\x1b]0;pwn\x07\x1b[31mred", "$x^{2$", "two\nlines", "\u202edlog", "<script>alert(1)</script>"),
    *("{{7*7}}", "=1+1", "\x9b31m\x7f", "{task.description}", "100% %s \\textbf{a}"),
)
FILES = (
    *("[bold]x", "\x1b]0;pwn\x07\x1b[31mred", "$x^{2$", "two\nlines", "\u202edlog", "<script>alert(1)<script>"),
    *("{{7*7}}", "=1+1", "\x9b31m\x7f", "-rf", "\udcff\udc80"),
)
FOLDER = "\x1b[31m[bold]\u202e\n<b>$(touch pwned)"


def call(*words: object) -> tuple[int, str]:
    """A command in this process -> exit code and all that it printed."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", ["tarsia", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    console.quiet(False)
    assert "Traceback" not in said.getvalue(), said.getvalue()
    harmless(said.getvalue())
    return int(ended.value.code or 0), said.getvalue()


def harmless(text: str) -> None:
    bad = {character for character in text if not character.isprintable()} - {"\n"}
    assert not bad, f"{bad!r} in {plain(text, lines=True)}"


def pages(folder: Path) -> None:
    """What was written to be read: logs, pages and tables."""
    found = [path for path in folder.rglob("*") if path.suffix in (".txt", ".html", ".tex") and path.is_file()]
    for path in found:
        text = path.read_text(encoding="utf-8")
        harmless(text)
        assert path.suffix != ".html" or "<script>alert" not in text
    assert found


class Place:
    """Pictures, labels and a trained run, all under hostile names."""

    def __init__(self, root: Path) -> None:
        self.data, self.run, self.masks = root / FOLDER, root / f"run {FOLDER}", root / "masks"
        random = np.random.default_rng(0)
        for index, name in enumerate(FILES):
            for split in ("train", "val"):
                for kind in ("images", "labels"):
                    (self.data / split / kind).mkdir(parents=True, exist_ok=True)
                image, _ = draw(index, (32, 32))
                label = random.integers(0, len(CLASSES), (4, 4), np.uint8).repeat(8, 0).repeat(8, 1)
                Image.fromarray(image + (split == "val")).save(self.data / split / "images" / f"{name}.png")
                Image.fromarray(label).save(self.data / split / "labels" / f"{name}.png")
        splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")}
        (self.data / "dataset.yaml").write_text(yaml.safe_dump({"classes": list(CLASSES), "splits": splits}))
        tree = tiny(self.data, batch=6)
        tree["name"] = FOLDER.replace("/", "")
        self.recipe = root / f"{FOLDER}.yaml"
        self.recipe.write_text(yaml.safe_dump(tree))
        code, self.said = call("train", self.recipe, "--out", self.run)
        assert code == 0, self.said

    @functools.cached_property
    def exported(self) -> tuple[Path, str]:
        """The model as ONNX, and what was printed."""
        out = self.run.parent / f"{FOLDER}.onnx"
        code, said = call("export", self.run, "--images", "1", "--tolerance", "1", "--out", out)
        assert code == 0, said
        return out, said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("hostile"))


def train(place: Place, out: Path) -> None:
    for name in CLASSES:
        assert plain(name) in place.said
    pages(place.run)
    assert call("train", place.recipe, "--set", f"{FOLDER}=1")[0] == 2
    assert call("train", place.recipe, "--set", json.dumps(f"data.{FOLDER}"))[0] == 2
    assert call("train", "--resume", place.run)[0] == 0
    code, said = call("train", place.recipe, "--out", out / "\udcff")
    assert code == 2 and "UTF-8" in said and not out.exists()


def evaluate(place: Place, out: Path) -> None:
    code, said = call("evaluate", place.run, "--out", out)
    assert code == 0 and all(plain(name) in said for name in CLASSES), said
    pages(out)
    code, said = call("evaluate", place.run, "--out", out / "json", "--json", "-q")
    assert code == 0 and [one["name"] for one in json.loads(said)["classes"]] == list(CLASSES)


def compare(place: Place, out: Path) -> None:
    assert call("evaluate", place.run, "--out", out / f"A {FOLDER}", "--tta", "flip", "-q")[0] == 0
    given = ("compare", place.run, out / f"A {FOLDER}", "--no-pool", "--data", f"folder:{place.data}")
    code, said = call(*given, "--out", out / "B", "--permutations", "100", "--resamples", "100")
    assert code == 0, said
    pages(out / "B")


def adapt(place: Place, out: Path) -> None:
    given = ("--method", "batch-norm", "--steps", "1", "--batch", "2", "--score", f"folder:{place.data}")
    code, said = call("adapt", place.run, "--target", place.data / "val/images", *given, "--out", out / FOLDER)
    assert code == 0, said


def export(place: Place, out: Path) -> None:
    path, said = place.exported
    assert path.is_file() and all(plain(name)[:8] in said for name in CLASSES), said


def predict(place: Place, out: Path) -> None:
    folder = place.data / "val/images"
    (out / FOLDER).mkdir(parents=True)
    (out / FOLDER / "no picture\x1b[31m.png").write_text("none")
    save = "label,overlay,confidence,geojson,coco,csv,shares"
    code, said = call("predict", place.run, folder, out / FOLDER, "--out", out / "seen", "--save", save)
    assert code == 2 and f"{len(FILES)} done, 1 failed" in said, said
    code, said = call("predict", place.run, folder, "--out", out / "again", "--json", "-q")
    assert code == 0 and json.loads(said)["classes"] == list(CLASSES)
    assert call("predict", place.run, folder, "--out", out / "one", "--only", "nothing\x1b[31m")[0] == 2


def plan(place: Place, out: Path) -> None:
    folder = place.data / "val/images"
    code, said = call("plan", folder, "--out", out / FOLDER)
    assert code == 0, said
    assert call("predict", place.exported[0], "--job", out / FOLDER, "--processes", 1)[0] == 0
    assert call("predict", place.exported[0], "--job", out / FOLDER, "--status")[0] == 0
    assert call("plan", f"{folder}{FOLDER}", "--out", out / "none")[0] == 2


def check(place: Place, out: Path) -> None:
    code, said = call("check", f"folder:{place.data}", "--out", out / FOLDER)
    assert code in (0, 1, 2) and "Report: " in said, said
    pages(out / FOLDER)
    code, said = call("check", f"folder:{place.data}", "--fix", "--out", out / "fixed")
    assert code in (0, 1, 2) and "written to" in said, said
    assert call("check", f"folder:{place.data}{FOLDER}")[0] == 2


def convert(place: Place, out: Path) -> None:
    listed = out / f"{FOLDER}.txt"
    out.mkdir(parents=True)
    listed.write_text("".join(f"{name}\n" for name in CLASSES))
    code, said = call("convert", place.data / "val/labels", "--images", place.data / "val/images", "--to", out / FOLDER)
    assert code in (0, 2), said
    given = ("convert", place.data / "val/labels", "--images", place.data / "val/images", "--classes", listed)
    assert call(*given, "--to", out / "named")[0] in (0, 2)


def shard(place: Place, out: Path) -> None:
    code, said = call("shard", f"folder:{place.data}", "--to", out / FOLDER)
    assert code == 0 and "next: tarsia check" in said, said
    assert call("shard", f"folder:{place.data}", "--to", out / FOLDER)[0] == 2
    assert call("check", f"shards:{out / FOLDER}", "--out", out / "seen")[0] in (0, 1)


def serve(place: Place, out: Path) -> None:
    assert call("serve", f"\x1b[31m[bold]={place.run}")[0] == 2
    command = [sys.executable, "-m", "tarsia", "serve", f"a={place.exported[0]}", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = ""
    while (address := re.search(r"http://[\d.:]+", said)) is None:
        line = process.stdout.readline()
        assert line, said
        said += line
    with urllib.request.urlopen(f"{address[0]}/v1/models", timeout=120) as answer:
        assert list(CLASSES) == [one["name"] for one in json.load(answer)["models"][0]["classes"]]
    request = urllib.request.Request(f"{address[0]}/v1/segment?model=%1b[31m", data=b"none", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=120)
    harmless(refused.value.read().decode())
    process.send_signal(signal.SIGTERM)
    harmless(said + process.communicate(timeout=120)[0])


def models(place: Place, out: Path) -> None:
    for name in CLASSES:
        assert call("models", name)[0] == 2


def datasets(place: Place, out: Path) -> None:
    assert call("datasets")[0] == 0


def info(place: Place, out: Path) -> None:
    assert call("info", place.run)[0] == 0
    code, said = call("info", place.run, "--json")
    assert code == 0 and json.loads(said)["classes"]["names"] == list(CLASSES)
    assert call("info", out / FOLDER)[0] == 2
    out.mkdir()
    shutil.copy(place.run / "model.safetensors", odd := out / "\udcff.safetensors")
    code, said = call("evaluate", odd)
    assert code == 2 and r"\udcff.safetensors: a model file has a path that is UTF-8 text" in said


def demo(place: Place, out: Path) -> None:
    (out / FOLDER).mkdir(parents=True)
    (out / FOLDER / "mine").touch()
    assert call("demo", "--out", out / FOLDER)[0] == 2


def init(place: Place, out: Path) -> None:
    shutil.copytree(place.data, out / FOLDER)
    (out / FOLDER / "dataset.yaml").unlink()
    code, said = call("init", out / FOLDER)
    assert code in (0, 1), said
    harmless(said)


def recipe(place: Place, out: Path) -> None:
    out.mkdir()
    given = ("recipe", place.data, "--minutes", "0.3", "--offline", "--set", "model.encoder=mobilenetv1_100")
    code, said = call(*given, "--out", out / f"{FOLDER.replace('/', '')}.yaml")
    assert code == 0 and "plan" in said, said
    code, said = call(*given, "-q")
    assert code == 0 and "why" not in said, said
    assert call("recipe", place.run)[0] == 0
    assert call("recipe", f"{place.data}{FOLDER}")[0] == 2


WALKS: dict[str, Callable[[Place, Path], None]] = {
    walk.__name__: walk
    for walk in (
        train,
        evaluate,
        compare,
        adapt,
        export,
        predict,
        check,
        convert,
        shard,
        plan,
        serve,
        models,
        datasets,
        info,
        demo,
        init,
        recipe,
    )
}


def test_every_command_has_a_walk() -> None:
    assert set(WALKS) == set(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_walk_with_hostile_names(command: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    WALKS[command](place, tmp_path / "out")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_hostile_word(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of a model, a data set, an option: exit code 2 and a message, or nothing to say."""
    monkeypatch.chdir(tmp_path)
    for word in (FOLDER, f"--{FOLDER}", os.fsdecode(b"\xff\x9b")):
        code, said = call(command, word, word)
        assert code == 2 and said

"""Every command that is printed is given to a shell as it stands, in a folder whose name holds spaces.

`tarsia` on the shell's path is the program itself, forked from one that has imported torch, which also notes what
`plain_text.command` makes.  Only the words in capitals are filled in, from `PLACEHOLDERS`.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from forked_programs import forked
from small_data import draw, tiny
from tarsia.cli import COMMANDS, app

pytestmark = pytest.mark.timeout(1800)  # a dozen programs one after the other, on a machine that may be busy
PLACEHOLDERS = {"PICTURE": "'pictures/scene (1).png'", "FOLDER": "'a fixed copy'", "RECIPE": "'my recipe.yaml'"}
COLORS = np.array([[10, 10, 10], [200, 60, 40], [40, 80, 210]], np.uint8)
NOTING = """
import os, sys
from PIL import Image
from tarsia import plain_text
from tarsia.evaluation import plots
plots._save = lambda figure, path: Image.new("RGB", (9, 9)).save(path)  # white, as in other tests
made = plain_text.command
def command(*words):
    line = made(*words)
    if line != made(*sys.argv[1:]):  # that one is the record of a report
        with open(os.environ.get("MADE_COMMANDS", os.devnull), "a", encoding="utf-8") as file:
            file.write(line + "\\n")
    return line
plain_text.command = command
"""


class Shell:
    """A shell in a folder of its own; `run` gives the commands that were made on the way and printed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.program = folder, folder / "bin" / "tarsia"
        self.program.parent.mkdir()
        self.made = folder / "bin" / "made"

    def start(self, line: str) -> subprocess.Popen[str]:
        self.made.write_text("")
        filled = re.sub(r"\b(PICTURE|FOLDER|RECIPE)\b", lambda word: PLACEHOLDERS[word[1]], line)
        path = f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "MADE_COMMANDS": str(self.made)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(["bash", "-c", f"exec {filled}"], cwd=self.folder, env=environment, **streams)

    def run(self, line: str, *codes: int) -> tuple[list[str], str]:
        process = self.start(line)
        said, _ = process.communicate(timeout=600)
        assert process.returncode in (codes or (0,)), f"{line}\n{said}"
        assert "Traceback" not in said
        made = dict.fromkeys(self.made.read_text(encoding="utf-8").splitlines())
        return [line for line in made if line in said], said


def write_masks(folder: Path) -> None:
    """Pictures and colour masks with spaces in their names, a class list, and a recipe."""
    for place in ("pictures", "colour masks"):
        (folder / place).mkdir(parents=True)
    for index in range(8):
        image, label = draw(index, (32, 32))
        Image.fromarray(image).save(folder / "pictures" / f"scene ({index}).png")
        Image.fromarray(COLORS[label]).save(folder / "colour masks" / f"scene ({index}).png")
    names = ("back ground", "box", "disc")
    lines = [f"{name}, {', '.join(map(str, color))}" for name, color in zip(names, COLORS.tolist(), strict=True)]
    (folder / "the classes.txt").write_text("\n".join(lines) + "\n")
    recipe = tiny({"name": "streets"}, batch=2)
    recipe["name"], recipe["data"] = "a run", {"name": "streets"}
    (folder / "my recipe.yaml").write_text(yaml.safe_dump(recipe))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("printed") / "a folder, with 'spaces' (and more)"
    write_masks(folder)
    shell = Shell(folder)
    with forked(shell.program, NOTING):
        yield shell


@pytest.fixture(scope="module")
def trained(shell: Shell) -> list[str]:
    """A data set that was converted, and a run on it -> what train says next."""
    source = "tarsia convert 'colour masks' --images pictures --classes 'the classes.txt'"
    (check, train), said = shell.run(f"{source} --to 'my data, one'")
    assert f"Next: {check}; {train}" in said
    shell.run(check, 0, 1)
    assert train == "tarsia train 'my data, one' --minutes 10"
    shell.run(train.replace("--minutes 10", "--minutes 0.5"))
    following, said = shell.run("tarsia train RECIPE --set data.name=folder --set 'data.root=my data, one'")
    assert f"Next: {'; '.join(following)}" in said
    return following


def test_a_corrected_copy(shell: Shell, trained: list[str]) -> None:
    for place in ("images", "labels"):
        folder = shell.folder / "my data, one" / place
        shutil.copytree(folder, shell.folder / "twice, one" / place)
        shutil.copy(folder / "scene (1).png", shell.folder / "twice, one" / place / "copy.png")
    shutil.copy(shell.folder / "my data, one/dataset.yaml", shell.folder / "twice, one")
    (fix,), said = shell.run("tarsia check 'folder:\"twice, one\"'", 1, 2)
    assert fix in said and json.dumps(fix)[1:-1] in (shell.folder / "runs/check-folder-2/check.json").read_text()
    shell.run(fix, 0, 1, 2)  # which of them is for the tests of the doctor
    assert (shell.folder / "a fixed copy/dataset.yaml").is_file()


def test_what_train_says_next(shell: Shell, trained: list[str]) -> None:
    evaluate, predict = trained
    assert evaluate == "tarsia evaluate 'runs/a run'"
    shell.run(evaluate)
    shell.run(predict)


def test_what_an_error_and_export_say_next(shell: Shell, trained: list[str]) -> None:
    (evaluate,), said = shell.run("tarsia compare 'runs/a run' 'runs/a run/last.safetensors'", 2)
    assert f"{evaluate} makes one" in said
    shell.run(f"{evaluate} --out 'of the last'")
    (export,), said = shell.run("tarsia evaluate 'runs/a run' --engine onnxruntime", 2)
    assert f"`{export}` makes one" in said
    (predict,), said = shell.run(f"{export} --images 1")
    assert f"next: {predict}" in said
    shell.run(f"{predict} --out 'what was seen'")


def test_a_comparison_and_an_adaptation(shell: Shell, trained: list[str]) -> None:
    shell.run("tarsia evaluate 'runs/a run/last.safetensors' --tta flip --out 'the other'")
    shell.run("tarsia compare 'runs/a run' 'the other' --no-pool --out 'A or B'")
    page = (shell.folder / "A or B/comparison.html").read_text(encoding="utf-8")
    (line,) = re.findall(r"tarsia compare [^<]*FOLDER[^<]*", page)
    line = html.unescape(line).replace("'A or B'", "'A or B again'")
    shell.run(line.replace("folder:FOLDER", "'folder:\"my data, one\"'"))
    (predict,), said = shell.run("tarsia adapt 'runs/a run' --target pictures --method batch-norm --steps 1 --batch 2")
    assert f"next: {predict}" in said
    shell.run(f"{predict} --overwrite")


def test_a_training_that_was_stopped(shell: Shell) -> None:
    process = shell.start(
        "tarsia train RECIPE --set data.count=4 --set 'data.size=[32, 32]' --set train.epochs=9999 --out 'one, stopped'"
    )
    while not (shell.folder / "one, stopped/metrics.csv").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 143, said
    (resume,) = [line for line in shell.made.read_text().splitlines() if line in said]
    assert f"go on with: {resume}" in said
    process = shell.start(resume)
    rows = (shell.folder / "one, stopped/metrics.csv").read_text().count("\n")
    while (shell.folder / "one, stopped/metrics.csv").read_text().count("\n") <= rows:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 143


def test_a_service_of_what_was_trained(shell: Shell, trained: list[str]) -> None:
    process = shell.start("tarsia serve 'a-run=runs/a run' 'my-name=runs/a run/last.safetensors' --port 0")
    assert process.stdout is not None
    said = ""
    while "http://" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 143, -signal.SIGTERM) and "Traceback" not in said + rest


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_in_the_help_are_commands(name: str) -> None:
    text = app[name].default_command.__doc__ or ""
    lines = re.findall(r"(?m)(?:^|Try:)\s+tarsia (.+)$", text)
    assert lines, "no example"
    for line in lines:
        app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)

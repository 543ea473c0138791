"""Trainings that torchrun starts: one launcher with two processes, and two launchers with one each, on this machine."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
import yaml

from forked_programs import forked
from small_data import tiny, white_figures, write_folder
from tarsia.learning import resume_point
from tarsia.recipe import Recipe
from tarsia.training import train

pytestmark = pytest.mark.processes
_PATIENCE = 240  # seconds, of a test on a machine that has much else to do
LAUNCHER = """
if sys.argv[1] == "torchrun":
    try:
        from torch.distributed.run import main
        main(sys.argv[2:])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""
# An augmentation that ends the second of two processes twice: in its first step, and after an epoch.
DEATH = """
import os, signal
from pathlib import Path
from torch import nn


class Death(nn.Module):
    def forward(self, image, mask):
        dead = Path("dead").read_text()
        begun = Path("mortal/metrics.csv" if dead else "mortal/environment.json")  # before a resume point, after one
        if os.environ.get("RANK") == "1" and begun.is_file() and len(dead) < 2:
            Path("dead").write_text(dead + "x")
            os.kill(os.getpid(), signal.SIGKILL)
        return {"image": image, "mask": mask}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("program") / "tarsia"
    with forked(path, LAUNCHER):
        yield path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("torchrun") / "data", train=7, val=3, size=(32, 32))


def recipe(data: Path, path: Path, **train: Any) -> Path:
    content = tiny(data, sync_batch_norm=True, **train)
    content["model"] = {"name": "unet_original", "channels": [8, 16], "dropout": 0.0}
    path.write_text(yaml.safe_dump(content))
    return path


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def until(happened: Callable[[], bool], started: subprocess.Popen[str]) -> None:
    while not happened():
        assert started.poll() is None, started.communicate(timeout=_PATIENCE)
        time.sleep(0.1)


def launched(program: Path, *words: object) -> subprocess.Popen[str]:
    command = [str(program), "torchrun", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=program.parent)


def test_two_processes_train_as_one_stop_at_a_signal_and_go_on_as_one(program: Path, data: Path) -> None:
    """7 pictures, 2 a process: the epoch's second step has 2 and 1."""
    folder, run = program.parent, program.parent / "run"
    given = recipe(data, folder / "two.yaml", batch=2, epochs=1000, save_every_seconds=1000.0)
    handled = ("--signals-to-handle", "SIGTERM,SIGINT,SIGUSR1")  # by torchrun, which passes on what it gets
    words = ("--nproc-per-node", 2, *handled, "--no-python", program, "train", given, "--out", run)
    started = launched(program, *words)
    until(lambda: (run / "metrics.csv").is_file(), started)
    started.send_signal(signal.SIGUSR1)
    said, _ = started.communicate(timeout=_PATIENCE)
    state = resume_point.load_state(run / "resume" / "state.safetensors")
    step = state["progress"]["step"]
    assert f"SIGUSR1: saved after step {step}; go on with" in (run / "log.txt").read_text(), said
    assert said.count("2 processes, 2 pictures each: 4 pictures a step") == 1, "the first process alone speaks"
    assert said.count("epoch 1: ") == 1
    assert len(state["random"]) == 2 and Recipe.load(run / "recipe.yaml").train.processes == 2

    edited = (run / "recipe.yaml").read_text().replace("epochs: 1000", f"epochs: {state['progress']['epoch'] + 1}")
    (run / "recipe.yaml").write_text(edited)
    with white_figures():
        train(resume=run)
    assert len(rows(run)) == state["progress"]["epoch"] + 1 and (run / "report.json").is_file()
    assert (
        "1 process, 2 pictures each, 2 batches one after the other: 4 pictures a step" in (run / "log.txt").read_text()
    )


def test_two_launchers_train_together(program: Path, data: Path) -> None:
    """The server of their rendezvous is here, at an address that nobody else has; the first process writes alone."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    one = recipe(data, program.parent / "short.yaml", batch=3, epochs=1)  # 3 and 3, then 1 and none
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{store.port}", "--rdzv-conf", "is_host=false"]
    words = ["--nnodes", 2, "--nproc-per-node", 1, *meet, "--rdzv-id", "pair", "--local-addr", "127.0.0.1"]
    run = program.parent / "pair"
    pair = [launched(program, *words, "--no-python", program, "train", one, "--out", run) for _ in range(2)]
    said = [started.communicate(timeout=_PATIENCE)[0] for started in pair]
    assert [started.returncode for started in pair] == [0, 0], said
    assert "".join(said).count("Run folder: ") == 1
    assert json.loads((run / "report.json").read_text())["images"] == 3
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    with white_figures():
        whole = train(Recipe.load(one, ["train.batch=6"]), out=program.parent / "whole")
    for found, wanted in zip(rows(run), rows(whole), strict=True):
        for key in ("step", "train_loss", "train_miou", "val_loss", "val_miou", "val_pixel_accuracy"):
            assert float(found[key]) == pytest.approx(float(wanted[key]), rel=1e-4), key


def test_after_a_death_torchrun_starts_all_again_and_the_training_goes_on(program: Path, data: Path) -> None:
    """The server of keys stays, with all that the dead have written there."""
    (program.parent / "death.py").write_text(DEATH)
    (program.parent / "dead").write_text("")
    run = program.parent / "mortal"
    given = recipe(data, program.parent / "mortal.yaml", batch=2, epochs=3, save_every_seconds=1e-6)
    content = yaml.safe_load(given.read_text())
    content["augment"] = {"extra": "./death.py:Death"}
    given.write_text(yaml.safe_dump(content))
    words = ("--nproc-per-node", 2, "--max-restarts", 2, "--no-python", program, "train", given, "--out", run)
    started = launched(program, *words)
    said, _ = started.communicate(timeout=_PATIENCE)
    assert started.returncode == 0, said
    assert (program.parent / "dead").read_text() == "xx" and len(rows(run)) == 3
    assert "resumed" in json.loads((run / "environment.json").read_text())
    before = (run / "environment.json").read_bytes()
    said, _ = launched(program, *words).communicate(timeout=_PATIENCE)
    assert said.count("exists and is not empty") > 2 and "go on" not in said, "no restart takes another launch's run"
    assert (run / "environment.json").read_bytes() == before


def test_torchrun_is_for_trainings_of_recipes_alone(program: Path, data: Path) -> None:
    environment = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}
    for words, why in (
        (["train", data], "a recipe is derived in one process"),
        (["models"], "torchrun is for `train`"),
    ):
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, env=environment, timeout=_PATIENCE, check=False
        )
        assert done.returncode == 2 and why in done.stderr

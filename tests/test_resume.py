"""A training that is killed, at whatever moment, and resumed ends with the weights of one that never was."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from small_data import same_weights, tiny, write_folder
from tarsia.card import read_header
from tarsia.errors import RecipeError, TarsiaError, TrainingError
from tarsia.learning import resume_point
from tarsia.studies.process import IMPORTED
from tarsia.training import train

EPOCHS, STEPS = 3, 3  # steps of an epoch
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # sums are equal bit by bit only with the same number
TIMING = ("images_per_second", "seconds", "waiting_share")
# Imports all once; each line of standard input is one `tarsia` in a process of its own, which waits where it is told to
# until it is let go.  Figures, a third of the time, are white.
SERVER = f"""
import json, os, resource, signal, sys, time
import {", ".join(IMPORTED)}
from PIL import Image
tarsia.evaluation.plots._save = lambda figure, path: Image.new("RGB", (9, 9)).save(path)
def wait(job):
    name, count, number = job["at"]
    call = getattr(tarsia.training, name)
    def run(state, *rest):
        if getattr(state.progress, count) == number:
            open(job["held"], "w").close()
            while not os.path.exists(job["go"]):
                time.sleep(0.002)
                if os.getppid() != server:
                    os._exit(1)  # nobody is left to let it go
        return call(state, *rest)
    setattr(tarsia.training, name, run)
def begin(job):
    if job["at"]:
        wait(job)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which under nohup the tests themselves ignore
    if job["ignored"]:
        signal.signal(job["ignored"], signal.SIG_IGN)
    if job["largest"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    os.setsid()  # so that the terminal becomes that of its session
    for number, path, flags in ((0, job["input"], os.O_RDWR), (1, job["output"], 1025), (2, job["output"], 1025)):
        os.dup2(os.open(path, flags), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)
    sys.argv = ["tarsia", *job["arguments"]]
    tarsia.cli.main()
import tarsia.cli
server = os.getpid()
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        begin(json.loads(line))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
At = tuple[str, str, int]


def step(number: int) -> At:
    """Where so many steps are done and saved, and the next one is about to begin."""
    return "take", "step", number


class Programs:
    """Runs the command line in processes that can be held up, to have something done to them right there."""

    def __init__(self, folder: Path) -> None:
        self.log, self.held, self.go = folder / "output.txt", folder / "held", folder / "go"
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=os.environ | ONE_THREAD,
        )
        assert self.server.stdout is not None and self.server.stdin is not None
        assert self.server.stdout.readline() == "ready\n"

    def run(
        self,
        *arguments: object,
        at: At | None = None,
        do: Callable[[int], object] = lambda process: None,
        meanwhile: Callable[[], object] = lambda: None,
        terminal: str | None = None,
        ignored: int = 0,
        largest: int = 0,
    ) -> tuple[int, str]:
        """Exit code (-9 where killed) and output.

        `do(process)` is called while the process waits `at` a place, `meanwhile()` again and again until it is there.
        """
        assert self.server.stdout is not None and self.server.stdin is not None
        self.held.unlink(missing_ok=True), self.go.unlink(missing_ok=True)
        self.log.write_text("")
        job = {"at": at, "held": str(self.held), "go": str(self.go), "ignored": ignored, "largest": largest}
        job |= {"arguments": [str(a) for a in arguments]}
        job |= {"input": terminal or os.devnull, "output": terminal or str(self.log)}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        process = int(self.server.stdout.readline())
        if at is not None:
            while not self.held.exists() and not _gone(process):
                meanwhile()
                time.sleep(0.002)
            if self.held.exists():
                do(process)
            self.go.touch()
        code = int(self.server.stdout.readline())
        assert at is None or self.held.exists(), f"ended with {code} before {at}: {self.log.read_text()}"
        return code, self.log.read_text()

    def close(self) -> None:
        self.server.kill()  # it has nothing to finish
        self.server.wait(timeout=60)


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    server = Programs(tmp_path_factory.mktemp("programs"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    content = tiny(
        write_folder(folder / "data", train=3 * STEPS, val=4, size=(32, 32)),
        epochs=EPOCHS,
        batch=3,
        workers=1,
        ema=0.9,
        clip_norm=5.0,
        class_weights="root_median_frequency",
        save_every_seconds=1e-6,  # a resume point after every step
    )
    content["augment"] = {"horizontal_flip": 0.5, "scale": {"min": 0.8, "max": 1.5}, "crop": [32, 32], "noise": {}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def whole(programs: Programs, recipe: Path) -> Path:
    """The run that nothing stopped."""
    folder = recipe.parent / "whole"
    code, output = programs.run("train", recipe, "--out", folder)
    assert code == 0, output
    return folder


def position(folder: Path) -> dict[str, Any]:
    """Where the newest resume point stands; empty before the first."""
    with contextlib.suppress(TarsiaError, OSError):
        tree = json.loads(read_header(folder / "resume" / "state.safetensors")["tarsia_tree"])
        progress = dict(dict(tree["items"])["progress"]["items"])
        return {key: entry["value"] for key, entry in progress.items()}
    return {}


def send(number: int) -> Callable[[int], None]:
    return lambda process: os.kill(process, number)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMING} for row in csv.DictReader(file)]


def assert_same(run: Path, whole: Path) -> None:
    assert same_weights(run / "last.safetensors", whole / "last.safetensors")
    assert same_weights(run / "model.safetensors", whole / "model.safetensors")
    assert rows(run) == rows(whole)
    reports = [json.loads((folder / "report.json").read_text()) for folder in (run, whole)]
    assert reports[0]["miou"] == reports[1]["miou"]
    assert not list(run.rglob(".*.part")), "pieces of files that were being written when the run was killed"


def test_killed_again_and_again(programs: Programs, recipe: Path, whole: Path, tmp_path: Path) -> None:
    """In the first epoch, in the middle of the second, right after it: with another number of workers each time."""
    run, arguments = tmp_path / "run", ("train", recipe, "--out", tmp_path / "run")
    for number, workers in ((1, 2), (STEPS + 1, 0), (2 * STEPS, 1)):
        code, output = programs.run(*arguments, at=step(number), do=send(signal.SIGKILL))
        assert code == -signal.SIGKILL, output
        assert position(run)["step"] == number
        settings = yaml.safe_load((run / "recipe.yaml").read_text())
        settings["train"]["workers"] = workers
        (run / "recipe.yaml").write_text(yaml.safe_dump(settings))
        arguments = ("train", "--resume", run)
    code, output = programs.run(*arguments)
    assert code == 0, output
    assert_computed_alike(run, settings["train"], "contiguous", output)
    assert_same(run, whole)
    environment = json.loads((run / "environment.json").read_text())
    assert len(environment["resumed"]) == 3 and "--resume" not in environment["command"]
    assert all("--resume" in entry["command"] for entry in environment["resumed"])


def assert_computed_alike(run: Path, before: dict[str, Any], memory_format: str, output: str) -> None:
    """The layout and threads of a resumed run are its own, and nothing was measured again."""
    assert before["threads"] == 1 and before["memory_format"] == memory_format and "steps measured" not in output
    assert yaml.safe_load((run / "recipe.yaml").read_text())["train"] == before


def test_another_layout_is_kept_too(programs: Programs, recipe: Path, tmp_path: Path) -> None:
    given = ("--set", "train.memory_format=channels_last", "--set", "train.epochs=1")
    code, output = programs.run("train", recipe, "--out", tmp_path / "whole", *given)
    assert code == 0, output
    run = tmp_path / "run"
    code, output = programs.run("train", recipe, "--out", run, *given, at=step(1), do=send(signal.SIGKILL))
    assert code == -signal.SIGKILL, output
    settings = yaml.safe_load((run / "recipe.yaml").read_text())["train"]
    code, output = programs.run("train", "--resume", run)
    assert code == 0, output
    assert_computed_alike(run, settings, "channels_last", output)
    assert_same(run, tmp_path / "whole")


def test_killed_before_the_first_resume_point(programs: Programs, recipe: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, _ = programs.run("train", recipe, "--out", run, at=step(0), do=send(signal.SIGKILL))
    assert code == -signal.SIGKILL and (run / "log.txt").exists() and not position(run)
    assert programs.run("train", "--resume", run)[0] == 0
    assert_same(run, whole)


def test_sigterm_saves_and_says_how_to_go_on(programs: Programs, recipe: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, output = programs.run("train", recipe, "--out", run, "-q", at=step(STEPS + 1), do=send(signal.SIGTERM))
    assert code == 143
    assert output.count("tarsia:") == 1 and f"tarsia train --resume {run}" in output and "Traceback" not in output
    assert f"saved after step {STEPS + 2}" in output and position(run)["step"] == STEPS + 2
    assert output.split("tarsia: ")[1].strip() in (run / "log.txt").read_text()
    assert programs.run("train", "--resume", run)[0] == 0
    assert_same(run, whole)


def test_ctrl_c_saves(programs: Programs, recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, output = programs.run("train", recipe, "--out", run, at=step(1), do=send(signal.SIGINT))
    assert code == 130 and position(run)["step"] == 2
    assert f"saved after step 2; go on with: tarsia train --resume {run}" in output
    assert "Traceback" not in output


def test_a_closed_terminal_saves_too(programs: Programs, recipe: Path, whole: Path, tmp_path: Path) -> None:
    """SIGHUP to the whole group, and output that is an error from then on."""
    run = tmp_path / "run"
    ours, theirs = pty.openpty()
    seen = b""

    def read() -> None:
        nonlocal seen
        while select.select([ours], [], [], 0)[0]:
            seen += os.read(ours, 65536)

    def close(process: int) -> None:
        os.close(theirs), os.close(ours)

    given = {"terminal": os.ttyname(theirs), "at": step(STEPS + 1), "do": close, "meanwhile": read}
    code, _ = programs.run("train", recipe, "--out", run, **given)
    assert code == 128 + signal.SIGHUP and b"epoch 1: train_loss" in seen
    assert f"SIGHUP: saved after step {STEPS + 2}" in (run / "log.txt").read_text()
    assert position(run)["step"] == STEPS + 2
    assert programs.run("train", "--resume", run)[0] == 0
    assert_same(run, whole)


def test_under_nohup_a_closed_terminal_is_ignored(
    programs: Programs, recipe: Path, whole: Path, tmp_path: Path
) -> None:
    """Which is also a whole run once more: else the comparisons here would say nothing."""
    run = tmp_path / "run"
    given = {"at": step(1), "do": send(signal.SIGHUP), "ignored": signal.SIGHUP}
    code, output = programs.run("train", recipe, "--out", run, "--set", "train.workers=0", **given)
    assert code == 0, output
    assert_same(run, whole)


def test_sigterm_in_validation(programs: Programs, recipe: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    at = ("_validate", "epoch", 1)
    code, output = programs.run("train", recipe, "--out", run, at=at, do=send(signal.SIGTERM))
    assert code == 143, output
    assert position(run)["batch"] == STEPS and len(rows(run)) == 1
    assert programs.run("train", "--resume", run)[0] == 0
    assert_same(run, whole)


def test_a_damaged_resume_point_gives_way_to_the_one_before(
    programs: Programs, recipe: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    programs.run("train", recipe, "--out", run, at=step(STEPS), do=send(signal.SIGTERM))
    newest, before = run / "resume" / "state.safetensors", run / "resume" / "state.previous.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1000] ^= 1
    newest.write_bytes(content)
    copy = tmp_path / "both"
    shutil.copytree(run, copy)
    code, output = programs.run("train", "--resume", run)
    assert code == 0 and "trying the resume point before it" in output
    assert_same(run, whole)
    (copy / "resume" / before.name).write_bytes(b"")
    code, output = programs.run("train", "--resume", copy)
    assert code == 2 and output.splitlines()[-1].startswith("tarsia: ") and "no sound resume point" in output
    assert "Traceback" not in output


def test_a_finished_run_is_left_as_it_is(programs: Programs, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "report.json").unlink()  # as where it was killed while it was scored
    code, output = programs.run("train", "--resume", run)
    assert code == 0 and f"finished already, after epoch {EPOCHS}" in output and "threads" not in output
    assert_same(run, whole)


def test_other_threads_are_told(programs: Programs, whole: Path, tmp_path: Path) -> None:
    """With them sums are rounded otherwise, and the weights are no longer equal bit by bit."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    point = run / "resume" / "state.safetensors"
    tree = resume_point.load_state(point)
    resume_point.save_state(point, tree | {"threads": tree["threads"] + 1})
    code, output = programs.run("train", "--resume", run)
    assert code == 0 and f"{tree['threads']} threads instead of {tree['threads'] + 1}" in output


def edited(run: Path, **changes: Any) -> None:
    """Edit a run's recipe by hand: `train__epochs=4`."""
    settings = yaml.safe_load((run / "recipe.yaml").read_text())
    for key, value in changes.items():
        *above, last = key.split("__")
        place = settings
        for part in above:
            place = place[part]
        place[last] = value
    (run / "recipe.yaml").write_text(yaml.safe_dump(settings))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train__optimizer": "sgd"}, ['train.optimizer was "adamw" and is "sgd"']),
        ({"train__learning_rate": 0.05}, ["train.learning_rate was 0.003 and is 0.05"]),
        ({"model__channels": [8, 8, 8, 8, 16]}, ["model.channels was [8, 8, 8, 8, 8] and is [8, 8, 8, 8, 16]"]),
        ({"train__ema": None, "seed": 3}, ["train.ema was 0.9 and is not set", "seed was 0 and is 3"]),
        ({"model__bands": 3}, ["model.bands was not set and is 3"]),
        ({"augment__noise": None}, ["augment.noise"]),
        ({"train__class_weights": "none"}, ["train.class_weights was [", 'and is "none"']),
        ({"train__epochs": 2}, [f"train.epochs is 2, and {EPOCHS} are done"]),
    ],
)
def test_what_a_training_cannot_take_on_its_way_is_refused(
    whole: Path, tmp_path: Path, changes: dict[str, Any], told: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    edited(run, **changes)
    before = (run / "recipe.yaml").read_text()
    with pytest.raises(RecipeError) as caught:
        train(resume=run)
    for part in (str(run / "recipe.yaml"), *told):
        assert part in str(caught.value)
    assert (run / "recipe.yaml").read_text() == before


def test_what_it_can_take_is_taken_and_said(programs: Programs, whole: Path, tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(whole, run)
    shutil.copytree(yaml.safe_load((run / "recipe.yaml").read_text())["data"]["root"], data)
    free = {"name": "other", "train__workers": 0, "train__save_every_seconds": 60.0, "data__cache": str(tmp_path / "c")}
    edited(run, train__epochs=EPOCHS + 1, data__root=str(data), **free)
    code, output = programs.run("train", "--resume", run)
    assert code == 0, output
    assert f"train.epochs was {EPOCHS} and is {EPOCHS + 1}: the poly schedule" in output
    assert f'and is "{data}": the same samples are expected there' in output
    assert output.count(" was ") == 2, "what changes nothing is not worth a line"
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"] and rows(run)[:EPOCHS] == rows(whole)


def test_a_changed_data_set_is_an_error(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    edited(run, data__root=str(write_folder(tmp_path / "data", train=5, val=1)))
    with pytest.raises(TrainingError, match=f"held {3 * STEPS} samples and now holds 5"):
        train(resume=run)


@pytest.mark.parametrize(
    "changes", [{"model__channels": [8, 8, 8, 8, 16]}, {"train__optimizer": "sgd"}, {"train__ema": 0.5}]
)
def test_a_resume_point_without_its_recipe_still_resumes_and_refuses_what_does_not_fit(
    whole: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """As earlier versions wrote them: what is told is where the state does not fit."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    point = run / "resume" / "state.safetensors"
    tree = resume_point.load_state(point)
    del tree["recipe"]
    if "train__ema" in changes:
        tree["average"] = None
    resume_point.save_state(point, tree)
    edited(run, train__epochs=EPOCHS + 1)
    plain = (run / "recipe.yaml").read_text()
    edited(run, **changes)
    with pytest.raises(TrainingError, match="the recipe was changed"):
        train(resume=run)
    if "train__ema" not in changes:
        (run / "recipe.yaml").write_text(plain)
        train(resume=run)
        assert len(rows(run)) == EPOCHS + 1


def test_a_full_disk_is_one_error_and_the_run_can_go_on(
    recipe: Path, whole: Path, programs: Programs, tmp_path: Path
) -> None:
    """A limit on the size of files stands for it: the model fits, the resume point does not."""
    run = tmp_path / "run"
    largest = (whole / "model.safetensors").stat().st_size + 10_000
    code, output = programs.run("train", recipe, "--out", run, largest=largest)
    assert code == 2, output
    assert output.count("tarsia: ") == 1 and "file size limit" in output and "Traceback" not in output
    assert not list(run.rglob(".*.part")) and not list(run.rglob("state*"))
    assert programs.run("train", "--resume", run)[0] == 0
    assert_same(run, whole)


@pytest.mark.parametrize("what", ["nowhere", "empty", "file"])
def test_no_run_folder(programs: Programs, tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    code, output = programs.run("train", "--resume", tmp_path / what)
    assert code == 2 and str(tmp_path / what) in output and "expected the run folder" in output
    assert "Traceback" not in output

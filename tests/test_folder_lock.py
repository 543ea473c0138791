"""A folder has one writer, whoever it is and however it ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from small_data import tiny, write_folder
from tarsia import cli
from tarsia.adapting import adapt
from tarsia.cli._options import writing_to
from tarsia.errors import OutputError
from tarsia.files import LOCK, require_new
from tarsia.folder_lock import Busy, holding
from tarsia.inference import load
from tarsia.predicting import predict
from tarsia.recipe import Recipe
from tarsia.training import train

# Holds the folder, with a forked process that lives on when it is killed, as a loader's workers do for some seconds.
HOLDER = """
import os, sys, time
from pathlib import Path
from tarsia.folder_lock import holding
folder, sys.argv = Path(sys.argv[1]), ["tarsia", "train", "a.yaml", "--set", "name=\\x1b[31mred"]
with holding(folder):
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(600)
"""


class Holder:
    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", HOLDER, str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.worker = int(self.process.stdout.readline())

    def kill(self) -> None:
        """The process alone, not the one that it has forked."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    (tmp_path / "held").mkdir()
    one = Holder(tmp_path / "held")
    yield one
    one.kill()
    os.kill(one.worker, signal.SIGKILL)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set and the run of a training on it."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_folder(folder / "data", 2, 2, (32, 32))
    return data, train(Recipe.model_validate(tiny(data)), out=folder / "run")


def taken(folder: Path) -> bool:
    try:
        with holding(folder):
            return True
    except Busy:
        return False


def test_a_second_process_is_refused_with_who_holds_it_until_that_is_killed(tmp_path: Path, holder: Holder) -> None:
    folder = tmp_path / "held"
    with pytest.raises(Busy) as caught, holding(folder):
        pass
    message = str(caught.value)
    for part in (
        str(folder),
        "tarsia train a.yaml",
        f"process {holder.process.pid} on ",
        ", since 2",
        "choose another",
    ):
        assert part in message
    assert message.isprintable(), "what stands in the file is another's text"
    holder.kill()
    os.kill(holder.worker, 0)  # it lives
    with holding(folder):
        assert json.loads((folder / LOCK).read_text())["process"] == os.getpid()
    assert not list(folder.iterdir())


def test_commands_within_are_the_same_writer_and_other_threads_are_not(tmp_path: Path) -> None:
    with holding(tmp_path), ThreadPoolExecutor(1) as elsewhere:
        with holding(tmp_path / "."):
            assert not elsewhere.submit(taken, tmp_path).result()
        assert not elsewhere.submit(taken, tmp_path).result(), "given back by the inner one"
        assert elsewhere.submit(taken, tmp_path.parent).result()
    assert taken(tmp_path) and not list(tmp_path.iterdir())


def test_what_stands_in_the_file_of_a_killed_holder_is_no_obstacle(tmp_path: Path) -> None:
    for left in (b"", b"\xff{", b"[1]", b"{}"):
        (tmp_path / LOCK).write_bytes(left)
        assert require_new(tmp_path, overwrite=False) == tmp_path
        assert taken(tmp_path)


@pytest.mark.parametrize("left", [b"", b"\xff{", b"[1]", b"{}"])
def test_a_holder_that_says_nothing_is_refused_all_the_same(tmp_path: Path, left: bytes) -> None:
    with (tmp_path / LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(left)
        file.flush()
        with pytest.raises(Busy, match=r"is in use: another process writes into it; wait"), holding(tmp_path):
            pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write"), holding(tmp_path / "folder"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with holding(tmp_path):
        pass
    assert "has no locks" in capsys.readouterr().err


def test_a_file_that_its_holder_removes_meanwhile_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before it was removed, locked after: a lock on what is no longer there would hold nothing."""
    lock, calls = fcntl.flock, []

    def late(*arguments: Any) -> None:
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(arguments)
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with holding(tmp_path), ThreadPoolExecutor(1) as elsewhere:
        assert len(calls) == 2 and not elsewhere.submit(taken, tmp_path).result()


def test_work_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), writing_to(tmp_path / "a" / "b", "", False) as folder:
        assert (folder / LOCK).is_file()
        raise ValueError("x")
    assert not list(tmp_path.iterdir())


# ---- the commands


def test_training_resuming_and_adapting_in_a_folder_in_use(
    tmp_path: Path, trained: tuple[Path, Path], holder: Holder
) -> None:
    data, run = trained
    held, recipe = tmp_path / "held", Recipe.model_validate(tiny(data))
    (held / "recipe.yaml").write_text((run / "recipe.yaml").read_text())
    before = {path: path.read_bytes() for path in held.iterdir()}
    options: dict[str, Any] = {"source": f"folder:{data}", "target": data / "val" / "images", "method": "batch-norm"}
    for begin in (
        lambda: train(recipe, out=held, overwrite=True),
        lambda: train(resume=held),
        lambda: adapt(run, out=held, overwrite=True, **options),
    ):
        with pytest.raises(OutputError, match=rf"held is in use: `tarsia train .*process {holder.process.pid} on"):
            begin()
    assert {path: path.read_bytes() for path in held.iterdir()} == before
    holder.kill()
    train(recipe, out=held, overwrite=True)
    assert (held / "report.json").is_file() and not (held / LOCK).exists()


def test_a_training_that_ended_while_this_one_was_set_up_is_not_replaced(
    tmp_path: Path, trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tarsia import training

    def slow(*arguments: Any) -> Any:
        state = whole(*arguments)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "model.safetensors").write_text("another's")
        return state

    whole = training.TrainingState.open
    monkeypatch.setattr(training.TrainingState, "open", slow)
    with pytest.raises(OutputError, match="not empty"):
        train(Recipe.model_validate(tiny(trained[0])), out=tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_text() == "another's"


def test_other_commands_in_a_folder_in_use(tmp_path: Path, trained: tuple[Path, Path], holder: Holder) -> None:
    data, run = trained
    held = tmp_path / "held"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(Busy):
        predict(load(run, device="cpu"), [tmp_path / "a.png"], held)
    for words in (
        ["evaluate", str(run), "--data", f"folder:{data}", "--out", str(held), "--overwrite"],
        ["check", f"folder:{data}", "--out", str(held), "--overwrite"],
        ["predict", str(run), str(tmp_path / "a.png"), "--out", str(held)],
        ["compare", str(run), str(run), "--out", str(held), "--overwrite"],
        [
            "convert",
            str(data / "val" / "labels"),
            "--to",
            str(held),
            "--images",
            str(data / "val" / "images"),
            "--overwrite",
        ],
    ):
        with pytest.raises(Busy, match="is in use"):
            cli.app(words, exit_on_error=False, print_error=False)
    assert [path.name for path in held.iterdir()] == [LOCK]

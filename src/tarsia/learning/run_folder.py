"""A run's folder, and what the run tells while it learns: progress, log.txt, metrics.csv, TensorBoard, curves.png."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tarsia import console, environment, examples
from tarsia.errors import MissingExtraError, OutputError
from tarsia.evaluation.plots import save_curves
from tarsia.files import write_json, write_text
from tarsia.plain_text import plain

_FIRST_CURVES_SECONDS = 20
# What a run writes, beside the files that it always replaces: of an earlier run in the same folder none may stay.
_OUTPUTS = (
    *("resume/state*.safetensors", "epochs/epoch-*.safetensors", "tensorboard/events.out.tfevents.*"),
    *("environment.json", "metrics.csv", "curves.png", "log.txt", "bad_batch.npz"),
    *("model.safetensors", "last.safetensors", "report.json", "counts.npz", "confusion.png", "details.png"),
    *("report.html", examples.WRITTEN),
)
_CUT_OFF = (".*.part", "*/.*.part")  # files that were being written when a run was killed


def clear(folder: Path, keep_run: bool) -> None:
    """Remove what an earlier run left in `folder`, but nothing else: with `overwrite` it may be any folder.

    With `keep_run` only the pieces of files that a killed run was writing.
    """
    for pattern in _CUT_OFF if keep_run else _CUT_OFF + _OUTPUTS:
        for path in folder.glob(pattern):
            path.unlink()


def note_environment(folder: Path, processes: int) -> dict[str, Any]:
    """Write environment.json and return it; a resumed run keeps the first entry and lists each further one.

    Cores and threads are those of each of the `processes`.
    """
    path = folder / "environment.json"
    here = environment.describe() | {"threads": torch.get_num_threads(), "processes": processes}
    facts: dict[str, Any] = here
    if path.is_file():
        first = json.loads(path.read_text(encoding="utf-8"))
        facts = first | {"resumed": [*first.get("resumed", []), here]}
    write_json(path, facts)
    return facts


class Silent:
    """What a training tells, in a process that says and writes nothing: another does.  `history`: a row an epoch."""

    def __init__(self, history: list[dict[str, Any]]) -> None:
        self.history = history

    def say(self, text: str) -> None:
        """A line for the terminal and log.txt."""

    def note(self, text: str) -> None:
        """A line for log.txt alone."""

    def step(self, facts: dict[str, Any]) -> None:
        """Progress after a step."""

    def steps(self, total: int) -> None:
        """The training has more or fewer steps than was thought."""

    def epoch(self, row: dict[str, Any]) -> None:
        """Take in an epoch's figures."""
        self.history.append(row)

    def draw(self) -> None:
        """curves.png of all epochs."""

    def close(self) -> None:
        """Release what is held."""


class RunFolder(Silent):
    """Writes a run's folder.

    `history` has a row per epoch; metrics.csv is always all of it, curves.png at the end.  `done` of `total_steps` were
    done before this process.
    """

    def __init__(self, folder: Path, history: list[dict[str, Any]], total_steps: int, done: int) -> None:
        for package in ("tensorboard", "matplotlib"):
            if importlib.util.find_spec(package) is None:  # said now, not after the first epoch
                raise MissingExtraError("training", "train")
        from torch.utils.tensorboard import SummaryWriter

        super().__init__(history)
        self.folder = folder
        self.tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) + 1)
        self.log = logging.getLogger(f"tarsia.run.{id(self)}")
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        handler = _LogFile(folder / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.log.addHandler(handler)
        self.work = console.Work("step", total_steps, before=done)
        self.work.start()
        self._drawn, self._draw_at = 0, time.monotonic() + _FIRST_CURVES_SECONDS

    def say(self, text: str) -> None:
        """A line for the terminal and log.txt."""
        self.log.info(plain(text))
        console.note(text)

    def note(self, text: str) -> None:
        self.log.info(plain(text))

    def steps(self, total: int) -> None:
        self.work.of(total)

    def step(self, facts: dict[str, Any]) -> None:
        """Progress after a step."""
        self.work.step(facts="  ".join(f"{key} {value}" for key, value in facts.items()))

    def epoch(self, row: dict[str, Any]) -> None:
        """Take in an epoch's figures: metrics.csv, TensorBoard, curves.png (in time, see `draw`), one line of text."""
        super().epoch(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row))
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.folder / "metrics.csv", text.getvalue())
        try:
            for key, value in row.items():
                if isinstance(value, int | float) and key != "epoch":
                    self.tensorboard.add_scalar(_tag(key), value, row["epoch"])
            self.tensorboard.flush()
        except OSError as error:
            raise _cannot_write(self.folder / "tensorboard", error) from error
        if time.monotonic() >= self._draw_at:
            self.draw()
        shown = ("train_loss", "val_loss", "train_miou", "val_miou", "val_pixel_accuracy")
        figures = "  ".join(f"{key} {row[key]:.4f}" for key in shown if row.get(key) is not None)
        self.say(f"epoch {row['epoch']}: {figures}  {row['images_per_second']:.1f} images/s")

    def draw(self) -> None:
        """curves.png of all epochs; `epoch` draws as often as a twentieth of the time suffices for."""
        if self._drawn < len(self.history):
            started = time.monotonic()
            save_curves(self.folder / "curves.png", self.history)
            self._drawn, ended = len(self.history), time.monotonic()
            self._draw_at = ended + 20 * (ended - started)

    def close(self) -> None:
        """Draw what is not drawn, and release files and the progress bar."""
        self.work.stop()
        with contextlib.suppress(OSError, OutputError):
            self.draw()
        with contextlib.suppress(OSError):  # after a full disk it tells of it again
            self.tensorboard.close()
        for handler in list(self.log.handlers):
            handler.close()
            self.log.removeHandler(handler)


class _LogFile(logging.FileHandler):
    """A log that cannot be written is an error, where logging would print a traceback and go on."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise _cannot_write(Path(self.baseFilename), error) from error
        super().handleError(record)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}; make room, then go on with `resume`")


def _tag(key: str) -> str:
    """`val_miou` -> `miou/val`, so that TensorBoard draws training and validation side by side."""
    split, _, name = key.partition("_")
    return f"{name}/{split}" if split in ("train", "val") else key

"""What a run tells while it learns: the progress line, log.txt, metrics.csv, TensorBoard and curves.png."""

from __future__ import annotations

import csv
import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from inlay import console
from inlay.files import write_text
from inlay.report.figures import save_curves

_PLAIN_INTERVAL_SECONDS = 15.0


class Journal:
    """Writes a run's folder.  `history` has a row per epoch; metrics.csv and curves.png are always all of it."""

    def __init__(self, folder: Path, history: list[dict[str, Any]], total_steps: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        self.history = history
        self.tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) + 1)
        self.log = logging.getLogger(f"inlay.run.{id(self)}")
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.log.addHandler(handler)
        self.bar = _Bar(total_steps)

    def say(self, text: str) -> None:
        """A line for the terminal and log.txt."""
        self.log.info(text)
        self.bar.print(text)

    def step(self, done: int, facts: dict[str, Any]) -> None:
        """Progress after step `done`."""
        self.bar.update(done, "  ".join(f"{key} {value}" for key, value in facts.items()))

    def epoch(self, row: dict[str, Any]) -> None:
        """Take in an epoch's figures: metrics.csv, TensorBoard, curves.png, one line of text."""
        self.history.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row))
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.folder / "metrics.csv", text.getvalue())
        for key, value in row.items():
            if isinstance(value, int | float) and key != "epoch":
                self.tensorboard.add_scalar(_tag(key), value, row["epoch"])
        self.tensorboard.flush()
        save_curves(self.folder / "curves.png", self.history)
        shown = ("train_loss", "val_loss", "train_miou", "val_miou", "val_pixel_accuracy")
        figures = "  ".join(f"{key} {row[key]:.4f}" for key in shown if row.get(key) is not None)
        self.say(f"epoch {row['epoch']}: {figures}  {row['images_per_second']:.1f} images/s")

    def close(self) -> None:
        """Release files and the progress bar."""
        self.bar.close()
        self.tensorboard.close()
        for handler in list(self.log.handlers):
            handler.close()
            self.log.removeHandler(handler)


class _Bar:
    """A live bar on a terminal, a line every quarter of a minute elsewhere, nothing when quiet."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.live: Progress | None = None
        self.task: TaskID | None = None
        self.shown = time.monotonic()
        if sys.stderr.isatty() and not console.err.quiet:
            columns = (BarColumn(24), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn(), TimeRemainingColumn())
            self.live = Progress(*columns, TextColumn("{task.description}"), console=console.err, transient=True)
            self.task = self.live.add_task("", total=total)
            self.live.start()

    def update(self, done: int, text: str) -> None:
        if self.live is not None and self.task is not None:
            self.live.update(self.task, completed=done, description=text)
        elif time.monotonic() - self.shown >= _PLAIN_INTERVAL_SECONDS:
            self.shown = time.monotonic()
            console.note(f"step {done} of {self.total}  {text}")

    def print(self, text: str) -> None:
        console.note(text)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()


def _tag(key: str) -> str:
    """`val_miou` -> `miou/val`, so that TensorBoard draws training and validation side by side."""
    split, _, name = key.partition("_")
    return f"{name}/{split}" if split in ("train", "val") else key

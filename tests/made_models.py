"""Models of every kind that Tarsia makes, by its own commands: a run folder, and two files exported from it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from small_data import tiny, write_folder
from tarsia import cli


class Made(NamedTuple):
    """What `tarsia train`, `export` and `export --int8` wrote, and the data set of three classes it learned from."""

    data: Path
    run: Path
    onnx: Path
    int8: Path

    @property
    def models(self) -> dict[str, Path]:
        return {"run": self.run, "exported": self.onnx, "int8": self.int8}


def make(folder: Path) -> Made:
    """All of it in `folder`; takes seconds."""
    data = write_folder(folder / "data", 8, 6, (48, 64))
    made = Made(data, folder / "run", folder / "plain.onnx", folder / "int8.onnx")
    recipe = tiny(made.data) | {"model": {"name": "unet_original", "channels": [8, 16, 16]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    _done("train", folder / "tiny.yaml", "--out", made.run, "--device", "cpu", "--quiet")
    check = "--check-on", f"folder:{made.data}", "--images", 2, "--quiet"
    _done("export", made.run, *check, "--tolerance", 0.5, "--out", made.onnx)
    _done("export", made.run, *check, "--tolerance", 0.9, "--out", made.int8, "--int8", "--calibrate-on", 2)
    return made


def _done(*arguments: object) -> None:
    assert not cli.app([str(one) for one in arguments], exit_on_error=False, print_error=False)

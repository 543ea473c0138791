"""Forked workers in a process that has run OpenVINO: a training once hung there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from small_data import tiny, write_folder
from tarsia.recipe import Recipe
from tarsia.training import train

pytest.importorskip("openvino")
PATIENCE_SECONDS = 240.0  # of a process that takes half a minute where nothing else runs

# Exports, predicts with OpenVINO, and trains with two workers.
PROGRAM = """
import faulthandler, sys
import numpy as np
import yaml
from pathlib import Path
from tarsia import data
from tarsia.exporting import export
from tarsia.recipe import Recipe
from tarsia.inference import load
from tarsia.training import train

faulthandler.dump_traceback_later(float(sys.argv[2]) * 0.9, exit=True)
folder = Path(sys.argv[1])
recipe = Recipe.model_validate(yaml.safe_load((folder / "r.yaml").read_text()))
export(folder / "run", folder / "m.onnx", check_on=data.open("folder", folder / "data", "val"), images=2)
predictor = load(folder / "m.onnx", engine="openvino")
random = np.random.default_rng(0)
for _ in range(5):
    predictor.labels(random.integers(0, 256, (1, *random.integers(8, 90, 2), 3), np.uint8))
train(recipe, out=folder / "after", device="cpu")
"""


def test_a_process_exports_predicts_with_openvino_and_trains_with_two_workers(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", 8, 3, (32, 32))
    content = tiny(data, epochs=2, batch=2, workers=2)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    train(Recipe.model_validate(content), out=tmp_path / "run", device="cpu")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(PATIENCE_SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "after" / "report.json").is_file()

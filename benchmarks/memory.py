"""Resident memory over the epochs of a training, its validation included: it must not grow with epochs or pictures.

Trains a small network on drawn street scenes twice, the second time on four times as many pictures, and prints the
process's resident memory after each epoch.  Each training runs in a process of its own.

    python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tarsia import environment

SCRIPT = r"""
import json, re, sys
from tarsia import console, training
from tarsia.learning import run_folder
from tarsia.recipe import Recipe

console.quiet(True)
seen = []
epoch = run_folder.RunFolder.epoch

def measured(self, row):
    epoch(self, row)
    status = open("/proc/self/status").read()
    seen.append(round(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024, 1))

run_folder.RunFolder.epoch = measured
training.train(Recipe.model_validate(json.loads(sys.argv[1])), out=sys.argv[2])
print(json.dumps(seen))
"""


def megabytes_after_each_epoch(count: int, epochs: int, folder: Path) -> list[float]:
    """Resident megabytes after each epoch of a training on `count` scenes."""
    recipe = {
        "data": {"name": "streets", "count": count, "val_options": {"count": count // 4}, "size": [96, 128],
                 "cache": str(folder / "cache")},
        "model": {"name": "unet", "encoder": "test_resnet"},
        "train": {"epochs": epochs, "batch": 8, "precision": "float32", "workers": 1},
    }  # fmt: skip
    command = [sys.executable, "-c", SCRIPT, json.dumps(recipe), str(folder / f"run-{count}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=5)
    asked = parser.parse_args()
    result: dict[str, object] = {"environment": environment.describe()}
    with tempfile.TemporaryDirectory() as folder:
        for count in (asked.count, 4 * asked.count):
            result[f"{count}_pictures_MB"] = megabytes_after_each_epoch(count, asked.epochs, Path(folder))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

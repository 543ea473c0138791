"""Two processes of one thread each against one of one thread: pictures a second of real trainings by torchrun.

An FPN on MobileNetV1 at 180 x 240 (height x width), batch 4 a process, drawn streets from a cache, no validation.
Rounds of both are interleaved; each figure is the median over the rounds of the pictures a second that metrics.csv says
of every epoch but the first, which has what is paid once.  It needs two cores that nothing else uses: it says how busy
they were.

    python benchmarks/scale.py --rounds 5
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tarsia import environment, hardware


def recipe(folder: Path, batches: int, epochs: int) -> Path:
    """The same work a process, however many there are."""
    content = {
        "name": "scale",
        "data": {
            "name": "streets",
            "count": 32,
            "size": [180, 240],
            "val": None,
            "cache": str(folder / "cache"),
        },
        "model": {"name": "fpn", "encoder": "mobilenetv1_100"},
        "train": {
            "epochs": epochs,
            "steps_per_epoch": batches,
            "batch": 4,
            "workers": 0,
            "threads": 1,
            "precision": "float32",
            "memory_format": "contiguous",
            "save_every_seconds": 1e6,
        },
    }
    path = folder / f"{batches}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def measured(folder: Path, processes: int, steps: int, epochs: int, which: int) -> float:
    """Pictures a second of a training of so many processes, the median of its later epochs."""
    out = folder / f"{processes}-{which}"
    given = recipe(folder, steps * processes, epochs)
    words = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", "tarsia"]
    words += ["train", str(given), "--out", str(out), "--quiet"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    with (out / "metrics.csv").open(newline="") as file:
        found = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="optimizer steps an epoch")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    found: dict[int, list[float]] = {1: [], 2: []}
    print(f"load before: {os.getloadavg()[0]:.2f} on {hardware.cores()} cores; it should be near 0")
    with tempfile.TemporaryDirectory() as folder:
        for which in range(given.rounds):
            for processes, rates in found.items():
                rates.append(measured(Path(folder), processes, given.steps, given.epochs, which))
            print(f"round {which + 1}: {found[1][-1]:.2f} and {found[2][-1]:.2f} pictures/s", flush=True)
    one, two = (statistics.median(rates) for rates in found.values())
    facts = environment.describe()
    print(f"one process {one:.2f}, two {two:.2f} pictures/s: {two / one:.2f} times")
    print(f"{facts['processor']}, commit {facts['commit']}")


if __name__ == "__main__":
    main()

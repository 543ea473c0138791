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
from concurrent.futures import ThreadPoolExecutor
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


def measured(folder: Path, processes: int, steps: int, epochs: int, which: str) -> float:
    """Pictures a second of a training of so many processes, the median of its later epochs."""
    out = folder / which
    given = recipe(folder, steps * processes, epochs)
    words = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m", "tarsia"]
    words += ["train", str(given), "--out", str(out), "--quiet"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    with (out / "metrics.csv").open(newline="") as file:
        found = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(found[1:])


def of_a_round(folder: Path, steps: int, epochs: int, which: int) -> dict[str, float]:
    """Pictures a second of one process, of two together, and of two apart, added up."""
    with ThreadPoolExecutor(2) as at_once:
        one = measured(folder, 1, steps, epochs, f"{which}-one")
        two = measured(folder, 2, steps, epochs, f"{which}-two")
        apart = at_once.map(lambda name: measured(folder, 1, steps, epochs, f"{which}-{name}"), ("left", "right"))
        return {"one": one, "two": two, "apart": sum(apart)}


def _text(rates: dict[str, float]) -> str:
    return ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="optimizer steps an epoch")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    found: list[dict[str, float]] = []
    print(f"load before: {os.getloadavg()[0]:.2f} on {hardware.cores()} cores; it should be near 0")
    with tempfile.TemporaryDirectory() as folder:
        for which in range(given.rounds):
            found.append(of_a_round(Path(folder), given.steps, given.epochs, which))
            print(f"round {which + 1}: {_text(found[-1])} pictures/s", flush=True)
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    print(f"medians: {_text(middle)} pictures/s")
    print(f"two: {middle['two'] / middle['one']:.2f} times one, {middle['two'] / middle['apart']:.2f} times two apart")
    facts = environment.describe()
    print(f"{facts['processor']}, commit {facts['commit']}")


if __name__ == "__main__":
    main()

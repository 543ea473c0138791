"""Many small samples as files and as shards: samples a second from a cold disk, and memory as their number grows.

    python benchmarks/shards.py --samples 100000 --folder /var/tmp/shards

Writes drawn 64x64 pictures and labels below `--folder` (about 1.5 GB for 100,000; kept for the next call), then reads
all of them in a random order, by turns, each time after dropping its pages (posix_fadvise).  Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import data, environment
from tarsia.sharding import shard

READ = """
import json, resource, sys, time
import numpy as np
from tarsia import data
name, root, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
split = data.open(name, root, "train")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
for index in np.random.default_rng(0).permutation(len(split))[:count]:
    split[int(index)]
seconds = time.perf_counter() - started
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps({"samples_a_second": count / seconds, "megabytes_grown": grown, "megabytes_opened": before / 1024}))
"""


def written(folder: Path, count: int) -> Path:
    """Pictures and labels in folders of a thousand."""
    root = folder / f"files-{count}"
    if (root / "dataset.yaml").is_file():
        return root
    draw = np.random.default_rng(0)
    for number in range(count):
        place = f"{number // 1000:04d}"
        for kind, values in (("images", draw.integers(0, 256, (8, 8, 3))), ("labels", draw.integers(0, 3, (8, 8)))):
            (root / kind / place).mkdir(parents=True, exist_ok=True)
            large = values.astype(np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(large).save(root / kind / place / f"{number:07d}.png")
    (root / "dataset.yaml").write_text("classes: [a, b, c]\n")
    return root


def dropped(root: Path) -> None:
    """Let the system forget what it holds of all files."""
    os.sync()
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--read", type=int, default=20_000, help="samples of each that are read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    files = written(arguments.folder, arguments.samples)
    shards = arguments.folder / f"shards-{arguments.samples}"
    if not (shards / "shards.json").is_file():
        shard(f"folder:{files}", shards, splits=["train"])
    assert len(data.open("shards", shards)) == arguments.samples
    found: dict[str, list[dict[str, float]]] = {"folder": [], "shards": []}
    for _ in range(arguments.rounds):
        for name, root in (("folder", files), ("shards", shards)):
            dropped(root)
            command = [sys.executable, "-c", READ, name, str(root), str(arguments.read)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout))
            print(name, found[name][-1], file=sys.stderr)
    rate = {name: statistics.median(one["samples_a_second"] for one in rows) for name, rows in found.items()}
    told = {"samples": arguments.samples, "rounds": found, "shards_by_folder": rate["shards"] / rate["folder"]}
    print(json.dumps(told | {"time": time.strftime("%F"), "environment": environment.describe()}, indent=2))


if __name__ == "__main__":
    main()

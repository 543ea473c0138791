"""The doctor's memory and speed on data sets of many files: the peak must not follow the number of pictures.

Writes folders of 480x360 pictures (patches of random colours, each picture another) with labels, runs `tarsia check` on
each in a process of its own, and prints its peak resident memory, pictures a second, and megabytes for every thousand
pictures more.

    python benchmarks/check.py --pictures 2000 20000
    python benchmarks/check.py --pictures 100000      as the goal is stated: 4 GB of files
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import environment

SCRIPT = r"""
import re, sys
from tarsia import console
from tarsia.checking import check
console.quiet(True)
checkup = check(sys.argv[1], out=sys.argv[2])
print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
print(len(checkup.findings))
"""
SIZE, PATCH = (360, 480), 30  # height and width of a picture, side of a patch of one colour


def write_folder(folder: Path, count: int) -> None:
    """A data set of `count` pictures, a tenth of them for validation."""
    random = np.random.default_rng(0)
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True)
    rows, columns = SIZE[0] // PATCH, SIZE[1] // PATCH
    for index in range(count):
        label_hw = random.integers(0, 4, (rows, columns), np.uint8)
        colors_hw3 = (label_hw[..., None] * 50 + random.integers(0, 100, (rows, columns, 3))).astype(np.uint8)
        for place, part_hw in (("images", colors_hw3), ("labels", label_hw)):
            part = Image.fromarray(part_hw.repeat(PATCH, 0).repeat(PATCH, 1))
            part.save(folder / place / f"{index:06}.png", compress_level=1)
    text = "classes: [road, house, tree, sky]\nimages: images\nlabels: labels\nsplit: {val: 0.1}\n"
    (folder / "dataset.yaml").write_text(text)


def measure(folder: Path, count: int) -> dict[str, float]:
    """Peak resident megabytes, pictures a second and findings of a check of `count` pictures."""
    write_folder(folder / "data", count)
    started = time.perf_counter()
    command = [sys.executable, "-c", SCRIPT, f"folder:{folder / 'data'}", str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, findings = map(int, done.stdout.split())
    seconds = time.perf_counter() - started
    return {"peak_MB": round(peak / 1024, 1), "pictures_per_second": round(count / seconds, 1), "findings": findings}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[2000, 20000])
    counts = sorted(parser.parse_args().pictures)
    result: dict[str, object] = {"environment": environment.describe()}
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            found[count] = measure(Path(folder), count)
    result["checks"] = found
    if len(counts) > 1:
        more = found[counts[-1]]["peak_MB"] - found[counts[0]]["peak_MB"]
        result["MB_per_1000_more"] = round(1000 * more / (counts[-1] - counts[0]), 2)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

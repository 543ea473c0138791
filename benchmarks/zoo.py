"""Mutated picture files through `tarsia predict`, in processes with 512 MiB more memory than they start with.

    python benchmarks/zoo.py --count 10000 --seed 0

Every file must be segmented or refused with one line that names it; a process that dies ends the program with exit 1.
The files are made from every mode and depth of tests/made_zoo.py; the same seed makes the same ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import made_zoo

_AT_ONCE = 500


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    started = time.monotonic()
    total = {"done": 0, "refused": 0, "extra_megabytes": 0.0}
    for first in range(0, asked.count, _AT_ONCE):
        count = min(_AT_ONCE, asked.count - first)
        with tempfile.TemporaryDirectory() as folder:
            found = made_zoo.apart(made_zoo.predict_mutated, count, asked.seed * 1000 + first // _AT_ONCE, Path(folder))
        total["done"] += found["done"]
        total["refused"] += found["refused"]
        total["extra_megabytes"] = max(total["extra_megabytes"], found["extra_megabytes"])
    print(json.dumps({"files": asked.count, **total, "crashes": 0, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()

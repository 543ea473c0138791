"""How long a comparison takes: intervals and paired tests of made-up models, by default 10 on 500 pictures, 19 classes.

    OMP_NUM_THREADS=1 python benchmarks/compare.py
    python benchmarks/compare.py --models 20 --classes 150 --images 2000

Seconds of the processor stand beside those of the clock: on a busy machine only the former mean anything.  Reading the
reports and writing the folder are not part of it.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

import tarsia
from tarsia import environment
from tarsia.card import Classes
from tarsia.comparing import compare
from tarsia.evaluation.confusion import ABSENT_CLASS_RULE


def made_up(models: int, images: int, count: int, seed: int = 0) -> list[tarsia.Report]:
    """Reports of models that get worse one by one, on the same pictures of differing difficulty."""
    random = np.random.default_rng(seed)
    classes = Classes(names=tuple(f"class {k}" for k in range(count)), colors=((0, 0, 0),) * count)
    truth_NK, difficulty_N1 = random.integers(0, 20_000, (images, count)), random.normal(0, 0.08, (images, 1))
    names, nothing = [f"{index:06d}" for index in range(images)], [""] * images
    protocol = {
        "dataset": "made up",
        "split": "val",
        "data_hash": "made up",
        "ignored_value": 255,
        "absent_class_rule": ABSENT_CLASS_RULE,
        "size": "scored at each label's own size",
    }
    reports = []
    for place in range(models):
        skill_NK = 0.9 - 0.005 * place - difficulty_N1 + random.normal(0, 0.05, (images, count))
        right_NK = (truth_NK * skill_NK.clip(0.02, 0.98)).astype(np.uint32)
        counts_NKK1 = np.zeros((images, count, count + 1), np.uint32)
        for k in range(count):
            counts_NKK1[:, k, k] = right_NK[:, k]
            counts_NKK1[:, k, (k + 1) % count] += (truth_NK - right_NK)[:, k].astype(np.uint32)
        facts = {"architecture": f"network {place}"}
        reports.append(tarsia.Report(classes, names, nothing, nothing, counts_NKK1, protocol, facts, {}))
    return reports


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("models", 10),
        ("images", 500),
        ("classes", 19),
        ("resamples", 2000),
        ("permutations", 10_000),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    reports = made_up(asked.models, asked.images, asked.classes)
    begun, worked = time.perf_counter(), time.process_time()
    found = compare(reports, resamples=asked.resamples, permutations=asked.permutations)
    result = {
        **vars(asked),
        "pairs": len(found.pairs),
        "clock_seconds": round(time.perf_counter() - begun, 2),
        "processor_seconds": round(time.process_time() - worked, 2),
        "environment": environment.describe(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""How long the dense CRF takes and what memory it needs, on a drawn street scene or on pictures of a data set.

    python benchmarks/crf.py --rounds 5
    python benchmarks/crf.py --data camvid:data/camvid --iterations 5

The probabilities are the scene's own classes, smeared and made unsure.  Seconds of the processor stand beside those of
the clock: on a busy machine only the former mean anything.  The memory is what the arrays take at most beyond what
was there before, by Python's own count; the result itself is part of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc

import numpy as np

from tarsia import environment
from tarsia.data import open_spec
from tarsia.data._dataset import Sample
from tarsia.prediction.crf import CrfSettings, refine


def unsure_KHW(sample: Sample, classes: int, seed: int = 0) -> np.ndarray:
    """A label map -> probabilities as of a network of a coarse last map: 8 times smaller, noisy, enlarged again."""
    height, width = sample.label.shape
    coarse_hw = sample.label[::8, ::8].repeat(8, 0).repeat(8, 1)[:height, :width]
    scores_KHW = 2.0 * (coarse_hw == np.arange(classes)[:, None, None])
    scores_KHW += np.random.default_rng(seed).normal(0, 0.5, scores_KHW.shape)
    raised_KHW = np.exp(scores_KHW)
    return (raised_KHW / raised_KHW.sum(0)).astype(np.float32)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="streets,count=1,size=360x480")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--iterations", type=int, default=CrfSettings().iterations)
    asked = parser.parse_args()
    settings = CrfSettings(iterations=asked.iterations)
    dataset = open_spec(asked.data, split="val")
    clock, processor, megabytes = [], [], []
    for turn in range(asked.rounds + 1):
        sample = dataset[turn % len(dataset)]
        given_KHW = unsure_KHW(sample, asked.classes)
        if turn == 0:  # counting slows it down: memory first, then the clock
            tracemalloc.start()
            refine(sample.image, given_KHW, settings)
            megabytes.append(tracemalloc.get_traced_memory()[1] / 1e6)
            tracemalloc.stop()
            continue
        begun, worked = time.perf_counter(), time.process_time()
        refine(sample.image, given_KHW, settings)
        clock.append(time.perf_counter() - begun)
        processor.append(time.process_time() - worked)
    result = {
        "size": list(given_KHW.shape),
        "settings": str(settings),
        "clock_seconds": round(statistics.median(clock), 3),
        "processor_seconds": round(statistics.median(processor), 3),
        "peak_MB": round(megabytes[0], 1),
        "environment": environment.describe(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

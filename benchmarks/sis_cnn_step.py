"""Seconds per training step of SIS-CNN's four combinations: batch 2, 224x224, Adam, as its publication trains.

python benchmarks/sis_cnn_step.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from tarsia import environment, hardware, models
from tarsia.engines.torch_engine import autocast
from tarsia.learning import optimizer, probe
from tarsia.learning.loader import Batch
from tarsia.learning.losses import CrossEntropy
from tarsia.models._segmenter import MEMORY_FORMATS
from tarsia.recipe_train import TrainRecipe

COMBINATIONS = [
    ("unet", {"encoder": "vgg16_bn"}),
    ("pspnet", {"encoder": "vgg16_bn", "output_stride": 16}),
    ("unet", {"encoder": "resnet50"}),
    ("pspnet", {"encoder": "resnet50", "output_stride": 16}),
]


def seconds_per_step(
    name: str, options: dict[str, object], precision: str, memory_format: str, rounds: int
) -> dict[str, object]:
    """Median wall time of forward, loss, backward and Adam on random pictures, after one step of warming up.

    What is `auto` is chosen as a training chooses it.
    """
    model = models.create(name, 11, options=options).train()
    step_of, criterion = optimizer.create(model, TrainRecipe(optimizer="adam", weight_decay=0)), CrossEntropy()
    image = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    label = torch.randint(0, 11, (2, 224, 224), dtype=torch.uint8)
    candidates = probe.ways(precision, memory_format, "cpu")
    way = probe.fastest_way(model, Batch(image, label, ["", ""]), criterion, "cpu", candidates).chosen
    model.arrange(way.memory_format)
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        with autocast("cpu", way.precision):
            terms, _ = model.loss(image, label, criterion)
        terms["loss"].backward()
        step_of.step()
        step_of.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - started)
    return {"computed_in": str(way), "seconds": round(statistics.median(times[1:]), 3)}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", choices=("auto", "bfloat16", "float32"))
    parser.add_argument("--memory-format", default="auto", choices=("auto", *MEMORY_FORMATS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    result: dict[str, object] = {
        "environment": environment.describe(), "torch": hardware.torch_described(), "threads": asked.threads
    }  # fmt: skip
    for name, options in COMBINATIONS:
        found = seconds_per_step(name, options, asked.precision, asked.memory_format, asked.rounds)
        result[f"{options['encoder']} + {name}"] = found
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

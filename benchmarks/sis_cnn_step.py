"""Seconds per training step of SIS-CNN's four combinations: batch 2, 224x224, Adam, as its publication trains.

python benchmarks/sis_cnn_step.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from tarsia import environment, models
from tarsia.learning import optimizer
from tarsia.learning.losses import CrossEntropy
from tarsia.learning.torch_engine import autocast
from tarsia.recipe import TrainRecipe

COMBINATIONS = [
    ("unet", {"encoder": "vgg16_bn"}),
    ("pspnet", {"encoder": "vgg16_bn", "output_stride": 16}),
    ("unet", {"encoder": "resnet50"}),
    ("pspnet", {"encoder": "resnet50", "output_stride": 16}),
]


def seconds_per_step(name: str, options: dict[str, object], precision: str, rounds: int) -> float:
    """Median wall time of forward, loss, backward and Adam on random pictures, after one step of warming up."""
    model = models.create(name, 11, options=options).to(memory_format=torch.channels_last).train()
    step_of, criterion = optimizer.create(model, TrainRecipe(optimizer="adam", weight_decay=0)), CrossEntropy()
    image = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    label = torch.randint(0, 11, (2, 224, 224), dtype=torch.uint8)
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        with autocast("cpu", precision):
            terms, _ = model.loss(image, label, criterion)
        terms["loss"].backward()
        step_of.step()
        step_of.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    result: dict[str, object] = {
        "environment": environment.describe(), "threads": asked.threads, "precision": asked.precision
    }  # fmt: skip
    for name, options in COMBINATIONS:
        seconds = seconds_per_step(name, options, asked.precision, asked.rounds)
        result[f"{options['encoder']} + {name}"] = round(seconds, 3)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

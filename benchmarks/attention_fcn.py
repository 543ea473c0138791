"""What Shen & Sun's channel attention costs: forward time of attention FCN with and without it, in one process.

The publication reports 42 ms without attention and 47 ms with it, 1.12 times, at 224x224.

    python benchmarks/attention_fcn.py --rounds 41
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn

from tarsia import environment, hardware, models
from tarsia.engines.measuring import measure
from tarsia.engines.torch_engine import autocast
from tarsia.models._segmenter import MEMORY_FORMATS, Segmenter


def seconds(model: nn.Module, image: Tensor, precision: str) -> float:
    """Wall time of one forward pass."""
    started = time.perf_counter()
    with torch.inference_mode(), autocast("cpu", precision):
        model(image)
    return time.perf_counter() - started


def arranged(network: Segmenter, memory_format: str, image: Tensor, asked: argparse.Namespace) -> float:
    """Wall time of one forward pass in a memory layout."""
    network.arrange(memory_format)
    return seconds(network, image, asked.precision)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--precision", default="float32", choices=("bfloat16", "float32"))
    parser.add_argument("--memory-format", default="auto", choices=("auto", *MEMORY_FORMATS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (asked.batch, 224, 224, 3), dtype=torch.uint8, generator=generator)
    image = image.permute(0, 3, 1, 2)
    networks = {
        switch: models.create(
            "attention_fcn", asked.classes, options={"width": asked.width, "attention": switch}
        ).eval()
        for switch in (False, True)
    }
    memory_format = asked.memory_format
    if memory_format == "auto":
        memory_format = measure(
            list(MEMORY_FORMATS), lambda one: arranged(networks[True], one, image, asked), 3.0
        ).chosen
    for network in networks.values():
        network.arrange(memory_format)
    times: dict[bool, list[float]] = {False: [], True: []}
    for round_ in range(asked.rounds + 2):
        for switch in (False, True) if round_ % 2 else (True, False):
            times[switch].append(seconds(networks[switch], image, asked.precision))
    medians = {switch: statistics.median(seen[2:]) / asked.batch for switch, seen in times.items()}  # two warm up
    ratios = [one / other for one, other in zip(times[True][2:], times[False][2:], strict=True)]
    result = {
        "environment": environment.describe(),
        "torch": hardware.torch_described(),
        **vars(asked),
        "memory_format": memory_format,
        "seconds_per_picture": {"without attention": medians[False], "with attention": medians[True]},
        "ratio_of_medians": medians[True] / medians[False],
        "median_of_ratios": statistics.median(ratios),
        "reported": {"seconds": [0.042, 0.047], "ratio": 1.12},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

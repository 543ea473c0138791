"""What restyling a picture costs, and a prediction fused from both, beside a plain prediction.

    python benchmarks/adapt.py --size 360x480 --rounds 10

Networks are made as they are: their weights change no time.  Rounds of all kinds take turns, and medians are given;
seconds of the processor stand beside those of the clock: on a busy machine only the former mean anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tarsia import environment, models
from tarsia.adaptation.recolor import match_histogram, swap_amplitudes
from tarsia.adaptation.style import StyleCard, StyleNetwork
from tarsia.adaptation.test_time import Restyle
from tarsia.card import Card, Classes, Input
from tarsia.data import open_spec
from tarsia.engines.torch_engine import TorchEngine
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.style import Style


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="360x480")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--encoder", default="mobilenetv2_100", help="of PSPNet, and of the style network")
    asked = parser.parse_args()
    dataset = open_spec(f"streets,count=2,size={asked.size}", split="val")
    image, reference = dataset[0].image, dataset[1].image
    plain = Predictor(_engine(asked.encoder, dataset.classes))
    styles = _styles(asked.encoder, reference)
    kinds: dict[str, Callable[[np.ndarray], Any]] = {"plain prediction": plain.labels}
    for name, restyle in styles.items():
        kinds[f"{name}: restyling"] = restyle
        kinds[f"{name}: fused prediction"] = Predictor(plain.engine, style=Style(restyle)).labels
    clock, processor = _times(kinds, image[None], asked.rounds)
    result = {
        "size": list(image.shape[:2]),
        "encoder": asked.encoder,
        "threads": torch.get_num_threads(),
        "kinds": {
            name: {
                "clock_seconds": round(clock[name], 4),
                "processor_seconds": round(processor[name], 4),
                "times_plain": round(processor[name] / processor["plain prediction"], 2),
            }
            for name in kinds
        },
        "environment": environment.describe(),
    }
    print(json.dumps(result, indent=1))


def _engine(encoder: str, classes: Classes) -> TorchEngine:
    model = models.create("pspnet", len(classes), options={"encoder": encoder})
    card = Card(architecture="pspnet", model={}, classes=classes, input=Input(stride=model.stride))
    return TorchEngine(model.eval(), card, "cpu")


def _styles(encoder: str, reference_HW3: np.ndarray) -> dict[str, Restyle]:
    network = StyleNetwork(StyleCard(encoder=encoder)).eval()

    def tensor(images_BHW3: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(images_BHW3)).permute(0, 3, 1, 2)

    style = network.statistics(tensor(reference_HW3[None]))
    return {
        "style network": lambda images: network.toward(tensor(images), style).permute(0, 2, 3, 1).numpy(),
        "histogram": lambda images: np.stack([match_histogram(one, reference_HW3) for one in images]),
        "fourier": lambda images: np.stack([swap_amplitudes(one, reference_HW3) for one in images]),
    }


def _times(
    kinds: dict[str, Callable[[np.ndarray], Any]], images_BHW3: np.ndarray, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of the clock and of the processor, of each kind; the first round warms up."""
    clock: dict[str, list[float]] = {name: [] for name in kinds}
    processor: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(rounds + 1):
        for name, work in kinds.items():
            begun, worked = time.perf_counter(), time.process_time()
            work(images_BHW3)
            if turn:
                clock[name].append(time.perf_counter() - begun)
                processor[name].append(time.process_time() - worked)
    medians = [{name: statistics.median(found) for name, found in times.items()} for times in (clock, processor)]
    return medians[0], medians[1]


if __name__ == "__main__":
    main()

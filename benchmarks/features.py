"""A step on a frozen encoder's cached maps against one on pictures: processor seconds, reading and augmenting included.

Both are trainings as `tarsia train` sets them up, of the same network, batch and augmentation, float32 in one thread;
their rounds of steps take turns.  Nothing is scored.  Said besides: what a view costs to compute, and its bytes.

    python benchmarks/features.py --data camvid:data/camvid --weights mobilenetv1_100_tf.safetensors
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tarsia import data, environment
from tarsia.learning.state import TrainingState
from tarsia.learning.step import gradients, take
from tarsia.recipe import Recipe


def opened(args: argparse.Namespace, folder: str, cached: bool) -> TrainingState:
    """The training, maps computed."""
    name, root, options = data.parse(args.data)
    tree: dict[str, Any] = {
        "data": {**options, "name": name, "root": root, "val": None, "cache": f"{folder}/pictures"},
        "model": {"name": args.model, "encoder": args.encoder, "weights": args.weights, "freeze": ["all"]},
        "input": {"size": args.size},
        "augment": {"horizontal_flip": 0.5, "scale": {"min": 0.7, "max": 1.5}, "crop": args.crop, "color_jitter": {}},
        "train": {"epochs": 1000, "batch": args.batch, "workers": 0, "precision": "float32"},
    }
    if args.finest:
        tree["model"]["finest"] = args.finest
    tree["train"] |= {"memory_format": args.memory_format}
    if cached:
        tree["train"]["cache_features"] = {"folder": folder, "precision": args.precision}
    return TrainingState.open(Recipe.model_validate(tree), Path(folder), "cpu", lambda *_: None)  # type: ignore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="camvid:data/camvid")
    parser.add_argument("--model", default="fpn")
    parser.add_argument("--encoder", default="mobilenetv1_100")
    parser.add_argument("--finest", type=int, help="of fpn: 1 / resolution of the finest map that it uses")
    parser.add_argument("--weights", default="none", help="of the encoder: a file")
    parser.add_argument("--size", type=int, nargs=2, default=(180, 240))
    parser.add_argument("--crop", type=int, nargs=2, default=(144, 192))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", default="float16", help="of the maps on disk")
    parser.add_argument("--memory-format", default="contiguous")
    parser.add_argument("--steps", type=int, default=10, help="in a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        states = {"pictures": opened(args, folder, False), "maps": opened(args, folder, True)}
        started = time.process_time()
        states["maps"].fill(print, lambda: None)
        view_seconds = time.process_time() - started
        batches = {name: state.batches() for name, state in states.items()}
        seconds: dict[str, list[float]] = {name: [] for name in states}
        for turn in range(args.rounds + 1):
            for name, state in states.items():
                state.model.train()
                started = time.process_time()
                for _ in range(args.steps):
                    gradients(state, [next(batches[name])])
                    take(state)
                if turn:  # the first warms up
                    seconds[name].append((time.process_time() - started) / args.steps)
        features = states["maps"].features
        assert features is not None
        told = {name: statistics.median(of_one) for name, of_one in seconds.items()}
        facts = {
            "processor seconds a step": told,
            "times as fast": told["pictures"] / told["maps"],
            "spread": {name: [min(of_one), max(of_one)] for name, of_one in seconds.items()},
            "view": {"pictures": len(features.dataset), "bytes": features.bytes, "processor seconds": view_seconds},
            "environment": environment.describe(),
        }
        print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

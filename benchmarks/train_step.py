"""Training step against segmentation_models.pytorch: the same U-Net, its usual eager float32 loop and ours.

Ours is computed as a training would choose on this machine (`chosen`, what `tarsia train` measures at its start), and
beside it in every way that it could have chosen.  Rounds of all loops are interleaved in one process; a figure is the
ratio of medians.  Both networks have the same number of parameters (checked) and see the same batches, and the losses
of the first steps are compared: both start from the same weights, copied over; a third run, theirs from weights rounded
to bfloat16, shows the noise.

    python benchmarks/train_step.py --rounds 5
    python benchmarks/train_step.py --encoder mobilenetv2_100
    python benchmarks/train_step.py --clock cpu --threads 1     on a busy machine
    python benchmarks/train_step.py --losses 50 --data camvid:data/camvid
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from tarsia import data, environment, hardware, models
from tarsia.engines import memory
from tarsia.engines.torch_engine import autocast
from tarsia.evaluation.confusion import count
from tarsia.learning import optimizer, probe
from tarsia.learning.loader import Batch
from tarsia.learning.losses import CrossEntropy
from tarsia.learning.probe import Way
from tarsia.models._segmenter import Segmenter
from tarsia.recipe_train import TrainRecipe

CLASSES = 11
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Step = Callable[[Tensor, Tensor], float]


def ours(learning_rate: float, encoder: str, way: Way) -> tuple[Segmenter, Step]:
    """Tarsia's step: fused AdamW, training counts included."""
    options = {"encoder": encoder, "convolutions": 2, "upsampling": "nearest"}
    model = models.create("unet", CLASSES, options=options).train()
    model.arrange(way.memory_format)
    settings = TrainRecipe(optimizer="adamw", learning_rate=learning_rate)
    step_of, criterion = optimizer.create(model, settings), CrossEntropy()
    counts = np.zeros((CLASSES, CLASSES + 1), np.int64)

    def step(image: Tensor, label: Tensor) -> float:
        with autocast("cpu", way.precision):
            terms, found = model.loss(image, label, criterion)
        terms["loss"].backward()
        predicted = found.detach().max(1).indices.to(torch.uint8).numpy()
        for truth_HW, predicted_HW in zip(label.numpy(), predicted, strict=True):
            counts.__iadd__(count(truth_HW, predicted_HW, CLASSES))
        step_of.step()
        step_of.zero_grad(set_to_none=True)
        return float(terms["loss"].detach())

    return model, step


def theirs(learning_rate: float, encoder: str) -> tuple[nn.Module, Step]:
    """The usual loop: eager float32, contiguous, normalisation on the batch, no training counts."""
    name = encoder if encoder.startswith("resnet") else f"tu-{encoder}"
    model = smp.Unet(name, encoder_weights=None, classes=CLASSES).train()
    step_of = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    criterion = nn.CrossEntropyLoss(ignore_index=255)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255

    def step(image: Tensor, label: Tensor) -> float:
        loss = criterion(model((image.contiguous().float() - mean) / std), label.long())
        loss.backward()
        step_of.step()
        step_of.zero_grad()
        return float(loss.detach())

    return model, step


def same_start(mine: nn.Module, other: nn.Module) -> None:
    """Copy weights by order of creation; both networks are the same layer by layer."""
    pairs = [list(model.state_dict().values()) for model in (mine, other)]
    assert [tuple(value.shape) for value in pairs[0]] == [tuple(value.shape) for value in pairs[1]], "not the same net"
    with torch.no_grad():
        for target, source in zip(*pairs, strict=True):
            target.copy_(source)


def batches(spec: str | None, count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """`count` batches of padded 384x480 pictures (360x480 is no multiple of 32, which the other needs)."""
    random = np.random.default_rng(0)
    made = []
    dataset = data.open_spec(spec, split="train") if spec else None
    for _ in range(count):
        images = np.zeros((size, 384, 480, 3), np.uint8)
        labels = np.full((size, 384, 480), 255, np.uint8)
        for row in range(size):
            if dataset is None:
                images[row, :360] = random.integers(0, 256, (360, 480, 3), dtype=np.uint8)
                labels[row, :360] = random.integers(0, CLASSES, (360, 480), dtype=np.uint8)
            else:
                sample = dataset[int(random.integers(len(dataset)))]
                images[row, :360], labels[row, :360] = sample.image, sample.label
        made.append((torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)))
    return made


def compare_losses(seen: list[tuple[Tensor, Tensor]], encoder: str, way: Way) -> dict[str, object]:
    """Losses of the first steps of both, and of theirs once more from weights rounded to bfloat16.

    The gap between their two runs is the noise: how far rounding alone drives one loop apart.
    """
    (mine, my_step), (other, their_step), (rounded, their_step_again) = (
        ours(1e-3, encoder, way),
        theirs(1e-3, encoder),
        theirs(1e-3, encoder),
    )
    same_start(mine, other)
    same_start(rounded, other)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.bfloat16().float())
    steps = {"ours": my_step, "theirs": their_step, "theirs_rounded": their_step_again}
    losses = {name: [round(step(image, label), 4) for image, label in seen] for name, step in steps.items()}

    def gap(name: str) -> float:
        return statistics.mean(abs(a - b) / b for a, b in zip(losses[name], losses["theirs"], strict=True))

    return {"losses": losses, "mean_relative_gap": gap("ours"), "mean_relative_noise": gap("theirs_rounded")}


def medians_of(
    steps: dict[str, Step], image: Tensor, label: Tensor, rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, int]]:
    """Median seconds and page faults of each step, taken in turns; the first round warms up.

    Ours keeps the memory that it frees, as in a training; of each turn's two steps the second counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    faults: dict[str, list[int]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            with contextlib.nullcontext() if name == "theirs" else memory.kept():
                step(image, label)
                before, started = _faults(), clock()
                step(image, label)
                seconds[name].append(clock() - started)
                faults[name].append(_faults() - before)
    medians = {name: round(statistics.median(times[1:]), 4) for name, times in seconds.items()}
    return medians, {name: round(statistics.median(counts[1:])) for name, counts in faults.items()}


def _faults() -> int:
    """Pages that the system has had to find for this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--losses", type=int, default=0, help="also compare the loss of this many first steps")
    parser.add_argument("--data", default=None, help="pictures for --losses, as camvid:data/camvid")
    parser.add_argument("--encoder", choices=("resnet18", "mobilenetv2_100"), default="resnet18")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    result: dict[str, object] = {"environment": environment.describe(), "torch": hardware.torch_described()}
    result |= {"encoder": asked.encoder, "threads": asked.threads, "batch": asked.batch, "clock": asked.clock}
    ((image, label),) = batches(None, 1, asked.batch)
    candidates = probe.ways("auto", "auto", "cpu")
    first = Batch(image, label, [""] * asked.batch)
    found = probe.fastest_way(ours(1e-3, asked.encoder, candidates[0])[0], first, CrossEntropy(), "cpu", candidates)
    result |= {"chosen": str(found.chosen), "probed": found.ratios()}
    if asked.losses:
        result |= compare_losses(batches(asked.data, asked.losses, asked.batch), asked.encoder, found.chosen)
    steps = {"theirs": theirs(1e-3, asked.encoder)[1]}
    steps |= {str(way): ours(1e-3, asked.encoder, way)[1] for way in candidates}
    medians, faults = medians_of(steps, image, label, asked.rounds, CLOCKS[asked.clock])
    ratios = {name: round(medians["theirs"] / seconds, 3) for name, seconds in medians.items() if name != "theirs"}
    result |= {"seconds_per_step": medians, "page_faults": faults, "ratios": ratios, "ratio": ratios[str(found.chosen)]}
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

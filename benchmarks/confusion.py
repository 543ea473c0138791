"""How long confusion counts take: Tarsia's `count` against torchmetrics and segmentation_models.pytorch (SMP).

    python benchmarks/confusion.py --rounds 5

All get the same uint8 label maps, as predictors and data sets hand them out; what the peers need beyond that (int64,
for SMP also another ignored value) is counted as theirs.  The rounds are interleaved, so that a busy moment meets all
alike, and the figure is the median.  SMP gives true and false positives and negatives, the others the matrix.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from tarsia import hardware
from tarsia.card import IGNORED
from tarsia.evaluation.confusion import count


def label_maps(images: int, size: tuple[int, int], classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth in blocks of 32 pixels, a twentieth of them ignored, and a prediction, a tenth of it wrong."""
    draw = np.random.default_rng(seed)
    blocks = draw.integers(0, classes, (images, -(-size[0] // 32), -(-size[1] // 32)), dtype=np.uint8)
    blocks[draw.random(blocks.shape) < 0.05] = IGNORED
    truth = np.ascontiguousarray(blocks.repeat(32, 1).repeat(32, 2)[:, : size[0], : size[1]])
    other = draw.integers(0, classes, truth.shape, dtype=np.uint8)
    return truth, np.where((draw.random(truth.shape) < 0.1) | (truth == IGNORED), other, truth)


def contenders(truth: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Callable[[], np.ndarray]]:
    """What is timed; each returns the true positives of each class."""
    truth_t, predicted_t = torch.from_numpy(truth), torch.from_numpy(predicted)

    def tarsia() -> np.ndarray:
        return np.diagonal(sum(count(t, p, classes) for t, p in zip(truth, predicted, strict=True)))

    def torchmetrics(validate: bool) -> np.ndarray:
        matrix = multiclass_confusion_matrix(
            predicted_t.long(), truth_t.long(), num_classes=classes, ignore_index=IGNORED, validate_args=validate
        )
        return matrix.diagonal().numpy()

    def smp_stats() -> np.ndarray:
        target = truth_t.long()
        target[target == IGNORED] = -1  # it takes no ignored value above the classes
        right, *_ = smp.metrics.get_stats(
            predicted_t.long(), target, mode="multiclass", num_classes=classes, ignore_index=-1
        )
        return right.sum(0).numpy()

    return {
        "tarsia": tarsia,
        "torchmetrics, default": lambda: torchmetrics(True),
        "torchmetrics, validate_args=False": lambda: torchmetrics(False),
        "smp.metrics.get_stats": smp_stats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    truth, predicted = label_maps(args.images, tuple(args.size), args.classes)
    runs = contenders(truth, predicted, args.classes)
    results = {name: run() for name, run in runs.items()}  # also the warm-up
    for name, right in results.items():
        if not np.array_equal(right, results["tarsia"]):
            raise SystemExit(f"{name} disagrees with tarsia: {right} and {results['tarsia']}")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    print(f"{hardware.processor()} ({hardware.torch_described()}), {args.threads} thread(s), torch {torch.__version__}")
    print(f"numpy {np.__version__}")
    print(f"{args.images} x {args.size[0]} x {args.size[1]}, {args.classes} classes, medians of {args.rounds} rounds")
    own = statistics.median(seconds["tarsia"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(f"{name:34s} {1e3 * median:9.1f} ms {1e9 * median / truth.size:8.2f} ns/pixel   x {median / own:6.1f}")


if __name__ == "__main__":
    main()

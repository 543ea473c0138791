"""A data set and its findings as plain values: the content of check.json.  The same data set gives the same text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tarsia.doctor.balance import weights
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.finding import SEVERITIES, Finding, plain
from tarsia.doctor.split_statistics import CheckedSplit

FORMAT = 1
_SIZES = 20  # listed; further ones are counted together
_BINS = 16  # of brightness


def facts(checked: CheckedData, findings: Sequence[Finding], fix: str = "") -> dict[str, Any]:
    """Everything that was found, worst first, then what the data set is: sizes, brightness, classes of each split.

    `fix`: the command that writes a corrected copy, where that is still to be done.
    """
    counts = {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}
    training = checked.training()
    return {
        "format": FORMAT,
        "data": plain(checked.spec),
        "verdict": next((severity for severity in SEVERITIES if counts[severity]), "healthy"),
        "counts": counts,
        "pictures": checked.pictures(),
        "findings": [finding.facts(fix) for finding in findings],
        "class_weights": {} if training is None else _weights(checked, training),
        "splits": {split.name: split_facts(split) for split in checked.splits.values()},
        "absent_splits": {split: plain(said) for split, said in checked.absent.items()},
    }


def _weights(checked: CheckedData, training: CheckedSplit) -> dict[str, Any]:
    """What `train.class_weights` may be set to, by class."""
    median = weights(training)
    kinds = {"median_frequency": median, "root_median_frequency": [float(f"{one**0.5:.6g}") for one in median]}
    return {kind: dict(zip(checked.classes.names, values, strict=True)) for kind, values in kinds.items()}


def split_facts(split: CheckedSplit) -> dict[str, Any]:
    """What one split is."""
    classes, sizes = split.dataset.classes, split.sizes()
    everything = max(int(split.pixels_K1.sum()), 1)
    rows = zip(classes.names, classes.colors, split.pixels_K1, split.shares_K(), split.pictures_K, strict=False)
    return {
        "pictures": len(split),
        "readable": int(split.seen_N.sum()),
        "sizes": [{"size": list(size), "pictures": count} for size, count in sizes[:_SIZES]],
        "other_sizes": sum(count for _, count in sizes[_SIZES:]),
        "modes": dict(sorted(split.modes.items())),
        "brightness": _brightness(split),
        "ignored_share": float(split.pixels_K1[-1] / everything),
        "classes": [
            {"name": name, "color": list(color), "pixels": int(pixels), "share": float(share), "pictures": int(shown)}
            for name, color, pixels, share, shown in rows
        ],
    }


def _brightness(split: CheckedSplit) -> dict[str, Any]:
    """Mean and deviation of the pictures' brightness (0 .. 255), and how many fall into each of 16 equal steps."""
    mean_N, deviation_N = split.mean_N[split.pictures_N], split.deviation_N[split.pictures_N]
    if not len(mean_N):
        return {"mean": None, "deviation_of_means": None, "contrast": None, "histogram": [0] * _BINS}
    return {
        "mean": round(float(mean_N.mean(dtype=np.float64)), 2),
        "deviation_of_means": round(float(mean_N.std(dtype=np.float64)), 2),
        "contrast": round(float(deviation_N.mean(dtype=np.float64)), 2),
        "histogram": np.histogram(mean_N, _BINS, (0, 256))[0].tolist(),
    }

"""Made-up reports of models on the same pictures, for tests that compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tarsia.card import Classes
from tarsia.evaluation.confusion import ABSENT_CLASS_RULE
from tarsia.evaluation.report import Report

NAMES = ("road", "car", "tree", "pole")


def classes(count: int = 3) -> Classes:
    names = NAMES[:count] if count <= len(NAMES) else tuple(f"class {k}" for k in range(count))
    return Classes(names=names, colors=tuple((k % 256, 40, 80) for k in range(count)))


def counts(skill: float, pictures: int, count: int = 3, seed: int = 0) -> np.ndarray:
    """N x K x (K + 1) counts; the truth of a picture is the same whatever the skill and seed."""
    random, truth_random = (
        np.random.default_rng([seed, int(1000 * skill)]),
        np.random.default_rng(pictures * 1000 + count),
    )
    truth = truth_random.integers(100, 1000, (pictures, count))
    right = (truth * np.clip(random.normal(skill, 0.06, (pictures, count)), 0.05, 0.99)).astype(int)
    found = np.zeros((pictures, count, count + 1), np.uint32)
    for k in range(count):
        found[:, k, k] = right[:, k]
        found[:, k, (k + 1) % count if count > 1 else 1] += (truth - right)[:, k].astype(np.uint32)
    return found


def made(skill: float = 0.8, pictures: int = 12, count: int = 3, seed: int = 0, **changes: Any) -> Report:
    """A report; `changes` replace its fields, but those of `protocol`, `model`, `provenance` are laid over its own."""
    names = [f"frame-{index:03d}" for index in range(pictures)]
    protocol = {
        "dataset": "camvid",
        "split": "val",
        "images": pictures,
        "data_hash": "a1b2",
        "classes": list(classes(count).names),
        "ignored_value": 255,
        "absent_class_rule": ABSENT_CLASS_RULE,
        "size": "scored at each label's own size",
        "tta": "none",
        "post_process": "none",
        "network_input": "the picture's own size",
    }
    model = {
        "architecture": "unet",
        "parameters": 1_000_000,
        "multiply_adds": 2_000_000_000,
        "latency_seconds": 0.05,
        "peak_memory_bytes": 2**30,
        "device": "cpu",
        "threads": 1,
        "batch": 1,
    }
    provenance = {"created": "2026-11-20T12:00:00+00:00", "command": "tarsia evaluate", "processor": "a processor"}
    fields: dict[str, Any] = {
        "classes": classes(count),
        "names": names,
        "domains": [""] * pictures,
        "sequences": [""] * pictures,
        "counts_NKK1": counts(skill, pictures, count, seed),
        "protocol": protocol,
        "model": model,
        "provenance": provenance,
    }
    fields["details"] = changes.pop("details", None) or {}
    for key, value in changes.items():
        fields[key] = {**fields[key], **value} if isinstance(value, dict) else value
    return Report(**fields)


def written(folder: Path, report: Report, recipe: dict[str, Any] | None = None) -> Path:
    """A report in a folder of its own, as of a run where there is a recipe."""
    report.write(folder)
    if recipe is not None:
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def detailed(pictures: int = 12, count: int = 3, skill: float = 0.8, bins: int = 5) -> dict[str, np.ndarray]:
    """What a report may hold besides its confusion counts."""
    random = np.random.default_rng(3)
    union = random.integers(50, 100, (pictures, count))
    area = random.integers(1, 500, pictures * count * 3)
    picture = np.repeat(np.arange(pictures), count * 3)
    kind = np.tile(np.repeat(np.arange(count), 3), pictures)
    pixels = random.integers(100, 1000, (pictures, bins)).astype(float)
    confidence = pixels * (np.arange(bins) + 0.5) / bins
    return {
        "boundary_iou": np.stack([(skill * union).astype(int), union], 1),
        "boundary_f1": np.stack([(skill * union).astype(int), union, (skill * union).astype(int), union], 1),
        "objects": np.stack([picture, kind, area, (area * skill * random.random(len(area)) * 1.4).astype(int)], 1),
        "calibration": np.stack([pixels, confidence, confidence * skill], 2),
    }

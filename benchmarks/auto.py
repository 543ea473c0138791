"""`tarsia train FOLDER --minutes N` against a good script written by hand, with the same seconds of the processor.

    python benchmarks/auto.py --data cells --minutes 5 --seed 0 --weights FOLDER
    python benchmarks/auto.py --data photos --test held-out --minutes 5 --weights FOLDER

The rival: segmentation_models_pytorch's U-Net on MobileNetV2 with the same ImageNet weights, AdamW at 1e-3, cosine,
cross-entropy + Dice, scales of 0.7 to 1.5, crops of 256, horizontal flips, batches of 8, one thread, the faster layout.
It learns from the pictures that Tarsia learned from, for as many seconds of the processor as Tarsia took for everything
(imports, validation and report included), and validates nothing.  Both are scored on pictures that neither saw: mIoU
over the classes that are there.

`--data`: a folder with images/ and labels/ (with `--test` such a folder too), or a drawn set: cells (round objects in a
stain), fields (seen from above), membranes (thin dark walls in grey pictures of an odd size), streets, photographs (the
cells in 3 megapixels).  `--small` draws them with a quarter of the pixels: streets at half the size, of the others a
corner.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn import functional

import tarsia
from tarsia import data, deriving, environment
from tarsia.models._segmenter import MEMORY_FORMATS

Pair = tuple[np.ndarray, np.ndarray]
_CROP, _BATCH, _RATE = 256, 8, 1e-3
_TRAIN, _TEST = 60, 40  # pictures of a drawn set
_VALIDATIONS = 5  # of a training whose steps are fixed


def main() -> None:
    """Train both, score both, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--small", action="store_true", help="drawn pictures have a quarter of the pixels")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--weights", type=Path, help="a folder with mobilenetv2_100.safetensors; none: both from scratch"
    )
    parser.add_argument("--set", action="append", default=[], help="for Tarsia: a setting that no rule may change")
    parser.add_argument("--only", choices=("tarsia", "rival"))
    parser.add_argument("--steps", type=int, help="of Tarsia, in place of as many as fit into the minutes")
    parser.add_argument("--seconds", type=float, help="of the processor, for the rival; default: what Tarsia took")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root, test = _data(asked, Path(temporary))
        result: dict[str, Any] = {"data": asked.data, "minutes": asked.minutes, "seed": asked.seed, "set": asked.set}
        tarsia.init(root)
        if asked.only != "rival":
            result["tarsia"] = _tarsia(asked, root, test, Path(temporary) / "run")
        if asked.only != "tarsia":
            seconds = asked.seconds or result.get("tarsia", {}).get("processor_seconds") or 60 * asked.minutes
            result["rival"] = _rival(asked, root, test, seconds)
    result["environment"] = environment.describe()
    print(json.dumps(result, indent=2))


# ---- Tarsia


def _tarsia(asked: argparse.Namespace, root: Path, test: list[Pair], run: Path) -> dict[str, Any]:
    if asked.steps:
        return _in_steps(asked, root, test, run)
    words = ["train", f"folder:{root}", "--minutes", str(asked.minutes), "--out", str(run), "--seed", str(asked.seed)]
    words += ["--weights", str(asked.weights)] if asked.weights else ["--offline"]
    words += [word for one in asked.set for word in ("--set", one)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "tarsia", *words], check=True, stdout=sys.stderr)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _facts(run, test, wall, used)


def _in_steps(asked: argparse.Namespace, root: Path, test: list[Pair], run: Path) -> dict[str, Any]:
    """The recipe of these minutes, for so many steps, however long they take: what others do meanwhile is no matter."""
    each = max(1, asked.steps // _VALIDATIONS)
    fixed = [f"seed={asked.seed}", f"train.epochs={_VALIDATIONS}", f"train.steps_per_epoch={each}", *asked.set]
    derived = deriving.derive(f"folder:{root}", asked.minutes, overrides=fixed, weights_at=asked.weights)
    wall, used = time.monotonic(), time.process_time()
    tarsia.train(derived.recipe, out=run)
    return _facts(run, test, time.monotonic() - wall, time.process_time() - used)


def _facts(run: Path, test: list[Pair], wall: float, used: float) -> dict[str, Any]:
    predictor = tarsia.load(run)
    miou = _miou(test, lambda image: predictor.labels(image[None])[0])
    recipe = tarsia.Recipe.load(run / "recipe.yaml")
    planned = recipe.train.epochs * (recipe.train.steps_per_epoch or 0)
    steps = recipe.train.replan[-1][1] if recipe.train.replan else planned
    return {
        "miou": round(miou, 4),
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(used, 1),
        "steps": steps,
        "batch": recipe.train.batch,
        "replanned": len(recipe.train.replan),
        "model": recipe.model.model_dump(mode="json"),
    }


# ---- the rival


def _rival(asked: argparse.Namespace, root: Path, test: list[Pair], seconds: float) -> dict[str, Any]:
    import segmentation_models_pytorch as smp
    from safetensors.torch import load_file

    train = data.open("folder", root, "train")
    torch.manual_seed(asked.seed)
    random = np.random.default_rng(asked.seed)
    model = smp.Unet("tu-mobilenetv2_100", encoder_weights=None, classes=len(train.classes))
    if asked.weights:
        tensors = load_file(str(asked.weights / "mobilenetv2_100.safetensors"))
        missing = model.encoder.model.load_state_dict(tensors, strict=False).missing_keys
        if [key for key in missing if "num_batches" not in key]:
            raise SystemExit(f"weights do not fit: {missing[:3]}")
    layout = _faster_layout(model)
    model.to(memory_format=MEMORY_FORMATS[layout])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=1e-2)
    dice = smp.losses.DiceLoss("multiclass", ignore_index=255)
    pairs = [(sample.image, sample.label) for sample in (train[k] for k in range(len(train)))]
    started, steps, order = time.process_time(), 0, []
    while (share := (time.process_time() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * share))
        while len(order) < _BATCH:
            order += random.permutation(len(pairs)).tolist()
        drawn = [_drawn(*pairs[order.pop()], random) for _ in range(_BATCH)]
        image, label = _tensor(np.stack([one[0] for one in drawn])), np.stack([one[1] for one in drawn])
        image = image.contiguous(memory_format=MEMORY_FORMATS[layout])
        truth, scores = torch.from_numpy(label).long(), model(image)
        loss = functional.cross_entropy(scores, truth, ignore_index=255) + dice(scores, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    model.eval()
    miou = _miou(test, lambda image: _labels(model, image))
    used = round(time.process_time() - started, 1)
    return {"miou": round(miou, 4), "processor_seconds": used, "steps": steps, "memory_format": layout}


def _faster_layout(model: torch.nn.Module) -> str:
    """Of two steps in each, the second; its makers had measured that, so it is no part of the rival's seconds."""
    taken = {}
    for name, layout in MEMORY_FORMATS.items():
        model.to(memory_format=layout)
        image = torch.zeros((_BATCH, 3, _CROP, _CROP)).contiguous(memory_format=layout)
        for _ in range(2):
            started = time.process_time()
            model(image).sum().backward()
            taken[name] = time.process_time() - started
    model.zero_grad()
    return min(taken, key=lambda name: taken[name])


def _drawn(image: np.ndarray, label: np.ndarray, random: np.random.Generator) -> Pair:
    """A scaled, flipped crop of a picture and its label."""
    scale = math.exp(random.uniform(math.log(0.7), math.log(1.5)))
    size = [max(1, round(side * scale)) for side in label.shape]
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
    below, beside = (max(0, _CROP - side) for side in size)
    image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    label = cv2.copyMakeBorder(label, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=255)
    top, left = (int(random.integers(side - _CROP + 1)) for side in label.shape)
    image, label = (one[top : top + _CROP, left : left + _CROP] for one in (image, label))
    return (image[:, ::-1], label[:, ::-1]) if random.random() < 0.5 else (image, label)


def _tensor(images_BHW3: np.ndarray) -> torch.Tensor:
    mean, std = ((np.array(one, np.float32) * 255) for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return torch.from_numpy((images_BHW3.astype(np.float32) - mean) / std).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def _labels(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % 32, 0, -width % 32, cv2.BORDER_REPLICATE)
    return model(_tensor(padded[None]))[0, :, :height, :width].argmax(0).numpy().astype(np.uint8)


# ---- scoring and data


def _miou(test: list[Pair], labels: Callable[[np.ndarray], np.ndarray]) -> float:
    counts = np.zeros((256, 256), np.int64)
    for image, truth in test:
        shown = truth != 255
        pairs = truth[shown].astype(int) * 256 + labels(image)[shown]
        counts += np.bincount(pairs, minlength=65536).reshape(256, 256)
    there = counts.sum(1) > 0
    union = counts.sum(1) + counts.sum(0) - np.diag(counts)
    return float((np.diag(counts)[there] / union[there]).mean())


def _data(asked: argparse.Namespace, temporary: Path) -> tuple[Path, list[Pair]]:
    """The folder to learn from, as it lies there, and the labelled pictures to be scored on."""
    root = temporary / "data"
    if asked.data not in _DRAWN:
        if asked.test is None:
            raise SystemExit("--test: a folder of labelled pictures that nothing learns from")
        shutil.copytree(asked.data, root)
        folders = sorted((asked.test / "images").iterdir()), sorted((asked.test / "labels").iterdir())
        return root, [
            (np.array(Image.open(a).convert("RGB")), np.array(Image.open(b))) for a, b in zip(*folders, strict=True)
        ]
    pairs = [_DRAWN[asked.data](index) for index in range(_TRAIN + _TEST)]
    if asked.small:
        pairs = [_halved(*pair) if asked.data == "streets" else _corner(*pair) for pair in pairs]
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index, (image, label) in enumerate(pairs[:_TRAIN]):
        Image.fromarray(image).save(root / "images" / f"p{index:03d}.png")
        Image.fromarray(label).save(root / "labels" / f"p{index:03d}.png")
    return root, pairs[_TRAIN:]


def _halved(image: np.ndarray, label: np.ndarray) -> Pair:
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA), label[::2, ::2]


def _corner(image: np.ndarray, label: np.ndarray) -> Pair:
    height, width = label.shape
    return image[: height // 2, : width // 2], label[: height // 2, : width // 2]


def _cells(index: int) -> Pair:
    """Round objects of two kinds, which differ by their rim, in a stain that varies; 300x300."""
    random = np.random.default_rng(index)
    y, x = np.mgrid[:300, :300].astype(np.float32)
    stain = np.array([200, 150, 190]) + random.normal(0, 14, 3)
    image = np.full((300, 300, 3), stain, np.float32) + _cloud(random, 300, 12)[..., None]
    label = np.zeros((300, 300), np.uint8)
    for _ in range(int(random.integers(10, 30))):
        kind = int(random.integers(1, 3))
        middle, radius = random.uniform(0, 300, 2), random.uniform(9, 17)
        far = np.hypot((y - middle[0]) * random.uniform(0.8, 1.2), x - middle[1]) / radius
        inside = far < 1
        rim = np.clip(far, 0, 1) ** 4 if kind == 1 else np.clip(1 - far, 0, 1) ** 0.5
        colour = np.array([120, 60, 130]) + random.normal(0, 14, 3)
        image[inside] = colour + (45 * rim[inside, None] - 20)
        label[inside] = kind
    image = cv2.GaussianBlur(image, (0, 0), 1.2) + random.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), label


def _photographs(index: int) -> Pair:
    """Cells as a large sensor has them: 1800x1800, sharp edges, noise of each pixel's own."""
    image, label = _cells(index)
    large = cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += np.random.default_rng(30_000 + index).normal(0, 8, large.shape).astype(np.float32)
    return large.clip(0, 255).astype(np.uint8), cv2.resize(label, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)


def _fields(index: int) -> Pair:
    """Polygons of five textures from above, crossed by a road; 400x400, in the light of a day each."""
    random = np.random.default_rng(10_000 + index)
    label = np.zeros((400, 400), np.uint8)
    seeds = random.uniform(0, 400, (14, 2))
    y, x = np.mgrid[:400, :400]
    nearest = np.argmin([np.abs(y - a) + 0.7 * np.abs(x - b) for a, b in seeds], 0)
    label[:] = random.integers(0, 5, 14)[nearest]
    ends = random.integers(0, 400, 4).tolist()
    cv2.line(label, (ends[0], 0), (ends[1], 399), 5, int(random.integers(5, 12)))
    colours = np.array([[120, 130, 70], [110, 125, 75], [150, 125, 80], [90, 105, 60], [130, 130, 90], [150, 145, 140]])
    image = colours[label].astype(np.float32)
    angle = random.uniform(0, math.pi)
    along = y * math.sin(angle) + x * math.cos(angle)
    rows = {0: 6.0, 2: 12.0, 3: 0.0, 4: 6.0}
    for k, period in rows.items():
        wave = np.sin(along * 2 * math.pi / period) if period else _cloud(random, 400, 1) * 1.5
        image += ((label == k) * wave * (22 if k != 4 else 8))[..., None]
    light = random.uniform(0.75, 1.25) * (1 + 0.004 * _cloud(random, 400, 12))
    image = image * light[..., None] + random.normal(0, 9, image.shape)
    return image.clip(0, 255).astype(np.uint8), label


def _membranes(index: int) -> Pair:
    """Thin dark walls between cells, with dark grains inside that are none; grey, 389x517."""
    random = np.random.default_rng(20_000 + index)
    height, width = 389, 517
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + _cloud(random, width, 4)[:height], y + _cloud(random, width, 4)[:height]
    middles = random.uniform((0, 0), (height, width), (60, 2))
    far = np.sort([np.hypot(y - a, x - b) for a, b in middles], 0)
    label = (far[1] - far[0] < random.uniform(3.5, 6)).astype(np.uint8)
    image = 165 + _cloud(random, width, 10)[:height] - 70.0 * label
    for _ in range(int(random.integers(30, 60))):
        middle, axes = random.integers(0, (width, height)).tolist(), random.integers(2, 9, 2).tolist()
        cv2.ellipse(image, middle, axes, float(random.uniform(0, 180)), 0, 360, float(random.uniform(70, 120)), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.3) + random.normal(0, 14, image.shape)
    return np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, 2), label


def _cloud(random: np.random.Generator, side: int, strength: float) -> np.ndarray:
    """Smooth noise."""
    coarse = random.normal(0, 1, (side // 12, side // 12)).astype(np.float32)
    return strength * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def _streets(index: int) -> Pair:
    drawn = data.open("streets", None, "train", count=_TRAIN + _TEST, size=(240, 320))
    sample = drawn[index]
    return sample.image, sample.label


_DRAWN: dict[str, Callable[[int], Pair]] = {
    "cells": _cells,
    "fields": _fields,
    "membranes": _membranes,
    "streets": _streets,
    "photographs": _photographs,
}

if __name__ == "__main__":
    main()

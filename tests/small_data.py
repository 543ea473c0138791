"""A small labelled folder and a small recipe on it, for tests that train."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from PIL import Image

from tarsia.evaluation import plots

CLASSES = ("ground", "box", "disc")
_DRAWN = plots._save


def write_folder(
    root: Path, train: int = 12, val: int = 8, size: tuple[int, int] = (64, 64), classes: tuple[str, ...] = CLASSES
) -> Path:
    """Pictures of a coloured box and a disc on noisy ground, with index PNGs and dataset.yaml -> `root`."""
    for split, count, offset in (("train", train, 0), ("val", val, 1000)):
        for folder in (f"{split}/images", f"{split}/labels"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, label = draw(offset + index, size)
            write_pair(root, split, f"{split}{index:02d}", image, label)
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": list(classes), "splits": splits}))
    return root


def write_films(root: Path, films: dict[str, tuple[int, int]], size: tuple[int, int] = (64, 64), **more: Any) -> Path:
    """Films by name, each with so many pictures in train and in val, and a dataset.yaml that tells them apart."""
    for seed, (film, counts) in enumerate(films.items()):
        for split, start, stop in (("train", 0, counts[0]), ("val", counts[0], sum(counts))):
            for folder in (f"{split}/images", f"{split}/labels"):
                (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(start, stop):
                write_pair(root, split, f"{film}_{index:03d}", *draw(100 * seed + index, size))
    splits = {split: {"images": f"{split}/images", "labels": f"{split}/labels"} for split in ("train", "val")}
    tree = {"classes": list(CLASSES), "splits": splits, "sequence_by": "^(.+)_"} | more
    (root / "dataset.yaml").write_text(yaml.safe_dump({key: value for key, value in tree.items() if value is not None}))
    return root


def write_pair(root: Path, split: str, name: str, image: np.ndarray, label: np.ndarray) -> None:
    Image.fromarray(image).save(root / split / "images" / f"{name}.png")
    Image.fromarray(label).save(root / split / "labels" / f"{name}.png")


def draw(seed: int, size: tuple[int, int] = (64, 64)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    height, width = size
    label = np.zeros(size, np.uint8)
    top, left = random.integers(0, height // 2), random.integers(0, width // 2)
    label[top : top + height // 3, left : left + width // 3] = 1
    y, x = np.mgrid[:height, :width]
    middle = random.integers(height // 4, height * 3 // 4), random.integers(width // 4, width * 3 // 4)
    label[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < (height // 6) ** 2] = 2
    colors = np.array([[90, 120, 90], [200, 60, 40], [40, 80, 210]])
    noise = random.normal(0, 12, (*size, 3))
    return (colors[label] + noise).clip(0, 255).astype(np.uint8), label


def tiny(data: dict[str, Any] | Path, **train: Any) -> dict[str, Any]:
    """The content of a recipe that trains in a second or two; `train` overrides its settings."""
    section = {"name": "folder", "root": str(data)} if isinstance(data, Path) else data
    settings = {"epochs": 1, "batch": 4, "workers": 0, "learning_rate": 3e-3}
    settings |= {"precision": "float32", "memory_format": "contiguous"}  # equal runs: nothing is left to be measured
    return {
        "name": "tiny",
        "data": section,
        "model": {"name": "unet", "encoder": "test_resnet", "channels": [8, 8, 8, 8, 8]},
        "train": settings | train,
    }


@contextlib.contextmanager
def white_figures() -> Iterator[None]:
    """Figures are files without a drawing: a third of what a small training takes (conftest.py: in all tests)."""
    with mock.patch.object(plots, "_save", lambda figure, path: Image.new("RGB", (400, 400), "white").save(path)):
        yield


@contextlib.contextmanager
def drawn_figures() -> Iterator[None]:
    """For who looks at them."""
    with mock.patch.object(plots, "_save", _DRAWN):
        yield


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """A training computes in float32 and contiguous layout where its recipe leaves it open: a second each."""
    from tarsia.learning import probe

    with mock.patch.object(probe, "ways", lambda *_: [probe.Way("float32", "contiguous")]):
        yield


@contextlib.contextmanager
def quick_studies() -> Iterator[None]:
    """Figures are white and nothing is measured in the processes too in which a study trains and scores."""
    from tarsia import studying
    from tarsia.studies import process

    def call(function: Callable[..., str], arguments: tuple[Any, ...]) -> Any:
        return process.Call(_quick, (function, *arguments))

    with mock.patch.object(studying, "Call", call):
        yield


def _quick(function: Callable[..., str], *arguments: Any) -> str:
    with white_figures(), unmeasured():
        return function(*arguments)


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a .safetensors file."""
    from safetensors.numpy import load_file

    return load_file(path)


def same_weights(one: Path, other: Path) -> bool:
    """Whether two model files hold the same weights bit by bit."""
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(a[key].tobytes() == b[key].tobytes() for key in a)

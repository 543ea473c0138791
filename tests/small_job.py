"""Engines of tests for jobs, in a module of its own, for the processes of a job import it anew."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from small_engine import SmallEngine
from tarsia.card import Card, Classes, Input
from tarsia.inference import Inference
from tarsia.prediction.predictor import Predictor

POISON = 77  # the grey of a picture that ends the process
CLASSES = Classes(names=("red", "green", "blue"), colors=((200, 0, 0), (0, 200, 0), (0, 0, 200)))


class Small(SmallEngine):
    """Class = which of red, green and blue is the largest; a picture of one grey ends the process, as a fault in C."""

    card = Card(architecture="small", model={}, classes=CLASSES, input=Input(stride=8))

    def run(self, images_BHWC: np.ndarray) -> np.ndarray:
        if (images_BHWC == POISON).all():
            os._exit(3)
        return images_BHWC.transpose(0, 3, 1, 2).astype(np.float32) / 64


class Slow(Small):
    def run(self, images_BHWC: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return super().run(images_BHWC)


def small(path: Path, inference: Inference) -> Predictor:
    return Predictor(Small())


def slow(path: Path, inference: Inference) -> Predictor:
    return Predictor(Slow())


def write_pictures(folder: Path, count: int) -> Path:
    """Pictures of three sizes, some in a folder of their own."""
    random = np.random.default_rng(0)
    (folder / "deep").mkdir(parents=True)
    for index in range(count):
        name = f"{'deep/' if index % 4 == 0 else ''}{index:03d}.png"
        Image.fromarray(random.integers(0, 256, (16 + 8 * (index % 3), 24, 3), np.uint8)).save(folder / name)
    return folder

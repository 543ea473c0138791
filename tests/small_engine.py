"""The engine of tests: scores that a test writes in numpy, behind the whole protocol, which mypy holds it to."""

from __future__ import annotations

from typing import Any

import numpy as np

from tarsia.card import Card
from tarsia.engines.engine import Description, Engine
from tarsia.pictures.ranges import Levels


class SmallEngine(Engine):
    """An engine whose `run` a test writes; its scores have the picture's own size unless `labels` says otherwise."""

    card: Card
    device = "cpu"

    def describe(self) -> Description:
        return Description("numpy", "float32", threads=1, parameters=0)

    def run(self, images_BHWC: np.ndarray, levels: Levels | None = None) -> np.ndarray:
        raise NotImplementedError

    def labels(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        assert scores_BKHW.shape[2:] == tuple(size)
        found: np.ndarray = scores_BKHW.argmax(1).astype(np.uint8)
        return found

    def probabilities(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        assert scores_BKHW.shape[2:] == tuple(size)
        raised = np.exp(scores_BKHW - scores_BKHW.max(1, keepdims=True))
        found: np.ndarray = (raised / raised.sum(1, keepdims=True)).astype(np.float32)
        return found

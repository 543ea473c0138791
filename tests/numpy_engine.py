"""What every engine of the tests shares that computes in numpy: the answers of a whole `Engine`."""

from __future__ import annotations

import numpy as np

from tarsia.card import Card
from tarsia.engines.engine import EngineFacts


class NumpyEngine:
    """An `Engine` whose scores a test writes; they have the picture's own size unless `labels` says otherwise."""

    card: Card
    device = "cpu"
    streams = 1

    def described(self) -> str:
        return f"numpy {np.__version__}, CPU"

    def facts(self) -> EngineFacts:
        return EngineFacts("numpy", "float32", threads=1, parameters=0)

    def multiply_adds(self, size):
        return None

    def labels(self, scores_BKHW, size):
        assert scores_BKHW.shape[2:] == tuple(size)
        return scores_BKHW.argmax(1).astype(np.uint8)

    def probabilities(self, scores_BKHW, size):
        assert scores_BKHW.shape[2:] == tuple(size)
        raised = np.exp(scores_BKHW - scores_BKHW.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

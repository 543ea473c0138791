"""What runs a network.  An engine hides torch (or ONNX Runtime) behind three calls on numpy pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from inlay.card import Card, find_model_file, is_onnx
from inlay.errors import MissingExtraError


class Engine(Protocol):
    """A network ready to run.

    `scores` are the engine's own arrays, to be sliced, divided by a number, or handed back to it, no more.
    """

    card: Card
    device: str

    def scores(self, images_BHW3: np.ndarray) -> Any:
        """uint8 RGB, H and W multiples of the stride -> B x K x H x W scores."""
        ...

    def labels(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x h x w uint8 class indices at `size`: resized bilinearly, then the largest."""
        ...

    def probabilities(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x K x h x w float32 that sum to 1 over the classes, at `size`."""
        ...


class AttentionMap(NamedTuple):
    """What one attention module does to a picture."""

    name: str  # of the module in its network
    map_HW: np.ndarray  # float32: how much of the attention each position gets, at the module's own resolution
    weights_C: np.ndarray | None  # float32, 0 .. 1: each channel's weight, where the module weights channels


@runtime_checkable
class AttentionEngine(Protocol):
    """An engine that can also say what its network attends to."""

    def check_attention(self) -> None:
        """OutputError, with what to do, where the network has no attention to show."""
        ...

    def attention(self, image_HW3: np.ndarray) -> list[AttentionMap]:
        """uint8 RGB, H and W multiples of the stride -> every attention module's map of it, in working order."""
        ...


def open_engine(path: Path, device: str = "auto") -> Engine:
    """The engine for a model file or run folder: ONNX Runtime for .onnx, torch for .safetensors.

    Raises ModelFileError for anything but a sound model file, MissingExtraError where torch is needed and not there.
    """
    path = find_model_file(path)
    if is_onnx(path):
        from inlay.runtime.onnx_engine import OnnxEngine

        return OnnxEngine.open(path, device)
    try:
        from inlay.learning.torch_engine import TorchEngine
    except ImportError as error:
        raise MissingExtraError(f"running {path.name}", "train") from error
    return TorchEngine.open(path, device)

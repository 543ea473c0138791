"""What runs a network.  An engine hides torch (or ONNX Runtime) behind three calls on numpy pictures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tarsia.card import Card
from tarsia.errors import ScoresError

ENGINES = ("onnxruntime", "openvino")  # of .onnx files
PRECISIONS = ("float32", "bfloat16")
DOES_NOT_RUN = "does not run"  # how the verdict of an engine begins that gave no answers when a file was exported


class EngineFacts(NamedTuple):
    """What runs a network, and how large it is; known without running it."""

    engine: str  # the program, its version, and what it runs on
    precision: str  # that it computes in
    threads: int
    parameters: int  # numbers in the weights


class Engine(Protocol):
    """A network ready to run.

    `scores` are the engine's own arrays, to be sliced, divided by a number, or handed back to it, no more.
    """

    card: Card
    device: str
    streams: int  # calls that may run at once

    def described(self) -> str:
        """What runs the network, for people: the program and its version, the device, the threads."""
        ...

    def facts(self) -> EngineFacts:
        """The same for programs; runs nothing, so that it may be asked of a service at any time."""
        ...

    def multiply_adds(self, size: tuple[int, int]) -> int | None:
        """Of one picture of `size` (multiples of the stride), for which the network may run; None where unknown."""
        ...

    def scores(self, images_BHW3: np.ndarray) -> Any:
        """uint8 RGB, H and W multiples of the stride -> B x K x H x W scores."""
        ...

    def labels(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x h x w uint8 class indices at `size`: resized bilinearly, then the largest."""
        ...

    def probabilities(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x K x h x w float32 that sum to 1 over the classes, at `size`."""
        ...


@runtime_checkable
class LabelEngine(Protocol):
    """An engine whose network may give labels itself, where `gives_labels`."""

    gives_labels: bool

    def labelled(self, images_BHW3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 RGB, H and W multiples of the stride -> B x H x W uint8 labels and the float32 probability of each."""
        ...


@runtime_checkable
class HoldingEngine(Protocol):
    """An engine that keeps memory from one picture to the next."""

    def give_back(self) -> None:
        """Give it back, where it is more than a little: no picture comes for a while."""
        ...


@runtime_checkable
class ArrangedEngine(Protocol):
    """An engine that chooses a memory layout, and can be told to keep to one."""

    @property
    def memory_format(self) -> str | None:
        """The layout; None until it is chosen."""
        ...

    def keep(self, memory_format: str) -> None:
        """Compute in this layout."""
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


def check_numbers(found: Any, what: str) -> None:
    """ScoresError where an engine's array holds NaN or an infinity, which the largest or the smallest is then."""
    if not (math.isfinite(float(found.max())) and math.isfinite(float(found.min()))):
        raise ScoresError(
            f"the model's {what} of this picture are no numbers (NaN or infinite), so that no label follows: its "
            "training has failed, or its precision is too low for this picture"
        )

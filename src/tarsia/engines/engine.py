"""What runs a network: one protocol, behind which torch, ONNX Runtime and OpenVINO answer on numpy pictures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from tarsia.card import Card
from tarsia.errors import OutputError, RecipeError, ScoresError
from tarsia.pictures.ranges import Levels

ENGINES = ("onnxruntime", "openvino")  # of .onnx files
PRECISIONS = ("float32", "bfloat16")
DOES_NOT_RUN = "does not run"  # how the verdict of an engine begins that gave no answers when a file was exported


class Description(NamedTuple):
    """What runs a network, and how large it is; known without running it.  As text it is for people."""

    engine: str  # the program, its version, and what it runs on
    precision: str  # that it computes in
    threads: int  # of this processor
    parameters: int  # numbers in the weights
    streams: int = 1  # calls that may run at once
    on_gpu: bool = False

    def __str__(self) -> str:
        threads = "" if self.on_gpu else f", {self.threads} threads"
        return f"{self.engine}{threads}{f' in {self.streams} streams' if self.streams > 1 else ''}"


class AttentionMap(NamedTuple):
    """One map of what an attention module does to a picture, at the module's own resolution.

    `kind` is `received`: how much of the attention of all positions each gets, or `paid`: how much of that of the
    chosen position, both 1 on average; or `active`: the mean absolute value over the channels of what the module gives.
    """

    name: str  # of the module in its network
    map_HW: np.ndarray  # float32
    weights_C: np.ndarray | None = None  # float32, 0 .. 1: each channel's weight, where the module weights channels
    kind: str = "active"


class Engine(Protocol):
    """A network ready to run; what some engines alone can do, the others inherit an answer for.

    Scores are the engine's own arrays, to be sliced, divided by a number, or handed back to it, no more.
    """

    card: Card
    device: str
    streams: int = 1  # calls that may run at once

    def describe(self) -> Description:
        """What runs the network; runs nothing, so that it may be asked of a service at any time."""

    def run(self, images_BHWC: np.ndarray, levels: Levels | None = None) -> Any:
        """Pictures of the card's kind, H and W multiples of the stride -> B x K x H x W scores.

        `levels`: of each picture, where the card's range is each picture's own, and there alone.
        """

    def labels(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x h x w uint8 class indices at `size`: resized bilinearly, then the largest."""

    def probabilities(self, scores_BKHW: Any, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x K x h x w float32 that sum to 1 over the classes, at `size`."""

    def run_to_labels(
        self, images_BHWC: np.ndarray, levels: Levels | None = None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """As `run` -> B x H x W uint8 labels and the float32 probability of each, by the card's temperature.

        None where the network does not give them itself.
        """
        return None

    def multiply_adds(self, size: tuple[int, int]) -> int | None:
        """Of one picture of `size` (multiples of the stride), for which the network may run; None where unknown."""
        return None

    def network(self) -> Any:
        """The network itself, of which gradients can be taken; RecipeError where there is none."""
        raise RecipeError(
            "`kl_steps` learns from each picture, which a .safetensors model alone can: give the file that this one "
            "was exported from, or leave it out"
        )

    def check_attention(self, of_a_position: bool = False) -> None:
        """OutputError, with what to do, where there is no attention to show, or none that one position pays."""
        raise OutputError(
            "attention can be drawn of a .safetensors model only: give the file that this one was exported from"
        )

    def attention(
        self, image_HWC: np.ndarray, at: tuple[float, float] | None = None, levels: Levels | None = None
    ) -> list[AttentionMap]:
        """A picture as for `run`, H and W multiples of the stride -> every attention module's maps, in working order.

        `at`: also what the position there pays, as shares of the picture's height and width.
        """
        self.check_attention()
        return []

    @property
    def memory_format(self) -> str | None:
        """The layout that pictures lie in, of an engine that chooses one; None until it is chosen."""
        return None

    def keep(self, memory_format: str) -> None:
        """Compute in this layout, whatever would be faster, as what has been computed before was."""

    def give_back(self) -> None:
        """Give back the memory that is kept for the next picture, where it is more than a little."""


def check_numbers(found: Any, what: str) -> None:
    """ScoresError where an engine's array holds NaN or an infinity, which the largest or the smallest is then."""
    if not (math.isfinite(float(found.max())) and math.isfinite(float(found.min()))):
        raise ScoresError(
            f"the model's {what} of this picture are no numbers (NaN or infinite), so that no label follows: its "
            "training has failed, or its precision is too low for this picture"
        )


def check_levels(card: Card, levels: Levels | None) -> None:
    """RecipeError where a network by each picture's own range is to run without it, or another with it."""
    by_picture = card.input.range is not None and card.input.range.by_picture
    if by_picture != (levels is not None):
        expected = "expected `levels`, as tarsia.pictures.ranges.counted gives them" if by_picture else "leave it out"
        raise RecipeError(f"this model's range is {'' if by_picture else 'not '}each picture's own: {expected}")

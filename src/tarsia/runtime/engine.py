"""What runs a network.  An engine hides torch (or ONNX Runtime) behind three calls on numpy pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tarsia.card import Card, find_model_file, is_onnx
from tarsia.errors import MissingExtraError, ModelFileError, RecipeError, ScoresError, TarsiaError, nearest
from tarsia.plain_text import command

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


def open_engine(
    path: Path, device: str = "auto", engine: str = "auto", precision: str = "float32", streams: int = 1
) -> Engine:
    """The engine for a model file or run folder: torch for .safetensors; for .onnx ONNX Runtime (`auto`) or OpenVINO.

    `precision` of OpenVINO: float32 or bfloat16.  `streams` of an .onnx file: calls that may run at once, each on its
    share of the cores.  Raises ModelFileError for anything but a sound model file, and one that was not exported for
    this engine and precision, RecipeError for engines and precisions that there are not, and MissingExtraError where
    torch or OpenVINO is needed and not there.
    """
    _check_choice(engine, precision)
    path = find_model_file(path)
    if is_onnx(path):
        return _tried(_of_onnx_file(path, device, engine, precision, streams), path)
    for name, value, usual in ("engine", engine, "auto"), ("precision", precision, "float32"), ("streams", streams, 1):
        if value != usual:
            raise RecipeError(f"--{name} {value} is for .onnx files: `{command('export', path)}` makes one")
    try:
        from tarsia.learning.torch_engine import TorchEngine
    except ImportError as error:
        raise MissingExtraError(f"running {path.name}", "train") from error
    return _tried(TorchEngine.open(path, device), path)


def check_numbers(found: Any, what: str) -> None:
    """ScoresError where an engine's array holds NaN or an infinity, which the largest or the smallest is then."""
    if not (math.isfinite(float(found.max())) and math.isfinite(float(found.min()))):
        raise ScoresError(
            f"the model's {what} of this picture are no numbers (NaN or infinite), so that no label follows: its "
            "training has failed, or its precision is too low for this picture"
        )


def _tried(engine: Engine, path: Path) -> Engine:
    """`engine`, which has seen a small picture; ModelFileError where nothing sound comes of it."""
    card = engine.card
    height, width = 2 * card.input.stride, 3 * card.input.stride  # as small as any encoder takes
    expected = (1, len(card.classes), height, width)
    try:
        scores = engine.scores(np.full((1, height, width, card.bands), 128, np.uint8))
        check_numbers(scores, "scores")
    except ScoresError as error:
        raise ModelFileError(
            f"{path}: a grey picture's scores are no numbers (NaN or infinite), so that no label follows: its training "
            "has failed, or the file was made from numbers that overflow; choose another model"
        ) from error
    except TarsiaError:
        raise
    except Exception as error:  # torch raises nearly everything
        reason = "not enough memory" if isinstance(error, MemoryError) else str(error).partition("\n")[0]
        raise ModelFileError(
            f"{path}: fails on a picture of {height}x{width}, which its card says it takes ({reason}): get the file "
            "again, or train and export it again"
        ) from error
    if tuple(scores.shape) != expected:
        raise ModelFileError(
            f"{path}: scores of {tuple(scores.shape)}, its card promises {expected}: export the model again"
        )
    return engine


def engine_class(name: str) -> Any:
    """The class of an engine of .onnx files; MissingExtraError where its package is not installed."""
    if name == "onnxruntime":
        from tarsia.runtime.onnx_engine import OnnxEngine

        return OnnxEngine
    try:
        import openvino  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("--engine openvino", "openvino") from error
    from tarsia.runtime.openvino_engine import OpenVinoEngine

    return OpenVinoEngine


def _check_choice(engine: str, precision: str) -> None:
    if engine not in ("auto", *ENGINES):
        raise RecipeError(f"--engine {engine}: no such engine{nearest(engine, ('auto', *ENGINES))}")
    if precision not in PRECISIONS:
        raise RecipeError(f"--precision {precision}: no such precision{nearest(precision, PRECISIONS)}")
    if precision != "float32" and engine != "openvino":
        raise RecipeError(f"--precision {precision}: only --engine openvino computes in it")


def _of_onnx_file(path: Path, device: str, engine: str, precision: str, streams: int) -> Engine:
    from tarsia.runtime import onnx_file

    file = onnx_file.read(path)
    if engine != "openvino":
        return engine_class("onnxruntime")(file, str(path), device, streams=streams)
    _check_judged(file.card, path, precision)
    return engine_class("openvino")(file, str(path), device, streams=streams, precision=precision)


def _check_judged(card: Card, path: Path, precision: str) -> None:
    """ModelFileError where `tarsia export` has not let the file pass with OpenVINO in this precision."""
    judged = (card.provenance.get("export") or {}).get("engines") or []
    found = [one for one in judged if (one.get("engine"), one.get("precision")) == ("openvino", precision)]
    if not found:
        raise ModelFileError(
            f"{path}: was not checked with OpenVINO in {precision} when it was exported: export it again where it "
            "is installed, or leave --engine out"
        )
    if found[-1].get("passed") is not True:
        verdict = str(found[-1].get("verdict"))
        if verdict.startswith(DOES_NOT_RUN):
            raise ModelFileError(
                f"{path}: OpenVINO in {precision} could not be checked when it was exported ({verdict}): choose "
                "another --engine or --precision, or export it again on a machine where it runs"
            )
        raise ModelFileError(
            f"{path}: with OpenVINO in {precision} its answers changed too much when it was exported "
            f"({verdict}): choose another --engine or --precision"
        )

"""Opening an engine: which program runs a model file, on what, and whether it may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tarsia.card import Card
from tarsia.engines import onnx_file
from tarsia.engines.engine import DOES_NOT_RUN, ENGINES, PRECISIONS, Engine, check_numbers
from tarsia.engines.model_file import find_model_file, is_onnx
from tarsia.errors import ModelFileError, RecipeError, ScoresError, TarsiaError, nearest, needs
from tarsia.pictures.ranges import Levels
from tarsia.plain_text import command, first_line


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
        file = onnx_file.read(path)
        options: dict[str, Any] = {"streams": streams}
        if engine == "openvino":
            _check_judged(file.card, path, precision)
            options["precision"] = precision
        name = "onnxruntime" if engine == "auto" else engine
        return _tried(engine_class(name)(file, str(path), device, **options), path)
    for name, value, usual in ("engine", engine, "auto"), ("precision", precision, "float32"), ("streams", streams, 1):
        if value != usual:
            raise RecipeError(f"`{name}={value!r}` is for .onnx files: `{command('export', path)}` makes one")
    with needs(f"running {path.name}", "train"):
        from tarsia.engines.torch_engine import TorchEngine
    return _tried(TorchEngine.open(path, device), path)


def _grey(size: tuple[int, int], card: Card) -> np.ndarray:
    """A picture of the kind that the model takes, each band in the middle of its range."""
    rule = card.input.range
    known = rule is not None and not rule.by_picture
    middle = np.add(rule.low, rule.high) / 2 if rule and known else np.full(card.bands, 128.0)
    return np.broadcast_to(middle, (1, *size, card.bands)).astype(card.input.dtype)


def _tried(engine: Engine, path: Path) -> Engine:
    """`engine`, which has seen a small picture; ModelFileError where nothing sound comes of it."""
    card = engine.card
    height, width = 2 * card.input.stride, 3 * card.input.stride  # as small as any encoder takes
    expected = (1, len(card.classes), height, width)
    try:
        rule = card.input.range
        own = {"levels": Levels.as_stored(card.bands)} if rule and rule.by_picture else {}
        scores = engine.run(_grey((height, width), card), **own)
        check_numbers(scores, "scores")
    except ScoresError as error:
        raise ModelFileError(
            f"{path}: a grey picture's scores are no numbers (NaN or infinite), so that no label follows: its training "
            "has failed, or the file was made from numbers that overflow; choose another model"
        ) from error
    except TarsiaError:
        raise
    except Exception as error:  # torch raises nearly everything
        reason = "not enough memory" if isinstance(error, MemoryError) else first_line(error)
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
        from tarsia.engines.onnx_engine import OnnxEngine

        return OnnxEngine
    with needs("engine='openvino'", "openvino"):
        import openvino  # noqa: F401
    from tarsia.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine


def _check_choice(engine: str, precision: str) -> None:
    if engine not in ("auto", *ENGINES):
        raise RecipeError(f"{engine=}: no such engine{nearest(engine, ('auto', *ENGINES))}")
    if precision not in PRECISIONS:
        raise RecipeError(f"{precision=}: no such precision{nearest(precision, PRECISIONS)}")
    if precision != "float32" and engine != "openvino":
        raise RecipeError(f"{precision=}: only engine='openvino' computes in it")


def _check_judged(card: Card, path: Path, precision: str) -> None:
    """ModelFileError where `tarsia export` has not let the file pass with OpenVINO in this precision."""
    judged = (card.provenance.get("export") or {}).get("engines") or []
    found = [one for one in judged if (one.get("engine"), one.get("precision")) == ("openvino", precision)]
    if not found:
        raise ModelFileError(
            f"{path}: was not checked with OpenVINO in {precision} when it was exported: export it again where it "
            "is installed, or leave `engine` out"
        )
    if found[-1].get("passed") is not True:
        verdict = str(found[-1].get("verdict"))
        if verdict.startswith(DOES_NOT_RUN):
            raise ModelFileError(
                f"{path}: OpenVINO in {precision} could not be checked when it was exported ({verdict}): choose "
                "another `engine` or `precision`, or export it again on a machine where it runs"
            )
        raise ModelFileError(
            f"{path}: with OpenVINO in {precision} its answers changed too much when it was exported "
            f"({verdict}): choose another `engine` or `precision`"
        )

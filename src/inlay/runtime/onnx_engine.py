"""The engine that runs an .onnx file with ONNX Runtime; torch is not needed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from inlay import console
from inlay.card import Card
from inlay.errors import ModelFileError, RecipeError
from inlay.runtime import onnx_file, resample
from inlay.runtime.onnx_file import OnnxFile

INPUT, SCORES = "image", "scores"
_FATAL_ONLY = 4  # what goes wrong is raised; ONNX Runtime would print it as well
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxEngine:
    """An ONNX file behind the Engine protocol (runtime/engine.py); its scores are float32 numpy arrays."""

    def __init__(self, file: OnnxFile, where: str, device: str = "auto", threads: int | None = None) -> None:
        """`threads`: those of one picture's computation, by default one a core.  Errors name the file as `where`.

        Raises ModelFileError for a graph that ONNX Runtime cannot run or that does not fit its card, RecipeError for
        a device that is not there.
        """
        self.card: Card = file.card
        self.threads = threads or _cores()
        self._where = where
        self._parameters = file.parameters
        self.device = _device(device)
        self._session = self._started(file.content, asked=device)
        self._check_interface()

    @classmethod
    def open(cls, path: Path, device: str = "auto", threads: int | None = None) -> OnnxEngine:
        """The engine for the file at `path`; ModelFileError where it is not sound."""
        return cls(onnx_file.read(path), str(path), device, threads)

    def scores(self, images_BHW3: np.ndarray) -> np.ndarray:
        """uint8 RGB, H and W multiples of the stride -> B x K x H x W scores."""
        image_B3HW = np.ascontiguousarray(images_BHW3.transpose(0, 3, 1, 2))
        try:
            (scores_BKHW,) = self._session.run([SCORES], {INPUT: image_B3HW})
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            if re.search("bad_alloc|allocate memory", str(error)):
                raise MemoryError(f"{self._where}: {_first_line(error)}") from error
            size = "x".join(str(side) for side in images_BHW3.shape[:3])
            raise ModelFileError(
                f"{self._where}: fails on pictures of {size} (number x height x width): {_first_line(error)}"
            ) from error
        return scores_BKHW

    def labels(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x h x w uint8 at `size`."""
        return resample.labels(scores_BKHW, size)

    def probabilities(self, scores_BKHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Scores -> B x K x h x w float32 at `size`."""
        return resample.probabilities(scores_BKHW, size)

    def facts(self, size: tuple[int, int]) -> dict[str, Any]:
        """The weights' numbers, what runs them, and multiply-adds of a picture of `size` where the card knows them."""
        exported = self.card.provenance.get("export") or {}
        known = exported.get("multiply_adds_size") == list(size)
        return {
            "parameters": self._parameters,
            "multiply_adds": exported.get("multiply_adds") if known else None,
            "precision": exported.get("precision", "float32"),
            "threads": self.threads,
            "engine": f"onnxruntime {onnxruntime.__version__}, {self._session.get_providers()[0]}",
        }

    def _started(self, content: bytes, asked: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = _FATAL_ONLY
        # Else a thread that waits keeps its core busy, which those that read pictures need (up to 1.7 times as slow).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        kind, _, number = self.device.partition(":")
        on_gpu: list[Any] = [(_CUDA, {"device_id": number or "0"})] if kind == "cuda" else []
        try:
            session = onnxruntime.InferenceSession(content, options, [*on_gpu, _CPU])
        except Exception as error:
            raise ModelFileError(
                f"{self._where}: ONNX Runtime {onnxruntime.__version__} cannot run it ({_first_line(error)}): update "
                "onnxruntime, or export the model again"
            ) from error
        session.disable_fallback()
        if on_gpu and session.get_providers()[0] != _CUDA:  # ONNX Runtime goes on with the CPU and does not say so
            if asked != "auto":
                raise RecipeError(f"--device {asked}: ONNX Runtime cannot start CUDA here; known: auto, cpu")
            console.note("ONNX Runtime has a CUDA provider that does not start here: running on the CPU")
            self.device = "cpu"
        return session

    def _check_interface(self) -> None:
        images, scores = self._session.get_inputs(), [one for one in self._session.get_outputs() if one.name == SCORES]
        takes = [(one.name, one.type, len(one.shape), one.shape[1:2]) for one in images]
        gives = [(one.type, len(one.shape)) for one in scores]
        if takes != [(INPUT, "tensor(uint8)", 4, [3])] or gives != [("tensor(float)", 4)]:
            raise ModelFileError(
                f"{self._where}: takes {takes} and gives {gives} as {SCORES}; expected {INPUT}, uint8, B x 3 x H x W, "
                f"and {SCORES}, float32, B x K x H x W: export the model again"
            )
        if scores[0].shape[1] != len(self.card.classes):
            raise ModelFileError(
                f"{self._where}: its card has {len(self.card.classes)} classes but its network scores "
                f"{scores[0].shape[1]}: export the model again"
            )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(asked: str) -> str:
    """cpu, cuda or cuda:N; RecipeError for anything that this ONNX Runtime does not have."""
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if asked == "auto":
        return "cuda" if has_cuda else "cpu"
    if asked == "cpu" or (has_cuda and re.fullmatch(r"cuda(:\d+)?", asked)):
        return asked
    raise RecipeError(
        f"--device {asked}: not usable here (ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}); "
        "known: auto, cpu, cuda, cuda:N"
    )


def _first_line(error: Exception) -> str:
    """What ONNX Runtime says, without its prefix and what follows the first line."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", line)[:300]

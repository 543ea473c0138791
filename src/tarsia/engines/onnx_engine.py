"""The engine that runs an .onnx file with ONNX Runtime; torch is not needed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnxruntime

from tarsia import console, environment, hardware
from tarsia.engines.graph_engine import INPUT, LABEL, SCORES, GraphEngine, reason
from tarsia.engines.onnx_file import OnnxFile
from tarsia.errors import ModelFileError, RecipeError

_FATAL_ONLY = 4  # what goes wrong is raised; ONNX Runtime would print it as well
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_TYPES = {"tensor(float)": "float32"} | {f"tensor({kind})": kind for kind in ("uint8", "uint16", "int16")}


class OnnxEngine(GraphEngine):
    """ONNX Runtime, in float32 (and 8 bits where the file has them)."""

    def __init__(
        self, file: OnnxFile, where: str, device: str = "auto", threads: int | None = None, streams: int = 1
    ) -> None:
        """As GraphEngine.

        Raises ModelFileError for a graph that ONNX Runtime cannot run or that does not fit its card, RecipeError for
        a device that is not there.
        """
        super().__init__(file, where, threads, streams)
        self.device = _device(device)
        self._session = self._started(file.content, asked=device)
        takes = [(*_kind(one), one.shape[1]) for one in self._session.get_inputs() if len(one.shape) > 1]
        gives = {one.name: one for one in self._session.get_outputs()}
        classes = gives[SCORES].shape[1] if SCORES in gives and len(gives[SCORES].shape) > 1 else None
        self._check_interface(takes, {name: _kind(one)[1:] for name, one in gives.items()}, classes)

    def _program(self) -> str:
        return f"onnxruntime {onnxruntime.__version__}, {self._session.get_providers()[0]}"

    def _run(self, names: list[str], fed: dict[str, np.ndarray], release: bool) -> list[np.ndarray]:
        batch, _, *size = fed[INPUT].shape
        binding, found = self._session.io_binding(), []
        for name, values in fed.items():
            binding.bind_cpu_input(name, values)
        for name in names:
            shape = (batch, len(self.card.classes), *size) if name == SCORES else (batch, *size)
            # In memory of our own: an answer that lies in ONNX Runtime's would keep all that is around it.
            found.append(np.empty(shape, np.uint8 if name == LABEL else np.float32))
            binding.bind_output(name, "cpu", 0, found[-1].dtype, shape, found[-1].ctypes.data)
        options = onnxruntime.RunOptions()
        if release:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run_with_iobinding(binding, options)
        return found

    def _release(self) -> None:
        self._run([SCORES], self._smallest(), release=True)  # there is no other way

    def _started(self, content: bytes, asked: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = max(1, self.threads // self.streams), 1
        options.log_severity_level = _FATAL_ONLY
        # Else a thread that waits keeps its core busy, which those that read pictures need (up to 1.7 times as slow).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        kind, _, number = self.device.partition(":")
        # On a GPU, too, float32 is float32: without `use_tf32` off, convolutions round to 10 bits.
        on_gpu: list[Any] = [(_CUDA, {"device_id": number or "0", "use_tf32": "0"})] if kind == "cuda" else []
        try:
            session = onnxruntime.InferenceSession(content, options, [*on_gpu, _CPU])
        except Exception as error:
            raise ModelFileError(
                f"{self._where}: ONNX Runtime {onnxruntime.__version__} cannot run it ({reason(error)}): update "
                "onnxruntime, or export the model again"
            ) from error
        session.disable_fallback()
        if on_gpu and session.get_providers()[0] != _CUDA:  # ONNX Runtime goes on with the CPU and does not say so
            if asked != "auto":
                raise RecipeError(f"device={asked!r}: ONNX Runtime cannot start CUDA here; known: auto, cpu")
            console.note("ONNX Runtime has a CUDA provider that does not start here: running on the CPU")
            self.device = "cpu"
        return session


def _kind(end: Any) -> tuple[str, str, int]:
    """An input's or output's name, type and number of axes."""
    return end.name, _TYPES.get(end.type, end.type), len(end.shape)


def _device(asked: str) -> str:
    """cpu, cuda or cuda:N; RecipeError for anything that this ONNX Runtime does not have."""
    has_cuda = _CUDA in hardware.onnxruntime_providers()
    if asked == "auto":
        return "cuda" if has_cuda else "cpu"
    if asked == "cpu" or (has_cuda and re.fullmatch(r"cuda(:\d+)?", asked)):
        return asked
    conflict = environment.runtime_conflict()
    raise RecipeError(
        f"device={asked!r}: not usable here (ONNX Runtime has {', '.join(hardware.onnxruntime_providers())}); "
        f"known: auto, cpu, cuda, cuda:N{f'; {conflict}' if conflict else ''}"
    )

"""The engine that runs an .onnx file with OpenVINO, on a CPU; torch is not needed."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tarsia import hardware
from tarsia.engines.graph_engine import SCORES, GraphEngine, reason
from tarsia.engines.onnx_file import OnnxFile
from tarsia.errors import ModelFileError, RecipeError

if TYPE_CHECKING:
    import openvino

_TYPES = {"f32": "float32", "u8": "uint8", "u16": "uint16", "i16": "int16"}
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class _Request(NamedTuple):
    """A place to run one network in."""

    network: openvino.CompiledModel
    request: openvino.InferRequest


class OpenVinoEngine(GraphEngine):
    """OpenVINO in the precision that is asked for: left to itself it would choose bfloat16 and not say so."""

    def __init__(
        self,
        file: OnnxFile,
        where: str,
        device: str = "auto",
        threads: int | None = None,
        streams: int = 1,
        precision: str = "float32",
    ) -> None:
        """As GraphEngine; `precision`: float32 or bfloat16.

        Raises ModelFileError for a graph that OpenVINO cannot run or that does not fit its card, RecipeError for a
        device or a precision that is not there.
        """
        super().__init__(file, where, threads, streams)
        if device not in ("auto", "cpu"):
            raise RecipeError(f"{device=}: OpenVINO runs on the CPU here; known: auto, cpu")
        self.precision = precision
        self._content = file.content
        self._network: openvino.CompiledModel | None = None
        self._renewing = threading.Lock()
        compiled = self._sound_network()
        # A request is busy while it runs, and is of use with its network alone; None: to be made.
        self._idle: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        for _ in range(streams):
            self._idle.put(_Request(compiled, compiled.create_infer_request()))
        takes = [(one.any_name, *_kind(one), _side(one, 1)) for one in compiled.inputs]
        gives = {one.any_name: _kind(one) for one in compiled.outputs}
        self._check_interface(takes, gives, _side(compiled.output(SCORES), 1) if SCORES in gives else None)

    def _program(self) -> str:
        return f"openvino {_version()}, CPU"

    def _run(self, names: list[str], fed: dict[str, np.ndarray], release: bool) -> list[np.ndarray]:
        request = self._idle.get()
        sound = False
        try:
            network = self._sound_network()
            if request is None or request.network is not network:
                request = _Request(network, network.create_infer_request())
            given = request.request.infer(fed)
            found = [given[name] for name in names]
            del given  # which knows the request
            sound = True
            return found
        finally:
            if not sound:  # a network that has failed, for want of memory say, may answer wrongly next time, or never
                self._network = request = None
            self._idle.put(request)
            if release and sound:
                del request
                self._release()

    def _sound_network(self) -> openvino.CompiledModel:
        """The network; compiled anew where a run of it has failed."""
        with self._renewing:
            if self._network is None:
                self._network = self._compiled(self._content)
            return self._network

    def _release(self) -> None:
        """Of the network, and of the requests that are idle.

        A request keeps its picture; a stream keeps the memory of its last answer until it has given a smaller one.
        """
        network, requests = self._sound_network(), []
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait()
                requests.append(network.create_infer_request())
        for request in requests:
            request.start_async(self._smallest())
        for request in requests:
            request.wait()
            self._idle.put(_Request(network, request))
        network.release_memory()

    def _compiled(self, content: bytes) -> openvino.CompiledModel:
        core = _core()
        if self.precision == "bfloat16" and not hardware.openvino_computes_bfloat16(core):
            raise RecipeError("precision='bfloat16': this processor does not compute in it; known here: float32")
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": self.streams,
            "PERFORMANCE_HINT": "LATENCY" if self.streams == 1 else "THROUGHPUT",
            # Else what it has prepared for each size of picture is kept for ever; a size that stays needs no cache.
            "CPU_RUNTIME_CACHE_CAPACITY": 0,
        }
        try:
            return core.compile_model(core.read_model(content), "CPU", settings)
        except RuntimeError as error:
            raise ModelFileError(
                f"{self._where}: OpenVINO {_version()} cannot run it ({_reason(error)}): engine='onnxruntime' may"
            ) from error


@functools.cache
def _core() -> openvino.Core:
    """The one of this process, never given back.

    Each Core puts a signal stack of its own in place and, when it goes, the one that it found there back: where that
    one's Core has gone before, the next signal (of a child's end, say) finds no memory and the process dies.
    """
    import openvino

    return openvino.Core()


def _version() -> str:
    import openvino

    return str(openvino.__version__).partition("-")[0]


def _kind(end: openvino.ConstOutput) -> tuple[str, int]:
    """An input's or output's type and number of axes."""
    name = end.element_type.get_type_name()
    return _TYPES.get(name, name), end.partial_shape.rank.get_length()


def _side(end: openvino.ConstOutput, axis: int) -> int | None:
    shape = end.partial_shape
    return shape[axis].get_length() if len(shape) > axis and shape[axis].is_static else None


def _reason(error: RuntimeError) -> str:
    """The last line of OpenVINO's that says something: those before it are places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return reason(RuntimeError(lines[-1] if lines else "no reason given"))

"""A float32 ONNX network in 8 bits, layer by layer: ONNX Runtime's static quantisation, and what each layer costs.

Layers are named after their weights.  Activations are uint8 with one scale a tensor, weights int8 with one a channel
(quantise and dequantise pairs, which every engine of ONNX files knows).  A tensor's range is the mean of those that it
has on the calibration pictures: the widest of all lost 1.7 times as much mIoU in a PSPNet, 1.4 times in an FPN.  What
comes before the first layer with weights and after the last stays in float32: normalising, and resizing the scores.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

from tarsia import console
from tarsia.engines.graph_engine import SCORES
from tarsia.exporters.writer import without_logs

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_BETWEEN = ("Add", "Concat", "MaxPool", "AveragePool", "Resize")  # 8 bits from one layer to the next
_ACTIVATIONS = ("Relu", "Clip")  # belong to the layer they follow: in 8 bits, its range does what they do
_SHORT = 16  # layers: each is looked at
_ROOT = ""  # the logger of ONNX Runtime's tools
_KINDS = (*_WEIGHTED, *_BETWEEN, *_ACTIVATIONS)


Fed = dict[str, np.ndarray]  # a graph's inputs by their names (graph_engine.fed_with)


class Quantizer:
    """A network's graph and pictures of its size -> its layers, and the network with all but some in 8 bits."""

    def __init__(self, model: onnx.ModelProto, fed: Iterable[Fed], threads: int) -> None:
        """`fed`: the graph's inputs of one picture, by their names, looked at one after the other."""
        self.threads = threads
        with tempfile.TemporaryDirectory() as folder, without_logs(_ROOT):
            given, plain = Path(folder, "given.onnx"), Path(folder, "plain.onnx")
            given.write_bytes(model.SerializeToString())
            quant_pre_process(str(given), str(plain), skip_symbolic_shape=True)  # which knows no H and W
            self._model = onnx.load(plain)
            options = {"moving_average": True}  # which is the plain mean where all pictures come at once
            calibrator = create_calibrator(
                plain, list(_KINDS), str(Path(folder, "augmented.onnx")), extra_options=options
            )
            calibrator.collect_data(_Reader(fed))
            self._ranges = calibrator.compute_data()
        self._layers = _layers(self._model.graph, set(self._ranges.keys()))

    @property
    def layers(self) -> list[str]:
        """The names of those that can go into 8 bits, in working order."""
        return list(self._layers)

    def quantized(self, kept: Collection[str] = ()) -> onnx.ModelProto:
        """The network with every layer in 8 bits, but for those `kept` in float32."""
        return self._with([node for name, nodes in self._layers.items() if name not in kept for node in nodes])

    def most_harmful(self, fed: Sequence[Fed]) -> list[tuple[float, str]]:
        """Layers, the worst first, with the share of pixels that change where each alone is in 8 bits.

        Of a long network first whole stretches are put into 8 bits, and then each layer of the worst third of those.
        """
        before = self._labels(self._model, fed)
        layers = self.layers
        if len(layers) > _SHORT:
            length = math.isqrt(len(layers))
            stretches = [layers[start : start + length] for start in range(0, len(layers), length)]
            worst = self._sorted(stretches, fed, before)[: -(-len(stretches) // 3)]
            layers = [name for _, stretch in worst for name in stretch]
        return [(share, name) for share, (name,) in self._sorted([[name] for name in layers], fed, before)]

    def _sorted(
        self, parts: Sequence[list[str]], fed: Sequence[Fed], before: Sequence[np.ndarray]
    ) -> list[tuple[float, list[str]]]:
        """Parts of the network, the worst first, with the share of pixels that change where it is in 8 bits."""
        found = []
        for part in console.track(parts, len(parts), "parts in 8 bits"):
            after = self._labels(self._with([node for name in part for node in self._layers[name]]), fed)
            changed = sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
            found.append((changed / sum(one.size for one in before), part))
        return sorted(found, key=lambda one: -one[0])

    def _with(self, nodes: list[str]) -> onnx.ModelProto:
        """A copy of the network with these nodes in 8 bits."""
        model = copy.deepcopy(self._model)
        if not nodes:
            return model
        with without_logs(_ROOT):
            quantizer = QDQQuantizer(
                model,
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=copy.deepcopy(self._ranges),
                nodes_to_quantize=nodes,
                nodes_to_exclude=[],
                op_types_to_quantize=list(_KINDS),
                extra_options={"MatMulConstBOnly": True},
            )
            quantizer.quantize_model()
            quantizer.model.topological_sort()
        return quantizer.model.model

    def _labels(self, model: onnx.ModelProto, fed: Sequence[Fed]) -> list[np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.threads, 4
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return [session.run([SCORES], one)[0].argmax(1) for one in fed]


class _Reader(CalibrationDataReader):
    """Pictures as ONNX Runtime's calibration asks for them."""

    def __init__(self, fed: Iterable[Fed]) -> None:
        self._fed = iter(fed)

    def get_next(self) -> Fed | None:
        return next(self._fed, None)


def _layers(graph: onnx.GraphProto, ranged: set[str]) -> dict[str, list[str]]:
    """The layers that can go into 8 bits, in working order: their names, and those of their nodes.

    `ranged` tensors have a range: not those that hold sizes.
    """
    weights = {one.name for one in graph.initializer}
    weighted = [node for node in graph.node if node.op_type in _WEIGHTED and weights.intersection(node.input)]
    between = _reached(graph.node, weighted, True) & _reached(graph.node, weighted, False)
    own = {node.name for node in weighted}
    found: dict[str, list[str]] = {}
    layer_of: dict[str, str] = {}  # a tensor: the layer that gives it
    for node in graph.node:
        if node.name in own:
            name = next(one for one in node.input if one in weights).removesuffix(".weight")
        elif node.op_type in _ACTIVATIONS and node.input[0] in layer_of:
            name = layer_of[node.input[0]]
        elif node.op_type in _BETWEEN and node.name in between and node.output[0] in ranged:
            name = node.name
        else:
            continue
        found.setdefault(name, []).append(node.name)
        layer_of[node.output[0]] = name
    return found


def _reached(nodes: Sequence[Any], start: list[Any], backwards: bool) -> set[str]:
    """The names of the nodes that feed one of `start` (`backwards`), or that one of them feeds; they too."""
    names = {node.name for node in start}
    reached = {tensor for node in start for tensor in (node.input if backwards else node.output)}
    for node in reversed(nodes) if backwards else nodes:  # which are in working order
        if reached.intersection(node.output if backwards else node.input):
            names.add(node.name)
            reached.update(node.input if backwards else node.output)
    return names

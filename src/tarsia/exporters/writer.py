"""A network as an ONNX graph and a file's content: torch's exporter, made quiet, without what it says of this machine.

Where asked for, the graph also gives labels and how sure they are: the class of the largest score, and its share of the
softmax of scores / temperature, which is 1 / sum(exp((scores - largest) / temperature)).
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from timm.layers import AvgPool2dSame, Conv2dSame, to_2tuple
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn
from torch.export import Dim
from torch.nn import functional

from tarsia.card import Card
from tarsia.engines.graph_engine import CONFIDENCE, INPUT, LABEL, LOW, SCORES, STEP
from tarsia.engines.onnx_file import with_card
from tarsia.errors import ExportError
from tarsia.exporters import attention, resizing
from tarsia.exporters.folding import fold
from tarsia.models._ranged import ranged
from tarsia.models._segmenter import Segmenter
from tarsia.pictures.ranges import Levels
from tarsia.plain_text import first_line

# ONNX 1.15's operators, which ONNX Runtime knows from 1.17 on; 20 is the first with Gelu, one operator for five.
OPSET = 20
_PADDED: dict[type, type] = {Conv2dSame: nn.Conv2d, MaxPool2dSame: nn.MaxPool2d, AvgPool2dSame: nn.AvgPool2d}
_LOGGERS = ("torch", "torch.__trace", "onnxscript", "onnx_ir")


def exported(model: Segmenter, card: Card) -> onnx.ModelProto:
    """The network as an ONNX graph.

    Input `image`: uint8 RGB (or the card's bands and kind of numbers, as stored), B x 3 x H x W, any B, H and W
    multiples of the stride.  Output `scores`: float32, B x K x H x W.  The range of values, normalising and upsampling
    are inside; where each picture has a range of its own, inputs are also `low` and `step`, float32, B x bands.  Raises
    ExportError where torch's exporter cannot write the network.
    """
    # Sides that differ, none of 1.
    example = torch.zeros((2, model.bands, 2 * model.stride, 3 * model.stride), dtype=getattr(torch, card.input.dtype))
    batch = {0: Dim("batch", min=1)}
    sizes = batch | {2: model.stride * Dim("rows", min=1), 3: model.stride * Dim("columns", min=1)}
    own = card.input.range is not None and card.input.range.by_picture
    levels = [torch.from_numpy(one) for one in Levels.as_stored(model.bands).of(2)] if own else []
    try:
        # The exporter's progress and warnings are for those who write networks.
        with without_logs(*_LOGGERS), resizing.AsOne(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = ranged(_with_fixed_padding(model.eval()), card).eval()
            fold(network, example, *levels)
            program = torch.onnx.export(
                network,
                (example, *levels),
                dynamo=True,
                dynamic_shapes=(sizes, *(batch for _ in levels)),
                input_names=[INPUT, LOW, STEP] if own else [INPUT],
                output_names=[SCORES],
                opset_version=OPSET,
                custom_translation_table=attention.TRANSLATIONS | resizing.TRANSLATIONS,
                verbose=False,
            )
            assert program is not None
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:
        first = first_line(error.__cause__ or error)[:300]
        raise ExportError(
            f"torch's exporter cannot write this {card.architecture} for pictures of any size ({first}): nothing "
            "was written; a network on another encoder may go"
        ) from error
    return _plain(program.model_proto)


def add_probabilities(model: onnx.ModelProto, temperature: float) -> None:
    """Give the graph two outputs more, computed from the scores: `label` and `confidence`.

    Label: uint8, B x H x W, the class of the largest score.  Confidence: float32, B x H x W, its probability where
    scores are divided by `temperature` first (Guo et al., ICML 2017, eq. 9).
    """
    # Softmax over an axis that is not the last would take five times as long (ONNX Runtime, 11 x 384 x 480).
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("ArgMax", [SCORES], "tarsia_class", {"axis": 1, "keepdims": 0}),
        ("Cast", ["tarsia_class"], LABEL, {"to": TensorProto.UINT8}),
        ("ReduceMax", [SCORES, "tarsia_axis"], "tarsia_largest", {"keepdims": 1}),
        ("Sub", [SCORES, "tarsia_largest"], "tarsia_below", {}),
        ("Div", ["tarsia_below", "tarsia_temperature"], "tarsia_cooled", {}),
        ("Exp", ["tarsia_cooled"], "tarsia_shares", {}),
        ("ReduceSum", ["tarsia_shares", "tarsia_axis"], "tarsia_sum", {"keepdims": 0}),
        ("Reciprocal", ["tarsia_sum"], CONFIDENCE, {}),
    )
    for kind, takes, gives, options in steps:
        model.graph.node.append(helper.make_node(kind, takes, [gives], name=f"node_{gives}", **options))
    for name, value in (("tarsia_axis", np.array([1], np.int64)), ("tarsia_temperature", np.float32(temperature))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    for name, stored in ((LABEL, TensorProto.UINT8), (CONFIDENCE, TensorProto.FLOAT)):
        model.graph.output.append(helper.make_tensor_value_info(name, stored, ["batch", "height", "width"]))


def with_interface(model: onnx.ModelProto, card: Card) -> bytes:
    """The graph's file: its content with the card, and what input and outputs are, for other programs to read."""
    stride, count, bands = card.input.stride, len(card.classes), card.bands
    seen = "RGB, B x 3 x H x W" if bands == 3 else f"pictures of {bands} bands, B x {bands} x H x W"
    rule = card.input.range
    lower, upper = rule.percentiles if rule and rule.percentiles else ("", "")
    whose = "all bands together" if rule and rule.per == "all" else "each band"
    interface = {
        INPUT: f"{card.input.dtype} {seen}, H and W multiples of {stride}",
        LOW: f"float32, B x {bands}, percentile {lower} of the values of {whose} in each whole picture, before it is "
        "resized or cut: the least value that so many per cent of its pixels with data do not exceed",
        STEP: f"float32, B x {bands}, (percentile {upper}, counted as low, - low) / 255; where both are equal: 1 / 255",
        SCORES: f"float32, B x {count} x H x W, one a class; the largest is the class",
        LABEL: "uint8, B x H x W, the class of the largest score",
        CONFIDENCE: "float32, B x H x W, the probability of the label",
    }
    given = {one.name for one in (*model.graph.output, *model.graph.input)}
    kept = {name: meaning for name, meaning in interface.items() if name in given}
    return with_card(model.SerializeToString(), card, tarsia_interface=json.dumps(kept))


def _with_fixed_padding(model: Segmenter) -> Segmenter:
    """A copy in which padding that timm computes from the size of each map (TensorFlow's "same") is a number.

    It is one: maps are multiples of the stride of what looks at them, since pictures are of the network's.  As formulas
    of H and W, layer upon layer, the exporter would not come to an end with them.
    """
    fixed = copy.deepcopy(model)
    for part in fixed.modules():
        plain = _PADDED.get(type(part))
        if plain is not None:
            part.register_forward_pre_hook(_padding(part))
            part.__class__ = plain
    return fixed


def _padding(part: Any) -> Any:
    """A hook that pads the part's map as pad_same of timm does, where the part's stride divides the map's size."""
    sides = []  # of the last axis first: before, after
    for axis in (1, 0):
        kernel, stride, dilation = (
            to_2tuple(getattr(part, name, 1))[axis] for name in ("kernel_size", "stride", "dilation")
        )
        total = max(0, dilation * (kernel - 1) + 1 - stride)
        sides += [total // 2, total - total // 2]
    value = float("-inf") if isinstance(part, nn.MaxPool2d) else 0.0
    return lambda _, given: functional.pad(given[0], sides, value=value)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without paths and stack traces of this machine, and shapes in between; sizes by their names."""
    model.producer_name, model.producer_version = "tarsia", ""
    del model.metadata_props[:]
    graphs = [model.graph]
    for graph in graphs:  # which grows: a node may hold graphs of its own
        graphs += [inner.g for node in graph.node for inner in node.attribute if inner.HasField("g")]
        del graph.value_info[:]
        for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
            del part.metadata_props[:]
            part.doc_string = ""
    for end in (*model.graph.input, *model.graph.output):
        sides = end.type.tensor_type.shape.dim
        for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
            if axis < len(sides):
                sides[axis].dim_param = name
    return model


@contextlib.contextmanager
def without_logs(*names: str) -> Iterator[None]:
    """Loggers of these names say nothing within."""
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)

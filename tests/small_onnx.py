"""A network of one convolution as an ONNX file, for tests that need no torch."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tarsia.card import Card, Classes, Input
from tarsia.engines.onnx_file import with_card

CLASSES = Classes(names=("dark", "red", "blue"), colors=((0, 0, 0), (200, 0, 0), (0, 0, 200)))
WEIGHT_K3 = np.array([[-0.5, -0.5, -0.5], [1.0, 0.1, -0.2], [-0.3, 0.2, 1.0]], np.float32)
BIAS_K = np.array([90.0, 0.5, -0.5], np.float32)


def card(**changes: object) -> Card:
    settings = {"architecture": "small", "model": {}, "classes": CLASSES, "input": Input(stride=8)}
    return Card.model_validate(settings | changes)


def model(weight_K3: np.ndarray = WEIGHT_K3, bias_K: np.ndarray = BIAS_K, opset: int = 20) -> onnx.ModelProto:
    """Scores = weight @ RGB (or as many bands as the weight has) + bias, as Tarsia's files name and type them."""
    count, bands = weight_K3.shape
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "weight", "bias"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", bands, "height", "width"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", count, "height", "width"])
    weights = [
        numpy_helper.from_array(weight_K3.reshape(count, bands, 1, 1), "weight"),
        numpy_helper.from_array(bias_K, "bias"),
    ]
    graph = helper.make_graph(nodes, "small", [image], [scores], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def content(**changes: object) -> bytes:
    """The whole file, card and sum included."""
    return with_card(model().SerializeToString(), card(**changes))


def expected_scores(images_BHW3: np.ndarray) -> np.ndarray:
    """What the file answers, by hand."""
    scores_BHWK = images_BHW3.astype(np.float32) @ WEIGHT_K3.T + BIAS_K
    return scores_BHWK.transpose(0, 3, 1, 2)

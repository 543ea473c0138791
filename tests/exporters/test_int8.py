"""Networks in 8 bits: which layers there are, what their weights become, and which of them harms."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tarsia.engines.graph_engine import fed_with
from tarsia.exporters import int8
from tarsia.exporters.int8 import Fed, Quantizer

RANDOM = np.random.default_rng(3)
# A 3x3 convolution and a Relu; one in which a channel is a thousand times the others; the scores, at twice the size.
WEIGHTS = {
    "first.0.weight": RANDOM.normal(size=(8, 3, 3, 3)),
    "wild.weight": RANDOM.normal(size=(8, 8, 1, 1)) * np.array([1e3, *[1.0] * 7])[:, None, None, None],
    "scores_of.weight": RANDOM.normal(size=(3, 8, 1, 1)) * np.array([0.0, *[1.0] * 7])[:, None, None],
}


def fed(image_1HWC: np.ndarray) -> Fed:
    return fed_with(image_1HWC, None)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], "cast", to=TensorProto.FLOAT),
        node("Sub", ["float", "mean"], ["near"], "sub"),
        node("Div", ["near", "std"], ["normal"], "div"),
        node("Conv", ["normal", "first.0.weight"], ["a"], "conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], "relu1"),
        node("Conv", ["b", "wild.weight"], ["c"], "conv2"),
        node("Clip", ["c", "zero", "far"], ["d"], "clip2"),
        node("Add", ["d", "b"], ["e"], "sum"),
        node("Conv", ["e", "scores_of.weight"], ["f"], "conv3"),
        node("Resize", ["f", "", "twice"], ["scores"], "up", mode="linear"),
    ]
    small = {"mean": 127.0, "std": 60.0, "zero": 0.0, "far": 1e9, "twice": np.array([1, 1, 1, 1])}
    weights = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in (WEIGHTS | small).items()]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, "height", "width"]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3, "height", "width"]),
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [RANDOM.integers(0, 256, (1, 16, 24, 3), np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def quantizer(model: onnx.ModelProto, pictures: list[np.ndarray]) -> Quantizer:
    return Quantizer(model, map(fed, pictures), threads=1)


def scores(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["scores"], {"image": picture.transpose(0, 3, 1, 2)})[0]


def test_layers_are_named_after_their_weights_and_keep_their_activations(quantizer: Quantizer) -> None:
    assert quantizer.layers == ["first.0", "wild", "sum", "scores_of"]
    assert quantizer._layers["first.0"] == ["conv1", "relu1"] and quantizer._layers["wild"] == ["conv2", "clip2"]


def test_weights_have_a_scale_a_channel_and_both_ends_stay_in_float(quantizer: Quantizer) -> None:
    found = quantizer.quantized()
    onnx.checker.check_model(found, full_check=True)
    arrays = {one.name: numpy_helper.to_array(one) for one in found.graph.initializer}
    for name, weight in WEIGHTS.items():
        step = np.abs(weight).max((1, 2, 3)).astype(np.float32) / 127
        expected = np.clip(np.round(weight / np.where(step > 0, step, 1)[:, None, None, None]), -128, 127)
        stored = arrays[f"{name}_quantized"]
        assert stored.dtype == np.int8 and np.abs(stored - expected).max() <= 1
    kinds = {node.name: node.op_type for node in found.graph.node}
    assert {"cast", "sub", "div", "up"} <= kinds.keys() and "relu1" not in kinds
    gives = {tensor: node for node in found.graph.node for tensor in node.output}
    places = {node.name: node for node in found.graph.node}
    assert gives[places["conv1"].input[0]].op_type == "DequantizeLinear"
    assert places["sub"].input[0] == "float" and places["div"].input[0] == "near"


def test_what_is_kept_is_as_it_was(quantizer: Quantizer, model: onnx.ModelProto, pictures: list[np.ndarray]) -> None:
    before = scores(model, pictures[0])
    np.testing.assert_allclose(scores(quantizer.quantized(quantizer.layers), pictures[0]), before, rtol=1e-4, atol=1e-3)
    part = quantizer.quantized({"wild", "scores_of", "sum"})
    assert {one.name for one in part.graph.initializer} >= {"wild.weight", "first.0.weight_quantized"}
    kept = {node.op_type for node in part.graph.node if node.name in ("conv2", "clip2", "sum")}
    assert kept == {"Conv", "Clip", "Add"}
    all_of_it = np.abs(scores(quantizer.quantized(), pictures[0]) - before).mean()
    without = np.abs(scores(quantizer.quantized({"wild", "sum", "scores_of"}), pictures[0]) - before).mean()
    assert 0 < without < all_of_it / 4


def test_the_layer_that_changes_most_pixels_comes_first(quantizer: Quantizer, pictures: list[np.ndarray]) -> None:
    found = quantizer.most_harmful([*map(fed, pictures[:2])])
    assert sorted(name for _, name in found) == sorted(quantizer.layers)
    assert found[0][1] in ("wild", "sum") and found == sorted(found, key=lambda one: -one[0])
    for share, name in found:  # by hand: everything else is kept
        alone = quantizer.quantized([other for other in quantizer.layers if other != name])
        changed = [
            (scores(quantizer._model, one).argmax(1) != scores(alone, one).argmax(1)).mean() for one in pictures[:2]
        ]
        assert share == pytest.approx(np.mean(changed)), name


def test_of_a_long_network_the_worst_stretch_is_looked_into(
    quantizer: Quantizer, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantizer.most_harmful([*map(fed, pictures[:2])])
    monkeypatch.setattr(int8, "_SHORT", 3)
    part = quantizer.most_harmful([*map(fed, pictures[:2])])  # of two stretches of two
    assert part and len(part) == 2 and part == [one for one in whole if one in part]
    assert part[0] == whole[0]


def test_logging_is_left_as_it_was(quantizer: Quantizer) -> None:
    before = logging.getLogger().level
    quantizer.quantized()
    assert logging.getLogger().level == before

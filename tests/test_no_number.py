"""No number that is none becomes an answer, and no card that no picture can meet becomes a model."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper

import small_onnx
from small_service import encoded, engine, pixels, segment
from tarsia.card import MAX_PIXELS, Calibration, Input
from tarsia.cli import main
from tarsia.engines import onnx_file
from tarsia.engines.engine import ENGINES, check_numbers
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.errors import ModelFileError, ScoresError
from tarsia.evaluating import evaluate
from tarsia.exporters.gate import Limit, Runner, Verdict
from tarsia.exporters.parity import Trial, parity
from tarsia.inference import load
from tarsia.predicting import predict
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
from tarsia.prediction.tiles import Tiling
from tarsia.prediction.tiles import segment as in_tiles
from tarsia.serving import create_app

NONE = [math.nan, math.inf, -math.inf]


class Unsure(OnnxEngine):
    """Of a picture with a white first pixel it says nothing sound in one place of one class."""

    def __init__(self, value: float = math.nan) -> None:
        super().__init__(onnx_file.parse(small_onnx.content(), "small"), "small", threads=1)
        self.value = value

    def run(self, images_BHW3: np.ndarray) -> np.ndarray:
        scores_BKHW = super().run(images_BHW3)
        scores_BKHW[(images_BHW3[:, 0, 0] == 255).all(1), 1, 3, 5] = self.value
        return scores_BKHW


def white_first() -> np.ndarray:
    image_HW3 = pixels()
    image_HW3[0, 0] = 255
    return image_HW3


@pytest.mark.parametrize("value", NONE)
def test_no_label_follows_from_what_is_no_number(value: float) -> None:
    for predictor in (Predictor(Unsure(value)), Predictor(Unsure(value), TestTimeAugmentation())):
        for call in (predictor, lambda one, at=predictor: at(one, confidence=True)):
            assert call(pixels()).label_HW.shape == (24, 32)
            with pytest.raises(ScoresError, match=r"scores of this picture are no numbers \(NaN or infinite\)"):
                call(white_first())
        for call in (predictor.labels, predictor.labels_and_confidence, predictor.probabilities, predictor.scores):
            with pytest.raises(ScoresError):
                call(white_first()[None])
        with pytest.raises(ScoresError):
            in_tiles(predictor, white_first(), Tiling(16, 8, 8))


def test_what_the_padding_says_does_not_matter() -> None:
    found = Predictor(Unsure())(white_first()[:3])
    assert found.label_HW.shape == (3, 32)


def test_predict_names_the_picture_and_goes_on(tmp_path: Path) -> None:
    for name, image_HW3 in (("a", pixels()), ("b", white_first()), ("c", pixels(seed=1))):
        (tmp_path / f"{name}.png").write_bytes(encoded(image_HW3))
    for batch in (1, 3):
        run = predict(Predictor(Unsure()), [tmp_path], tmp_path.parent / f"out{batch}", batch=batch)
        assert [path.name for path, _ in run.done] == ["a.png", "c.png"] and run.exit_code == 2
        ((path, message),) = run.failed
        assert path.name == "b.png" and "b.png" in message and "are no numbers" in message


def test_the_service_says_so_and_gives_no_answer() -> None:
    with TestClient(create_app(Predictor(Unsure())), raise_server_exceptions=False) as client:
        for format in ("png", "json", "overlay", "geojson"):
            answer = segment(client, encoded(white_first()), f"?format={format}")
            assert answer.status_code == 500 and answer.json()["type"] == "urn:tarsia:no-number", answer.text
            assert "are no numbers" in answer.json()["detail"]
            assert segment(client, encoded(pixels()), f"?format={format}").status_code == 200


def test_a_model_that_warms_up_to_no_number_is_not_served() -> None:
    always = engine()
    always.run = lambda images_BHW3: np.full((1, 3, *images_BHW3.shape[1:3]), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(ModelFileError, match="the model model: the model's scores"):
        create_app(Predictor(always))


def test_largest_and_smallest_tell() -> None:
    for value in NONE:
        found = np.zeros((2, 3, 4), np.float32)
        found[1, 2, 3] = value
        with pytest.raises(ScoresError):
            check_numbers(found, "scores")
    check_numbers(np.array([-3e38, 3e38], np.float32), "scores")


# ---- at load


def onnx_of(path: Path, **changes: Any) -> Path:
    path.write_bytes(small_onnx.content(**changes))
    return path


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("kind", ["raw", "floats", "double", "half", "bfloat16"])
def test_an_onnx_file_s_weights_are_numbers(tmp_path: Path, kind: str, value: float) -> None:
    proto = small_onnx.model()
    bias_K = np.array([1, value, 1])
    if kind == "raw":
        tensor = numpy_helper.from_array(bias_K.astype(np.float32), "bias")
    elif kind == "floats":
        tensor = helper.make_tensor("bias", TensorProto.FLOAT, [3], bias_K.astype(np.float32))
    elif kind == "double":
        tensor = numpy_helper.from_array(bias_K, "bias")
    elif kind == "half":
        tensor = numpy_helper.from_array(bias_K.astype(np.float16), "bias")
    else:
        bits = (bias_K.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        tensor = helper.make_tensor("bias", TensorProto.BFLOAT16, [3], bits.tobytes(), raw=True)
    del proto.graph.initializer[1]
    proto.graph.initializer.append(tensor)
    content = onnx_file.with_card(proto.SerializeToString(), small_onnx.card())
    with pytest.raises(ModelFileError, match=r"m\.onnx: the weights bias hold what is no number"):
        OnnxEngine(onnx_file.parse(content, "m.onnx"), "m.onnx")


@pytest.mark.parametrize("name", ENGINES)
def test_a_graph_that_gives_no_numbers_is_refused_at_load(name: str, tmp_path: Path) -> None:
    """Its weights are sound: the square root of what is below zero is not."""
    if name == "openvino":
        pytest.importorskip("openvino")
    proto = small_onnx.model()
    proto.graph.node[1].output[0] = "plain"
    proto.graph.node.append(helper.make_node("Sqrt", ["plain"], ["scores"]))
    judged = {"export": {"engines": [{"engine": "openvino", "precision": "float32", "passed": True}]}}
    content = onnx_file.with_card(proto.SerializeToString(), small_onnx.card(provenance=judged))
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m\.onnx: a grey picture's scores are no numbers"):
        load(tmp_path / "m.onnx", engine=name)


def test_a_graph_that_asks_for_all_memory_is_refused_at_load(tmp_path: Path) -> None:
    proto = small_onnx.model()
    proto.graph.node[1].output[0] = "plain"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([10**12], np.int64), "many"))
    proto.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
            helper.make_node("Add", ["plain", "sum"], ["scores"]),
        ]
    )
    (tmp_path / "m.onnx").write_bytes(onnx_file.with_card(proto.SerializeToString(), small_onnx.card()))
    with pytest.raises(ModelFileError, match=r"m\.onnx: "):
        load(tmp_path / "m.onnx")


def test_scores_of_another_size_are_refused_at_load(tmp_path: Path) -> None:
    proto = small_onnx.model()
    proto.graph.node[1].attribute.append(helper.make_attribute("strides", [2, 2]))
    (tmp_path / "m.onnx").write_bytes(onnx_file.with_card(proto.SerializeToString(), small_onnx.card()))
    with pytest.raises(ModelFileError, match=r"m\.onnx: (fails on|scores of)"):
        load(tmp_path / "m.onnx")


CARDS: list[tuple[dict[str, Any], str]] = [
    ({"input": {"stride": 1_000_000_000}}, "input.stride"),
    ({"input": {"stride": 0}}, "input.stride"),
    ({"input": {"size": [10**9, 10**9]}}, "input.size"),
    ({"input": {"size": [16_000, 16_000]}}, "more than the 178,000,000 pixels"),
    ({"input": {"short_side": 1_000_000}}, "input.short_side"),
    ({"input": {"short_side": 14_000}}, "more than the 178,000,000 pixels"),
    ({"input": {"tile": [10**9, 512]}}, "input.tile"),
    ({"temperature": 1e-300}, "calibration.temperature"),
    ({"temperature": 1e300}, "calibration.temperature"),
    ({"temperature": 0}, "calibration.temperature"),
]


@pytest.mark.parametrize(("changes", "said"), CARDS, ids=[str(one[0]) for one in CARDS])
def test_a_card_that_no_picture_can_meet_is_no_card(
    changes: dict[str, Any],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From Python and from the command line."""
    fitted = {"temperature": 1.0, "dataset": "", "split": "", "data_hash": "", "pixels": 1}
    fitted |= dict.fromkeys(("nll_before", "nll_after", "ece_before", "ece_after"), 0.5)
    card = json.loads(small_onnx.card(calibration=Calibration.model_validate(fitted)).to_json())
    card["calibration"] |= {"temperature": changes["temperature"]} if "temperature" in changes else {}
    card["input"] |= changes.get("input", {})

    class Forged:
        def to_json(self) -> str:
            return json.dumps(card)

    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_file.with_card(small_onnx.model().SerializeToString(), Forged()))  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match="the card inside is damaged") as refused:
        load(path)
    assert said in str(refused.value)
    (tmp_path / "a.png").write_bytes(encoded(pixels()))
    for command in (["predict", path, tmp_path / "a.png", "--out", tmp_path / "out"], ["serve", path], ["info", path]):
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, command)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2 and said.rpartition(".")[2] in capsys.readouterr().err.replace("\n", " ")


def test_the_largest_size_that_is_allowed_is_met_by_a_picture() -> None:
    settings = Input(short_side=13_312)
    assert MAX_PIXELS >= 13_312**2
    Predictor(engine(input=settings)).check_size((1000, 1000))


# ---- models of torch


@pytest.fixture(scope="module")
def torch_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from tarsia import models
    from tarsia.engines.weights import save_model

    options = {"encoder": "test_resnet", "channels": [8, 8]}
    network = models.create("unet", 3, options=options)
    path = tmp_path_factory.mktemp("torch") / "model.safetensors"
    save_model(path, network, small_onnx.card(architecture="unet", model=options, input=Input(stride=network.stride)))
    return path


def forged(path: Path, out: Path, change: Any = None, **changes: Any) -> Path:
    """The model file with other weights, or another card, and the sum of these."""
    from tarsia.card import CARD_KEY
    from tarsia.engines.model_file import read_card
    from tarsia.engines.weights import read_tensors, write_tensors

    tensors, card = read_tensors(path, CARD_KEY), json.loads(read_card(path).to_json())
    if change:
        change(tensors)
    write_tensors(out, tensors, CARD_KEY, json.dumps(card | changes))
    return out


@pytest.mark.parametrize("value", NONE)
def test_a_model_file_s_weights_are_numbers(torch_model: Path, tmp_path: Path, value: float) -> None:
    def change(tensors: dict[str, Any]) -> None:
        tensors[sorted(key for key in tensors if key.endswith("weight"))[3]].view(-1)[0] = value

    path = forged(torch_model, tmp_path / "m.safetensors", change)
    with pytest.raises(ModelFileError, match=r"m\.safetensors: the weights .*weight hold what is no number"):
        load(path)


def test_weights_from_which_no_number_follows_are_refused_at_load(torch_model: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, Any]) -> None:
        for key, value in tensors.items():
            if key.endswith("running_var"):
                value.fill_(-1)

    with pytest.raises(ModelFileError, match="a grey picture's scores are no numbers"):
        load(forged(torch_model, tmp_path / "m.safetensors", change))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": {"stride": 1}}, "stride 1, the network's is 32"),
        ({"input": {"stride": 48}}, "stride 48, the network's is 32"),
        ({"model": {"encoder": "test_resnet", "channels": [10**6] * 5}}, "channels: 1000000, expected 16384 at most"),
        ({"model": {"encoder": "test_resnet", "channels": [16_384] * 2}}, "do not fit its card: .*16384"),
        ({"model": {"encoder": "test_resnet", "channels": [8] * 65}}, "channels: 65 entries, expected 64 at most"),
        ({"model": {"encoder_options": {"base_width": 10**9}}}, "base_width: 1000000000, expected"),
        (
            {"model": {"encoder": "vit_tiny_patch16_224", "encoder_options": {"depth": 10**9}}},
            "depth: 1000000000, expected",
        ),
        ({"model": {"encoder": "test_resnet", "mean": [math.nan] * 3}}, "expected|no numbers|damaged"),
    ],
    ids=str,
)
def test_a_card_of_another_network_is_refused_before_that_is_built(
    torch_model: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """However large it would be."""
    with pytest.raises(ModelFileError, match=said):
        load(forged(torch_model, tmp_path / "m.safetensors", **changes))


# ---- the gate and evaluate


@pytest.mark.parametrize("runner", [Runner("onnxruntime"), Runner("onnxruntime", "bfloat16")], ids=str)
@pytest.mark.parametrize("at", ["pictures", "sizes"])
def test_the_gate_lets_no_number_pass_that_is_none(runner: Runner, at: str) -> None:
    """Whatever the limit is on: changed pixels or lost mIoU."""
    from test_evaluating import Pictures

    dataset = Pictures([(24, 32)] * 2)
    settings = {"classes": dataset.classes.model_dump()}

    class Doubtful(OnnxEngine):
        def run(self, images_BHW3: np.ndarray) -> np.ndarray:
            scores_BKHW = super().run(images_BHW3)
            if (images_BHW3.shape[1] == 24) == (at == "pictures"):
                scores_BKHW[0, 0, 0, 0] = np.nan
            return scores_BKHW

    file = onnx_file.parse(small_onnx.content(**settings), "small")
    sides = [
        Trial(name, Predictor(one(file, "small", threads=1)), 1) for name, one in (("a", OnnxEngine), ("b", Doubtful))
    ]
    (report,) = parity(sides[0], sides[1:], dataset, 2)
    for tolerance in (None, 0.9):
        assert not Verdict(runner, Limit.of("float32", runner, tolerance), report).passed


def test_evaluate_names_the_picture() -> None:
    from test_evaluating import Pictures

    dataset = Pictures([(24, 32)] * 3)
    broken = OnnxEngine(onnx_file.parse(small_onnx.content(classes=dataset.classes.model_dump()), "small"), "small")
    right, bad = broken.run, dataset[1].image

    def run(images_BHW3: np.ndarray) -> np.ndarray:
        found = right(images_BHW3)
        found[(images_BHW3 == bad).all((1, 2, 3))] = np.nan
        return found

    broken.run = run  # type: ignore[method-assign]
    with pytest.raises(ScoresError, match=f"^{dataset[1].name}: the model's scores"):
        evaluate(Predictor(broken), dataset)

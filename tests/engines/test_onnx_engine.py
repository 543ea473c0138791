"""The ONNX engine on a network small enough to work out by hand, and files it must refuse."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import small_onnx
from other_process import loaded
from tarsia import hardware
from tarsia.card import Input
from tarsia.engines import onnx_engine, onnx_file
from tarsia.engines.engine import Description
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.engines.open import open_engine
from tarsia.errors import ImageError, ModelFileError, OutputError, RecipeError
from tarsia.inference import load


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    path.write_bytes(small_onnx.content())
    return path


def pictures(batch: int = 2, size: tuple[int, int] = (16, 24)) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (batch, *size, 3), np.uint8)


def test_scores_labels_and_probabilities(path: Path) -> None:
    engine = open_engine(path, "cpu")
    assert isinstance(engine, OnnxEngine) and engine.device == "cpu" and engine.card == small_onnx.card()
    images_BHW3 = pictures()
    expected = small_onnx.expected_scores(images_BHW3)
    for images in (images_BHW3, images_BHW3[:, :, ::-1][:, :, ::-1]):  # strides do not matter
        scores = engine.run(images)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(engine.labels(scores, (16, 24)), expected.argmax(1))
    np.testing.assert_allclose(engine.probabilities(scores, (20, 31)).sum(1), 1, rtol=1e-5)


def test_streams_answer_at_once_and_share_the_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 4)
    engine = open_engine(path, "cpu", streams=2)
    assert isinstance(engine, OnnxEngine) and (engine.streams, engine.threads) == (2, 4)
    assert engine._session.get_session_options().intra_op_num_threads == 2
    assert str(engine.describe()).endswith("ExecutionProvider, 4 threads in 2 streams")
    images = [pictures(1, (8 * (k % 3 + 1), 16)) for k in range(12)]
    with ThreadPoolExecutor(2) as pool:
        for image, found in zip(images, pool.map(engine.run, images), strict=True):
            np.testing.assert_allclose(found, small_onnx.expected_scores(image), rtol=1e-5, atol=1e-4)
    with pytest.raises(RecipeError, match=r"`streams=5`: .* there are 4"):
        open_engine(path, "cpu", streams=5)


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 16), (33, 50)])
def test_the_predictor_takes_pictures_of_any_size(path: Path, size: tuple[int, int]) -> None:
    image_HW3 = pictures(1, size)[0]
    found = load(path)(image_HW3, confidence=True)
    expected = small_onnx.expected_scores(image_HW3[None])[0]
    np.testing.assert_array_equal(found.label_HW, expected.argmax(0))
    shares = np.exp(expected - expected.max(0))
    np.testing.assert_allclose(found.confidence_HW, (shares / shares.sum(0)).max(0), rtol=1e-4)


def test_facts_say_what_runs_it(tmp_path: Path) -> None:
    provenance = {"export": {"multiply_adds": 1234, "multiply_adds_size": [16, 24], "precision": "float32"}}
    (tmp_path / "m.onnx").write_bytes(small_onnx.content(provenance=provenance))
    engine = OnnxEngine(onnx_file.read(tmp_path / "m.onnx"), "m.onnx", "cpu", threads=1)
    program = f"onnxruntime {onnxruntime.__version__}, CPUExecutionProvider"
    assert engine.describe() == Description(program, "float32", threads=1, parameters=12)
    assert engine.multiply_adds((16, 24)) == 1234 and engine.multiply_adds((16, 32)) is None
    assert OnnxEngine(onnx_file.read(tmp_path / "m.onnx"), "m.onnx").threads >= 1


def renamed(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "picture"


def as_float(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def without_scores(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].name = proto.graph.node[1].output[0] = "logits"


def of_four_classes(proto: onnx.ModelProto) -> None:
    proto.CopyFrom(small_onnx.model(np.ones((4, 3), np.float32), np.ones(4, np.float32)))


def of_another_program_s_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].domain = "com.example"
    proto.opset_import.append(helper.make_opsetid("com.example", 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_four_classes, "its card has 3 classes but its network scores 4: export the model again"),
        (lambda proto: setattr(proto.opset_import[0], "version", 99), "cannot run it .*update onnxruntime"),
        (lambda proto: setattr(proto, "ir_version", 99), "cannot run it .*update onnxruntime"),
        (of_another_program_s_operator, "cannot run it"),
        (lambda proto: proto.graph.ClearField("node"), "cannot run it"),
        (lambda proto: proto.graph.ClearField("initializer"), "cannot run it|takes .* expected image"),
        (renamed, r"takes .*picture.* expected image, uint8"),
        (as_float, r"takes .*'float32'.* expected image, uint8|cannot run it"),
        (without_scores, r"gives \{'scores': None\}; expected"),
    ],
    ids=["classes", "opset", "ir", "operator", "empty", "weights", "input", "type", "output"],
)
def test_a_sound_file_that_cannot_be_run_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    proto = small_onnx.model()
    change(proto)
    (tmp_path / "m.onnx").write_bytes(onnx_file.with_card(proto.SerializeToString(), small_onnx.card()))
    with pytest.raises(ModelFileError, match=message) as caught:
        open_engine(tmp_path / "m.onnx", "cpu")
    assert str(caught.value).startswith(f"{tmp_path / 'm.onnx'}: ") and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_sizes_that_the_network_cannot_take_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    proto = small_onnx.model()
    proto.graph.node[1].attribute.append(helper.make_attribute("strides", [1, 1]))
    proto.graph.node[1].input[1] = "wide"  # a filter of 9 x 9, larger than a picture of one stride
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros((3, 3, 9, 9), np.float32), "wide"))
    (tmp_path / "m.onnx").write_bytes(onnx_file.with_card(proto.SerializeToString(), small_onnx.card()))
    with pytest.raises(ModelFileError, match=r"m\.onnx: fails on pictures of 1x16x24 \(number x height x width\)"):
        open_engine(tmp_path / "m.onnx", "cpu")
    with pytest.raises(ModelFileError, match=r"m\.onnx: fails on pictures of 1x8x8"):
        OnnxEngine(onnx_file.read(tmp_path / "m.onnx"), "m.onnx", "cpu").run(pictures(1, (8, 8)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("device", ["banana", "cuda:99", "cuda", "cpu:0", ""])
def test_a_device_that_is_not_there_is_named_with_the_known_ones(path: Path, device: str) -> None:
    with pytest.raises(RecipeError, match=r"not usable here.*known: auto, cpu, cuda|cannot start CUDA"):
        open_engine(path, device)


def test_a_cuda_provider_that_does_not_start_is_not_used_in_silence(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hardware, "onnxruntime_providers", lambda: [onnx_engine._CUDA, onnx_engine._CPU])
    if onnx_engine._CUDA not in onnxruntime.InferenceSession(small_onnx.content()).get_providers():
        assert open_engine(path, "auto").device == "cpu"
        assert "does not start here: running on the CPU" in capsys.readouterr().err
        with pytest.raises(RecipeError, match="cannot start CUDA here"):
            open_engine(path, "cuda")


def test_out_of_memory_is_what_it_is(path: Path) -> None:
    engine = OnnxEngine(onnx_file.read(path), str(path), "cpu")

    class Full:
        def io_binding(self) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for 9 GB")

    engine._session = Full()
    with pytest.raises(MemoryError, match=r"model\.onnx: Failed to allocate"):
        engine.run(pictures())


def test_a_size_of_its_own_is_resampled_to_the_picture_s(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(small_onnx.content(input=Input(size=(16, 16), stride=8)))
    predictor = load(tmp_path / "m.onnx")
    assert predictor(pictures(1, (30, 45))[0]).label_HW.shape == (30, 45)
    with pytest.raises(OutputError, match=r"attention can be drawn of a \.safetensors model only"):
        predictor.attention(pictures(1)[0])
    with pytest.raises(ImageError):
        predictor(np.zeros((0, 4, 3), np.uint8))


def test_torch_and_onnx_stay_away(path: Path) -> None:
    code = (
        "import sys, numpy; from tarsia.inference import load\n"
        "load(sys.argv[1])(numpy.zeros((9, 9, 3), numpy.uint8), confidence=True)"
    )
    assert not loaded(("torch", "onnx", "cv2", "safetensors"), code, path)

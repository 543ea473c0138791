"""OpenVINO behind the engine protocol: the same answers, in the precision that was asked for, or one clear line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from test_onnx_engine import as_float, of_another_program_s_operator, of_four_classes, pictures, renamed, without_scores

import small_onnx
from other_process import loaded
from tarsia import hardware
from tarsia.engines import onnx_file
from tarsia.engines import openvino_engine as engine_file
from tarsia.engines.open import open_engine
from tarsia.errors import MissingExtraError, ModelFileError, RecipeError
from tarsia.inference import load

openvino = pytest.importorskip("openvino")
BFLOAT16 = hardware.openvino_computes_bfloat16(openvino.Core())


def judged(**passed: bool) -> dict[str, Any]:
    """The provenance of a file that was exported where OpenVINO is installed."""
    engines = [
        {"engine": "openvino", "precision": precision, "passed": good, "verdict": "mIoU 0.7 -> 0.6"}
        for precision, good in passed.items()
    ]
    return {"export": {"precision": "float32", "engines": engines}}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openvino") / "model.onnx"
    path.write_bytes(small_onnx.content(provenance=judged(float32=True, bfloat16=True)))
    return path


def test_scores_of_any_size_and_batch(path: Path) -> None:
    engine = open_engine(path, "cpu", "openvino")
    for batch, size in ((2, (16, 24)), (1, (8, 8)), (3, (40, 16))):
        images_BHW3 = pictures(batch, size)
        found = engine.run(images_BHW3)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, small_onnx.expected_scores(images_BHW3), rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(engine.labels(found, size), found.argmax(1))


def test_the_predictor_answers_as_with_onnx_runtime(path: Path) -> None:
    image_HW3 = pictures(1, (33, 50))[0]
    first, second = (load(path, engine=engine)(image_HW3, confidence=True) for engine in ("onnxruntime", "openvino"))
    np.testing.assert_array_equal(first.label_HW, second.label_HW)
    np.testing.assert_allclose(first.confidence_HW, second.confidence_HW, rtol=1e-4)


def test_the_precision_is_the_one_that_was_asked_for(path: Path) -> None:
    """Left to itself OpenVINO takes bfloat16 where the processor has it: 8 bits of fraction, errors beyond 1e-3."""
    image = pictures(1, (64, 64))
    expected = small_onnx.expected_scores(image)
    exact = open_engine(path, engine="openvino")
    assert np.abs(exact.run(image) - expected).max() < 1e-3
    facts = exact.describe()
    assert facts.precision == "float32" and facts.engine.startswith("openvino 20") and facts.threads >= 1


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_bfloat16_is_for_processors_that_compute_in_it(
    path: Path, has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "openvino_computes_bfloat16", lambda core: has_bfloat16)
    if not has_bfloat16:
        with pytest.raises(RecipeError, match="precision='bfloat16': this processor does not compute in it"):
            open_engine(path, engine="openvino", precision="bfloat16")
        return
    image = pictures(1, (64, 64))
    rough = open_engine(path, engine="openvino", precision="bfloat16")
    assert rough.describe().precision == "bfloat16"
    if not BFLOAT16:
        pytest.skip("this processor does not compute in bfloat16: opened, but not run")
    assert 1e-2 < np.abs(rough.run(image) - small_onnx.expected_scores(image)).max() < 4


@pytest.mark.parametrize("streams", [1, 2])
def test_threads_that_ask_at_once_get_their_own_answers(path: Path, streams: int) -> None:
    from tarsia.engines.openvino_engine import OpenVinoEngine

    engine = OpenVinoEngine(onnx_file.read(path), str(path), threads=2, streams=streams)
    images = [pictures(1, (8 * (k % 3 + 1), 16)) for k in range(24)]
    with ThreadPoolExecutor(6) as pool:
        for image, found in zip(images, pool.map(engine.run, images), strict=True):
            np.testing.assert_allclose(found, small_onnx.expected_scores(image), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("passed", "precision", "message"),
    [
        ({}, "float32", r"was not checked with OpenVINO in float32 .*export it again"),
        ({"float32": True}, "bfloat16", "was not checked with OpenVINO in bfloat16"),
        ({"float32": True, "bfloat16": False}, "bfloat16", r"changed too much .*\(mIoU 0\.7 -> 0\.6\): choose another"),
    ],
)
def test_what_the_gate_has_not_let_pass_is_refused(
    tmp_path: Path, passed: dict[str, bool], precision: str, message: str
) -> None:
    (tmp_path / "m.onnx").write_bytes(small_onnx.content(provenance=judged(**passed) if passed else {}))
    with pytest.raises(ModelFileError, match=message) as caught:
        open_engine(tmp_path / "m.onnx", engine="openvino", precision=precision)
    assert str(caught.value).startswith(f"{tmp_path / 'm.onnx'}: ")
    assert open_engine(tmp_path / "m.onnx").describe().engine.startswith("onnxruntime")  # which is always judged


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "openvine"}, "no such engine, did you mean openvino"),
        ({"engine": "openvino", "precision": "float16"}, r"precision='float16': no such precision, did you mean"),
        ({"precision": "bfloat16"}, "only engine='openvino' computes in it"),
        ({"engine": "onnxruntime", "precision": "bfloat16"}, "only engine='openvino' computes in it"),
        ({"engine": "openvino", "device": "cuda"}, "OpenVINO runs on the CPU"),
    ],
)
def test_engines_and_precisions_that_there_are_not(path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        open_engine(path, **options)


def test_a_model_file_needs_no_engine(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"")
    with pytest.raises(RecipeError, match=r"`engine='openvino'` is for \.onnx files: `tarsia export"):
        open_engine(tmp_path / "m.safetensors", engine="openvino")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_four_classes, "its card has 3 classes but its network scores 4: export the model again"),
        (of_another_program_s_operator, r"OpenVINO 20.* cannot run it \("),
        (renamed, r"takes .*picture.* expected image, uint8"),
        (as_float, r"takes .*float32.* expected image, uint8|cannot run it"),
        (without_scores, r"gives \{'scores': None\}; expected"),
    ],
)
def test_a_sound_file_that_cannot_be_run_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    proto = small_onnx.model()
    change(proto)
    card = small_onnx.card(provenance=judged(float32=True))
    (tmp_path / "m.onnx").write_bytes(onnx_file.with_card(proto.SerializeToString(), card))
    with pytest.raises(ModelFileError, match=message) as caught:
        open_engine(tmp_path / "m.onnx", engine="openvino")
    assert str(caught.value).startswith(f"{tmp_path / 'm.onnx'}: ") and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_without_the_package_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "tarsia.engines.openvino_engine", raising=False)
    with pytest.raises(MissingExtraError, match="the extra `openvino`"):
        open_engine(path, engine="openvino")


def test_a_network_that_has_failed_is_not_asked_again(path: Path) -> None:
    """Out of memory leaves one half done: what it answers next has no meaning, where it answers at all."""
    engine = open_engine(path, "cpu", "openvino")

    class Full:
        def infer(self, _: object) -> None:
            raise RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:246:\nstd::bad_alloc\n\n")

    images_BHW3 = pictures(1, (1000, 1000))  # large enough for memory to be given back after it
    before = engine._network
    engine._idle.get()
    engine._idle.put(engine_file._Request(before, Full()))
    with pytest.raises(MemoryError, match=r"model\.onnx: std::bad_alloc"):
        engine.run(images_BHW3)
    np.testing.assert_allclose(engine.run(images_BHW3), small_onnx.expected_scores(images_BHW3), rtol=1e-5, atol=1e-3)
    assert engine._network is not before
    engine.give_back()
    assert engine.run(pictures(1, (8, 8))).shape == (1, 3, 8, 8)


def test_torch_and_onnx_stay_away(path: Path) -> None:
    code = (
        "import sys, numpy; from tarsia.inference import load\n"
        "load(sys.argv[1], engine='openvino')(numpy.zeros((9, 9, 3), numpy.uint8), confidence=True)"
    )
    assert not loaded(("torch", "onnx", "onnxruntime", "cv2"), code, path)


def test_signals_do_no_harm_where_engines_came_and_went(path: Path) -> None:
    program = """
import gc, os, signal, sys
from pathlib import Path
from tarsia.engines import onnx_file
from tarsia.engines.openvino_engine import OpenVinoEngine
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
first, second = (OpenVinoEngine(onnx_file.read(Path(sys.argv[1])), 'm.onnx', threads=1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen))
"""
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr

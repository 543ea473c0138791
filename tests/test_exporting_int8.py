"""`tarsia export --int8`, `--probabilities` and the engines that judge: what is kept, refused, and said in the card."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from small_data import CLASSES, draw, write_folder
from tarsia import cli, console, data, exporting, hardware, models
from tarsia.card import Calibration, Card, Classes, Input
from tarsia.data._dataset import Sample
from tarsia.engines import onnx_file
from tarsia.engines.model_file import read_card
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.engines.weights import save_model
from tarsia.errors import ExportError, ModelFileError
from tarsia.exporters import gate
from tarsia.exporters.gate import Limit, Runner
from tarsia.exporters.writer import exported
from tarsia.exporting import RangePictures, export
from tarsia.inference import load
from tarsia.prediction.predictor import Predictor

OPTIONS = {"channels": (8, 16, 16)}
COLORS = ((10, 20, 30), (200, 60, 40), (40, 80, 210))
TEMPERATURE = 2.5
HAS_OPENVINO = len(gate.runners()) > 1


class AsSeen:
    """The samples of a data set, with what a model sees in them as their truth: its mIoU there is 1."""

    def __init__(self, dataset: Any, predictor: Predictor) -> None:
        self.classes, self._dataset, self._predictor = dataset.classes, dataset, predictor

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        return sample._replace(label=self._predictor(sample.image).label_HW)

    def name(self, index: int) -> str:
        return self._dataset.name(index)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("int8") / "data", 6, 4, (45, 71))


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    network = models.create("unet_original", 3, seed=1, options=OPTIONS)
    fitted = {"dataset": "folder", "split": "val", "data_hash": "0", "pixels": 9}
    fitted |= {"nll_before": 1.0, "nll_after": 0.9, "ece_before": 0.2, "ece_after": 0.1}
    card = Card(
        architecture="unet_original",
        model=OPTIONS,
        classes=Classes(names=CLASSES, colors=COLORS),
        input=Input(stride=4),
        calibration=Calibration(temperature=TEMPERATURE, **fitted),
    )
    path = folder.parent / "run" / "model.safetensors"
    save_model(path, network.eval(), card)
    return path


@pytest.fixture(scope="module")
def graph(model: Path) -> onnx.ModelProto:
    network, card = exporting.load_model(model)
    return exported(network, card)


@pytest.fixture(autouse=True)
def _exported_once(graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "exported", lambda *_: copy.deepcopy(graph))


@pytest.fixture(scope="module")
def seen(folder: Path, model: Path) -> AsSeen:
    return AsSeen(data.open("folder", folder, "val"), load(model, device="cpu"))


@pytest.fixture(scope="module")
def calibration(folder: Path) -> RangePictures:
    return RangePictures(data.open("folder", folder, "train"), 4, "folder train")


def engines(card: Card) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["engine"], one["precision"]): one for one in card.provenance["export"]["engines"]}


# ---- 8 bits


def test_in_8_bits_it_is_smaller_and_the_card_says_what_was_done(
    model: Path, seen: AsSeen, calibration: RangePictures, tmp_path: Path
) -> None:
    out = tmp_path / "m.onnx"
    found = export(model, out, check_on=seen, images=4, int8=calibration, tolerance=0.5)
    facts = read_card(out).provenance["export"]
    assert facts["precision"] == "int8" and facts["tolerance"] == 0.5
    assert facts["calibrated_on"] == {"data": "folder train", "images": 4}
    assert facts["kept_in_float32"] == [] and facts["layers"] > 5
    report = found.first.report
    assert report is not None and report.before.metrics.miou == 1
    assert report.miou_loss == pytest.approx(1 - report.after.metrics.miou) and found.first.passed
    assert 0 < report.miou_loss < 0.2
    kinds = [node.op_type for node in onnx.load(out).graph.node]
    assert kinds.count("DequantizeLinear") > kinds.count("QuantizeLinear") > 5
    assert facts["engines"][0]["miou_loss"] == report.miou_loss and facts["engines"][0]["passed"]
    engine = OnnxEngine(onnx_file.read(out), str(out), "cpu")
    assert engine.describe().precision == "int8, the rest float32"
    again = json.loads(out.with_suffix(".export.json").read_text())
    assert again["miou"]["difference"] == -report.miou_loss and again["export"] == facts


def test_a_layer_that_harms_is_found_and_kept(
    graph: onnx.ModelProto,
    model: Path,
    seen: AsSeen,
    calibration: RangePictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A channel 4,096 times as large, and divided by as much behind it: the same network, but not in 8 bits."""
    wild = copy.deepcopy(graph)
    for place in wild.graph.initializer:
        values = numpy_helper.to_array(place).copy()
        if place.name.startswith("contracting.1.0.0.weight"):  # or its bias
            values[3] *= 4096
        if place.name == "contracting.1.1.0.weight":
            values[:, 3] /= 4096
        place.CopyFrom(numpy_helper.from_array(values, place.name))
    monkeypatch.setattr(exporting, "exported", lambda *_: copy.deepcopy(wild))
    options: dict[str, Any] = {"check_on": seen, "images": 4, "int8": calibration, "tolerance": 0.13}
    found = export(model, tmp_path / "m.onnx", **options)
    assert found.first.passed
    facts = read_card(tmp_path / "m.onnx").provenance["export"]
    assert {"contracting.1.0.0", "contracting.1.1.0"} <= set(facts["kept_in_float32"])
    assert 2 <= len(facts["kept_in_float32"]) < facts["layers"] / 2
    monkeypatch.setattr(exporting, "_KEPT", (0,))
    with pytest.raises(ExportError, match=r"mIoU may lose at most 0\.13"):
        export(model, tmp_path / "n.onnx", **options)


@pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")
def test_where_one_engine_never_passes_the_first_that_onnx_runtime_lets_pass_is_written(
    model: Path, seen: AsSeen, calibration: RangePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tarsia.engines.openvino_engine import OpenVinoEngine

    run = OpenVinoEngine.run
    monkeypatch.setattr(OpenVinoEngine, "run", lambda self, images: run(self, images)[:, [1, 2, 0]])
    monkeypatch.setattr(exporting, "_KEPT", (0, 1))
    found = export(model, tmp_path / "m.onnx", check_on=seen, images=2, int8=calibration, tolerance=0.5)
    assert [verdict.passed for verdict in found.verdicts] == [True, False, False]
    assert read_card(tmp_path / "m.onnx").provenance["export"]["kept_in_float32"] == []


def test_beyond_the_tolerance_nothing_is_written(
    model: Path, seen: AsSeen, calibration: RangePictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "m.onnx"
    with pytest.raises(ExportError, match=r"mIoU 1\.0000 -> 0.*mIoU may lose at most 1e-09, any class 2e-09.*nothing"):
        export(model, out, check_on=seen, images=2, int8=calibration, tolerance=1e-9)
    assert not list(tmp_path.iterdir())
    notes = capsys.readouterr().err
    assert "8 bits, 0 of" in notes and "8 bits, 2 of" in notes and "layers kept in float32: onnxruntime: " in notes


# ---- labels and confidence


@pytest.fixture(scope="module")
def labelling(model: Path, folder: Path, graph: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "m.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "exported", lambda *_: copy.deepcopy(graph))
        dataset = data.open("folder", folder, "val")
        export(model, out, check_on=dataset, images=2, probabilities=True)
    return out


def test_labels_and_confidence_are_those_of_the_scores(labelling: Path) -> None:
    found = onnx.load(labelling)
    onnx.checker.check_model(found, full_check=True)
    interface = json.loads({one.key: one.value for one in found.metadata_props}["tarsia_interface"])
    assert list(interface) == ["image", "scores", "label", "confidence"]
    session = onnxruntime.InferenceSession(str(labelling))
    image = np.random.default_rng(2).integers(0, 256, (2, 3, 24, 36), np.uint8)
    scores, label, confidence = session.run(["scores", "label", "confidence"], {"image": image})
    assert label.dtype == np.uint8 and confidence.dtype == np.float32
    np.testing.assert_array_equal(label, scores.argmax(1))
    shares = np.exp(scores / TEMPERATURE)
    np.testing.assert_allclose(confidence, (shares / shares.sum(1, keepdims=True)).max(1), rtol=1e-4)


@pytest.mark.parametrize("size", [(48, 72), (45, 71), (1, 5)])
def test_the_predictor_takes_them_where_the_picture_keeps_its_size(
    labelling: Path, model: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image_HW3 = draw(5, (48, 72))[0][: size[0], : size[1]]
    before, after = load(model, device="cpu"), load(labelling, device="cpu")
    ran: list[str] = []
    for name in ("run", "run_to_labels"):
        run = getattr(after.engine, name)
        monkeypatch.setattr(after.engine, name, lambda images, run=run, name=name: (ran.append(name), run(images))[1])
    expected, found = before(image_HW3, confidence=True), after(image_HW3, confidence=True)
    assert ran == ["run_to_labels"] and found.label_HW.shape == size
    assert (expected.label_HW != found.label_HW).mean() <= 1e-3
    np.testing.assert_allclose(expected.confidence_HW, found.confidence_HW, atol=1e-4)
    np.testing.assert_array_equal(after.labels(image_HW3[None])[0], found.label_HW)
    ran.clear()
    after.engine.card = after.card.model_copy(update={"input": Input(stride=4, size=(24, 36))})
    assert after(image_HW3).label_HW.shape == size and ran == ["run"]
    after.engine.card = before.card
    after.temperature = 1.0  # not the one in the file
    ran.clear()
    assert after(image_HW3, confidence=True).confidence_HW is not None and ran == ["run"]


# ---- engines


def test_limits_by_precision() -> None:
    plain, rough = Runner("openvino"), Runner("openvino", "bfloat16")
    assert Limit.of("float32", plain, None) == Limit(share=1e-4) and Limit.of("float32", plain, 0.2) == Limit(share=0.2)
    assert Limit.of("float32", rough, None) == Limit(loss=5e-3) == Limit.of("float32", rough, 0.2)
    assert Limit.of("int8", plain, None) == Limit(loss=5e-3) and Limit.of("int8", rough, 0.2) == Limit(loss=0.2)


@pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")
@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_every_engine_and_precision_is_judged_and_then_runs(
    model: Path, folder: Path, has_bfloat16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    really_has = hardware.openvino_computes_bfloat16(openvino.Core())
    monkeypatch.setattr(hardware, "openvino_computes_bfloat16", lambda core: has_bfloat16)
    labelling = tmp_path / "m.onnx"
    judged = export(model, labelling, check_on=data.open("folder", folder, "val"), images=2, probabilities=True)
    found = engines(read_card(labelling))
    assert list(found) == [("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")]
    assert found["openvino", "float32"]["passed"] and found["openvino", "float32"]["changed_share"] <= gate.SHARE
    sample = data.open("folder", folder, "val")[0]
    first, second = (load(labelling, engine=name)(sample.image, confidence=True) for name in ("auto", "openvino"))
    assert (first.label_HW != second.label_HW).mean() <= 1e-3
    np.testing.assert_allclose(first.confidence_HW, second.confidence_HW, atol=1e-3)
    rough = found["openvino", "bfloat16"]
    if not has_bfloat16:
        assert not rough["passed"] and "this processor does not compute in it" in rough["verdict"]
        assert "changed_share" not in rough
        assert [line.partition(": ")[0] for line in judged.refusals()] == ["openvino bfloat16"]
        with pytest.raises(
            ModelFileError,
            match=r"could not be checked when it was exported \(does not run: precision='bfloat16': this processor",
        ):
            load(labelling, engine="openvino", precision="bfloat16")
        return
    if not really_has:
        pytest.skip("this processor does not compute in bfloat16: judged, but it says nothing")
    assert 0 < rough["changed_share"] < 0.2  # it is another precision
    if rough["passed"]:
        load(labelling, engine="openvino", precision="bfloat16")(sample.image)


@pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")
def test_an_engine_that_changes_too_much_is_named_and_refused(
    model: Path, seen: AsSeen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tarsia.engines.openvino_engine import OpenVinoEngine

    run = OpenVinoEngine.run
    monkeypatch.setattr(OpenVinoEngine, "run", lambda self, images: run(self, images)[:, [1, 0, 2]])
    out = tmp_path / "m.onnx"
    found = export(model, out, check_on=seen, images=2)
    assert found.first.passed and not found.verdicts[1].passed
    assert "openvino: " in (notes := capsys.readouterr().err) and "will be refused" in notes
    with pytest.raises(ModelFileError, match=r"with OpenVINO in float32 its answers changed too much .*pixels"):
        load(out, engine="openvino")
    assert load(out)(seen[0].image)


@pytest.mark.parametrize("fails", ["to open", "to run"])
def test_an_engine_that_does_not_run_it_is_no_reason_to_stop(
    model: Path, seen: AsSeen, fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "runners", lambda: [Runner("onnxruntime"), Runner("openvino")])
    monkeypatch.setattr(exporting, "runners", gate.runners)
    real = gate.engine_class

    def of(name: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            if fails == "to open":
                raise ModelFileError("m: OpenVINO 9 cannot run it")
            return SimpleNamespace(run=lambda *_, **__: refuse_to_run(), card=read_card(model))

        def refuse_to_run() -> None:
            raise ModelFileError("m: OpenVINO 9 cannot run it")

        return refuse if name == "openvino" else real(name)

    monkeypatch.setattr(gate, "engine_class", of)
    found = export(model, tmp_path / "m.onnx", check_on=seen, images=2)
    assert [verdict.passed for verdict in found.verdicts] == [True, False]
    (told,) = found.refusals()
    assert "does not run: m: OpenVINO 9 cannot run it" in told
    assert not engines(read_card(tmp_path / "m.onnx"))["openvino", "float32"]["passed"]


# ---- the command


@pytest.fixture
def tarsia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_the_command(model: Path, folder: Path, tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    arguments = ("export", model, "--check-on", f"folder:{folder},split=val", "--out", out, "--images", 2)
    code, printed, err = tarsia(*arguments, "--int8", "--calibrate-on", 3, "--tolerance", 0.9, "--probabilities")
    assert code == 0, err
    assert "gate" in printed and "passed" in printed and "latency" in printed
    facts = read_card(out).provenance["export"]
    assert facts["calibrated_on"] == {"data": "folder train", "images": 3} and facts["precision"] == "int8"
    extra = ("--int8", "--calibration-data", f"folder:{folder},split=val", "--tolerance", 0.9, "--overwrite")
    assert tarsia(*arguments, *extra)[0] == 0
    assert read_card(out).provenance["export"]["calibrated_on"] == {"data": "folder val", "images": 4}
    code, _, err = tarsia(*arguments, "--calibrate-on", 3, "--overwrite")
    assert code == 2 and "are for --int8" in err
    code, printed, err = tarsia("info", out)
    assert code == 0 and "int8" in printed


@pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")
def test_evaluate_takes_an_engine(
    labelling: Path, folder: Path, tarsia: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    common = ("evaluate", labelling, "--data", f"folder:{folder}", "--json", "--out")
    code, printed, err = tarsia(*common, tmp_path / "a", "--engine", "openvino")
    assert code == 0, err
    assert json.loads(printed)["model"]["engine"].startswith("openvino ")
    assert json.loads(printed)["model"]["precision"] == "float32"
    code, _, err = tarsia(*common, tmp_path / "b", "--precision", "bfloat16")
    assert code == 2 and "only --engine openvino" in err
    code, _, err = tarsia("evaluate", "--predictions", folder, "--data", f"folder:{folder}", "--engine", "openvino")
    assert code == 2 and "--engine is for a MODEL" in err

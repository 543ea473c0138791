"""The command `export`: what is written, what is refused, and that the file answers as the model does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from onnx import numpy_helper
from PIL import Image
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from small_data import CLASSES, draw, write_folder
from tarsia import cli, console, data, exporting, models
from tarsia.card import SUM_KEY, Card, Classes, Input, read_header
from tarsia.engines import onnx_file
from tarsia.engines.model_file import read_card
from tarsia.engines.onnx_engine import OnnxEngine
from tarsia.engines.weights import save_model
from tarsia.errors import DatasetError, ExportError, ModelFileError, OutputError
from tarsia.exporters import triton, writer
from tarsia.exporters.gate import SHARE
from tarsia.exporters.writer import with_interface
from tarsia.exporting import export
from tarsia.inference import load
from tarsia.prediction.predictor import TestTimeAugmentation

Tarsia = Callable[..., tuple[int, str, str]]
OPTIONS = {"channels": (8, 16, 16)}
COLORS = ((10, 20, 30), (200, 60, 40), (40, 80, 210))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("export") / "data", 1, 6, (45, 71))


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    network = models.create("unet_original", 3, seed=1, options=OPTIONS)
    card = Card(
        architecture="unet_original",
        model=OPTIONS,
        classes=Classes(names=CLASSES, colors=COLORS),
        input=Input(stride=4),
        provenance={"recipe": {"name": "none"}},
    )
    path = folder.parent / "run" / "model.safetensors"
    save_model(path, network.eval(), card)
    return path


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Any:
    return data.open("folder", folder, "val")


@pytest.fixture(scope="module")
def file(model: Path, dataset: Any) -> Path:
    """The model, exported for real, once."""
    out = model.parent / "model.onnx"
    export(model.parent, out, check_on=dataset, dataset_name="folder", split="val", images=4)
    return out


@pytest.fixture
def graph(file: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """The exported graph, which takes the exporter's place: change it to change what is exported."""
    found = onnx.load(file)
    del found.metadata_props[:]
    monkeypatch.setattr(exporting, "exported", lambda *_: found)
    return found


@pytest.fixture
def tarsia(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tarsia:
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tarsia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        console.quiet(False)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def scale_weights(graph: onnx.ModelProto, factor: float) -> None:
    """Make the network another one."""
    for place in graph.graph.initializer:
        if place.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(place)
            place.CopyFrom(numpy_helper.from_array((values * factor).astype(np.float32), place.name))


def test_what_is_written(file: Path, model: Path) -> None:
    assert {path.name for path in file.parent.iterdir()} == {"model.safetensors", "model.onnx", "model.export.json"}
    found = onnx.load(file)
    onnx.checker.check_model(found, full_check=True)
    assert [(one.domain, one.version) for one in found.opset_import] == [("", 20)] and found.ir_version == 10
    ends = [*found.graph.input, *found.graph.output]
    assert [[side.dim_param or side.dim_value for side in end.type.tensor_type.shape.dim] for end in ends] == [
        ["batch", 3, "height", "width"],
        ["batch", 3, "height", "width"],
    ]
    metadata = {entry.key: entry.value for entry in found.metadata_props}
    assert "multiples of 4" in json.loads(metadata["tarsia_interface"])["image"]
    card = read_card(file)
    before = read_card(model)
    assert card.model_copy(update={"provenance": before.provenance}) == before
    assert card.provenance["recipe"] == {"name": "none"}
    facts = card.provenance["export"]
    assert facts["model_sha256"] == read_header(model)[SUM_KEY] and facts["precision"] == "float32"
    assert (facts["dataset"], facts["split"], facts["images"], facts["opset"]) == ("folder", "val", 4, 20)
    assert facts["changed_share"] <= facts["tolerance"] == SHARE


def test_a_repository_for_triton(model: Path, dataset: Any, folder: Path, tarsia: Tarsia, graph: object) -> None:
    repository = folder.parent / "repository"
    code, out, err = tarsia("export", model, "--check-on", f"folder:{folder}", "--images", 2, "--triton", repository)
    assert code == 0, err
    file = repository / "run" / "1" / "model.onnx"
    assert str(file) in out and load(file)(draw(0, (45, 71))[0]).label_HW.shape == (45, 71)
    said = text_format.Parse((repository / "run" / "config.pbtxt").read_text(), ModelConfig())
    assert (said.name, said.backend, said.max_batch_size) == ("run", "onnxruntime", 8)
    names = {"uint8": "TYPE_UINT8", "float": "TYPE_FP32"}
    session = onnxruntime.InferenceSession(file)
    for told, gives in ((said.input, session.get_inputs()), (said.output, session.get_outputs())):
        ends = {one.name: one for one in gives}
        for one in told:
            shape = [side if isinstance(side, int) else -1 for side in ends[one.name].shape[1:]]
            assert list(one.dims) == shape and names[ends[one.name].type[7:-1]] == DataType.Name(one.data_type)
    assert [one.name for one in said.output] == ["label", "confidence"] and said.HasField("dynamic_batching")
    assert said.parameters["stride"].string_value == "4"
    file.unlink(), file.with_suffix(".export.json").unlink()
    with pytest.raises(OutputError, match=r"config\.pbtxt exists already"):  # somebody may have edited it
        export(model, check_on=dataset, triton=repository)
    with pytest.raises(ExportError, match="give one of them"):
        export(model, "a.onnx", check_on=dataset, triton=repository)


def test_what_triton_reads_is_what_was_named() -> None:
    names = ('a "b"', "c\\d", "e\x1b\n", "Straße 東京")
    classes = Classes(names=names, colors=((0, 0, 0),) * 4)
    card = Card(architecture="x", model={}, classes=classes, input=Input(stride=8))
    said = text_format.Parse(triton.configuration("x", card), ModelConfig())
    assert said.parameters["classes"].string_value == ",".join(names)


def test_the_report_beside_it(file: Path, model: Path) -> None:
    found = json.loads(file.with_suffix(".export.json").read_text())
    assert found["pictures"]["images"] == 4 and found["pictures"]["pixels"] == 4 * 45 * 71
    assert found["export"] == read_card(file).provenance["export"] and found["threads"] == torch.get_num_threads()
    sizes = {one["name"]: one["file_bytes"] for one in found["engines"]}
    assert sizes["torch"] == model.stat().st_size and abs(sizes["onnxruntime"] - file.stat().st_size) < 1000
    assert [one["name"] for one in found["classes"]] == list(CLASSES)
    assert found["environment"]["versions"]["onnxruntime"]


@pytest.mark.parametrize("size", [(1, 1), (45, 71), (4, 90), (64, 33)])
@pytest.mark.parametrize("changes", [{}, {"size": (24, 32)}, {"short_side": 30}], ids=str)
def test_the_predictor_answers_the_same_from_both(
    file: Path, model: Path, tmp_path: Path, size: tuple[int, int], changes: dict[str, Any]
) -> None:
    """Resized or not: what the network gives is brought to the picture's size by torch here, by numpy there."""
    image_HW3 = draw(5, (max(size[0], 8), max(size[1], 8)))[0][: size[0], : size[1]]
    engine = OnnxEngine(onnx_file.read(file), str(file), "cpu")
    torch_predictor, onnx_predictor = load(model, device="cpu"), load(file, device="cpu")
    for predictor in (torch_predictor, onnx_predictor):
        predictor.engine.card = engine.card.model_copy(update={"input": Input(stride=4, **changes)})
    first, second = (predictor(image_HW3, confidence=True) for predictor in (torch_predictor, onnx_predictor))
    assert second.label_HW.shape == size and second.label_HW.dtype == np.uint8
    assert (first.label_HW != second.label_HW).mean() <= 1e-3
    np.testing.assert_allclose(first.confidence_HW, second.confidence_HW, atol=1e-4)
    for predictor in (torch_predictor, onnx_predictor):
        predictor.tta = TestTimeAugmentation(flip=True, scales=(1.0, 1.5))
    first_KHW, second_KHW = (one.probabilities(image_HW3[None])[0] for one in (torch_predictor, onnx_predictor))
    np.testing.assert_allclose(first_KHW, second_KHW, atol=1e-4)


def test_both_cost_about_the_same_and_one_line_says_what_runs_them(file: Path, model: Path) -> None:
    size = tuple(read_card(file).provenance["export"]["multiply_adds_size"])
    assert size == (48, 72)
    ours, theirs = load(model, device="cpu").engine, load(file, device="cpu").engine
    assert theirs.multiply_adds(size) == ours.multiply_adds(size)
    without_normalisations, all_of_them = theirs.describe().parameters, ours.describe().parameters
    assert without_normalisations == pytest.approx(all_of_them, rel=0.05)


def test_another_network_is_refused_with_the_figures_and_nothing_is_written(
    graph: onnx.ModelProto, model: Path, dataset: Any, tmp_path: Path
) -> None:
    scale_weights(graph, 0.6)
    with pytest.raises(ExportError, match=r"% of the pixels changed, mIoU .*at most 0\.01 % of") as caught:
        export(model, tmp_path / "out" / "m.onnx", check_on=dataset, images=2)
    assert "`tolerance`" in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_tolerance_is_kept_in_the_card_and_the_changes_are_drawn(
    graph: onnx.ModelProto, model: Path, dataset: Any, tmp_path: Path
) -> None:
    scale_weights(graph, 0.6)
    out = tmp_path / "m.onnx"
    gate = export(model, out, check_on=dataset, images=4, tolerance=1.0)
    facts = read_card(out).provenance["export"]
    assert facts["tolerance"] == 1.0 and facts["changed_share"] == gate.first.report.changed_share > 0.01
    with Image.open(tmp_path / "m.export.png") as drawn:
        assert drawn.width > drawn.height / 3 and len(drawn.getcolors(10**6)) > 20
    scale_weights(graph, 1 / 0.6)
    export(model, out, check_on=dataset, images=4, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "m.export.json"}  # nothing changed: nothing to draw


def test_the_file_is_read_once(
    graph: onnx.ModelProto, model: Path, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, parse = [], onnx_file.parse
    monkeypatch.setattr(onnx_file, "parse", lambda content, where: read.append(where) or parse(content, where))
    export(model, tmp_path / "m.onnx", check_on=dataset, images=2)
    assert read == ["model"]
    assert parse((tmp_path / "m.onnx").read_bytes(), "m").card.provenance["export"]["engines"]


def test_a_graph_that_does_not_run_is_an_error_of_the_export(
    graph: onnx.ModelProto, model: Path, dataset: Any, tmp_path: Path
) -> None:
    del graph.graph.node[5]
    with pytest.raises(ExportError, match=r"does not run, nothing was written: .*ONNX Runtime"):
        export(model, tmp_path / "m.onnx", check_on=dataset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [torch.onnx.OnnxExporterError, RuntimeError, ValueError])
def test_a_network_that_torch_cannot_export_is_one_line(
    model: Path, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error("\n\nConstraints violated (height)!\nFor more information, run with TORCH_LOGS")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ExportError, match=r"cannot write this unet_original .*\(Constraints violated \(height\)!\)"):
        export(model, tmp_path / "m.onnx", check_on=dataset)


def test_places_that_cannot_be_written_are_refused_before_any_work(
    file: Path, model: Path, dataset: Any, tmp_path: Path
) -> None:
    (tmp_path / "m.export.json").write_text("kept")
    (tmp_path / "d.onnx").mkdir()
    for out, error, message in (
        (tmp_path / "m.onnx", OutputError, r"m\.export\.json exists already: .*overwrite=True"),
        (file, OutputError, r"model\.onnx exists already"),
        (tmp_path / "d.onnx", OutputError, "exists already"),
        (tmp_path / "m.bin", OutputError, r"ends in \.onnx"),
    ):
        with pytest.raises(error, match=message):
            export(model, out, check_on=dataset)
    with pytest.raises(ExportError, match=r"exported model already: give the \.safetensors file"):
        export(file, tmp_path / "n.onnx", check_on=dataset)
    with pytest.raises(ModelFileError, match="no such model file"):
        export(tmp_path / "absent", tmp_path / "n.onnx", check_on=dataset)
    assert (tmp_path / "m.export.json").read_text() == "kept" and not any((tmp_path / "d.onnx").iterdir())


def test_other_classes_are_refused(graph: onnx.ModelProto, model: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="classes differ"):
        export(model, tmp_path / "m.onnx", check_on=data.open("streets", None, "val", count=2))


def test_same_padding_is_a_number_and_the_model_stays_as_it_was() -> None:
    """timm's padding by the map's size, for every kernel, stride and dilation, at sizes that the stride divides."""
    from timm.layers import AvgPool2dSame, Conv2dSame
    from timm.layers.pool2d_same import MaxPool2dSame

    parts: list[torch.nn.Module] = [
        Conv2dSame(3, 4, kernel, stride, dilation=dilation)
        for kernel, stride, dilation in (
            *((3, 2, 1), (5, 2, 1), (2, 1, 1), (7, 4, 1), (3, 2, 2), (1, 2, 1)),
            ((3, 5), 2, 1),
        )
    ]
    parts += [MaxPool2dSame(3, 2), AvgPool2dSame(3, 2), AvgPool2dSame(2, 1), MaxPool2dSame(2, 2)]
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    for part in parts:
        whole = torch.nn.Sequential(part)
        fixed = writer._with_fixed_padding(whole)  # type: ignore[arg-type]
        assert torch.equal(fixed(x), part(x)), part
        assert type(whole[0]) is type(part) and type(fixed[0]).__module__.startswith("torch.")


def test_the_command(graph: onnx.ModelProto, model: Path, folder: Path, tarsia: Tarsia, tmp_path: Path) -> None:
    out = tmp_path / "a b.onnx"
    arguments = ("export", model.parent, "--check-on", f"folder:{folder}", "--out", out, "--images", 2)
    code, printed, err = tarsia(*arguments)
    assert code == 0, err
    assert "mIoU" in printed and "changed pixels: 0 of" in printed.replace("\n", " ") and f"Exported: {out}" in printed
    assert (code, tarsia(*arguments)[0]) == (0, 2)
    code, printed, _ = tarsia(*arguments, "--overwrite", "--json")
    assert code == 0 and json.loads(printed)["export"]["split"] == "val"
    assert tarsia(*arguments, "--overwrite", "--tolerance", "2")[0] == 2
    scale_weights(graph, 0.6)
    code, printed, err = tarsia(*arguments, "--overwrite")
    assert (code, printed) == (2, "")
    assert err.startswith("tarsia: ") and "of the pixels changed" in err.replace("\n", " ")


def test_the_commands_that_take_the_file(file: Path, model: Path, folder: Path, tarsia: Tarsia, tmp_path: Path) -> None:
    code, printed, err = tarsia("info", file)
    assert code == 0 and "precision: float32" in printed, err
    pictures = folder / "val" / "images"
    scores = {}
    for name, path in (("torch", model), ("onnx", file)):
        code, printed, err = tarsia("evaluate", path, "--data", f"folder:{folder}", "--out", tmp_path / name, "--json")
        assert code == 0, err
        scores[name] = json.loads(printed)
        assert tarsia("predict", path, pictures, "--out", tmp_path / f"{name}-seen")[0] == 0
    assert scores["onnx"]["miou"] == pytest.approx(scores["torch"]["miou"], abs=1e-3)
    assert scores["onnx"]["model"]["engine"].startswith("onnxruntime ")
    assert scores["onnx"]["model"]["multiply_adds"] == scores["torch"]["model"]["multiply_adds"]
    for path in sorted((tmp_path / "torch-seen").glob("*.png")):
        ours, theirs = (np.asarray(Image.open(one)) for one in (path, tmp_path / "onnx-seen" / path.name))
        assert (ours != theirs).mean() <= 1e-3
    assert with_interface(onnx.load(file), read_card(file)) == file.read_bytes()

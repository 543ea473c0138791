"""export: a trained model -> one ONNX file that is shown, on real pictures, to answer as the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from inlay import environment
from inlay.card import SUM_KEY, find_model_file, is_onnx, read_header
from inlay.data._dataset import Dataset
from inlay.errors import ExportError, ModelFileError, OutputError
from inlay.files import write_json, writing
from inlay.learning.checkpoint import load_model
from inlay.learning.onnx_writer import OPSET, exported, with_interface
from inlay.learning.torch_engine import TorchEngine
from inlay.parity import ParityReport, Side, parity
from inlay.runtime import onnx_file
from inlay.runtime.onnx_engine import OnnxEngine
from inlay.runtime.predictor import Predictor, network_size

TOLERANCE = 1e-4  # share of pixels that may change in float32: rounding decides where two classes score alike


def export(
    model: str | Path,
    onnx: str | Path,
    *,
    check_on: Dataset,
    dataset_name: str = "",
    split: str = "",
    images: int = 32,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> ParityReport:
    """Write a model file (or run folder) as the file `onnx`, if it answers as before -> what was compared.

    Both run on the CPU over `images` evenly spaced samples of `check_on` and at odd sizes.  Beside `onnx` come the
    report, NAME.export.json, and where pixels changed a picture of them, NAME.export.png.  Raises ExportError, and
    writes nothing, where the network cannot be exported or more than `TOLERANCE` of the pixels change; another
    `tolerance` goes into the card.  Raises OutputError where a file exists already (without `overwrite`), and
    ModelFileError and DatasetError as reading the two does.
    """
    path = find_model_file(Path(model))
    out = Path(onnx)
    places = out, out.with_suffix(".export.json"), out.with_suffix(".export.png")
    _check_places(path, places, overwrite)
    network, card = load_model(path)
    graph = exported(network, card.architecture)
    reference = TorchEngine(network.to(memory_format=torch.channels_last), card, "cpu")
    report = _compared(reference, path, with_interface(graph, card), check_on, images)
    allowed = TOLERANCE if tolerance is None else tolerance
    if report.changed_share > allowed:
        raise ExportError(
            f"{path}: exported, {100 * report.changed_share:.3g} % of the pixels would change their class, at most "
            f"{100 * allowed:.3g} % may; {report.summary()}; mIoU {report.before.metrics.miou:.4f} -> "
            f"{report.after.metrics.miou:.4f}: nothing was written; --tolerance allows more, and the card says so then"
        )
    checked = {"dataset": dataset_name, "split": split, "images": report.pictures, "tolerance": allowed}
    facts = _facts(path, reference, report) | checked
    content = with_interface(graph, card.model_copy(update={"provenance": card.provenance | {"export": facts}}))
    onnx_file.parse(content, str(out))
    _write(places, content, report, facts)
    return report


def _check_places(path: Path, places: tuple[Path, ...], overwrite: bool) -> None:
    out = places[0]
    if is_onnx(path):
        raise ExportError(f"{path} is an exported model already: give the .safetensors file that it was made from")
    if not is_onnx(out):
        raise OutputError(f"{out}: an exported model is known by its name, which ends in .onnx: choose another --out")
    for place in places:
        if place.is_dir() or (place.exists() and not overwrite):
            raise OutputError(f"{place} exists already: choose another --out or add --overwrite")


def _compared(reference: TorchEngine, path: Path, content: bytes, dataset: Dataset, images: int) -> ParityReport:
    """What differs; ExportError where the exported network does not even run."""
    before = Side("torch", Predictor(reference), path.stat().st_size)
    try:
        file = onnx_file.parse(content, path.stem)
        engine = OnnxEngine(file, path.stem, "cpu", threads=torch.get_num_threads())
        return parity(before, Side("onnxruntime", Predictor(engine), len(content)), dataset, images)
    except ModelFileError as error:
        raise ExportError(f"{path}: the exported network does not run, nothing was written: {error}") from error


def _facts(path: Path, reference: TorchEngine, report: ParityReport) -> dict[str, Any]:
    """What the card says of the export."""
    stride = reference.card.input.stride
    height, width = (-(-side // stride) * stride for side in network_size(report.picture_size, reference.card.input))
    return {
        "model_sha256": read_header(path)[SUM_KEY],
        "precision": "float32",
        "opset": OPSET,
        "exporter": f"torch {torch.__version__}",
        "changed_share": report.changed_share,
        "multiply_adds": reference.facts((height, width))["multiply_adds"],
        "multiply_adds_size": [height, width],
    }


def _write(places: tuple[Path, ...], content: bytes, report: ParityReport, facts: dict[str, Any]) -> None:
    out, figures, picture = places
    with writing(out) as part:
        part.write_bytes(content)
    threads = {"threads": torch.get_num_threads()}
    write_json(figures, report.to_json() | threads | {"export": facts, "environment": environment.describe()})
    drawn = report.picture()
    if drawn is None:
        picture.unlink(missing_ok=True)  # of an earlier export
        return
    with writing(picture) as part:
        drawn.save(part, format="PNG")

"""export: a trained model -> one ONNX file that is shown, on real pictures, to answer as the model does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch

from tarsia import console, environment
from tarsia.card import SUM_KEY, Card, read_header
from tarsia.data._dataset import Dataset, check_bands, evenly, read_as
from tarsia.engines import onnx_file
from tarsia.engines.graph_engine import fed_with
from tarsia.engines.model_file import find_model_file, is_onnx
from tarsia.engines.onnx_file import OnnxFile
from tarsia.engines.torch_engine import TorchEngine
from tarsia.engines.weights import load_model
from tarsia.errors import DatasetError, ExportError, ModelFileError, OutputError
from tarsia.exporters import triton as repository
from tarsia.exporters.gate import Gate, Runner, Verdict, judge, runners
from tarsia.exporters.int8 import Fed, Quantizer
from tarsia.exporters.parity import Trial
from tarsia.exporters.writer import OPSET, add_probabilities, exported, with_interface
from tarsia.files import write_json, writing
from tarsia.inference import take_code
from tarsia.pictures.ranges import levels_of
from tarsia.plain_text import command
from tarsia.prediction.network_input import padded_size, prepared
from tarsia.prediction.predictor import Predictor

CALIBRATION_IMAGES = 64
_KEPT = (0, 1, 2, 4, 8, 16, 32)  # layers that stay in float32, from one attempt to the next; at most half of them
_KEPT_BYTES = 2**29  # of torch's answers, which every attempt is compared with
_RANKED_ON = 2  # pictures, to find those that harm


@dataclass(frozen=True)
class RangePictures:
    """What the ranges of a network in 8 bits are taken from: `images` evenly spaced samples of `dataset`."""

    dataset: Dataset
    images: int = CALIBRATION_IMAGES
    name: str = ""  # of the data set and split, for the card


def export(
    model: str | Path,
    onnx: str | Path | None = None,
    *,
    check_on: Dataset,
    dataset_name: str = "",
    split: str = "",
    images: int = 32,
    tolerance: float | None = None,
    int8: RangePictures | None = None,
    probabilities: bool = False,
    triton: str | Path | None = None,
    overwrite: bool = False,
    code: str | None = None,
) -> Gate:
    """Write a model file (or run folder) as the file `onnx`, if it answers as before -> what was compared.

    All run on the CPU over `images` evenly spaced samples of `check_on` and at odd sizes: torch, and every engine and
    precision of .onnx files that is installed (gate.py says what may change; `tolerance` is the share of pixels, with
    `int8` the loss of mIoU, in place of the usual).  ONNX Runtime decides; those others that change too much are named
    in the card and refused by `load`.  `int8` puts the network into 8 bits, but for the layers without which the gate
    is passed, if not all can be.  `probabilities` adds the outputs `label` and `confidence`, at the card's temperature;
    so does `triton`, a folder that becomes, or gets one model more as, a model repository (exporters/triton.py).
    What is written and raised: `tarsia.export`.
    """
    path = find_model_file(Path(model))
    out = place(model, onnx, triton)
    probabilities = probabilities or triton is not None
    places = out, out.with_suffix(".export.json"), out.with_suffix(".export.png")
    _check_places(path, (*places, *([repository.configuration_of(out)] if triton is not None else [])), overwrite)
    take_code(code, path)
    network, card = load_model(path)
    for dataset in (check_on, *([int8.dataset] if int8 else [])):
        check_bands(dataset, card.bands)
    if probabilities and card.calibration is None:
        console.note(
            f"{path}: no temperature in its card, so 1: `{command('evaluate', path, '--calibrate')}` finds one"
        )
    if card.weights_licence:
        console.note(f"{path}: learned from weights under the licence {card.weights_licence}")
    reference = TorchEngine(network, card, "cpu")
    trial = Trial("torch", Predictor(reference), path.stat().st_size, kept_bytes=_KEPT_BYTES)
    export = _Export(path, card, trial, check_on, images, tolerance, probabilities)
    graph = exported(network, card)
    facts = _facts(path, reference, check_on) | {"dataset": dataset_name, "split": split}
    if int8 is None:
        file = export.file(graph, facts)
        verdicts = export.verdicts(file, runners())
    else:
        file, verdicts = _in_8_bits(export, graph, facts, int8)
    gate = Gate(verdicts)
    _require_passed(path, gate)
    for line in gate.refusals():
        console.note(line)
    _write(places, _with_verdicts(file, verdicts), gate)
    if triton is not None:
        repository.write_configuration(out, card)
    return gate


def place(model: str | Path, onnx: str | Path | None = None, triton: str | Path | None = None) -> Path:
    """The file that `export` writes; by default of the model's name and place."""
    if triton is None:
        return Path(onnx) if onnx is not None else find_model_file(Path(model)).with_suffix(".onnx")
    if onnx is not None:
        both = f"onnx={str(onnx)!r} and triton={str(triton)!r}"
        raise ExportError(f"{both}: the file has its place in a repository: give one of them")
    return repository.place(Path(triton), Path(model))


@dataclass(frozen=True)
class _Export:
    """One export: what stays the same from one attempt to the next."""

    path: Path
    card: Card
    reference: Trial
    dataset: Dataset
    images: int
    tolerance: float | None
    probabilities: bool

    def file(self, graph: onnx.ModelProto, facts: dict[str, Any]) -> OnnxFile:
        """The file of a graph, which gets what else the file is to give; ExportError where that is no sound file."""
        fitted = self.card.calibration
        if self.probabilities:
            add_probabilities(graph, fitted.temperature if fitted else 1.0)
        try:
            return onnx_file.parse(with_interface(graph, _with_facts(self.card, facts)), self.path.stem)
        except ModelFileError as error:
            raise self._broken(str(error)) from error

    def verdicts(self, file: OnnxFile, chosen: Sequence[Runner]) -> list[Verdict]:
        """What the `chosen` make of a file; ExportError where it does not even run in ONNX Runtime."""
        checks = self.dataset, self.images, self.tolerance, torch.get_num_threads()
        found = judge(self.reference, file, self.path.stem, chosen, *checks)
        for verdict in found:
            if verdict.runner.engine == "onnxruntime" and verdict.report is None:
                raise self._broken(verdict.error)
        return found

    def _broken(self, reason: str) -> ExportError:
        return ExportError(f"{self.path}: the exported network does not run, nothing was written: {reason}")


def _with_facts(card: Card, facts: dict[str, Any]) -> Card:
    """The card, with these facts of the export in the place of others."""
    return card.model_copy(update={"provenance": card.provenance | {"export": facts}})


def _with_verdicts(file: OnnxFile, verdicts: Sequence[Verdict]) -> OnnxFile:
    """The file with the verdicts in its card: those of the same graph with less in its card."""
    first = verdicts[0]
    assert first.report is not None
    judged = {
        "images": first.report.pictures,
        "tolerance": first.limit.share if first.limit.share is not None else first.limit.loss,
        "changed_share": first.report.changed_share,
        "engines": [verdict.facts() for verdict in verdicts],
    }
    card = _with_facts(file.card, file.card.provenance["export"] | judged)
    return file._replace(content=onnx_file.with_card(file.content, card), card=card)


def _in_8_bits(
    export: _Export, graph: onnx.ModelProto, facts: dict[str, Any], calibration: RangePictures
) -> tuple[OnnxFile, list[Verdict]]:
    """The network in 8 bits with as few layers in float32 as pass the gate, or as many as were tried.

    Where no attempt passes with every engine, it is the first that passes with ONNX Runtime, if there is one.
    """
    pictures = _for_calibration(export.card, calibration)
    quantizer = Quantizer(graph, pictures, torch.get_num_threads())
    layers = quantizer.layers
    looked_at = {"data": calibration.name, "images": min(calibration.images, len(calibration.dataset))}
    facts = facts | {"precision": "int8", "layers": len(layers), "calibrated_on": looked_at}
    quick = [one for one in runners() if one.precision == "float32"]
    ranked: list[tuple[float, str]] = []
    best: tuple[OnnxFile, list[Verdict]] | None = None
    for count in (one for one in _KEPT if 2 * one <= len(layers)):
        if count and not ranked:
            ranked = quantizer.most_harmful(list(_for_calibration(export.card, calibration, _RANKED_ON)))
        if count > 1 and len(ranked) <= count // 2:
            break  # no more than last time
        kept = [name for _, name in ranked[:count]]
        kept_facts = {"kept_in_float32": [one for one in layers if one in kept]}
        file = export.file(quantizer.quantized(kept), facts | kept_facts)
        verdicts = export.verdicts(file, quick)
        passed = all(verdict.passed for verdict in verdicts)
        if best is None or passed or not best[1][0].passed:
            best = file, verdicts
        if passed:
            break
        failed = next(verdict for verdict in verdicts if not verdict.passed)
        console.note(f"8 bits, {len(kept)} of {len(layers)} layers kept in float32: {failed.runner.name}: {failed}")
    assert best is not None
    file, verdicts = best
    rest = [one for one in runners() if one not in quick]
    if rest and verdicts[0].passed:
        verdicts += export.verdicts(file, rest)
    return file, verdicts


def _for_calibration(card: Card, calibration: RangePictures, images: int | None = None) -> Iterator[Fed]:
    """Evenly spaced pictures, as the network takes them."""
    dataset = read_as(calibration.dataset, card.spec)
    if not len(dataset):
        raise DatasetError("the split to calibrate on has no samples: choose another split or data set")
    for index in evenly(images or calibration.images, len(dataset)):
        sample, rule = dataset[index], card.input.range
        own = levels_of(rule, sample.image, sample.levels) if rule and rule.by_picture else None
        yield fed_with(prepared(sample.image[None], card)[0], own)


def _check_places(path: Path, places: Sequence[Path], overwrite: bool) -> None:
    out = places[0]
    if is_onnx(path):
        raise ExportError(f"{path} is an exported model already: give the .safetensors file that it was made from")
    if not is_onnx(out):
        raise OutputError(f"{out}: an exported model is known by its name, which ends in .onnx: choose another `onnx`")
    for place in places:
        if place.is_dir() or (place.exists() and not overwrite):
            raise OutputError(f"{place} exists already: choose another `onnx` or add `overwrite=True`")


def _require_passed(path: Path, gate: Gate) -> None:
    verdict = gate.first
    if verdict.passed:
        return
    assert verdict.report is not None
    raise ExportError(
        f"{path}: exported, it would answer otherwise: {verdict}, but {verdict.limit}; {verdict.report.summary()}: "
        "nothing was written; `tolerance` allows more, and the card says so then"
    )


def _facts(path: Path, reference: TorchEngine, dataset: Dataset) -> dict[str, Any]:
    """What the card says of the export, whatever comes of it."""
    height, width = dataset[0].image.shape[:2] if len(dataset) else (1, 1)
    size = padded_size((height, width), reference.card.input)
    return {
        "model_sha256": read_header(path)[SUM_KEY],
        "precision": "float32",
        "opset": OPSET,
        "exporter": f"torch {torch.__version__}",
        "multiply_adds": reference.multiply_adds(size),
        "multiply_adds_size": list(size),
    }


def _write(places: tuple[Path, ...], file: OnnxFile, gate: Gate) -> None:
    out, figures, picture = places
    with writing(out) as part:
        part.write_bytes(file.content)
    said = {"threads": torch.get_num_threads(), "export": file.card.provenance["export"]}
    write_json(figures, gate.to_json() | said | {"environment": environment.describe()})
    drawn = gate.picture()
    if drawn is None:
        picture.unlink(missing_ok=True)  # of an earlier export
        return
    with writing(picture) as part:
        drawn.save(part, format="PNG")

"""Reports as they are given -> what a comparison needs of each, if they were scored alike."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tarsia import formerly
from tarsia.card import Classes
from tarsia.comparison import Curve, significance
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import DatasetError, TarsiaError
from tarsia.evaluation.details import per_picture
from tarsia.evaluation.folder import history
from tarsia.evaluation.report import Report
from tarsia.plain_text import command, listed, shortened

# What must be equal for figures to be comparable; the rest of a protocol is how the model itself was run.
STRICT = ("classes", "ignored_value", "absent_class_rule", "size", "split", "data_hash")
_DEFAULTS = {"post_process": "none", "temperature": "none", "style": "none"}  # of reports that do not have the key
_LONGEST_VALUE = 90


@dataclass(frozen=True, eq=False)
class ComparedReport:
    """One report, reduced to what a comparison needs of it (`sums_N3K` and `details` as in `Model`)."""

    name: str
    where: str
    classes: Classes
    names: list[str]
    domains: list[str]
    sequences: list[str]
    protocol: dict[str, Any]
    model: dict[str, Any]
    provenance: dict[str, Any]
    sums_N3K: np.ndarray
    details: dict[str, np.ndarray]
    model_file: Path | None
    fold_files: dict[str, Path]  # of a joined report, the model of each fold
    recipe: dict[str, Any] | None
    knows_sequences: bool  # reports of the first versions do not
    curve: Curve  # of the training, where the report is its own
    expected: str  # whether it reached what its recipe expects, in words; empty where that says nothing


def read_reports(reports: Sequence[str | Path | Report], names: Sequence[str] | None = None) -> list[ComparedReport]:
    """Reports, or where they are -> what a comparison needs of each, with a name of its own.

    Raises DatasetError for fewer than two, one given twice, one that cannot be read, and the wrong number of names.
    """
    folders = [None if isinstance(report, Report) else _folder(report) for report in reports]
    if len(reports) < 2:
        raise DatasetError(f"{'one report' if reports else 'no reports'} given: a comparison needs two or more")
    seen: dict[object, object] = {}
    for report, folder in zip(reports, folders, strict=True):
        key = id(report) if folder is None else Path(os.path.realpath(folder))
        if key in seen:
            raise DatasetError(f"{folder or 'a report'} is given twice: a model cannot be compared with itself")
        seen[key] = report
    if names is not None and len(names) != len(reports):
        raise DatasetError(f"{len(names)} names ({', '.join(names)}) for {len(reports)} reports: give one for each")
    called = _unique(names or [_name(*pair) for pair in zip(reports, folders, strict=True)], folders)
    # One at a time: what is kept of a report is small beside its confusion counts.
    return [_reduced(*given) for given in zip(reports, folders, called, strict=True)]


def _folder(report: str | Path) -> Path:
    path = Path(report)
    if path.suffix in (".safetensors", ".onnx"):
        raise DatasetError(f"{path} is a model, not a report of one: {command('evaluate', path)} makes one")
    return path.parent if path.suffix == ".json" else path


def _name(report: Any, folder: Path | None) -> str:
    if folder is not None:
        return folder.name if folder.name not in ("", "..") else Path(os.path.realpath(folder)).name
    return str((report.model or {}).get("architecture", "predictions"))


def _unique(names: Sequence[str], folders: Sequence[Path | None]) -> list[str]:
    """Names made different: by their parent's folder where that helps, else by a number."""
    found: list[str] = []
    for name, folder in zip(names, folders, strict=True):
        if list(names).count(name) > 1 and folder is not None and folder.name == name:
            name = f"{Path(os.path.realpath(folder)).parent.name}/{name}"
        count = 2
        base = name
        while name in found:
            name, count = f"{base}-{count}", count + 1
        found.append(name)
    return found


def _reduced(given: Any, folder: Path | None, name: str) -> ComparedReport:
    report = given if isinstance(given, Report) else Report.read(given)
    where = name if folder is None else str(given)
    count, classes = len(report.names), report.classes
    model_file = None if folder is None else _model_file(folder, report.provenance)
    return ComparedReport(
        name=name,
        where=where,
        classes=classes,
        names=report.names,
        domains=report.domains,
        sequences=report.sequences,
        protocol={**_DEFAULTS, **report.protocol, "classes": list(classes.names), **_temperature(report.model or {})},
        model=report.model or {},
        provenance=report.provenance,
        sums_N3K=significance.picture_sums(report.counts_NKK1),
        details=per_picture(report.details, count, len(classes), where),
        model_file=model_file,
        fold_files={} if folder is None or model_file else _fold_files(folder),
        recipe=None if folder is None else _recipe(folder, model_file),
        knows_sequences=folder is None or _knows_sequences(folder / "counts.npz"),
        curve=() if folder is None else _curve(folder / "metrics.csv"),
        expected="" if folder is None else _expected(folder / "report.json"),
    )


def _curve(path: Path) -> Curve:
    """How a training learned, by the metrics.csv of its run; empty where there is none, or it is damaged."""
    try:
        rows = history(path) or []
        return tuple((int(row["step"]), row["val_miou"]) for row in rows if row["val_miou"] is not None)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _temperature(model: dict[str, Any]) -> dict[str, str]:
    """How confidences were calibrated, if they were: a setting, though each training has a temperature of its own."""
    return {"temperature": f"fitted on {model.get('calibrated_on', 'a split')}"} if model.get("temperature") else {}


def _knows_sequences(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as arrays:
        return "sequences" in arrays


def _expected(path: Path) -> str:
    judged = json.loads(path.read_text(encoding="utf-8")).get("expected")
    return str(judged.get("verdict", "")) if isinstance(judged, dict) else ""


def _model_file(folder: Path, provenance: dict[str, Any]) -> Path | None:
    """The model that a report is of: beside it, or what its command names, unless that was written later."""
    beside = folder / "model.safetensors"
    if beside.is_file():
        return beside
    try:
        words = shlex.split(formerly.command(provenance))
    except ValueError:  # of a record that was written without quotes
        return None
    if words[:2] != ["tarsia", "evaluate"] or len(words) < 3 or words[2].startswith("-"):
        return None
    try:
        path = find_model_file(Path(words[2]))
        later = path.stat().st_mtime > datetime.fromisoformat(provenance["created"]).timestamp() + 1
        return None if later else path
    except (TarsiaError, OSError, KeyError, TypeError, ValueError):
        return None


def _fold_files(folder: Path) -> dict[str, Path]:
    """The models of a joined report by fold (studies/folds.py writes where they are); none where one is missing."""
    try:
        found = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
        files = {fold: folder / said["report"] / "model.safetensors" for fold, said in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return files if all(path.is_file() for path in files.values()) else {}


def _recipe(folder: Path, model_file: Path | None) -> dict[str, Any] | None:
    """The resolved recipe of the training, from the run folder or the model's card."""
    try:
        if (folder / "recipe.yaml").is_file():
            found = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
        else:
            found = read_card(model_file).provenance.get("recipe") if model_file else None
    except (TarsiaError, OSError, ValueError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def require_one_protocol(found: Sequence[ComparedReport]) -> None:
    """DatasetError where two reports were not scored alike, with each key that differs, its values and reports."""
    first = found[0]
    faults = []
    for key in STRICT:
        values: dict[str, list[ComparedReport]] = {}
        for one in found:
            values.setdefault(json.dumps(one.protocol.get(key), sort_keys=True), []).append(one)
        if len(values) > 1:
            said = [
                f"{_value(json.loads(text), list(values))} in {listed([one.where for one in ones])}"
                for text, ones in values.items()
            ]
            faults.append(f"{key} is {', '.join(said)}")
        elif first.protocol.get(key) is None and key == "data_hash":
            faults.append("data_hash is not there: the reports were made without details")
    if not faults:
        faults = [fault for one in found[1:] if (fault := _other_pictures(first, one))]
    if faults:
        raise DatasetError(
            f"scored by different protocols, these cannot be compared: {'; '.join(faults)}.  Score them alike: "
            f"{command('evaluate', 'MODEL', '--data', 'DATA', '--split', 'SPLIT')}, with one DATA and SPLIT for all"
        )


def _value(value: Any, others: Sequence[str]) -> str:
    """A protocol's value for a message; of a list of classes, what the others do not have."""
    if value is None:
        return "not stated"
    if isinstance(value, list):
        own = [str(item) for item in value if any(json.dumps(item) not in other for other in others)]
        text = f"{len(value)} ({', '.join(own) if own else 'in another order'})"
    else:
        text = str(value)
    return shortened(text, _LONGEST_VALUE)


def _other_pictures(first: ComparedReport, one: ComparedReport) -> str:
    if one.names != first.names:
        pairs = zip([*first.names, "(none)"], [*one.names, "(none)"], strict=False)
        a, b = next((pair for pair in pairs if pair[0] != pair[1]), (len(first.names), len(one.names)))
        return f"picture names differ, first {a} in {first.where} and {b} in {one.where}"
    if not np.array_equal(first.sums_N3K[:, 1], one.sums_N3K[:, 1]):
        index = int((first.sums_N3K[:, 1] != one.sums_N3K[:, 1]).any(1).argmax())
        return f"the true pixels of {first.names[index]} differ in {first.where} and {one.where}"
    return ""


def sequences(found: Sequence[ComparedReport]) -> list[str]:
    """The video that each picture is from, as the first report says that knows."""
    return next((one.sequences for one in found if one.knows_sequences), found[0].sequences)


def shared_protocol(found: Sequence[ComparedReport]) -> dict[str, Any]:
    """What the protocols of all reports have in common."""
    protocols = [one.protocol for one in found]
    return {
        key: value
        for key, value in protocols[0].items()
        if all(key in other and other[key] == value for other in protocols)
    }

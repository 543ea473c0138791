"""The report of an evaluation as one HTML file that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tarsia import formerly, html
from tarsia.plain_text import number

_HEADLINES = (
    ("miou", "mIoU", "mean of the classes' IoU"),
    ("pixel_accuracy", "Pixel accuracy", "share of pixels right"),
    ("mpa", "MPA", "mean of the classes' accuracy"),
    ("fwiou", "FWIoU", "IoU weighted by frequency"),
    ("dice", "Dice", "mean of the classes' Dice"),
)
_DETAILS = (  # of report.json's details: label, what it is, why there may be none
    ("boundary_iou", "Boundary IoU", "along borders, 2 % of the diagonal", "no class has a border"),
    ("boundary_f1", "Boundary F1", "borders found to 0.75 % of it", "no class has a border"),
    ("recall_small", "Small objects", "found, of each class's smallest third", "no such objects"),
    ("recall_medium", "Medium objects", "found, of the third between", "no such objects"),
    ("recall_large", "Large objects", "found, of the largest third", "no such objects"),
    ("ece", "ECE", "gap of confidence and accuracy", "no pixels to score"),
)
_CLASS_COLUMNS = (("iou", "IoU"), ("accuracy", "Accuracy"), ("dice", "Dice"))
_PIXEL_COLUMNS = (("truth_pixels", "True pixels"), ("predicted_pixels", "Predicted"))
_EPOCH_COLUMNS = (
    ("epoch", "Epoch"),
    ("train_loss", "Loss, train"),
    ("val_loss", "val"),
    ("train_miou", "mIoU, train"),
    ("val_miou", "val"),
    ("train_mpa", "MPA, train"),
    ("val_mpa", "val"),
    ("train_pixel_accuracy", "Pixel acc., train"),
    ("val_pixel_accuracy", "val"),
    ("learning_rate", "Learning rate"),
)


def write_page(
    path: Path,
    *,
    title: str,
    report: Mapping[str, Any],
    figures: Sequence[tuple[str, Path]],
    pictures: Sequence[tuple[str, Path]],
    recipe: str | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """A report (the dict of report.json) -> one self-contained HTML page under 5 MB, readable without JavaScript.

    `figures` and `pictures` are (caption, file) and go in as data URIs, at most 1600 pixels wide; where the page would
    be too large they are reduced further, in the end the last pictures are left out, and the page says so.  What is
    missing or None in `report` (all but miou and classes) is left out.  All text is escaped, and a content security
    policy lets no script run but the page's own.
    Raises MissingExtraError without jinja2, OutputError where a picture cannot be read or the page not written.
    """
    values = {
        "title": title,
        "facts": _facts(report),
        "version": formerly.version_of((report.get("provenance") or {}).get("versions") or {}),
        **_results(report),
        "details": _details(report.get("details") or {}),
        "protocol": html.in_words(report.get("protocol")),
        "sentence": _sentence(report),
        "model": html.in_words(report.get("model")),
        "provenance": html.in_words(report.get("provenance")),
        "recipe": recipe,
        "epochs": _epochs(history),
    }
    html.write_page(path, "tarsia.evaluation", values, figures, pictures, sorts=True)


class _Cell(NamedTuple):
    text: str
    sort: float  # what the table is sorted by; below all numbers where there is none
    exact: str = ""  # on hovering
    why: str = ""  # there is no number: the reason
    percent: float = 0.0  # of a bar


def _cell(value: Any, why: str, digits: int = 3) -> _Cell:
    if value is None or not math.isfinite(value):
        return _Cell("–", -1.0, why=why)
    return _Cell(f"{value:.{digits}f}", float(value), f"{value:.6g}", percent=round(100 * min(max(value, 0), 1), 2))


def _facts(report: Mapping[str, Any]) -> list[str]:
    protocol, model = report.get("protocol") or {}, report.get("model") or {}
    images = report.get("images") or protocol.get("images")
    data = " ".join(str(protocol[key]) for key in ("dataset", "split") if protocol.get(key))
    network = " with ".join(str(model[key]) for key in ("architecture", "encoder") if model.get(key))
    classes = report.get("classes") or []
    counts = [number(len(classes), "class", "classes")] if classes else []
    counts += [number(images, "image")] if images else []
    return [fact for fact in (network, data, *counts) if fact]


def _results(report: Mapping[str, Any]) -> dict[str, Any]:
    """The headline figures, the classes' and those of the worst pictures."""
    nothing = "no class of this data set has pixels to score"
    cards = [
        {"label": label, "what": what, "value": _cell(report[key], nothing)}
        for key, label, what in _HEADLINES
        if key == "miou" or key in report
    ]
    classes = report["classes"]
    totals = {key: sum(row.get(key) or 0 for row in classes) for key, _ in _PIXEL_COLUMNS}
    columns = [(key, label) for key, label in (*_CLASS_COLUMNS, *_PIXEL_COLUMNS) if any(key in row for row in classes)]
    rows = [
        {
            "name": row["name"],
            "color": ", ".join(str(int(value)) for value in row["color"]),
            "cells": [_class_cell(row, key, totals) for key, _ in columns],
        }
        for row in classes
    ]
    worst = [
        {
            "name": row["name"],
            "domain": row.get("domain") or "",
            "miou": _cell(row.get("miou"), nothing),
            "pixel_accuracy": _cell(row.get("pixel_accuracy"), "no pixels to score"),
        }
        for row in report.get("worst_images") or []
    ]
    headings = [label for _, label in columns]
    found = {"cards": cards, "classes": rows, "headings": headings, "domains": _domains(report), "worst": worst}
    return {**found, "worst_domains": any(row["domain"] for row in worst)}


def _domains(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    nothing = "no pixels to score"
    return [
        {
            "name": row["name"],
            "images": row["images"],
            "classes": row["classes"],
            "cells": [_cell(row[key], nothing) for key in ("miou", "mpa", "pixel_accuracy")],
        }
        for row in report.get("domains") or []
    ]


def _details(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"label": label, "what": what, "value": _cell(found[key], why)}
        for key, label, what, why in _DETAILS
        if key in found
    ]


def _class_cell(row: Mapping[str, Any], key: str, totals: Mapping[str, int]) -> _Cell:
    value = row.get(key)
    if key not in totals:
        absent = "absent class: no pixel of it in the truth" + ("" if key == "accuracy" else " or in the predictions")
        return _cell(value, absent)
    if value is None:
        return _Cell("–", -1.0, why="not counted")
    return _Cell(f"{100 * value / max(totals[key], 1):.1f} %", float(value), f"{value:,} pixels")


def _sentence(report: Mapping[str, Any]) -> str:
    """The protocol as a person would say it."""
    protocol = report.get("protocol") or {}
    if not protocol.get("dataset"):
        return ""
    images = report.get("images") or protocol.get("images")
    split = f"the {protocol['split']} split of " if protocol.get("split") else ""
    said = f"Every pixel of {f'the {images:,} images in ' if images else ''}{split}{protocol['dataset']} was compared"
    said += " with its true class and counted into one confusion matrix; all figures come from these counts."
    if protocol.get("ignored_value") is not None:
        said += f" Pixels whose truth is {protocol['ignored_value']} are left out."
    return said


def _epochs(history: Sequence[Mapping[str, Any]] | None) -> dict[str, Any] | None:
    if not history:
        return None
    columns = [(key, label) for key, label in _EPOCH_COLUMNS if any(row.get(key) is not None for row in history)]
    rows = []
    for row in history:
        cells = [_cell(row.get(key), "not measured in this epoch", digits=4) for key, _ in columns]
        rows.append([_epoch_cell(key, row.get(key), cell) for (key, _), cell in zip(columns, cells, strict=True)])
    validated = [row for row in history if row.get("val_miou") is not None and math.isfinite(row["val_miou"])]
    summary = number(len(history), "epoch")
    if validated:
        best = max(validated, key=lambda row: (row["val_miou"], -row["epoch"]))
        summary += f", best validation mIoU {best['val_miou']:.3f} in epoch {best['epoch']:g}"
    return {"summary": summary, "headings": [label for _, label in columns], "rows": rows}


def _epoch_cell(key: str, value: Any, cell: _Cell) -> _Cell:
    if cell.why or key not in ("epoch", "learning_rate"):
        return cell
    return cell._replace(text=f"{value:.3g}" if key == "learning_rate" else f"{value:g}")

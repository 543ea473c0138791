"""A report's folder: report.json, counts.npz, pictures, figures and the page; and its table for a terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Group

from tarsia import console, html
from tarsia.data._dataset import Dataset, Sample, evenly
from tarsia.evaluation.details import FIGURES
from tarsia.evaluation.objects import SIZES
from tarsia.evaluation.report import Report
from tarsia.plain_text import decimal

_DOMAINS = 30  # rows that a terminal shows at most
_BORDERS_AND_ECE = ("boundary_iou", "boundary_f1", "ece")


def write_folder(
    out: Path, report: Report, dataset: Dataset, pictures: int, predict: Callable[[Sample], np.ndarray]
) -> None:
    """Write all of a report into `out`; in a run folder the page shows the curves and the recipe too.

    What needs matplotlib or jinja2 is left out, and said, where they are missing.  `predict` gives the label map of a
    sample once more, so that no picture need be kept.
    """
    from tarsia.evaluation.page import write_page
    from tarsia.evaluation.plots import save_confusion, save_details

    report.write(out)
    written = json.loads((out / "report.json").read_text(encoding="utf-8"))
    panels = _write_panels(out / "pictures", report, dataset, pictures, predict)
    confusion, curves, page = out / "confusion.png", out / "curves.png", out / "report.html"
    figures = [("Loss and scores over the epochs", curves)] if curves.is_file() else []
    with html.left_out(confusion):
        save_confusion(confusion, report.total_KK1, report.classes)
        figures.append(("Confusion: where the pixels of each true class went", confusion))
        if written["details"]:
            save_details(out / "details.png", written["details"])
            what = "objects by size, and confidence" if "ece" in written["details"] else "objects by size"
            figures.append((f"Beyond mIoU: {what}", out / "details.png"))
    recipe = out / "recipe.yaml"
    with html.left_out(page):
        write_page(
            page,
            title=f"{out.resolve().name}: {_title(report)}",
            report=written,
            figures=figures,
            pictures=panels,
            recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else None,
            history=history(out / "metrics.csv"),
        )


def _title(report: Report) -> str:
    architecture = (report.model or {}).get("architecture")
    return " ".join(filter(None, (architecture, "on", report.protocol["dataset"], report.protocol["split"]))).strip()


def history(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(file)]


def table(report: Report) -> console.Table:
    """A report -> what the terminal shows: each class's IoU, accuracy, Dice and share of the truth, means, details."""
    figures, found, truth = report.metrics, report.detail_figures, report.total_KK1.sum(1)
    pixels = max(int(truth.sum()), 1)
    caption = f"pixel accuracy {decimal(figures.pixel_accuracy)}, FWIoU {decimal(figures.fwiou)}"
    if found:
        borders = [f"{FIGURES[key].words} {decimal(found[key])}" for key in _BORDERS_AND_ECE if key in found]
        sizes = [f"{name} {decimal(found[f'recall_{name}'])}" for name in SIZES]
        caption += f"\n{', '.join(borders)}\nobjects found: {', '.join(sizes)}"
    ignored = int(report.total_KK1[:, -1].sum())
    if ignored:
        caption += f"; {100 * ignored / pixels:.2f} % of the labelled pixels were predicted as ignored"
    title = f"{report.protocol.get('images', len(report.names))} images"
    shown = console.Table(title=title, caption=caption, show_footer=True)
    shown.add_column("class", footer="mean")
    for name, footer in (("IoU", figures.miou), ("accuracy", figures.mpa), ("Dice", figures.dice)):
        shown.add_column(name, justify="right", footer=decimal(footer))
    shown.add_column("share of truth", justify="right", footer=f"{int(truth.sum()):,} px")
    columns = zip(report.classes.names, figures.iou_K, figures.accuracy_K, figures.dice_K, truth, strict=True)
    for name, iou, accuracy, dice, own in columns:
        shown.add_row(name, decimal(iou), decimal(accuracy), decimal(dice), f"{100 * own / pixels:.2f} %")
    return shown


def tables(report: Report) -> Group:
    """The `table`, and one with a row for each condition below it, where there are several."""
    lines = report.domain_lines
    if not lines:
        return Group(table(report))
    left_out = len(lines) - _DOMAINS
    caption = "classes: those with pixels there, over which means are; one only predicted has IoU 0"
    caption += f"\n{left_out} more: report.json" if left_out > 0 else ""
    shown = console.Table(title="By condition", caption=caption)
    shown.add_column("condition")
    for heading in ("images", "classes", "mIoU", "MPA", "pixel accuracy"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for line in lines[:_DOMAINS]:
        figures = (decimal(line[key]) for key in ("miou", "mpa", "pixel_accuracy"))
        shown.add_row(line["name"], str(line["images"]), str(line["classes"]), *figures)
    return Group(table(report), shown)


def _write_panels(
    folder: Path, report: Report, dataset: Dataset, pictures: int, predict: Callable[[Sample], np.ndarray]
) -> list[tuple[str, Path]]:
    """Panels of the worst pictures and of evenly spaced ones, predicted again so that no picture need be kept."""
    from tarsia.drawing import paint

    worst = report.worst((pictures + 1) // 2)
    spaced = evenly(pictures - len(worst), len(dataset))
    chosen = [("worst", index) for index in worst] + [("sample", index) for index in spaced if index not in worst]
    captions = []

    def drawn() -> Iterator[tuple[str, str, Image.Image]]:
        for kind, index in chosen:
            sample = dataset[index]
            line = report.line(index)
            miou, accuracy = decimal(line["miou"]), decimal(line["pixel_accuracy"])
            captions.append(f"{sample.name}: mIoU {miou}, pixel accuracy {accuracy} ({kind})")
            panel = paint.panel(sample.image, sample.label, predict(sample), report.classes, captions[-1])
            yield kind, sample.name, panel

    paths = html.save_pictures(folder, drawn())
    return list(zip(captions, paths, strict=True))

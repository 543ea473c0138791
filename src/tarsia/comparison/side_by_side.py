"""Side by side: the same pictures as all models of a comparison see them, image first and truth last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.comparison import Comparison, Standing, significance
from tarsia.comparison.table import cut
from tarsia.data._dataset import Dataset, Sample, check_same_classes, check_sample, evenly, levels_for, spec_of
from tarsia.drawing import paint
from tarsia.drawing.sheet import Row, Tile, sheet
from tarsia.errors import DatasetError
from tarsia.evaluation.confusion import count
from tarsia.inference import load
from tarsia.plain_text import decimal

_SPACED, _MOST = 6, 4  # evenly spaced pictures, and further ones on which the models differ most
_ROW = 6  # pictures beside each other
_WIDTH = 1280  # of a panel: wider, its letters would be small on the page
_LETTER = 8  # about the width of a letter
_AGREE = 0.01  # share of a picture's pixels that may differ from what its report counted


Files = Path | Mapping[str, Path]


class Panel(NamedTuple):
    """One picture as all models see it.  `kind`: sample, or differ for one that they differ most on."""

    kind: str
    name: str
    caption: str
    picture: Image.Image


def side_by_side(
    comparison: Comparison, model_files: Mapping[str, Files | None], dataset: Dataset, device: str
) -> tuple[list[Panel], list[str]]:
    """Panels of evenly spaced pictures and of those the models differ most on, and what a reader must know of them.

    `model_files` by member name, a file for each sequence of one that was scored in folds; of several trainings the
    first that has one draws.  What a model sees is counted once more and held against its report.  Raises DatasetError
    where a picture's truth is not the reports', and whatever loading a model raises.
    """
    names = comparison.pictures.names
    spaced = evenly(_SPACED, len(names))
    most = [one.number for one in comparison.differing if one.number not in spaced][:_MOST]
    samples = {index: _read(comparison, dataset, index) for index in [*spaced, *most]}
    drawn: list[tuple[int, Standing, dict[int, np.ndarray]]] = []
    remarks = []
    for place, one in enumerate(console.track(comparison.standings, len(comparison.standings), "drawing")):
        member = next((name for name in one.model.members if model_files.get(name)), "")
        files = model_files.get(member)
        if not files:
            remarks.append(
                f"{one.name} has no model file beside its report or in its command: it is not in the pictures."
            )
            continue
        labels = _labels(files, one, (dataset, samples), comparison, device)
        drawn.append((place, one, labels))
        remarks += _remarks(one, member, labels, samples, comparison.pictures.protocol)
    if not drawn:
        return [], remarks
    kinds = [("sample", index) for index in spaced] + [("differ", index) for index in most]
    return [_panel(kind, samples[index], index, drawn, comparison) for kind, index in kinds], remarks


def _read(comparison: Comparison, dataset: Dataset, index: int) -> Sample:
    sample = check_sample(dataset[index], dataset.classes, spec_of(dataset))
    truth_K = np.bincount(sample.label.ravel(), minlength=256)[: len(dataset.classes)]
    if not np.array_equal(truth_K, comparison.standings[0].model.sums_N3K[index, 1]):
        raise DatasetError(
            f"{sample.name}: its labels in `data` are not those that the reports were made on (their size or content "
            "differs): give the data set and options that they were made with"
        )
    return sample


def _labels(
    files: Files, one: Standing, read: tuple[Dataset, Mapping[int, Sample]], comparison: Comparison, device: str
) -> dict[int, np.ndarray]:
    dataset, samples = read
    by_file: dict[Path, list[int]] = {}
    for index in samples:
        path = files if isinstance(files, Path) else files[comparison.pictures.sequences[index]]
        by_file.setdefault(path, []).append(index)
    labels: dict[int, np.ndarray] = {}
    for path, indices in by_file.items():
        predictor = load(path, device=device)
        whose, remedy = (str(path), f"the report of {one.name}"), "it is not the model of that report"
        check_same_classes(predictor.classes, comparison.pictures.classes, whose, remedy)
        for index in indices:
            sample = samples[index]
            own = levels_for(sample, dataset, predictor.card.spec)
            labels[index] = predictor.at_levels(own).labels(sample.image[None])[0]
    return labels


def _remarks(
    one: Standing,
    member: str,
    labels: Mapping[int, np.ndarray],
    samples: Mapping[int, Sample],
    protocol: Mapping[str, Any],
) -> list[str]:
    """What to say where the pictures are not what was scored: other settings, one of several seeds, another model."""
    settings = {**protocol, **one.model.settings}
    if any(settings.get(key, "none") != "none" for key in ("tta", "post_process")):
        return [f"{one.name} is drawn without its test-time augmentation and post-processing; its figures have them."]
    if len(one.model.members) > 1:
        return [f"Of the trainings of {one.name}, {member} is drawn."]
    worst = 0.0
    for index, label in labels.items():
        counts = count(samples[index].label, label, one.model.sums_N3K.shape[2])
        right, truth, _ = one.model.sums_N3K[index]
        apart = np.abs(np.diagonal(counts) - right).sum() / max(truth.sum(), 1)
        worst = max(worst, float(apart))
    if worst <= _AGREE:
        return []
    return [
        f"{one.name}'s model file answers otherwise than its report says ({100 * worst:.1f} % of the pixels of a "
        "picture): evaluate it again."
    ]


def _panel(
    kind: str,
    sample: Sample,
    index: int,
    drawn: Sequence[tuple[int, Standing, Mapping[int, np.ndarray]]],
    comparison: Comparison,
) -> Panel:
    classes, label_HW = comparison.pictures.classes, sample.label
    columns = math.ceil((len(drawn) + 2) / math.ceil((len(drawn) + 2) / _ROW))
    width = _WIDTH // columns
    height = max(60, min(width, round(width * label_HW.shape[0] / label_HW.shape[1])))
    mious = [float(significance.miou(one.model.sums_N3K[index])) for _, one, _ in drawn]
    tiles = [Tile("image", sample.image)]
    for (place, one, labels), miou in zip(drawn, mious, strict=True):
        name = cut(f"{place + 1} {one.name}", width // _LETTER - 6)
        tiles.append(Tile(f"{name} {decimal(miou, 3)}", paint.colorize(labels[index], classes)))
    tiles.append(Tile("truth", paint.colorize(label_HW, classes)))
    rows = [Row("", tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    order = np.argsort(mious)
    ends = [f"{decimal(mious[k], 3)} ({drawn[k][1].name})" for k in (order[-1], order[0])]
    caption = f"{sample.name}: mIoU {' to '.join(ends[: len(drawn)])}"
    return Panel(kind, sample.name, caption, sheet(rows, classes, (height, width)))

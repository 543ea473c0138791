"""Parity: what changes in a network's answers when another engine runs it, on real pictures and at odd sizes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from inlay import console
from inlay.card import Classes
from inlay.data._dataset import Dataset, Sample, check_sample
from inlay.errors import DatasetError
from inlay.runtime import paint
from inlay.runtime.image import resize
from inlay.runtime.predictor import Predictor
from inlay.scores import Metrics, count, metrics

# Heights and widths in strides: the least a network takes, thin ones, and one larger than what it was traced with.
_SIZES = ((1, 1), (1, 3), (4, 1), (5, 7))
_BATCHES = (1, 3)
_DRAWN = 3
_ROUNDS = 3  # of timing, in turns


class Side:
    """One engine and what it did: confusion counts over all pictures, the seconds from each picture to its labels."""

    def __init__(self, name: str, predictor: Predictor, file_bytes: int) -> None:
        self.name, self.predictor, self.file_bytes = name, predictor, file_bytes
        class_count = len(predictor.classes)
        self.counts_KK1 = np.zeros((class_count, class_count + 1), np.int64)
        self.seconds: list[float] = []

    @property
    def metrics(self) -> Metrics:
        return metrics(self.counts_KK1)

    @property
    def latency_seconds(self) -> float:
        """The median over the pictures that were timed."""
        return statistics.median(self.seconds)

    def answer(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """The scores and the labels of a sample, which are counted."""
        scores = self.predictor.scores(sample.image[None])
        label_HW = self.predictor.engine.labels(scores, (sample.label.shape[0], sample.label.shape[1]))[0]
        self.counts_KK1 += count(sample.label, label_HW, len(self.predictor.classes))
        return np.asarray(scores), label_HW

    def time(self, samples: list[Sample]) -> None:
        """Take the seconds from each picture to its labels."""
        for sample in samples:
            started = time.perf_counter()
            self.predictor.labels(sample.image[None])
            self.seconds.append(time.perf_counter() - started)


@dataclass
class Difference:
    """How two engines' answers differ: in how many of the pixels another class, and in scores by how much at most."""

    pixels: int = 0
    changed_pixels: int = 0
    largest_score_difference: float = 0.0

    @property
    def share(self) -> float:
        """Of the pixels, 0 .. 1; all of them where scores are no numbers."""
        return self.changed_pixels / max(self.pixels, 1) if np.isfinite(self.largest_score_difference) else 1.0

    def add(self, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]) -> int:
        """Take in the scores and labels of two engines; how many pixels have changed."""
        changed = int((before[1] != after[1]).sum())
        self.pixels += before[1].size
        self.changed_pixels += changed
        differences = np.abs(before[0] - after[0])
        self.largest_score_difference = float(np.maximum(self.largest_score_difference, differences.max()))  # NaN stays
        return changed


@dataclass
class ParityReport:
    """What changed from one engine to the other, on whole pictures and at odd sizes."""

    before: Side
    after: Side
    pictures: int
    picture_size: tuple[int, int]  # the first one's
    on_pictures: Difference = field(default_factory=Difference)
    at_sizes: Difference = field(default_factory=Difference)
    largest_score: float = 0.0
    worst: list[tuple[int, Sample, np.ndarray, np.ndarray]] = field(default_factory=list)  # changed pixels, both labels

    @property
    def changed_share(self) -> float:
        """The larger of the shares of changed pixels on pictures and at sizes."""
        return max(self.on_pictures.share, self.at_sizes.share)

    def to_json(self) -> dict[str, Any]:
        """Every figure; those that are not defined are NaN."""
        before, after = self.before.metrics.miou, self.after.metrics.miou
        return {
            "changed_share": self.changed_share,
            "pictures": {"images": self.pictures, **vars(self.on_pictures)},
            "sizes": {
                "in_strides": [f"{height}x{width}" for height, width in _SIZES],
                "batches": _BATCHES,
                **vars(self.at_sizes),
            },
            "largest_score": self.largest_score,
            "miou": {"before": before, "after": after, "difference": after - before},
            "classes": [
                {"name": name, "before": first, "after": second, "difference": second - first}
                for name, first, second in self._ious()
            ],
            "engines": [
                {"name": side.name, "latency_seconds": side.latency_seconds, "file_bytes": side.file_bytes}
                for side in (self.before, self.after)
            ],
        }

    def summary(self) -> str:
        """How much has changed, in words."""
        whole, sizes = self.on_pictures, self.at_sizes
        return (
            f"changed pixels: {whole.changed_pixels:,} of {whole.pixels:,} in {self.pictures} pictures, "
            f"{sizes.changed_pixels:,} of {sizes.pixels:,} at odd sizes; scores of up to {self.largest_score:.3g} "
            f"differ by up to {max(whole.largest_score_difference, sizes.largest_score_difference):.2g}"
        )

    def table(self) -> Table:
        """What the terminal shows."""
        sides = self.before, self.after
        shown = Table(caption=self.summary(), caption_justify="left")
        shown.add_column("")
        for name in (*(side.name for side in sides), "difference"):
            shown.add_column(name, justify="right")
        before, after = (side.metrics.miou for side in sides)
        for row, first, second in [("mIoU", before, after), *self._ious()]:
            shown.add_row(row, f"{first:.4f}", f"{second:.4f}", f"{second - first:+.6f}")
        seconds, sizes = [side.latency_seconds for side in sides], [side.file_bytes for side in sides]
        shown.add_section()
        faster = f"{seconds[0] / seconds[1]:.2f} times as fast"
        shown.add_row("latency", *(f"{1000 * one:.1f} ms" for one in seconds), faster)
        shown.add_row("file", *(f"{one / 1e6:.2f} MB" for one in sizes), f"{(sizes[1] - sizes[0]) / 1e6:+.2f} MB")
        return shown

    def picture(self) -> Image.Image | None:
        """The pictures with the most changed pixels, one below the other; None where no pixel has changed."""
        headings = (self.before.name, self.after.name, "changed")
        panels = [
            paint.panel(sample.image, first, second, self._classes, sample.name, headings)
            for _, sample, first, second in self.worst
        ]
        return paint.grid(panels, 1) if panels else None

    @property
    def _classes(self) -> Classes:
        return self.before.predictor.classes

    def _ious(self) -> Iterator[tuple[str, float, float]]:
        before, after = self.before.metrics.iou_K.tolist(), self.after.metrics.iou_K.tolist()
        yield from zip(self._classes.names, before, after, strict=True)


def parity(before: Side, after: Side, dataset: Dataset, images: int) -> ParityReport:
    """Two engines on `images` evenly spaced samples of `dataset` at their own sizes, and on batches at odd sizes.

    Raises DatasetError for an empty data set or one of other classes, and what the engines raise.
    """
    chosen = _chosen(before.predictor.classes, dataset, images)
    samples = (check_sample(dataset[index], dataset.classes) for index in chosen)
    first: list[Sample] = []
    report = ParityReport(before, after, len(chosen), (0, 0))
    for sample in console.track(samples, len(chosen), "checking"):
        first += [sample] if len(first) < max(_BATCHES) else []
        answers = before.answer(sample), after.answer(sample)
        report.largest_score = max(report.largest_score, float(np.abs(answers[0][0]).max()))
        changed = report.on_pictures.add(*answers)
        if changed:
            worst = [*report.worst, (changed, sample, answers[0][1], answers[1][1])]
            report.worst = sorted(worst, key=lambda one: -one[0])[:_DRAWN]
    report.picture_size = (first[0].label.shape[0], first[0].label.shape[1])
    engines = before.predictor.engine, after.predictor.engine
    for images_BHW3 in _at_sizes(first, before.predictor.card.input.stride):
        size = (images_BHW3.shape[1], images_BHW3.shape[2])
        scores = [engine.scores(images_BHW3) for engine in engines]
        labels = [engine.labels(one, size) for engine, one in zip(engines, scores, strict=True)]
        report.at_sizes.add((np.asarray(scores[0]), labels[0]), (np.asarray(scores[1]), labels[1]))
    for _ in range(_ROUNDS):  # not picture by picture: the threads of one engine would still be in the other's way
        before.time(first)
        after.time(first)
    return report


def _chosen(classes: Classes, dataset: Dataset, images: int) -> list[int]:
    if not len(dataset):
        raise DatasetError("the split has no samples: nothing to check on")
    if classes.names != dataset.classes.names:
        raise DatasetError(
            f"classes differ: the model has {', '.join(classes.names)}, the data set "
            f"{', '.join(dataset.classes.names)}: "
            "check on the data set that the model was trained for"
        )
    return np.unique(np.linspace(0, len(dataset) - 1, min(images, len(dataset))).round().astype(int)).tolist()


def _at_sizes(samples: list[Sample], stride: int) -> Iterator[np.ndarray]:
    """The samples' pictures at every size in every batch, B x H x W x 3."""
    for height, width in _SIZES:
        for batch in _BATCHES:
            size = (height * stride, width * stride)
            yield np.stack([resize(samples[k % len(samples)].image, size) for k in range(batch)])

"""Parity: what changes in a network's answers when other engines run it, on real pictures and at odd sizes."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.card import Classes
from tarsia.data._dataset import Dataset, Sample, check_same_classes, check_sample, evenly, read_as, spec_of
from tarsia.drawing import paint
from tarsia.engines import memory_limit
from tarsia.errors import DatasetError, ScoresError
from tarsia.evaluation.confusion import Metrics, count, metrics
from tarsia.pictures.rgb import resize
from tarsia.prediction.predictor import Predictor

# Heights and widths in strides: the least a network takes, thin ones, and one larger than what it was traced with.
_SIZES = ((1, 1), (1, 3), (4, 1), (5, 7))
_BATCHES = (1, 3)
_DRAWN = 3
_ROUNDS = 3  # of timing, in turns


class Trial:
    """One engine and what it did: confusion counts over all pictures, the seconds from each picture to its labels.

    `kept_bytes` of its answers are kept, for one that is compared with others again and again.
    """

    def __init__(self, name: str, predictor: Predictor, file_bytes: int, kept_bytes: int = 0) -> None:
        self.name, self.predictor, self.file_bytes = name, predictor, file_bytes
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._room = kept_bytes
        self.begin()

    def begin(self) -> None:
        """Count and time from the start."""
        class_count = len(self.predictor.classes)
        self.counts_KK1 = np.zeros((class_count, class_count + 1), np.int64)
        self.seconds: list[float] = []

    @property
    def metrics(self) -> Metrics:
        return metrics(self.counts_KK1)

    @property
    def latency_seconds(self) -> float:
        """The median over the pictures that were timed."""
        return statistics.median(self.seconds)

    def answer(self, index: int, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """The scores and the labels of the data set's sample `index`, which are counted."""
        if index in self._kept:
            scores, label_HW = self._kept[index]
        else:
            height, width = sample.label.shape
            try:
                predictor = self.predictor.at_levels(sample.levels)
                found = predictor.unchecked_scores(sample.image[None])  # what is no number, `Difference` counts
                label_HW = self.predictor.engine.labels(found, (height, width))[0]
            except MemoryError as error:
                raise MemoryError(
                    f"{sample.name}: not enough memory for {height}x{width} (height x width) in {self.name} ({error}): "
                    "end other programs, or check on smaller pictures; tiles would not be what is exported"
                ) from None
            scores = np.asarray(found)
            if scores.nbytes + label_HW.nbytes <= self._room:
                self._room -= scores.nbytes + label_HW.nbytes
                self._kept[index] = scores, label_HW
        self.counts_KK1 += count(sample.label, label_HW, len(self.predictor.classes))
        return scores, label_HW

    def time(self, samples: list[Sample]) -> None:
        """Take the seconds from each picture to its labels."""
        for sample in samples:
            started = time.perf_counter()
            with contextlib.suppress(ScoresError):  # has failed already
                self.predictor.at_levels(sample.levels).labels(sample.image[None])
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

    before: Trial
    after: Trial
    pictures: int
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
                {"name": trial.name, "latency_seconds": trial.latency_seconds, "file_bytes": trial.file_bytes}
                for trial in (self.before, self.after)
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

    @property
    def miou_loss(self) -> float:
        """How much lower mIoU is after than before, 0 .. 1."""
        return self.before.metrics.miou - self.after.metrics.miou

    @property
    def worst_class(self) -> tuple[str, float]:
        """The class that loses most, and how much, among those that have an IoU before; NaN where none has."""
        losses = [(name, first - second) for name, first, second in self._ious() if np.isfinite(first - second)]
        return max(losses, key=lambda one: one[1], default=("none", float("nan")))

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


def parity(before: Trial, others: Sequence[Trial], dataset: Dataset, images: int) -> list[ParityReport]:
    """One engine against others, on `images` evenly spaced samples of `dataset` at their own sizes, and on batches at
    odd sizes.

    Raises DatasetError for an empty data set or one of other classes, MemoryError for pictures that memory does not
    suffice for, and what the engines raise.
    """
    dataset = read_as(dataset, before.predictor.card.spec)
    if not len(dataset):
        raise DatasetError("the split has no samples: nothing to check on")
    check_same_classes(before.predictor.classes, dataset.classes)
    chosen = evenly(images, len(dataset))
    samples = ((index, check_sample(dataset[index], dataset.classes, spec_of(dataset))) for index in chosen)
    first: list[Sample] = []
    for trial in (before, *others):
        trial.begin()
    reports = [ParityReport(before, after, len(chosen)) for after in others]
    with memory_limit.limited(device=before.predictor.engine.device):
        for index, sample in console.track(samples, len(chosen), "checking"):
            first += [sample] if len(first) < max(_BATCHES) else []
            answer = before.answer(index, sample)
            for report in reports:
                _compare(report, sample, answer, report.after.answer(index, sample))
        for images_BHW3 in _at_sizes(first, before.predictor.card.input.stride):
            answer = _of_network(before, images_BHW3)
            for report in reports:
                report.at_sizes.add(answer, _of_network(report.after, images_BHW3))
        for _ in range(_ROUNDS):  # not picture by picture: the threads of one engine would still be in the other's way
            for trial in (before, *others):
                trial.time(first)
    return reports


def _compare(
    report: ParityReport, sample: Sample, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
) -> None:
    """Take in the scores and labels of two engines for one picture."""
    report.largest_score = max(report.largest_score, float(np.abs(before[0]).max()))
    changed = report.on_pictures.add(before, after)
    if changed:
        worst = [*report.worst, (changed, sample, before[1], after[1])]
        report.worst = sorted(worst, key=lambda one: -one[0])[:_DRAWN]


def _of_network(trial: Trial, images_BHW3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of pictures that the network takes as they are; labels of its own where it gives them."""
    engine = trial.predictor.engine
    own = trial.predictor.told(images_BHW3)
    scores, given = engine.run(images_BHW3, **own), engine.run_to_labels(images_BHW3, **own)
    label_BHW = engine.labels(scores, images_BHW3.shape[1:3]) if given is None else given[0]
    return np.asarray(scores), label_BHW


def _at_sizes(samples: list[Sample], stride: int) -> Iterator[np.ndarray]:
    """The samples' pictures at every size in every batch, B x H x W x 3."""
    for height, width in _SIZES:
        for batch in _BATCHES:
            size = (height * stride, width * stride)
            yield np.stack([resize(samples[k % len(samples)].image, size) for k in range(batch)])

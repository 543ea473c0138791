"""evaluate: a model (or the predictions of another) and a labelled split -> Report, tables and pictures."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tarsia import console, environment
from tarsia.card import IGNORED, Calibration
from tarsia.data._dataset import Dataset, Sample, check_classes, check_same_classes, check_sample, read_as, spec_of
from tarsia.data._predictions import Reader
from tarsia.engines import memory_limit
from tarsia.engines.model_file import find_model_file
from tarsia.errors import DatasetError, ImageError, RecipeError
from tarsia.evaluation.calibration import TemperatureFit
from tarsia.evaluation.confusion import count
from tarsia.evaluation.details import Details
from tarsia.evaluation.folder import write_folder
from tarsia.evaluation.protocol import inference_of, model_facts, protocol
from tarsia.evaluation.report import DataHash, Report
from tarsia.inference import Inference, predictor_of
from tarsia.own_data import Labelled
from tarsia.pictures.ranges import together
from tarsia.prediction.predictor import Predictor

Observe = Callable[[Any, list[np.ndarray]], None]
_READERS, _AHEAD = 2, 4  # threads that read samples, and how many lie ready at most


def evaluate(
    model: Predictor | str | Path,
    dataset: Dataset | str | None = None,
    *,
    inference: Inference | None = None,
    dataset_name: str = "",
    split: str = "",
    out: str | Path | None = None,
    pictures: int = 8,
    batch: int = 1,
    observe: Observe | None = None,
) -> Report:
    """Score `model` on every sample of `dataset`, at each label's own size.

        tarsia.evaluate("runs/demo", "camvid:data/camvid", split="test", out="scores")

    `model`: a predictor, or a model file or run folder, opened as `inference` says.  `dataset`: a Dataset, or
    NAME[:ROOT][,key=value...]; what the model was validated on unless told.

    Consecutive samples of one size go through the network together, up to `batch`.  `observe(scores, truths)` gets
    each batch's scores and label maps, and may raise to stop.  `out`: a folder for report.json, counts.npz, pictures/
    (up to `pictures` panels: the worst, and a fixed sample) and, with the extra `report`, confusion.png, details.png,
    report.html.  Raises DatasetError where classes or bands differ, there is one class alone or no labelled pixel, or a
    sample breaks its promises, RecipeError where the predictor was told to cut pictures into tiles.  Samples are read
    by threads: `dataset[index]` must bear that.
    """
    predictor = predictor_of(model, inference)
    file = None if isinstance(model, Predictor) else model
    dataset, name, chosen = Labelled.of(dataset, file, split or None, option="dataset")
    predictor.check_whole("evaluate")
    check_same_classes(predictor.classes, dataset.classes)
    dataset = read_as(dataset, predictor.card.spec)
    if observe is not None and predictor.needs_probabilities:
        raise ValueError("observe needs scores, and test-time augmentation and CRF have none: leave one of them out")
    tally = _Tally(dataset, details=True)
    seconds = _count(predictor, dataset, tally, batch, observe)
    facts = model_facts(predictor, tally.first_size, seconds, batch)
    report = tally.report(dataset_name or name, chosen, inference_of(predictor), facts)
    fitted = predictor.card.calibration
    if fitted and predictor.temperature != 1 and fitted.data_hash == report.protocol["data_hash"]:
        console.note("the model's temperature was fitted on these very pictures: judge its ECE on others")
    if out is not None:
        write_folder(Path(out), report, dataset, pictures, lambda sample: labelled(predictor, sample))
    return report


def counted(predictor: Predictor, dataset: Dataset, batch: int, observe: Observe) -> np.ndarray:
    """The counts of every sample of `dataset`, K x (K + 1), and nothing else: what training needs after each epoch.

    Of the samples of several processes there may be none; otherwise as `evaluate`.
    """
    if not len(dataset):
        return np.zeros((len(dataset.classes), len(dataset.classes) + 1), np.int64)
    tally = _Tally(dataset, details=False)
    _count(predictor, dataset, tally, batch, observe)
    return tally.counts[0]


def calibrate(
    model: str | Path,
    dataset: Dataset | str | None = None,
    *,
    predictor: Predictor | None = None,
    inference: Inference | None = None,
    dataset_name: str = "",
    split: str = "",
    **others: Any,
) -> tuple[Report, Calibration]:
    """Fit a temperature on `dataset` and store it in the card of a model file or run folder.

        report, temperature = tarsia.calibrate("runs/demo", "camvid:data/camvid,split=val")

    Its weights stay as they are, bit by bit, and an earlier temperature is replaced.  `dataset` and `inference` are as
    for `evaluate`, which takes `others` too; `predictor`: what was loaded from the file already.  The report is without
    any temperature: what it does has to be judged on another split.  Raises RecipeError with test-time augmentation or
    CRF, whose probabilities are not the network's, and for an exported model, DatasetError where no temperature fits.
    """
    predictor = predictor_of(predictor or model, inference)
    if predictor.needs_probabilities:
        raise RecipeError("a temperature is fitted on the network's scores: leave out test-time augmentation and CRF")
    path = find_model_file(Path(model))
    if path.suffix != ".safetensors":
        raise RecipeError(f"{path}: calibrate the .safetensors model that it was exported from, and export it again")
    dataset, name, chosen = Labelled.of(dataset, model, split or None, option="dataset")
    if chosen == "train":
        console.note("the network has learned the train split and is surer there than elsewhere: calibrate on another")
    predictor = predictor.at_temperature(1.0)
    fit = TemperatureFit(predictor.engine, max(1, len(dataset)))
    name = dataset_name or name
    report = evaluate(predictor, dataset, dataset_name=name, split=chosen, observe=fit.add, **others)
    calibration = fit.result(name, chosen, report.protocol["data_hash"])
    from tarsia.engines.weights import load_model, save_model  # where scores come from, torch is

    network, card = load_model(path)
    save_model(path, network, card.model_copy(update={"calibration": calibration}))
    return report, calibration


def evaluate_predictions(
    folder: str | Path,
    dataset: Dataset | str,
    *,
    dataset_name: str = "",
    split: str = "",
    out: str | Path | None = None,
    pictures: int = 8,
    ignored_values: tuple[int, ...] = (),
    coding: Literal["classes", "data"] | None = None,
) -> Report:
    """Score index PNGs of another system, `folder`/NAME.png for every sample NAME of `dataset`, or for its picture's.

    Values are the data set's classes 0 .. K-1; 255 and `ignored_values` are no class, which counts as wrong on every
    labelled pixel.  With `coding` "data" they are what stands in the data set's own label files, numbers or colours.
    Raises DatasetError for a missing file, another size or an unknown value, and unless `coding` says which, where the
    other coding agrees better with the labels; ImageError for a file that is no index PNG.
    """
    folder = Path(folder)
    dataset, name, chosen = Labelled.of(dataset, None, split or None)
    read = Reader(folder, dataset, ignored_values, coding)
    tally = _Tally(dataset, details=True)
    with contextlib.closing(_read_ahead(dataset)) as samples:
        for sample in console.track(samples, len(dataset), "scoring"):
            tally.add(sample, read(sample))
    read.check()
    inference = {
        "tta": "unknown",
        "post_process": "unknown",
        "network_input": "predictions of another system, from files",
        "predicted_as_ignored": sorted({IGNORED, *ignored_values}),
    }
    report = tally.report(dataset_name or name, chosen, inference, None)
    if out is not None:
        write_folder(Path(out), report, dataset, pictures, read)
    return report


class _Tally:
    """Counts as they come in; nothing of a picture is kept but its row of counts."""

    def __init__(self, dataset: Dataset, details: bool) -> None:
        self.classes = dataset.classes
        check_classes(dataset.classes)
        if len(dataset) == 0:
            raise DatasetError("the split has no samples: nothing to evaluate")
        rows = len(dataset) if details else 1
        width = len(self.classes)
        # Allocated at once: pages of zeros are not resident before they are written to.
        self.counts = np.zeros((rows, width, width + 1), np.uint32 if details else np.int64)
        self.names: list[str] = []
        self.domains: list[str] = []
        self.sequences: list[str] = []
        self.hash = DataHash()
        self.details = Details(rows, width) if details else None
        self.images = 0
        self.first_size = (0, 0)

    def add(self, sample: Sample, predicted_HW: np.ndarray, confidence_HW: np.ndarray | None = None) -> None:
        counts = count(sample.label, predicted_HW, len(self.classes))
        if not self.images:
            self.first_size = sample.label.shape
        self.counts[self.images if self.details else 0] += counts.astype(self.counts.dtype)
        self.images += 1
        if self.details:
            self.details.add(sample.label, predicted_HW, confidence_HW)
            self.names.append(sample.name)
            self.domains.append(sample.domain)
            self.sequences.append(sample.sequence)
            self.hash.add(sample.name, sample.label)

    def report(
        self, dataset_name: str, split: str, inference: Mapping[str, Any], model: dict[str, Any] | None
    ) -> Report:
        if not self.counts.any():
            raise DatasetError(
                f"no labelled pixels: those of all {self.images} pictures are ignored ({IGNORED}), there is nothing to "
                "score: correct the labels, or choose another split"
            )
        assert self.details is not None
        scored = protocol(dataset_name, split, self.classes, self.images, self.hash.text(), inference)
        texts = (self.names, self.domains, self.sequences)
        return Report(self.classes, *texts, self.counts, scored, model, environment.describe(), self.details.arrays())


def _count(predictor: Predictor, dataset: Dataset, tally: _Tally, batch: int, observe: Observe | None) -> array[float]:
    """Count every sample of `dataset` in `tally` -> the seconds that a picture's labels took, of each batch."""
    seconds = array("d")
    with contextlib.closing(_read_ahead(dataset)) as samples, memory_limit.limited(device=predictor.engine.device):
        shown = console.track(samples, len(dataset), "evaluating") if tally.details else samples
        for group in _batches(shown, batch):
            names = ", ".join(sample.name for sample in group)
            try:
                labels, confidences = _predict(predictor, group, observe, seconds, tally.details is not None)
            except ImageError as error:  # the predictor has seen arrays and cannot name them
                raise type(error)(f"{names}: {error}") from error
            except MemoryError as error:
                raise MemoryError(f"{names}: {_no_memory(group, error)}") from None
            for sample, label, confidence in zip(group, labels, confidences, strict=True):
                tally.add(sample, label, confidence)
    return seconds


def labelled(predictor: Predictor, sample: Sample) -> np.ndarray:
    """A sample's labels, H x W uint8; its picture read as the predictor's model takes it."""
    return predictor.at_levels(sample.levels).labels(sample.image[None])[0]


def _no_memory(group: list[Sample], error: MemoryError) -> str:
    height, width = group[0].label.shape
    fewer = "take `batch=1`, " if len(group) > 1 else ""
    reason = f" ({error})" if str(error) else ""
    return (
        f"not enough memory for {len(group)} of {height}x{width} (height x width) at once{reason}: {fewer}end other "
        "programs, or cut pictures and labels into smaller ones; they are not scored in tiles, where a network that "
        "looks at the whole picture says something else"
    )


def _predict(
    predictor: Predictor, group: list[Sample], observe: Observe | None, seconds: array[float], confident: bool
) -> tuple[np.ndarray, Iterable[np.ndarray | None]]:
    """Labels and, where `confident`, how probable each is; `seconds` gets the time of a picture's labels."""
    predictor = predictor.at_levels(together(sample.levels for sample in group))
    images_BHW3 = np.stack([sample.image for sample in group])
    confidence_BHW: Iterable[np.ndarray | None] = [None] * len(group)
    started = time.perf_counter()
    if not predictor.needs_probabilities:
        scores = predictor.scores(images_BHW3)
        labels_BHW = predictor.engine.labels(scores, images_BHW3.shape[1:3])
    elif confident:
        labels_BHW, confidence_BHW = predictor.labels_and_confidence(images_BHW3)
    else:
        labels_BHW = predictor.labels(images_BHW3)
    seconds.append((time.perf_counter() - started) / len(group))
    if confident and not predictor.needs_probabilities:  # no part of the latency: labels do not need it
        confidence_BHW = predictor.confidence(scores, labels_BHW)
    if observe is not None:
        observe(scores, [sample.label for sample in group])
    return labels_BHW, confidence_BHW


def _batches(samples: Iterable[Sample], batch: int) -> Iterator[list[Sample]]:
    """Consecutive samples of one size, up to `batch` of them, in order."""
    group: list[Sample] = []
    for sample in samples:
        if group and (len(group) >= batch or sample.label.shape != group[0].label.shape):
            yield group
            group = []
        group.append(sample)
    if group:
        yield group


def _read_ahead(dataset: Dataset) -> Generator[Sample]:
    """Every sample in order, checked, with at most `_AHEAD` more in memory than the one in hand."""
    waiting: deque[Future[Sample]] = deque()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
        try:
            for index in range(len(dataset)):
                waiting.append(pool.submit(_read, dataset, index))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(dataset: Dataset, index: int) -> Sample:
    return check_sample(dataset[index], dataset.classes, spec_of(dataset))

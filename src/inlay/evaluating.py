"""evaluate: a model (or the predictions of another) and a labelled split -> Report, tables and pictures."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from inlay import console, environment
from inlay.card import IGNORED, Calibration, Input, find_model_file
from inlay.data._dataset import Dataset, Sample, check_sample
from inlay.data._predictions import known_values, read_prediction, require_files
from inlay.errors import DatasetError, RecipeError
from inlay.report.folder import write_folder
from inlay.runtime.predictor import Predictor, network_size
from inlay.scores import ABSENT_CLASS_RULE, DataHash, Report, count
from inlay.scores.calibration import TemperatureFit
from inlay.scores.details import Details

Observe = Callable[[Any, list[np.ndarray]], None]
_READERS, _AHEAD = 2, 4  # threads that read samples, and how many lie ready at most
_NAMED = 5  # missing files named one by one


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    dataset_name: str = "",
    split: str = "",
    out: Path | None = None,
    pictures: int = 8,
    batch: int = 1,
    observe: Observe | None = None,
    details: bool = True,
) -> Report:
    """Score `predictor` on every sample of `dataset`, at each label's own size.

    Consecutive samples of one size go through the network together, up to `batch`.  `observe(scores, truths)` gets
    each batch's scores and label maps, and may raise to stop.  `out`: a folder for report.json, counts.npz, pictures/
    (up to `pictures` panels: the worst, and a fixed sample) and, with the extra `report`, confusion.png, details.png,
    report.html.  Without `details` the counts of all pictures are one row and nothing else is taken, no details
    (details.py), data hash or model facts: what training needs after each epoch.  Raises DatasetError where the
    classes differ or a sample breaks its promises.  Samples are read by threads: `dataset[index]` must bear that.
    """
    _require_same_classes(predictor, dataset)
    if observe is not None and predictor.needs_probabilities:
        raise ValueError("observe needs scores, and test-time augmentation and CRF have none: leave one of them out")
    if out is not None and not details:
        raise ValueError("a report folder needs the details")
    tally = _Tally(dataset, details)
    seconds = array("d")
    with contextlib.closing(_read_ahead(dataset)) as samples:
        shown = console.track(samples, len(dataset), "evaluating") if details else samples
        for group in _batches(shown, batch):
            labels, confidences = _predict(predictor, group, observe, seconds, details)
            for sample, label, confidence in zip(group, labels, confidences, strict=True):
                tally.add(sample, label, confidence)
    protocol = _protocol(tally, dataset_name, split, _inference(predictor))
    model = _model_facts(predictor, tally.first_size, seconds, batch) if details else None
    report = tally.report(protocol, model)
    fitted = predictor.card.calibration
    if details and fitted and predictor.temperature != 1 and fitted.data_hash == protocol["data_hash"]:
        console.note("the model's temperature was fitted on these very pictures: judge its ECE on others")
    if out is not None:
        write_folder(Path(out), report, dataset, pictures, lambda sample: predictor.labels(sample.image[None])[0])
    return report


def calibrate(
    path: Path, predictor: Predictor, dataset: Dataset, *, dataset_name: str = "", split: str = "", **others: Any
) -> tuple[Report, Calibration]:
    """Fit a temperature on `dataset` and store it in the card of model file (or run folder) `path`, from which
    `predictor` was loaded; its weights stay as they are, bit by bit, and an earlier temperature is replaced.

    The report is that of `evaluate`, which takes `others`, without any temperature: what it does has to be judged on
    another split.  Raises RecipeError with test-time augmentation or CRF, whose probabilities are not the network's,
    and for an exported model, DatasetError where no temperature fits.
    """
    if predictor.needs_probabilities:
        raise RecipeError("a temperature is fitted on the network's scores: leave out test-time augmentation and CRF")
    path = find_model_file(path)
    if path.suffix != ".safetensors":
        raise RecipeError(f"{path}: calibrate the .safetensors model that it was exported from, and export it again")
    if split == "train":
        console.note("the network has learned the train split and is surer there than elsewhere: calibrate on another")
    predictor.temperature = 1.0
    fit = TemperatureFit(predictor.engine, max(1, len(dataset)))
    report = evaluate(predictor, dataset, dataset_name=dataset_name, split=split, observe=fit.add, **others)
    calibration = fit.result(dataset_name, split, report.protocol["data_hash"])
    from inlay.learning.checkpoint import load_model, save_model  # where scores come from, torch is

    model, card = load_model(path)
    save_model(path, model, card.model_copy(update={"calibration": calibration}))
    return report, calibration


def evaluate_predictions(
    folder: Path,
    dataset: Dataset,
    *,
    dataset_name: str = "",
    split: str = "",
    out: Path | None = None,
    pictures: int = 8,
    ignored_values: tuple[int, ...] = (),
) -> Report:
    """Score index PNGs of another system, `folder`/NAME.png for every sample NAME of `dataset`.

    Values are the data set's classes 0 .. K-1; 255 and `ignored_values` are no class, which counts as wrong on every
    labelled pixel.  Raises DatasetError for a missing file, another size or an unknown value, ImageError for a file
    that is no index PNG.
    """
    folder = Path(folder)
    require_files(folder, dataset)
    known = known_values(dataset.classes, ignored_values)
    tally = _Tally(dataset, details=True)

    def read(sample: Sample) -> np.ndarray:
        return read_prediction(folder / f"{sample.name}.png", sample, known, dataset.classes)

    with contextlib.closing(_read_ahead(dataset)) as samples:
        for sample in console.track(samples, len(dataset), "scoring"):
            tally.add(sample, read(sample))
    seen = "predictions of another system, from files"
    protocol = _protocol(
        tally, dataset_name, split, {"tta": "unknown", "post_process": "unknown", "network_input": seen}
    )
    protocol["predicted_as_ignored"] = sorted({IGNORED, *ignored_values})
    report = tally.report(protocol, None)
    if out is not None:
        write_folder(Path(out), report, dataset, pictures, read)
    return report


class _Tally:
    """Counts as they come in; nothing of a picture is kept but its row of counts."""

    def __init__(self, dataset: Dataset, details: bool) -> None:
        self.classes, self.details = dataset.classes, details
        if len(dataset) == 0:
            raise DatasetError("the split has no samples: nothing to evaluate")
        rows = len(dataset) if details else 1
        width = len(self.classes)
        # Allocated at once: pages of zeros are not resident before they are written to.
        self.counts = np.zeros((rows, width, width + 1), np.uint32 if details else np.int64)
        self.names: list[str] = [] if details else ["all"]
        self.domains: list[str] = [] if details else [""]
        self.sequences: list[str] = [] if details else [""]
        self.hash = DataHash()
        self.finer = Details(rows, width) if details else None
        self.images = 0
        self.first_size = (0, 0)

    def add(self, sample: Sample, predicted_HW: np.ndarray, confidence_HW: np.ndarray | None = None) -> None:
        counts = count(sample.label, predicted_HW, len(self.classes))
        self.first_size = self.first_size if self.images else sample.label.shape[:2]
        self.counts[self.images if self.details else 0] += counts.astype(self.counts.dtype)
        self.images += 1
        if self.finer:
            self.finer.add(sample.label, predicted_HW, confidence_HW)
            self.names.append(sample.name)
            self.domains.append(sample.domain)
            self.sequences.append(sample.sequence)
            self.hash.add(sample.name, sample.label)

    def report(self, protocol: dict[str, Any], model: dict[str, Any] | None) -> Report:
        texts = (self.names, self.domains, self.sequences)
        finer = self.finer.arrays() if self.finer else {}
        return Report(self.classes, *texts, self.counts, protocol, model, environment.describe(), finer)


def _predict(
    predictor: Predictor, group: list[Sample], observe: Observe | None, seconds: array[float], confident: bool
) -> tuple[np.ndarray, Iterable[np.ndarray | None]]:
    """Labels and, where `confident`, how probable each is; `seconds` gets the time of a picture's labels."""
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
    return check_sample(dataset[index], dataset.classes)


def _require_same_classes(predictor: Predictor, dataset: Dataset) -> None:
    model, data = predictor.classes.names, dataset.classes.names
    if model == data:
        return
    only_model, only_data = [n for n in model if n not in data], [n for n in data if n not in model]
    parts = [f"the model has {len(model)} classes, the data set {len(data)}"]
    if only_model:
        parts.append(f"only the model has {', '.join(only_model[:_NAMED])}")
    if only_data:
        parts.append(f"only the data set has {', '.join(only_data[:_NAMED])}")
    if not only_model and not only_data:
        k = next(k for k, (a, b) in enumerate(zip(model, data, strict=True)) if a != b)
        parts.append(f"the order differs: class {k} is {model[k]} in the model and {data[k]} in the data set")
    raise DatasetError(
        f"classes differ: {'; '.join(parts)}.  Evaluate on the data set the model was trained for, or map the classes "
        "in its dataset.yaml"
    )


def _protocol(tally: _Tally, dataset_name: str, split: str, inference: dict[str, str]) -> dict[str, Any]:
    return {
        "dataset": dataset_name,
        "split": split,
        "images": tally.images,
        "data_hash": tally.hash.text() if tally.details else None,
        "classes": list(tally.classes.names),
        "ignored_value": IGNORED,
        "absent_class_rule": ABSENT_CLASS_RULE,
        "size": "scored at each label's own size",
        **inference,
    }


def _inference(predictor: Predictor) -> dict[str, str]:
    """What stands between a picture and its labels.  Reports of before the CRF lack `post_process`: it was none."""
    return {
        "tta": _tta_text(predictor),
        "post_process": "none" if predictor.crf is None else str(predictor.crf),
        "style": getattr(predictor, "described", "none"),
        "network_input": _input_text(predictor.card.input),
    }


def _tta_text(predictor: Predictor) -> str:
    if not predictor.tta:
        return "none"
    scales = ", ".join(f"{scale:g}" for scale in predictor.tta.scales)
    return f"mean of probabilities: scales {scales}{', each also mirrored' if predictor.tta.flip else ''}"


def _input_text(settings: Input) -> str:
    if settings.size:
        text = f"resized to {settings.size[0]}x{settings.size[1]} (height x width)"
    elif settings.short_side:
        text = f"resized to a short side of {settings.short_side}"
    else:
        text = "the picture's own size"
    return f"{text}, padded to multiples of {settings.stride}" if settings.stride > 1 else text


def _model_facts(predictor: Predictor, size: tuple[int, int], seconds: array[float], batch: int) -> dict[str, Any]:
    """What the network costs; the first batch warms it up and is no part of the latency where there are more."""
    settings = predictor.card.input
    seen = tuple(-(-side // settings.stride) * settings.stride for side in network_size(size, settings))
    facts = getattr(predictor.engine, "facts", None)
    return {
        "architecture": predictor.card.architecture,
        **(facts(seen) if callable(facts) else {}),
        "network_size": list(seen),
        "device": predictor.engine.device,
        "batch": batch,
        "latency_seconds": statistics.median(seconds[1:] or seconds),
        "peak_memory_bytes": _peak_memory_bytes(),
        **_temperature(predictor),
    }


def _temperature(predictor: Predictor) -> dict[str, Any]:
    """The temperature of the report's confidences, where there is one."""
    fitted = predictor.card.calibration
    if not fitted or predictor.crf or predictor.temperature != fitted.temperature:
        return {}
    return {"temperature": fitted.temperature, "calibrated_on": f"{fitted.dataset} {fitted.split}".strip()}


def _peak_memory_bytes() -> int | None:
    """The most resident memory this process has had, None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None

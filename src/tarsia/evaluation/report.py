"""Scores: confusion counts per picture, every figure that follows from them, and the report that keeps them.

One definition for training, evaluation and comparison (Long et al. 2015 for the accuracies and the frequency weighted
IoU).  A confusion matrix is K x (K + 1): rows are the truth, columns the prediction, and the last column holds labelled
pixels that were predicted as ignored.  It is summed over the whole split before a figure is taken from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import files
from tarsia.card import IGNORED, MAX_CLASSES, Classes
from tarsia.data._dataset import Sample
from tarsia.errors import DatasetError
from tarsia.evaluation import details as finer_counts

FORMAT = 1
WORST_IMAGES = 8
ABSENT_CLASS_RULE = (
    "a class with neither truth nor prediction is left out of every mean; a class with predictions but no truth counts "
    "as 0 in mIoU and Dice and is left out of MPA"
)
_CHUNK_PIXELS = 1 << 19  # even; what one chunk needs stays near the cache


def count(truth_HW: np.ndarray, predicted_HW: np.ndarray, class_count: int) -> np.ndarray:
    """Two uint8 label maps of one picture -> its K x (K + 1) int64 confusion counts.

    Rows are the truth, columns the prediction; the last column counts labelled pixels predicted as 255.  Pixels whose
    truth is 255 are left out.  Raises ValueError for other shapes or types, and for a value that is neither a class
    nor 255.
    """
    _check_maps(truth_HW, predicted_HW, class_count)
    side = class_count + 1
    cells = side * side
    truth, predicted = truth_HW.reshape(-1), predicted_HW.reshape(-1)
    paired = cells * cells <= truth.size // 4  # below this the pair table costs more than it saves
    total = np.zeros(cells * cells if paired else cells, np.int64)
    for start in range(0, truth.size, _CHUNK_PIXELS):
        # Adding 1 wraps 255 to 0: ignored becomes row and column 0, and one maximum tells whether all values are known.
        rows = _from_one(truth[start : start + _CHUNK_PIXELS], class_count, "truth")
        columns = _from_one(predicted[start : start + _CHUNK_PIXELS], class_count, "prediction")
        even, odd = _pair_indices(rows, columns, side)
        if paired:  # two neighbours are one index: half the increments, which are what counting costs
            both = odd.astype(np.uint32)
            both *= np.uint32(cells)
            both += even
            total += np.bincount(both, minlength=total.size)
        else:
            total += np.bincount(even, minlength=cells)
            total += np.bincount(odd, minlength=cells)
    if paired:
        table = total.reshape(cells, cells)
        total = table.sum(0) + table.sum(1)
    return np.roll(total.reshape(side, side)[1:], -1, axis=1)


def _check_maps(truth: np.ndarray, predicted: np.ndarray, class_count: int) -> None:
    if not 1 <= class_count <= MAX_CLASSES:
        raise ValueError(f"{class_count} classes; expected 1 to {MAX_CLASSES}")
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} but prediction {predicted.shape}: sizes must be equal")
    if truth.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"truth is {truth.dtype} and prediction {predicted.dtype}; expected uint8")


def _from_one(values: np.ndarray, class_count: int, what: str) -> np.ndarray:
    """0 .. K-1 and 255 -> 1 .. K and 0, with an ignored pixel added where the number of pixels is odd."""
    moved = np.zeros(values.size + values.size % 2, np.uint8)
    np.add(values, np.uint8(1), out=moved[: values.size])
    if int(moved.max()) > class_count:
        strange = int(moved.max()) - 1
        raise ValueError(f"{what} value {strange} is neither a class (0 to {class_count - 1}) nor ignored ({IGNORED})")
    return moved


def _pair_indices(rows: np.ndarray, columns: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """row * side + column of the even and of the odd pixels, uint16, computed two pixels at a time in uint16 words."""
    rows, columns = rows.view(np.uint16), columns.view(np.uint16)
    low = np.uint16(255)
    even = rows & low
    even *= np.uint16(side)
    even += columns & low
    rows >>= np.uint16(8)
    rows *= np.uint16(side)
    columns >>= np.uint16(8)
    rows += columns
    return even, rows


@dataclass(frozen=True, eq=False)
class Metrics:
    """The figures of one confusion matrix, 0 .. 1, NaN where not defined (see `ABSENT_CLASS_RULE`)."""

    pixel_accuracy: float
    mpa: float
    miou: float
    fwiou: float
    dice: float
    iou_K: np.ndarray
    accuracy_K: np.ndarray
    dice_K: np.ndarray


def metrics(counts_KK1: np.ndarray) -> Metrics:
    """K x (K + 1) confusion counts -> every figure.

    PA = sum m_ii / sum m_ij; MPA = mean_i m_ii / sum_j m_ij; IoU_i = m_ii / (sum_j m_ij + sum_j m_ji - m_ii);
    mIoU = mean_i IoU_i; FWIoU weights IoU_i by the share of truth pixels; Dice_i = 2 m_ii / (sum_j m_ij + sum_j m_ji).
    """
    right = np.diagonal(counts_KK1).astype(np.float64)
    truth = counts_KK1.sum(1, dtype=np.int64).astype(np.float64)
    predicted = counts_KK1[:, :-1].sum(0, dtype=np.int64).astype(np.float64)
    iou = _ratio(right, truth + predicted - right)
    accuracy, dice = _ratio(right, truth), _ratio(2 * right, truth + predicted)
    pixels = truth.sum()
    present = truth > 0
    return Metrics(
        pixel_accuracy=float(right.sum() / pixels) if pixels else float("nan"),
        mpa=_mean(accuracy),
        miou=_mean(iou),
        fwiou=float((truth[present] * iou[present]).sum() / pixels) if pixels else float("nan"),
        dice=_mean(dice),
        iou_K=iou,
        accuracy_K=accuracy,
        dice_K=dice,
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


class DataHash:
    """sha256 over the name, label size and label bytes of each sample, in order.

    Pictures are not part of it: decoders and their versions give different bytes for the same JPEG, labels are exact.
    """

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, name: str, label_HW: np.ndarray) -> None:
        """Take one sample in."""
        encoded = os.fsencode(name)
        # Lengths first, so that no two different lists of samples give the same stream of bytes.
        self._sum.update(f"{len(encoded)} {label_HW.shape[0]} {label_HW.shape[1]} ".encode())
        self._sum.update(encoded)
        self._sum.update(np.ascontiguousarray(label_HW, np.uint8).data)

    def text(self) -> str:
        """The sum so far, 64 hexadecimal digits."""
        return self._sum.hexdigest()


def data_hash(samples: Iterable[Sample]) -> str:
    """Samples in order -> the sum that says on which labels a report was made (see `DataHash`)."""
    total = DataHash()
    for sample in samples:
        total.add(sample.name, sample.label)
    return total.text()


@dataclass
class Report:
    """How one model did on one split: confusion counts per picture and what they were made with.

    `counts_NKK1` N x K x (K + 1); `domains` and `sequences` as in Sample; `protocol`, `model` and `provenance` as in
    report.json, `model` None for the predictions of others; `details` as finer.py lists them, what was counted of it.
    """

    classes: Classes
    names: list[str]
    domains: list[str]
    sequences: list[str]
    counts_NKK1: np.ndarray
    protocol: dict[str, Any]
    model: dict[str, Any] | None
    provenance: dict[str, Any]
    details: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def total_KK1(self) -> np.ndarray:
        """The confusion counts of the whole split, int64."""
        return self.counts_NKK1.sum(0, dtype=np.int64)

    @property
    def metrics(self) -> Metrics:
        """The figures of the whole split."""
        return metrics(self.total_KK1)

    def worst(self, n: int) -> list[int]:
        """Indices of the `n` pictures of lowest mIoU, worst first; pictures without a labelled pixel are not ranked."""
        scores = np.array([metrics(counts).miou if counts.any() else np.nan for counts in self.counts_NKK1])
        order = np.argsort(scores, kind="stable")  # NaN last
        return [int(index) for index in order[:n] if not np.isnan(scores[index])]

    def to_json(self) -> dict[str, Any]:
        """The report as report.json holds it, but for the counts per picture; figures not defined are NaN."""
        total, figures = self.total_KK1, self.metrics
        truth, predicted = total.sum(1), total[:, :-1].sum(0)
        return {
            "format": FORMAT,
            **{key: getattr(figures, key) for key in ("miou", "mpa", "pixel_accuracy", "fwiou", "dice")},
            "images": self.protocol.get("images", len(self.names)),
            "classes": [
                {
                    "name": name,
                    "color": list(self.classes.colors[k]),
                    "iou": float(figures.iou_K[k]),
                    "accuracy": float(figures.accuracy_K[k]),
                    "dice": float(figures.dice_K[k]),
                    "truth_pixels": int(truth[k]),
                    "predicted_pixels": int(predicted[k]),
                }
                for k, name in enumerate(self.classes.names)
            ],
            "protocol": self.protocol,
            "model": self.model,
            "worst_images": [self.line(index) for index in self.worst(WORST_IMAGES)],
            "details": finer_counts.described(self.details, len(self.classes)),
            "provenance": self.provenance,
        }

    @property
    def finer(self) -> dict[str, float]:
        """The figures of finer.FIGURES, by name, that `details` has the counts of; NaN where not defined."""
        return finer_counts.figures(self.details, len(self.classes))

    def line(self, index: int) -> dict[str, Any]:
        """What report.json says of one picture."""
        figures = metrics(self.counts_NKK1[index])
        return {
            "name": self.names[index],
            "miou": figures.miou,
            "pixel_accuracy": figures.pixel_accuracy,
            "domain": self.domains[index],
        }

    def write(self, folder: Path) -> None:
        """Write `folder`/counts.npz and `folder`/report.json, each whole or not at all."""
        folder = Path(folder)
        with files.writing(folder / "counts.npz") as part, part.open("wb") as file:
            texts = {key: np.array(getattr(self, key), str) for key in ("names", "domains", "sequences")}
            arrays: dict[str, Any] = {"counts": self.counts_NKK1, **texts, **self.details}
            np.savez_compressed(file, **arrays)
        files.write_json(folder / "report.json", self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Report:
        """The report in a folder (or a report.json with its counts.npz beside it).

        Raises DatasetError where a file is missing or damaged, or the two do not belong together.
        """
        path = Path(path)
        path = path / "report.json" if path.is_dir() else path
        counts_path = path.with_name("counts.npz")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise DatasetError(f"{path}: report format {found['format']}, expected {FORMAT}: update tarsia")
            with np.load(counts_path, allow_pickle=False) as arrays:
                counts, names, domains = arrays["counts"], arrays["names"].tolist(), arrays["domains"].tolist()
                # Reports of the first versions know no sequences, and no details.
                sequences = arrays["sequences"].tolist() if "sequences" in arrays else [""] * len(names)
                details = {key: arrays[key] for key in finer_counts.KEYS if key in arrays}
            classes = Classes(
                names=tuple(line["name"] for line in found["classes"]),
                colors=tuple(tuple(line["color"]) for line in found["classes"]),
            )
            said = found["protocol"], found["model"], dict(found["provenance"])
            report = cls(classes, names, domains, sequences, counts, *said, details)
            written = float("nan") if found["miou"] is None else float(found["miou"])
        except FileNotFoundError as error:
            raise DatasetError(
                f"{error.filename}: not there; a report is report.json with counts.npz beside it, of `tarsia evaluate`"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: not a sound report ({error!r:.120}): evaluate again") from error
        expected = (len(names), len(classes), len(classes) + 1)
        whole = counts.shape == expected and counts.dtype.kind in "iu"
        if not (whole and len(domains) == len(sequences) == len(names)):
            raise DatasetError(f"{counts_path}: counts are {counts.dtype} {counts.shape}, expected {expected} integers")
        finer_counts.check(details, len(names), len(classes), str(counts_path))
        if not np.isclose(report.metrics.miou, written, rtol=0, atol=1e-9, equal_nan=True):
            raise DatasetError(f"{path}: counts.npz beside it is of another evaluation: evaluate again")
        return report

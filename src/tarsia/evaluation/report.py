"""The report of an evaluation: the counts of every picture, the figures that follow from them, and its two files."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import files
from tarsia.card import Classes
from tarsia.data._dataset import Sample
from tarsia.errors import DatasetError
from tarsia.evaluation import details as beyond_miou
from tarsia.evaluation.confusion import Metrics, metrics

FORMAT = 1
WORST_IMAGES = 8


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


def by_domain(domains: Sequence[str]) -> dict[str, list[int]]:
    """The domain of each picture -> the indices of each domain's pictures, in order of appearance.

    Nothing where all are of one.  Pictures without a domain are together.
    """
    found: dict[str, list[int]] = {}
    for index, name in enumerate(domains):
        found.setdefault(name or "(no domain)", []).append(index)
    return found if len(found) > 1 else {}


@dataclass
class Report:
    """How one model did on one split: confusion counts per picture and what they were made with.

    `counts_NKK1` N x K x (K + 1); `domains` and `sequences` as in Sample; `protocol`, `model` and `provenance` as in
    report.json, `model` None for the predictions of others; `details` as details.py lists them, what was counted of it.
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

    @property
    def domain_lines(self) -> list[dict[str, Any]]:
        """What report.json says of each condition, where there are several; `classes`: how many have pixels there."""
        lines = []
        for name, chosen in by_domain(self.domains).items():
            counts_KK1 = self.counts_NKK1[chosen].sum(0, dtype=np.int64)
            found = metrics(counts_KK1)
            figures = {key: getattr(found, key) for key in ("miou", "mpa", "pixel_accuracy")}
            lines.append({"name": name, "images": len(chosen), "classes": int(counts_KK1.any(1).sum()), **figures})
        return lines

    def worst(self, n: int) -> list[int]:
        """Indices of the `n` pictures of lowest mIoU, worst first; pictures without a labelled pixel are not ranked."""
        mious = np.array([metrics(counts).miou if counts.any() else np.nan for counts in self.counts_NKK1])
        order = np.argsort(mious, kind="stable")  # NaN last
        return [int(index) for index in order[:n] if not np.isnan(mious[index])]

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
            "domains": self.domain_lines,
            "protocol": self.protocol,
            "model": self.model,
            "worst_images": [self.line(index) for index in self.worst(WORST_IMAGES)],
            "details": beyond_miou.described(self.details, len(self.classes)),
            "provenance": self.provenance,
        }

    @property
    def detail_figures(self) -> dict[str, float]:
        """The figures beyond mIoU, by name, that `details` has the counts of; NaN where not defined."""
        return beyond_miou.figures(self.details, len(self.classes))

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
                details = {key: arrays[key] for key in beyond_miou.KEYS if key in arrays}
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
        beyond_miou.check(details, len(names), len(classes), str(counts_path))
        if not np.isclose(report.metrics.miou, written, rtol=0, atol=1e-9, equal_nan=True):
            raise DatasetError(f"{path}: counts.npz beside it is of another evaluation: evaluate again")
        return report

"""The gate of an export: every engine and precision that runs the file here, and whether its answers changed too much.

Where a file of float32 is computed in float32, `SHARE` of the pixels may change their class: rounding decides where two
classes score alike.  In 8 bits or bfloat16 more of them do, for better or worse, so there it is the score that counts:
mIoU may lose `LOSS`, and any class twice that.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tarsia.console import Table
from tarsia.data._dataset import Dataset
from tarsia.engines.engine import DOES_NOT_RUN
from tarsia.engines.onnx_file import OnnxFile
from tarsia.engines.open import engine_class
from tarsia.errors import ModelFileError, RecipeError
from tarsia.exporters.parity import ParityReport, Trial, parity
from tarsia.prediction.predictor import Predictor

SHARE = 1e-4  # of the pixels
LOSS = 5e-3  # of mIoU, 0 .. 1


@dataclass(frozen=True)
class Runner:
    """An engine of .onnx files and the precision it computes in."""

    engine: str
    precision: str = "float32"

    @property
    def name(self) -> str:
        """Both, but for float32."""
        return self.engine if self.precision == "float32" else f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Limit:
    """What may change: the share of pixels, or the loss of mIoU (and twice that of any class)."""

    share: float | None = None
    loss: float | None = None

    @classmethod
    def of(cls, stored: str, runner: Runner, tolerance: float | None) -> Limit:
        """For a file of `stored` precision; `tolerance` in place of the usual limit for that precision."""
        if stored == "float32" and runner.precision == "float32":
            return cls(share=SHARE if tolerance is None else tolerance)
        return cls(loss=tolerance if tolerance is not None and stored != "float32" else LOSS)

    def __str__(self) -> str:
        if self.share is not None:
            return f"at most {100 * self.share:.3g} % of the pixels may change their class"
        return f"mIoU may lose at most {self.loss:.4g}, any class {2 * (self.loss or 0):.4g}"


@dataclass(frozen=True)
class Verdict:
    """What one engine and precision made of the file; no report where it did not run at all."""

    runner: Runner
    limit: Limit
    report: ParityReport | None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and stayed within the limit; what is not a number is not within it."""
        report = self.report
        if report is None:
            return False
        if self.limit.share is not None:
            return report.changed_share <= self.limit.share
        loss = self.limit.loss or 0.0
        finite = all(np.isfinite(one.largest_score_difference) for one in (report.on_pictures, report.at_sizes))
        return bool(finite) and report.miou_loss <= loss and report.worst_class[1] <= 2 * loss

    def __str__(self) -> str:
        report = self.report
        if report is None:
            return f"{DOES_NOT_RUN}: {self.error}"
        before, after = report.before.metrics.miou, report.after.metrics.miou
        name, loss = report.worst_class
        return (
            f"{100 * report.changed_share:.3g} % of the pixels changed, mIoU {before:.4f} -> {after:.4f} "
            f"({after - before:+.4f}), most lost by {name} ({-loss:+.4f})"
        )

    def facts(self) -> dict[str, Any]:
        """What the card says of it."""
        found: dict[str, Any] = {"engine": self.runner.engine, "precision": self.runner.precision}
        found |= {"passed": self.passed, "verdict": str(self)}
        if self.report is not None:
            found |= {"changed_share": self.report.changed_share, "miou_loss": self.report.miou_loss}
            found["worst_class"] = list(self.report.worst_class)
        return found


@dataclass(frozen=True)
class Gate:
    """The verdicts, that of ONNX Runtime first."""

    verdicts: list[Verdict]

    @property
    def first(self) -> Verdict:
        """That of ONNX Runtime, which decides whether the file is written."""
        return self.verdicts[0]

    def to_json(self) -> dict[str, Any]:
        """Every figure of the first, and in `others` those of the others."""
        first, *others = (verdict.report.to_json() if verdict.report else {} for verdict in self.verdicts)
        said = [verdict.facts() | found for verdict, found in zip(self.verdicts[1:], others, strict=True)]
        return first | {"others": said}

    def picture(self) -> Image.Image | None:
        """Where the first differs from torch; None where no pixel has changed."""
        return self.first.report.picture() if self.first.report else None

    def table(self) -> Table:
        """What the terminal shows: IoUs in torch and what each engine adds to them."""
        reports = [verdict.report for verdict in self.verdicts if verdict.report]
        before = reports[0].before
        shown = Table(caption=reports[0].summary(), caption_justify="left")
        shown.add_column("")
        for name in (before.name, *(report.after.name for report in reports)):
            shown.add_column(name, justify="right")
        figures = [report.after.metrics for report in reports]
        mious = [one.miou - before.metrics.miou for one in figures]
        shown.add_row("mIoU", f"{before.metrics.miou:.4f}", *(f"{one:+.6f}" for one in mious))
        for k, name in enumerate(before.predictor.classes.names):
            first = before.metrics.iou_K[k]
            shown.add_row(name, f"{first:.4f}", *(f"{one.iou_K[k] - first:+.6f}" for one in figures))
        shown.add_section()
        changed = (f"{100 * report.changed_share:.3g} %" for report in reports)
        shown.add_row("changed pixels", "", *changed)
        every = (before, *(report.after for report in reports))
        shown.add_row("latency", *(f"{1000 * trial.latency_seconds:.1f} ms" for trial in every))
        shown.add_row("file", *(f"{trial.file_bytes / 1e6:.2f} MB" for trial in every))
        passed = ("passed" if verdict.passed else "FAILED" for verdict in self.verdicts if verdict.report)
        shown.add_row("gate", "", *passed)
        return shown

    def refusals(self) -> list[str]:
        """A line for every engine and precision, but the first, that the file will not be run with."""
        return [
            f"{verdict.runner.name}: {verdict} ({verdict.limit}): engine={verdict.runner.engine!r} with "
            f"precision={verdict.runner.precision!r} will be refused"
            for verdict in self.verdicts[1:]
            if not verdict.passed
        ]


def runners() -> list[Runner]:
    """Those that this machine has, ONNX Runtime first."""
    found = [Runner("onnxruntime")]
    if importlib.util.find_spec("openvino") is not None:
        found += [Runner("openvino"), Runner("openvino", "bfloat16")]
    return found


def judge(
    reference: Trial,
    file: OnnxFile,
    where: str,
    chosen: Sequence[Runner],
    dataset: Dataset,
    images: int,
    tolerance: float | None,
    threads: int,
) -> list[Verdict]:
    """An ONNX file in each of the `chosen` engines, which call it `where`, against `reference`.

    Raises DatasetError as `parity` does.
    """
    settings = file.card.input
    stored = (file.card.provenance.get("export") or {}).get("precision", "float32")
    trials: dict[Runner, Trial] = {}
    errors: dict[Runner, str] = {}
    for runner in chosen:
        options = {"precision": runner.precision} if runner.engine == "openvino" else {}
        try:
            engine = engine_class(runner.engine)(file, where, "cpu", threads=threads, **options)
            # What opens may still fail on every picture: that is told of here and not in the midst of all.
            predictor = Predictor(engine)
            blank = np.zeros((1, settings.stride, settings.stride, file.card.bands), settings.dtype)
            engine.run(blank, **predictor.told(blank))
            trials[runner] = Trial(runner.name, predictor, len(file.content))
        except (ModelFileError, RecipeError) as error:
            errors[runner] = str(error)
    reports: dict[Runner, ParityReport] = {}
    if trials:
        reports = dict(zip(trials, parity(reference, list(trials.values()), dataset, images), strict=True))
    return [
        Verdict(runner, Limit.of(stored, runner, tolerance), reports.get(runner), errors.get(runner, ""))
        for runner in chosen
    ]

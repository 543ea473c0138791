"""Thresholds: what a recipe says its training should reach, and whether a report has reached it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from tarsia.files import write_json
from tarsia.yaml_tree import Node

if TYPE_CHECKING:
    from tarsia.evaluation.report import Report

METRICS = ("miou", "mpa", "pixel_accuracy", "fwiou", "dice")  # as at the top of report.json


def _ordered(range_: tuple[float, float]) -> tuple[float, float]:
    if range_[0] > range_[1]:
        raise ValueError("the least is larger than the most: write [least, most]")
    return range_


_Share = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[_Share, _Share], AfterValidator(_ordered)]


class Expected(Node):
    """Figures on the validation split, each [least, most] in 0 .. 1, and where these figures come from."""

    miou: Range | None = None
    mpa: Range | None = None
    pixel_accuracy: Range | None = None
    fwiou: Range | None = None
    dice: Range | None = None
    source: Annotated[str, Field(min_length=1)] = Field(description="`docs/results.md, commit ...` or `Guo, table 4`")

    @model_validator(mode="after")
    def _something(self) -> Expected:
        if not self.ranges:
            raise ValueError(f"no metric: give one of {', '.join(METRICS)} as [least, most]")
        return self

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The metrics that are given."""
        return {name: range_ for name in METRICS if (range_ := getattr(self, name)) is not None}


def outcome(expected: Expected, report: Report) -> str:
    """`not reached` with a figure below its range or not defined, else `exceeded` with one above it, else `reached`."""
    figures = report.metrics
    values = [(getattr(figures, name), *range_) for name, range_ in expected.ranges.items()]
    if not all(value >= least for value, least, _ in values):
        return "not reached"
    return "exceeded" if any(value > most for value, _, most in values) else "reached"


def verdict(expected: Expected, report: Report) -> str:
    """What was expected of a report, what it has, and whether that is reached: one line for a person."""
    figures = report.metrics
    said = [
        f"{name} {getattr(figures, name):.4f}, expected {least:g} to {most:g}"
        for name, (least, most) in expected.ranges.items()
    ]
    return f"{outcome(expected, report)}: {'; '.join(said)} ({expected.source})"


def judge(expected: Expected, report: Report, folder: Path) -> str:
    """The verdict on a report, which becomes the entry `expected` of `folder`/report.json."""
    path, said = folder / "report.json", verdict(expected, report)
    figures = expected.model_dump(mode="json", exclude_none=True)
    judged = {"outcome": outcome(expected, report), "verdict": said, **figures}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("expected") != judged:
        write_json(path, found | {"expected": judged})
    return said

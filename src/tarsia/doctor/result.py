"""What a check has found, for people, for programs and for the shell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia.doctor.balance import weights
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.finding import EXIT_CODES, SEVERITIES, SHOWN, Finding, by_severity, storable
from tarsia.doctor.fix import CorrectedCopy
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.files import write_json
from tarsia.plain_text import listed, number

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}
_INDENT = " " * 9
_FORMAT = 1
_SIZES = 20  # listed; further ones are counted together
_BINS = 16  # of brightness


class Line(NamedTuple):
    """A line for the terminal, and rich's style for it."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class CheckResult:
    """A data set and what is wrong with it, worst first; where a copy was corrected, what is left in that."""

    checked: CheckedData
    findings: list[Finding]
    copy: CorrectedCopy | None = None
    left: CheckResult | None = None

    @property
    def exit_code(self) -> int:
        """0 where there is nothing but notes, 1 with warnings, 2 with errors.

        Of a corrected copy where there is one: what only a person can decide is 1 there, a split that is lost 2.
        """
        if self.copy is None or self.left is None:
            return max((EXIT_CODES[finding.severity] for finding in self.findings), default=0)
        codes = [1 if finding.decide else EXIT_CODES[finding.severity] for finding in self.left.findings]
        return 2 if self.copy.lost else max(codes, default=0)

    def facts(self) -> dict[str, Any]:
        """The content of check.json."""
        if self.copy is None or self.left is None:
            return _facts(self.checked, self.findings, self.checked.fix)
        left = [finding.facts() for finding in self.left.findings]
        return _facts(self.checked, self.findings) | {"fixed": self.copy.facts() | {"left": left}}

    def write(self, folder: Path) -> None:
        write_json(folder / "check.json", self.facts())

    def lines(self) -> Iterator[Line]:
        """What the terminal shows: every finding with a few of its places, then the sum of it.

        Of a corrected copy: what was wrong, what was written, and what is left to do.
        """
        for finding in self.findings:
            yield from _told(finding, None if self.copy is not None else self.checked.fix)
        yield Line(self.summary(), "bold")
        if self.copy is not None and self.left is not None:
            yield Line(self.copy.summary(), "bold")
            yield Line("")
            yield Line(f"Left in the copy: {self.left.summary()}", "bold")
            for finding in self.left.findings:
                yield from _told(finding, "")

    def summary(self) -> str:
        """`2 errors and 1 note in 468 pictures (train 367, val 101; no test)`."""
        counts = by_severity(self.findings)
        told = listed([number(count, severity) for severity, count in counts.items() if count]) or "Nothing is wrong"
        splits = ", ".join(f"{split.name} {len(split):,}" for split in self.checked.splits.values())
        absent = "".join(f"; no {split}" for split in self.checked.absent)
        return f"{told} in {number(self.checked.pictures(), 'picture')} ({splits}{absent})"


def _told(finding: Finding, fix: str | None) -> Iterator[Line]:
    """A finding; what to do about it with `fix`, the command that corrects it, or not where that is None."""
    yield Line(f"{finding.severity.upper():8} {finding.title}", _STYLES[finding.severity])
    for place in finding.places[:SHOWN]:
        yield Line(f"{_INDENT}- {place.line()}")
    if len(finding.places) > SHOWN:
        yield Line(f"{_INDENT}- and {len(finding.places) - SHOWN:,} more, all of them in check.json")
    yield Line(f"{_INDENT}Why: {finding.why}")
    remedy = "" if fix is None else finding.what_to_do(fix)
    for row, line in enumerate(remedy.splitlines()):
        yield Line(f"{_INDENT}{' ' * 5 if row else 'Do:  '}{line}")
    yield Line("")


def _facts(checked: CheckedData, findings: Sequence[Finding], fix: str = "") -> dict[str, Any]:
    """Everything that was found, worst first, then what the data set is: sizes, brightness, classes of each split.

    `fix`: the command that writes a corrected copy, where that is still to be done.
    """
    counts = by_severity(findings)
    training = checked.training()
    return {
        "format": _FORMAT,
        "data": storable(checked.spec),
        "verdict": next((severity for severity in SEVERITIES if counts[severity]), "healthy"),
        "counts": counts,
        "pictures": checked.pictures(),
        "findings": [finding.facts(fix) for finding in findings],
        "class_weights": {} if training is None else _weights(checked, training),
        "splits": {split.name: _split_facts(split) for split in checked.splits.values()},
        "absent_splits": {split: storable(said) for split, said in checked.absent.items()},
    }


def _weights(checked: CheckedData, training: CheckedSplit) -> dict[str, Any]:
    """What `train.class_weights` may be set to, by class."""
    names, kinds = checked.classes.names, ("median_frequency", "root_median_frequency")
    return {kind: dict(zip(names, weights(training, kind), strict=True)) for kind in kinds}


def _split_facts(split: CheckedSplit) -> dict[str, Any]:
    classes, sizes = split.dataset.classes, split.sizes()
    everything = max(int(split.pixels_K1.sum()), 1)
    rows = zip(classes.names, classes.colors, split.pixels_K1, split.shares_K(), split.pictures_K, strict=False)
    return {
        "pictures": len(split),
        "readable": int(split.seen_N.sum()),
        "sizes": [{"size": list(size), "pictures": count} for size, count in sizes[:_SIZES]],
        "other_sizes": sum(count for _, count in sizes[_SIZES:]),
        "modes": dict(sorted(split.modes.items())),
        "brightness": _brightness(split),
        "ignored_share": float(split.pixels_K1[-1] / everything),
        "classes": [
            {"name": name, "color": list(color), "pixels": int(pixels), "share": float(share), "pictures": int(shown)}
            for name, color, pixels, share, shown in rows
        ],
    }


def _brightness(split: CheckedSplit) -> dict[str, Any]:
    """Mean and deviation of the pictures' brightness (0 .. 255), and how many fall into each of 16 equal steps."""
    mean_N, deviation_N = split.mean_N[split.pictures_N], split.deviation_N[split.pictures_N]
    if not len(mean_N):
        return {"mean": None, "deviation_of_means": None, "contrast": None, "histogram": [0] * _BINS}
    return {
        "mean": round(float(mean_N.mean(dtype=np.float64)), 2),
        "deviation_of_means": round(float(mean_N.std(dtype=np.float64)), 2),
        "contrast": round(float(deviation_N.mean(dtype=np.float64)), 2),
        "histogram": np.histogram(mean_N, _BINS, (0, 256))[0].tolist(),
    }

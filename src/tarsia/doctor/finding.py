"""A finding of the doctor: how bad, what, where, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tarsia.pictures.files import shown
from tarsia.plain_text import listed

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
EXIT_CODES = {"error": 2, "warning": 1, "note": 0}
SHOWN = 3  # places that are named in the terminal


class Place(NamedTuple):
    """A sample, or a file that belongs to none: its split and name, what is the matter, the files it is about.

    `other` is the sample (split, name) that it is a copy of, or whatever else it has to do with.
    """

    split: str
    name: str
    detail: str = ""
    files: tuple[str, ...] = ()
    other: tuple[str, str] | None = None

    def line(self) -> str:
        """Where it is, and what is the matter, as one line."""
        where = listed([*map(shown, self.files)]) or f"{self.split}: {shown(self.name)}"
        return f"{where}: {self.detail}" if self.detail else where


@dataclass(frozen=True)
class Finding:
    """What is wrong, once for all places where it is.

    error: training stops there, or its scores are wrong for certain.  warning: training runs, and what comes of it is
    worse or less true than it could be.  note: worth knowing.  `kind` is the same word in every data set and version.
    `remedy` may have several lines; those of a dataset.yaml stand as they are to be written.  `fixes`: what
    `tarsia check --fix` does about it, as the words before that command; none where it does nothing.  `decide`: labels
    may be meant in several ways, which a person has to decide.
    """

    kind: str
    severity: Severity
    title: str
    why: str
    remedy: str
    places: Sequence[Place] = ()
    fixes: str = ""
    decide: bool = False

    def what_to_do(self, fix: str = "") -> str:
        """The remedy, with `fix`, the command that writes a corrected copy, where that does something about it."""
        return f"{self.remedy}\n{self.fixes}:\n{fix}" if fix and self.fixes else self.remedy

    def facts(self, fix: str = "") -> dict[str, Any]:
        """All of it as plain values, every place among them."""
        places = [
            {
                "split": place.split,
                "name": storable(place.name),
                "detail": storable(place.detail),
                "files": [storable(path) for path in place.files],
                **({"other": [storable(part) for part in place.other]} if place.other else {}),
            }
            for place in self.places
        ]
        return {
            "kind": self.kind,
            "severity": self.severity,
            "title": storable(self.title),
            "why": self.why,
            "remedy": storable(self.what_to_do(fix)),
            "count": len(places),
            "places": places,
        }


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, notes; within each as they came."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def by_severity(findings: Sequence[Finding]) -> dict[Severity, int]:
    """How many there are of each severity, the worst first."""
    return {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}


def storable(text: str) -> str:
    """Text that any file takes: bytes of a name that are text in no encoding are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()

"""What a check has found, for people, for programs and for the shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.facts import facts
from tarsia.doctor.finding import EXIT_CODES, SEVERITIES, SHOWN, Finding
from tarsia.doctor.fix import CorrectedCopy
from tarsia.files import write_json
from tarsia.plain_text import listed, number

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}
_INDENT = " " * 9


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
            return facts(self.checked, self.findings, self.checked.fix)
        left = [finding.facts() for finding in self.left.findings]
        return facts(self.checked, self.findings) | {"fixed": self.copy.facts() | {"left": left}}

    def write(self, folder: Path) -> None:
        """Write check.json into `folder`."""
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
        counts = {severity: sum(one.severity == severity for one in self.findings) for severity in SEVERITIES}
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

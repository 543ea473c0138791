"""Every kind of finding: a function each, from a case to what is wrong with it.  A new kind is one more function."""

from __future__ import annotations

from tarsia.doctor import balance, duplicates, files, labels, misalignment, sequences, two_values
from tarsia.doctor.dataset import Case, Check
from tarsia.doctor.finding import Finding, worst_first

CHECKS: tuple[Check, ...] = (
    *files.CHECKS,
    *two_values.CHECKS,
    *labels.CHECKS,
    *misalignment.CHECKS,
    *duplicates.CHECKS,
    *sequences.CHECKS,
    *balance.CHECKS,
)


def diagnose(case: Case) -> list[Finding]:
    """All that is wrong, worst first; the same case gives the same findings."""
    return worst_first(finding for check in CHECKS for finding in check(case))

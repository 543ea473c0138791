"""Which pictures are of which condition."""

from __future__ import annotations

from collections.abc import Sequence


def by_domain(domains: Sequence[str]) -> dict[str, list[int]]:
    """The domain of each picture -> the indices of each domain's pictures, in order of appearance.

    Nothing where all are of one.  Pictures without a domain are together.
    """
    found: dict[str, list[int]] = {}
    for index, name in enumerate(domains):
        found.setdefault(name or "(no domain)", []).append(index)
    return found if len(found) > 1 else {}

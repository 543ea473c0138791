"""Pictures that are learned from and held out alike: a score on them says nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tarsia.data import Dataset
from tarsia.data._paired import PairedData


def also_learned(train: Dataset, held_out: Dataset) -> list[str]:
    """The names of held-out pictures whose file is, byte for byte, one that is learned from.

    Only files of equal length are read, so it costs next to nothing; `tarsia check` finds near copies too.
    """
    if not (isinstance(train, PairedData) and isinstance(held_out, PairedData)):
        return []
    learned: dict[int, list[str]] = {}
    for pair in train.pairs:
        learned.setdefault(os.path.getsize(pair.image), []).append(pair.image)
    found, known = [], {}
    for index, pair in enumerate(held_out.pairs):
        alike = learned.get(os.path.getsize(pair.image), [])
        for path in alike:
            if path not in known:
                known[path] = _sum(path)
        if alike and _sum(pair.image) in {known[path] for path in alike}:
            found.append(held_out.name(index))
    return found


def _sum(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()

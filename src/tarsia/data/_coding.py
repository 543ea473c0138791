"""What a data set's own label files hold for each class: predictions can be written so, and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tarsia.card import IGNORED, Coding
from tarsia.data._cache import Cached
from tarsia.data._dataset import Dataset
from tarsia.data._folds import Chosen
from tarsia.data._paired import PairedData


def files_of(dataset: Dataset) -> PairedData | None:
    """The data set whose label files these samples are of, behind a cache or folds; None where there are none."""
    while isinstance(dataset, Cached | Chosen):
        dataset = dataset.source if isinstance(dataset, Cached) else dataset.parts[0]
    return dataset if isinstance(dataset, PairedData) else None


def coding_of(dataset: Dataset) -> Coding | None:
    """Numbers or colours, as its first label file holds; None where it has no files, or a class has neither.

    DatasetError where that file cannot be read.
    """
    files = files_of(dataset)
    if files is None or not files.pairs:
        return None
    colored = files.read_label(files.pairs[0].label).ndim == 3
    table: Mapping[Any, int] = files.table.colors if colored else files.table.values
    first: dict[int, Any] = {}
    for stored, label in table.items():
        first.setdefault(label, stored)
    if not all(k in first for k in range(len(files.classes))):
        return None
    ignored = IGNORED if table.get(IGNORED) == IGNORED else first.get(IGNORED)
    return Coding(classes=tuple(first[k] for k in range(len(files.classes))), ignored=ignored)

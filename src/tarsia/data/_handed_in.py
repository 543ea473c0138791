"""Data sets that a program hands in as objects: a recipe knows them by a name, which holds in this process alone."""

from __future__ import annotations

from typing import Any

from tarsia.data._dataset import Dataset
from tarsia.errors import DatasetError, NoSplitError

_GIVEN: dict[str, dict[str, Dataset]] = {}


def hand_in(train: Dataset, val: Dataset | None = None) -> str:
    """The name that a recipe's `data.name` may have for these two; DatasetError for what is no Dataset."""
    for what, one in (("data", train), ("val", val)):
        if one is not None and not isinstance(one, Dataset):
            raise DatasetError(
                f"{what}: a {type(one).__name__}, expected a Dataset: classes, len(), [index] -> Sample, name(index); "
                "docs/add-a-data-set.md"
            )
    name = f"{type(train).__name__} object"
    _GIVEN[name] = {"train": train} | ({} if val is None else {"val": val})
    return name


def is_handed_in(name: str) -> bool:
    """Whether a name is that of objects that were handed in."""
    return name in _GIVEN


def constructor(name: str) -> Any:
    """A class as the data sets of files are."""

    class Data:
        def __new__(cls, root: object, split: str = "train") -> Any:
            if split not in _GIVEN[name]:
                raise NoSplitError(f"{name}: no split {split} was handed in: {' and '.join(_GIVEN[name])} alone")
            return _GIVEN[name][split]

    return Data

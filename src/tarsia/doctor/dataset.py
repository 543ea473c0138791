"""All that is known of a data set, which the findings are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tarsia.card import Classes
from tarsia.data._dataset import Dataset, bands_of
from tarsia.data._layout import Layout
from tarsia.data._pairing import Pairing
from tarsia.doctor.finding import Finding
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.plain_text import command


@dataclass
class CheckedData:
    """A data set as it was named (`spec`), its splits as they were found; one of `splits` at least.

    `unopened`: splits that must be there and could not be opened, and why; `absent`: others that are not there.
    """

    spec: str
    splits: dict[str, CheckedSplit]
    unpaired: dict[str, Pairing] = field(default_factory=dict)
    unopened: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    found_out: dict[str, Any] = field(default_factory=dict)  # what is asked for more than once

    @property
    def dataset(self) -> Dataset:
        """Its first split, for what all of them have in common."""
        return next(iter(self.splits.values())).dataset

    @property
    def classes(self) -> Classes:
        return self.dataset.classes

    @property
    def bands(self) -> int:
        return bands_of(self.dataset)

    @property
    def layout(self) -> Layout | None:
        """dataset.yaml, where the data set has one: then the user can write what a remedy says."""
        found = getattr(self.dataset, "layout", None)
        return found if isinstance(found, Layout) else None

    @property
    def source(self) -> str:
        """The path of dataset.yaml."""
        return str(getattr(self.dataset, "source", "dataset.yaml"))

    @property
    def fix(self) -> str:
        """The command that writes a corrected copy."""
        return command("check", self.spec, "--fix", "--out", "FOLDER")

    def training(self) -> CheckedSplit | None:
        """The split that is trained on, where there is one of the usual name."""
        return next((self.splits[name] for name in ("train", "training") if name in self.splits), None)

    def held_out(self) -> Iterator[tuple[CheckedSplit, CheckedSplit]]:
        """The split that is trained on with each of the others that have labels."""
        training = self.training()
        if training is not None:
            others = (split for split in self.splits.values() if split is not training and split.shows_classes)
            yield from ((training, split) for split in others)

    def pictures(self) -> int:
        return sum(map(len, self.splits.values()))


Check = Callable[[CheckedData], Iterator[Finding]]


def total(checked: CheckedData, count: int) -> str:
    """`3 of 468`, or `all 468`."""
    everything = checked.pictures()
    return f"all {everything:,}" if count == everything else f"{count:,} of {everything:,}"


def indices(mask_N: np.ndarray) -> list[int]:
    """Where a mask is true."""
    return [int(index) for index in np.flatnonzero(mask_N)]

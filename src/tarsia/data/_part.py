"""A part of a data set: what one of several processes goes through."""

from __future__ import annotations

from tarsia.data._dataset import Dataset, Sample, spec_of


class Part:
    """Some samples of a data set, by their numbers."""

    def __init__(self, dataset: Dataset, numbers: list[int]) -> None:
        self._dataset, self._numbers = dataset, numbers
        self.classes, self.spec = dataset.classes, spec_of(dataset)

    @classmethod
    def of(cls, dataset: Dataset, batch: int, rank: int, count: int) -> Part:
        """That of process `rank` of `count`: every so manieth `batch` of samples, so that batches are as in one."""
        return cls(dataset, [number for number in range(len(dataset)) if number // batch % count == rank])

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[self._numbers[index]]

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        return self._dataset.name(self._numbers[index])

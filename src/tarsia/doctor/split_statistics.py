"""What is kept of a split once its samples have been looked at: some hundred bytes a picture, and sums.

Samples are read by several threads (decoders let go of Python's lock), a few ahead of their turn; they are taken in
their order, so that the same data gives the same sums.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from tarsia import console, hardware
from tarsia.data._dataset import Dataset
from tarsia.data._paired import PairedData
from tarsia.doctor.edges import Alignment
from tarsia.doctor.finding import Place
from tarsia.doctor.label_values import SMEARED
from tarsia.doctor.perceptual_hash import THUMB
from tarsia.doctor.sample import GRID, CheckedSample, examine

_AHEAD = 3  # samples read ahead of their turn, for each thread
_KINDS = 5000  # different strange values that are counted; more are damage, and which no longer matters
_MOST_THREADS = 16


class Strange(NamedTuple):
    """A label with values that mean nothing: the commonest of them, its pixels, and how many kinds there are.

    `exchanged`: all its colours are known with red and blue exchanged.
    """

    sample: int
    value: Any
    pixels: int
    kinds: int
    exchanged: bool = False

    @property
    def smeared(self) -> bool:
        """Whether there are too many to be drawn."""
        return self.kinds > SMEARED


class CheckedSplit:
    """A split that has been looked at.  Arrays have an entry a sample; `seen_N`: picture and label could be read."""

    def __init__(self, name: str, dataset: Dataset) -> None:
        count, classes = len(dataset), len(dataset.classes)
        self.name, self.dataset = name, dataset
        self.size_N2 = np.zeros((count, 2), np.int32)  # of the picture; 0 where it could not be read
        self.mean_N, self.deviation_N = np.zeros(count, np.float32), np.zeros(count, np.float32)
        self.grey_N, self.labelled_N = np.zeros(count, bool), np.zeros(count, bool)
        self.hash_N, self.mirrored_N = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
        self.thumb_NP = np.zeros((count, THUMB * THUMB), np.uint8)
        self.digest_N, self.label_digest_N = np.zeros(count, "V16"), np.zeros(count, "V16")
        self.ignored_N, self.dominant_N = np.zeros(count, np.float32), np.zeros(count, np.float32)  # shares
        self.smoothed_N = np.zeros(count, np.float32)
        self.alignment_N5 = np.full((count, 5), np.nan, np.float32)
        self.shown_NB = np.zeros((count, (classes + 7) // 8), np.uint8)  # a bit for each class
        self.pixels_K1 = np.zeros(classes + 1, np.int64)
        self.pictures_K = np.zeros(classes, np.int64)  # that show the class
        self.image_pixels_K = np.zeros(classes, np.int64)  # labelled pixels of those
        self.heat_KHW = np.zeros((classes, *GRID), np.int64)
        self.mean_HW3 = np.zeros((*GRID, 3), np.int64)
        self.modes: Counter[str] = Counter()
        self.values: Counter[Any] = Counter()  # numbers in label files, and colours of those that hold strange ones
        self.strange_values: Counter[Any] = Counter()
        self.smeared_values: Counter[Any] = Counter()  # strange ones of labels that hold too many to be drawn
        self.held_NB = np.zeros((count, 256 // 8), np.uint8)  # a bit for each number below 256 in the label file
        self.strange: list[Strange] = []
        self.faults: dict[str, list[tuple[int, str]]] = {}  # by kind: sample and detail
        self.sequences = list(dataset.sequences) if isinstance(dataset, PairedData) else [""] * count
        self.remarks: list[str] = []  # what reading said of pictures that it could read

    def __len__(self) -> int:
        return len(self.seen_N)

    @property
    def seen_N(self) -> np.ndarray:
        return (self.size_N2[:, 0] > 0) & self.labelled_N

    @property
    def pictures_N(self) -> np.ndarray:
        """Which pictures could be read, whatever became of their labels."""
        return self.size_N2[:, 0] > 0

    @property
    def shows_classes(self) -> bool:
        """Whether any of its pixels has a class."""
        return bool(self.pixels_K1[:-1].any())

    def alignment(self, index: int) -> Alignment | None:
        values = self.alignment_N5[index].tolist()
        return None if values[0] != values[0] else Alignment(*values)

    def showing(self, label: int) -> np.ndarray:
        """N booleans: which samples show a class."""
        return (self.shown_NB[:, label // 8] >> (7 - label % 8) & 1).astype(bool)

    def holding(self, value: int) -> np.ndarray:
        """N booleans: which label files hold a number below 256."""
        return (self.held_NB[:, value // 8] >> (7 - value % 8) & 1).astype(bool)

    def files(self, index: int) -> tuple[str, ...]:
        """Image and label of a sample; none where the data set has no files to name."""
        return tuple(self.dataset.pairs[index][1:]) if isinstance(self.dataset, PairedData) else ()

    def place(
        self, index: int, detail: str = "", which: slice = slice(None), other: tuple[str, str] | None = None
    ) -> Place:
        """A sample as the place of a finding, with the `which` of its files."""
        return Place(self.name, self.dataset.name(index), detail, self.files(index)[which], other)

    def add(self, index: int, sample: CheckedSample) -> None:
        """Keep what is to be kept of a sample."""
        for kind, detail in sample.faults:
            self.faults.setdefault(kind, []).append((index, detail))
        self.sequences[index] = self.sequences[index] or sample.sequence
        if sample.hashes is not None and sample.small_HW3 is not None:
            self.size_N2[index] = sample.size
            self.mean_N[index], self.deviation_N[index], self.grey_N[index] = sample.mean, sample.deviation, sample.grey
            self.hash_N[index], self.mirrored_N[index], self.thumb_NP[index] = sample.hashes
            self.digest_N[index] = np.void(sample.digest)
            self.mean_HW3 += sample.small_HW3
            self.modes[sample.mode] += 1
        if sample.counts_K1 is not None and sample.grid_HW is not None:
            self._take_label(index, sample, sample.counts_K1, sample.grid_HW)
        if sample.alignment is not None:
            self.alignment_N5[index] = sample.alignment

    def _take_label(self, index: int, sample: CheckedSample, counts_K1: np.ndarray, grid_HW: np.ndarray) -> None:
        labelled, everything = int(counts_K1[:-1].sum()), int(counts_K1.sum())
        self.labelled_N[index] = True
        self.label_digest_N[index] = np.void(sample.label_digest)
        self.ignored_N[index] = counts_K1[-1] / max(everything, 1)
        self.dominant_N[index] = counts_K1[:-1].max() / max(labelled, 1)
        self.smoothed_N[index] = sample.smoothed
        self.pixels_K1 += counts_K1
        shown_K = counts_K1[:-1] > 0
        self.shown_NB[index] = np.packbits(shown_K)
        self.pictures_K += shown_K
        self.image_pixels_K += shown_K * labelled
        known = grid_HW < len(self.pictures_K)
        rows, columns = np.nonzero(known)
        np.add.at(self.heat_KHW, (grid_HW[known], rows, columns), 1)
        held = np.zeros(256, bool)
        held[[value for value in sample.values if isinstance(value, int) and 0 <= value < 256]] = True
        self.held_NB[index] = np.packbits(held)
        if sample.strange:
            value, pixels = next(iter(sample.strange.items()))
            self.strange.append(Strange(index, value, pixels, sample.strange_kinds, sample.exchanged))
        if sample.strange_kinds > SMEARED:
            _add(self.smeared_values, sample.strange)
        else:
            _add(self.values, sample.values)
            _add(self.strange_values, sample.strange)

    def shares_K(self) -> np.ndarray:
        """Each class's share of the labelled pixels; 0 where there are none."""
        return self.pixels_K1[:-1] / max(int(self.pixels_K1[:-1].sum()), 1)

    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """The sizes (height, width) of the pictures and how many have each, commonest first."""
        found, counts = np.unique(self.size_N2[self.pictures_N], axis=0, return_counts=True)
        order = sorted(range(len(found)), key=lambda k: (-counts[k], found[k].tolist()))
        return [((int(found[k][0]), int(found[k][1])), int(counts[k])) for k in order]


def examine_split(name: str, dataset: Dataset, threads: int | None = None) -> CheckedSplit:
    """Look at every sample of a split, showing how far it is; nothing that a sample holds raises."""
    kept = CheckedSplit(name, dataset)
    threads = threads or min(hardware.cores(), _MOST_THREADS)
    for index, checked in enumerate(console.track(_in_order(dataset, threads), len(dataset), f"checking {name}")):
        kept.add(index, checked)
        kept.remarks += checked.remarks
    kept.remarks.sort()
    return kept


def _in_order(dataset: Dataset, threads: int) -> Iterator[CheckedSample]:
    waiting: deque[Future[CheckedSample]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for index in range(len(dataset)):
            waiting.append(pool.submit(examine, dataset, index))
            if len(waiting) >= threads * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # also where somebody asked to stop


def _add(counts: Counter[Any], more: dict[Any, int]) -> None:
    for key, pixels in more.items():
        if key in counts or len(counts) < _KINDS:
            counts[key] += pixels

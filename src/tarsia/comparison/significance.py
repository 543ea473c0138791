"""Significance: how far a score may be off, and whether two models differ, from confusion counts per picture.

Pictures of one video resemble their neighbours, so what is resampled are blocks of pictures, never single frames of a
sequence (Kuensch, "The jackknife and the bootstrap for general stationary observations", 1989).  Every figure here
depends on a block only through three numbers a class: pixels right, of the truth, and predicted; resampling thousands
of times is one product of matrices.  Its tests and quantiles are by hand: scipy would add 113 MB to the base install.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from tarsia.evaluation.confusion import mean, ratio

RESAMPLES = 2000
PERMUTATIONS = 10_000
LEVEL = 0.95
_WANTED_BLOCKS = 20  # of neighbouring frames, where there are fewer sequences than this
_SHORTEST_RUN = 5  # frames
_CHUNK = 1000  # swappings at a time


class Figure(NamedTuple):
    """A value and its confidence interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Blocks:
    """Which block each of N pictures belongs to (`ids_N`, 0 .. count-1), and in words what a block is."""

    ids_N: np.ndarray
    count: int
    description: str


def blocks_of(names: Sequence[str], sequences: Sequence[str]) -> Blocks:
    """Pictures and the video sequence each belongs to ("" for a picture by itself) -> the blocks to resample.

    With 20 sequences or more (single pictures count as one each) these are the blocks.  With fewer, each sequence is
    cut into runs of neighbouring frames, in the order of their names, so that there are about 20 in all, of at least 5
    frames.
    """
    if not any(sequences):
        return Blocks(np.arange(len(names)), len(names), f"pictures ({len(names)})")
    members: dict[str, list[int]] = {}
    for index in sorted(range(len(names)), key=lambda index: names[index]):
        members.setdefault(sequences[index] or f"\0{names[index]}", []).append(index)
    ids = np.zeros(len(names), np.int64)
    if len(members) >= _WANTED_BLOCKS:
        for block, indices in enumerate(members.values()):
            ids[indices] = block
        return Blocks(ids, len(members), f"sequences ({len(members)})")
    length = max(_SHORTEST_RUN, round(len(names) / _WANTED_BLOCKS))
    count = 0
    for indices in members.values():
        for part in np.array_split(np.array(indices), max(1, round(len(indices) / length))):
            ids[part] = count
            count += 1
    return Blocks(ids, count, f"runs of about {length} neighbouring frames ({count})")


def by_block(values_N: np.ndarray, blocks: Blocks) -> np.ndarray:
    """N x ... values of pictures -> B x ... their sums over each block."""
    sums_B = np.zeros((blocks.count, *values_N.shape[1:]))
    np.add.at(sums_B, blocks.ids_N, values_N)
    return sums_B


def picture_sums(counts_NKK1: np.ndarray) -> np.ndarray:
    """Confusion counts per picture -> N x 3 x K float64: pixels right, of the truth, and predicted."""
    right_NK = np.diagonal(counts_NKK1, axis1=1, axis2=2)
    truth_NK, predicted_NK = counts_NKK1.sum(2, dtype=np.int64), counts_NKK1[:, :, :-1].sum(1, dtype=np.int64)
    return np.stack([right_NK, truth_NK, predicted_NK], axis=1).astype(np.float64)


def iou(sums_X3K: np.ndarray) -> np.ndarray:
    """... x 3 x K sums -> ... x K IoU, NaN for a class with neither truth nor prediction."""
    right, truth, predicted = np.moveaxis(sums_X3K, -2, 0)
    return ratio(right, truth + predicted - right)


def miou(sums_X3K: np.ndarray) -> np.ndarray:
    """... x 3 x K sums -> ... mIoU, the mean over the classes that have an IoU; NaN where none has."""
    return mean(iou(sums_X3K))


def resampled(sums_B3K: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Bootstrap (Efron 1979): R x 3 x K sums over as many blocks as there are, drawn with replacement.

    The same number of blocks and seed draw the same blocks, so that two models' figures are paired.
    """
    count = len(sums_B3K)
    weights_RB = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return (weights_RB.astype(np.float64) @ sums_B3K.reshape(count, -1)).reshape(resamples, *sums_B3K.shape[1:])


def interval(values_R: np.ndarray, block_count: int, level: float = LEVEL) -> tuple[float, float]:
    """Bootstrap values of a figure -> its confidence interval; (NaN, NaN) with fewer than two blocks.

    The percentile interval is too short for few blocks; its percentiles are moved out as far as Student's t lies
    beyond the normal distribution (Hesterberg, "What teachers should know about the bootstrap", 2015, section 5).
    """
    values = values_R[~np.isnan(values_R)]
    if block_count < 2 or not len(values):
        return math.nan, math.nan
    far = math.sqrt(block_count / (block_count - 1)) * _student_t(1 - (1 - level) / 2, block_count - 1)
    tail = NormalDist().cdf(-far)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def over_trainings(values: Sequence[float], level: float = LEVEL) -> Figure:
    """Values of several trainings -> their mean, with Student's t interval of it; of one there is none."""
    count, mean = len(values), float(np.mean(values)) if len(values) else math.nan
    if count < 2:
        return Figure(mean, math.nan, math.nan)
    half = _student_t(1 - (1 - level) / 2, count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Figure(mean, mean - half, mean + half)


def _student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution of a probability above 0.5, by halving."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < 2 * probability - 1:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 2 * probability - 1 else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability of -t .. t: the finite sums of Abramowitz & Stegun (1964), 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(2 if odd else 1, freedom - 1, 2):
        term *= cosine**2 * k / (k + 1)
        total += term
    if odd:
        return 2 / math.pi * (angle + (math.sin(angle) * total if freedom > 1 else 0.0))
    return math.sin(angle) * total


def permutation_ps(
    sums_BM3K: np.ndarray, pairs: Sequence[tuple[int, int]], permutations: int = PERMUTATIONS, seed: int = 0
) -> list[float]:
    """M models' sums on the same blocks -> of each pair the two-sided p that their mIoU differs by chance alone.

    Under the null hypothesis it does not matter which model gave a block's answers: each block is swapped or not at
    random (Fisher's paired permutation test), and p is the share of swappings with a difference as large, the observed
    one counted in (Phipson & Smyth 2010).  At least 2 / 2^B, so that few blocks can never show much.  The same
    swappings serve all pairs; where there are no more than `permutations` of them, each is tried once and p is exact.
    """
    count, models = sums_BM3K.shape[:2]
    half_MBX = np.moveaxis(sums_BM3K, 1, 0).reshape(models, count, -1) / 2
    totals_M3K = sums_BM3K.sum(0)
    observed = [abs(float(np.subtract(*miou(totals_M3K[[a, b]])))) for a, b in pairs]
    as_large, tried = np.zeros(len(pairs), np.int64), 0
    for signs_CB in _swappings(count, permutations, seed):
        tried += len(signs_CB)
        moved_MC3K = (signs_CB @ half_MBX).reshape(models, -1, *totals_M3K.shape[1:])
        for k, (a, b) in enumerate(pairs):
            middle, moved = (totals_M3K[a] + totals_M3K[b]) / 2, moved_MC3K[a] - moved_MC3K[b]
            differences = np.abs(miou(middle + moved) - miou(middle - moved))
            # Equal up to rounding counts as equal: the observed swapping itself must.
            as_large[k] += (differences >= observed[k] - 1e-12).sum()
    more = 0 if _exact(count, permutations) else 1  # the observed one, which is among all of them already
    return [float(found + more) / (tried + more) for found in as_large]


def _exact(count: int, permutations: int) -> bool:
    """Whether all swappings can be tried; every second one has the signs of another turned, and says the same."""
    return count <= 40 and 2 ** (count - 1) <= permutations


def _swappings(count: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """C x B signs at a time: which blocks keep their model, and which are swapped."""
    exact, random = _exact(count, permutations), np.random.default_rng(seed)
    total = 2 ** (count - 1) if exact else permutations
    for start in range(0, total, _CHUNK):
        stop = min(start + _CHUNK, total)
        drawn = (np.arange(start, stop)[:, None] >> np.arange(count)) & 1
        if not exact:
            drawn = random.integers(0, 2, (stop - start, count))
        yield drawn * 2.0 - 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of several tests -> the same, corrected for their number (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def letters(different_MM: np.ndarray) -> list[str]:
    """M x M booleans, who differs from whom -> letters a model: two share one exactly if they cannot be told apart.

    Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", 2004: insert and absorb.
    Models come in the order of their rank, so that the best has an a.
    """
    count = len(different_MM)
    columns: list[set[int]] = [set(range(count))]
    for i in range(count):
        for j in range(i + 1, count):
            if not different_MM[i, j]:
                continue
            split: list[set[int]] = []
            for column in columns:
                split += [column - {i}, column - {j}] if {i, j} <= column else [column]
            columns = [
                part for k, part in enumerate(split) if part not in split[:k] and not any(part < one for one in split)
            ]
    columns.sort(key=lambda column: sorted(column))
    return ["".join(_letter(k) for k, column in enumerate(columns) if model in column) for model in range(count)]


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"

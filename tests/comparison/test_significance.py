"""Intervals and paired tests, held against simulation and against slow versions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tarsia.comparison import significance
from tarsia.comparison.significance import (
    blocks_of,
    holm,
    interval,
    letters,
    miou,
    over_trainings,
    permutation_ps,
    picture_sums,
    resampled,
)
from tarsia.evaluation.confusion import metrics


def counts(random: np.random.Generator, pictures: int, classes: int = 4, skill: float = 0.8) -> np.ndarray:
    """N x K x (K + 1) counts of pictures of differing difficulty."""
    found = np.zeros((pictures, classes, classes + 1), np.int64)
    for index in range(pictures):
        right = np.clip(random.normal(skill, 0.12), 0.02, 0.98)
        for k in range(classes):
            pixels = int(random.integers(50, 400)) * (k + 1)
            others = np.full(classes + 1, (1 - right) / classes)
            others[k] = right
            found[index, k] = random.multinomial(pixels, others)
    return found


def block_sums(counts_NKK1: np.ndarray, blocks: significance.Blocks) -> np.ndarray:
    """B x 3 x K, of the counts of pictures."""
    sums = np.zeros((blocks.count, 3, counts_NKK1.shape[1]))
    np.add.at(sums, blocks.ids_N, picture_sums(counts_NKK1))
    return sums


def p_of(first_B3K: np.ndarray, second_B3K: np.ndarray, permutations: int = 10_000, seed: int = 0) -> float:
    return permutation_ps(np.stack([first_B3K, second_B3K], 1), [(0, 1)], permutations, seed)[0]


def blocks(count: int) -> significance.Blocks:
    return blocks_of([f"{index:04d}" for index in range(count)], [""] * count)


def test_sums_give_the_figures_of_scores():
    found = counts(np.random.default_rng(0), 12)
    total = block_sums(found, blocks(12)).sum(0)
    figures = metrics(found.sum(0))
    assert float(miou(total)) == pytest.approx(figures.miou, abs=1e-12)
    assert significance.iou(total) == pytest.approx(figures.iou_K, abs=1e-12)


def test_a_class_without_truth_and_prediction_is_left_out_and_one_only_predicted_counts_zero():
    found = np.zeros((1, 3, 4), np.int64)
    found[0, 0, :2] = 6, 2  # class 1 is predicted and never true, class 2 neither
    total = block_sums(found, blocks(1)).sum(0)
    assert significance.iou(total)[:2] == pytest.approx([6 / 8, 0])
    assert np.isnan(significance.iou(total)[2])
    assert float(miou(total)) == pytest.approx(metrics(found[0]).miou)
    assert np.isnan(miou(np.zeros((3, 3))))


def test_resampling_is_drawing_blocks_with_replacement():
    sums = block_sums(counts(np.random.default_rng(1), 6), blocks(6))
    random = np.random.default_rng(3)
    weights = random.multinomial(6, np.full(6, 1 / 6), 4)
    slow = [sum((sums[block] * row[block] for block in range(6)), np.zeros_like(sums[0])) for row in weights]
    assert resampled(sums, 4, seed=3) == pytest.approx(np.array(slow))


@pytest.mark.parametrize("pictures", [15, 40])
def test_the_interval_covers_the_truth_as_often_as_it_says(pictures):
    population = counts(np.random.default_rng(7), 4000)
    sums = block_sums(population, blocks(4000))
    truth = float(miou(sums.sum(0)))
    random = np.random.default_rng(8)
    covered = 0
    for draw in range(500):
        sample = sums[random.integers(0, len(sums), pictures)]
        low, high = interval(miou(resampled(sample, 400, seed=draw)), pictures)
        covered += low <= truth <= high
    assert 0.92 <= covered / 500 <= 0.98, covered


def test_blocks_keep_correlated_frames_together():
    """Frames of a sequence share their difficulty: resampling single frames would claim too much."""
    random = np.random.default_rng(9)
    found = np.concatenate([np.repeat(counts(random, 1), 5, axis=0) for _ in range(30)])
    names = [f"{index // 5:02d}_{index % 5}" for index in range(150)]
    together = blocks_of(names, [name[:2] for name in names])
    assert together.count == 30 and together.description == "sequences (30)"
    alone = interval(miou(resampled(block_sums(found, blocks(150)))), 150)
    paired = interval(miou(resampled(block_sums(found, together))), 30)
    assert 1.8 < (paired[1] - paired[0]) / (alone[1] - alone[0]) < 3.0  # sqrt(5) = 2.2


def test_few_sequences_are_cut_into_runs_of_neighbours():
    names = [f"{index:03d}" for index in range(101)]
    shuffled = [names[index] for index in np.random.default_rng(0).permutation(101)]
    found = blocks_of(shuffled, ["0016E5"] * 101)
    assert found.count == 20 and found.description == "runs of about 5 neighbouring frames (20)"
    by_name = [found.ids_N[shuffled.index(name)] for name in names]
    assert by_name == sorted(by_name)  # neighbours, whatever order they came in
    assert np.bincount(found.ids_N).min() >= 5


def test_runs_never_cross_sequences_and_single_pictures_stay_single():
    names = [f"{index:03d}" for index in range(12)]
    found = blocks_of(names, ["a"] * 5 + ["b"] * 5 + ["", ""])
    assert found.ids_N.tolist() == [0] * 5 + [1] * 5 + [2, 3]
    assert blocks_of(["x"], ["s"]).count == 1


def test_one_block_has_no_interval():
    sums = block_sums(counts(np.random.default_rng(0), 1), blocks(1))
    assert np.isnan(interval(miou(resampled(sums)), 1)).all()


@pytest.mark.parametrize(("freedom", "exact"), [
    (1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (4, 2.7764451), (5, 2.5705818), (19, 2.0930241), (100, 1.9839715)
])  # fmt: skip
def test_student_t(freedom, exact):
    assert significance._student_t(0.975, freedom) == pytest.approx(exact, rel=1e-7)
    assert significance._student_t(0.75, 1) == pytest.approx(1.0) and significance._student_t(0.5, freedom) < 1e-9


def test_the_interval_of_trainings_covers_their_mean_as_often_as_it_says():
    random = np.random.default_rng(1)
    found = [over_trainings(list(random.normal(0.3, 0.02, 3))) for _ in range(2000)]
    assert 0.94 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.96
    one = over_trainings([0.1, 0.2, 0.6], level=0.9)
    half = 2.9199856 * np.std([0.1, 0.2, 0.6], ddof=1) / np.sqrt(3)
    assert one == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    assert over_trainings([0.4])[0] == 0.4 and np.isnan(over_trainings([0.4])[1:]).all()
    assert np.isnan(over_trainings([])).all()


def test_p_is_the_share_of_all_swappings_where_they_can_be_counted():
    random = np.random.default_rng(5)
    first = block_sums(counts(random, 7, skill=0.8), blocks(7))
    second = block_sums(counts(random, 7, skill=0.75), blocks(7))
    observed = abs(miou(first.sum(0)) - miou(second.sum(0)))
    as_large = 0
    for swaps in itertools.product([False, True], repeat=7):
        swap = np.array(swaps)[:, None, None]
        a, b = np.where(swap, second, first).sum(0), np.where(swap, first, second).sum(0)
        as_large += abs(miou(a) - miou(b)) >= observed - 1e-12
    assert p_of(first, second) == as_large / 2**7
    assert p_of(first, second, 100) == pytest.approx(as_large / 2**7, abs=0.15)


def test_false_positives_are_as_rare_as_the_level_says():
    """Pairs of models whose answers are swapped at random, block by block, do not differ."""
    random = np.random.default_rng(11)
    positive = 0
    for trial in range(600):
        a, b = (block_sums(counts(random, 20, classes=3, skill=skill), blocks(20)) for skill in (0.8, 0.7))
        swap = random.integers(0, 2, 20).astype(bool)[:, None, None]
        positive += p_of(np.where(swap, b, a), np.where(swap, a, b), 400, seed=trial) <= 0.05
    assert 0.03 <= positive / 600 <= 0.07, positive


def test_a_real_difference_is_found_and_a_model_equals_itself():
    random = np.random.default_rng(12)
    good, bad = (block_sums(counts(random, 30, skill=skill), blocks(30)) for skill in (0.85, 0.6))
    assert p_of(good, bad) < 0.001
    assert p_of(good, good) == 1.0


def test_holm():
    # 0.01 * 4, 0.02 * 3, max(0.06, 0.03 * 2), max(0.06, 0.9)
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([]) == [] and holm([0.6, 0.7]) == [1.0, 1.0]


def test_letters_are_shared_exactly_by_those_that_cannot_be_told_apart():
    random = np.random.default_rng(13)
    for size in (1, 2, 3, 5, 7):
        for _ in range(20):
            upper = np.triu(random.random((size, size)) < 0.5, 1)
            different = upper | upper.T
            found = letters(different)
            assert found[0][0] == "a" and all(found)
            for i, j in itertools.combinations(range(size), 2):
                assert bool(set(found[i]) & set(found[j])) != different[i, j]


def test_the_usual_chain_of_letters():
    different = np.zeros((4, 4), bool)
    for i, j in [(0, 2), (0, 3), (1, 3)]:
        different[i, j] = different[j, i] = True
    assert letters(different) == ["a", "ab", "bc", "c"]

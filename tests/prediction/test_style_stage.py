"""Fusing probabilities: no other distribution has a lower summed KL."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tarsia.prediction.style import fuse


def maps(count: int, classes: int, size: tuple[int, int] = (3, 4), seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    raised = [np.exp(3 * random.normal(size=(2, classes, *size))) for _ in range(count)]
    return [(one / one.sum(1, keepdims=True)).astype(np.float32) for one in raised]


def summed_kl(q: np.ndarray, ps: list[np.ndarray]) -> float:
    return sum(float(q_k * np.log(q_k / p[k])) for p in ps for k, q_k in enumerate(q) if q_k > 0)


@pytest.mark.parametrize("count", [2, 3])
def test_no_distribution_on_a_grid_has_a_lower_summed_kl(count: int) -> None:
    given = maps(count, 3)
    fused = fuse(*given)
    steps = 40
    grid = [
        np.array([a, b, steps - a - b]) / steps
        for a, b in itertools.product(range(steps + 1), repeat=2)
        if a + b <= steps
    ]
    for b, y, x in itertools.product(range(2), range(3), range(4)):
        ps = [one[b, :, y, x].astype(float) for one in given]
        reached = summed_kl(fused[b, :, y, x].astype(float), ps)
        assert all(reached <= summed_kl(q, ps) + 1e-5 for q in grid)


def test_is_a_distribution_of_the_same_kind() -> None:
    given = maps(2, 5)
    before = [one.copy() for one in given]
    fused = fuse(*given)
    assert fused.dtype == np.float32 and fused.shape == given[0].shape
    assert np.allclose(fused.sum(1), 1, atol=1e-5)
    assert all((one == other).all() for one, other in zip(given, before, strict=True))


def test_agreeing_maps_stay() -> None:
    (given,) = maps(1, 4)
    assert np.allclose(fuse(given, given), given, atol=1e-6)
    assert np.allclose(fuse(given), given, atol=1e-6)


def test_zero_means_no_where_any_map_says_so() -> None:
    one, other = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in ([0.5, 0.5, 0], [0.5, 0, 0.5]))
    assert np.allclose(fuse(one, other).ravel(), [1, 0, 0])


def test_maps_that_exclude_each_other_are_averaged() -> None:
    one, other = (np.array(values, np.float32).reshape(1, 2, 1, 1) for values in ([1, 0], [0, 1]))
    assert np.allclose(fuse(one, other).ravel(), [0.5, 0.5])


def test_very_small_probabilities_do_not_vanish() -> None:
    one, other = (np.array(values, np.float32).reshape(1, 2, 1, 1) for values in ([1, 1e-38], [1e-38, 1]))
    assert np.allclose(fuse(one, other).ravel(), [0.5, 0.5])

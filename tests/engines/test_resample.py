"""Scores at another size, against torch and against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tarsia.engines import resample

SIZES = [
    ((7, 9), (20, 31)),
    ((20, 31), (7, 9)),
    ((1, 1), (5, 6)),
    ((5, 5), (5, 6)),
    ((64, 64), (1, 1)),
    ((13, 3), (1600, 17)),  # more than one strip of rows
    ((224, 224), (360, 480)),
    ((9, 200), (9, 200)),
]


def scores(size: tuple[int, int], batch: int = 2, classes: int = 5) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, classes, *size)).astype(np.float32)


def resized(scores_KHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.concatenate([strip_KhW for _, strip_KhW in resample._strips(scores_KHW, size)], axis=1)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_equal_to_torch_s_interpolation(old, new):
    given = scores(old)
    expected = functional.interpolate(torch.from_numpy(given), size=new, mode="bilinear", align_corners=False)
    found = np.stack([resized(one, new) for one in given])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=3e-6)
    label = resample.labels(given, new)
    assert label.dtype == np.uint8 and label.shape == (2, *new)
    np.testing.assert_array_equal(label, expected.max(1).indices.numpy())
    np.testing.assert_allclose(resample.probabilities(given, new), expected.softmax(1).numpy(), atol=1e-6)


def test_half_way_between_two_by_hand():
    given = np.array([[[0.0, 4.0]]], np.float32)
    np.testing.assert_allclose(resized(given, (1, 4)), [[[0.0, 1.0, 3.0, 4.0]]])
    np.testing.assert_allclose(resized(given.swapaxes(1, 2), (4, 1))[0, :, 0], [0.0, 1.0, 3.0, 4.0])


def test_what_is_given_stays_as_it_is():
    for size in ((6, 7), (9, 4)):
        given = scores((6, 7))
        before = given.copy()
        resample.labels(given, size), resample.probabilities(given, size)
        np.testing.assert_array_equal(given, before)


def test_parts_of_larger_scores():
    """The predictor cuts the padding off: what it hands over is no array of its own."""
    given = scores((8, 8))[:, :, :5, :6]
    np.testing.assert_array_equal(resample.labels(given, (5, 6)), given.argmax(1))


def test_the_first_of_equals_and_the_last_of_255_classes():
    assert resample.labels(np.zeros((1, 4, 2, 3), np.float32), (2, 3)).max() == 0
    many = np.zeros((1, 255, 2, 3), np.float32)
    many[0, 254, 1, 2] = many[0, 100, 0, 0] = 1
    np.testing.assert_array_equal(resample.labels(many, (2, 3))[0], [[100, 0, 0], [0, 0, 254]])


def test_probabilities_of_large_scores_do_not_overflow():
    given = np.array([500.0, -500.0, 499.0], np.float32).reshape(1, 3, 1, 1)
    found = resample.probabilities(given, (2, 2))
    np.testing.assert_allclose(found[0, :, 1, 1], [1 / (1 + np.exp(-1)), 0, 1 / (1 + np.exp(1))], rtol=1e-5)

"""Pixels of each class are counted as one would count them by hand, and so are the weights that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from tarsia.card import IGNORED, Classes
from tarsia.data._class_pixels import class_pixel_counts, class_weights
from tarsia.data._dataset import Sample


@dataclass
class Labels:
    labels: list[np.ndarray]
    classes = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.zeros((*self.labels[index].shape, 3), np.uint8), self.labels[index], f"picture{index}")


def test_class_pixel_counts_against_the_slow_way() -> None:
    random = np.random.default_rng(0)
    labels = [random.integers(0, 3, random.integers(5, 20, 2)).astype(np.uint8) for _ in range(5)]
    labels[1][:] = 2
    labels[2][::2] = IGNORED
    counts, pixels = class_pixel_counts(Labels(labels))  # type: ignore[arg-type]
    expected_counts, expected_pixels = [0, 0, 0], [0, 0, 0]
    for label in labels:
        flat = label.ravel().tolist()
        labelled = sum(value != IGNORED for value in flat)
        for k in range(3):
            expected_counts[k] += flat.count(k)
            expected_pixels[k] += labelled if k in flat else 0
    assert counts.tolist() == expected_counts and pixels.tolist() == expected_pixels
    assert counts.dtype == pixels.dtype == np.int64


def test_median_frequency_by_hand():
    # Class 0: 80 of 100 pixels of its pictures; 1: 10 of 40; 2: 2 of 20; 3 is in no picture.
    pixels, shown_in = np.array([80, 10, 2, 0]), np.array([100, 40, 20, 0])
    assert class_weights("median_frequency", pixels, shown_in) == pytest.approx([0.25 / 0.8, 1.0, 2.5, 1.0], rel=1e-5)
    root = class_weights("root_median_frequency", pixels, shown_in)
    assert root == pytest.approx([math.sqrt(0.25 / 0.8), 1.0, math.sqrt(2.5), 1.0], rel=1e-5)


def test_weights_of_rare_and_frequent_classes_stay_positive_and_exact():
    pixels, shown_in = np.array([10**9, 1, 1]), np.array([10**9, 10**9, 10**9])
    found = class_weights("median_frequency", pixels, shown_in)
    assert found == pytest.approx([1e-9, 1.0, 1.0])


def test_a_data_set_without_any_label_has_equal_weights():
    assert class_weights("median_frequency", np.zeros(3, int), np.zeros(3, int)) == [1.0, 1.0, 1.0]

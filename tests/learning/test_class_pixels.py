"""Pixels of each class are counted as one would count them by hand."""

from __future__ import annotations

import numpy as np
from test_loader import Pictures

from tarsia.card import IGNORED
from tarsia.learning.class_pixels import class_pixel_counts


def test_class_pixel_counts_against_the_slow_way() -> None:
    data = Pictures(5)
    data.labels[1][:] = 2
    data.labels[2][::2] = IGNORED
    counts, pixels = class_pixel_counts(data, progress=False)  # type: ignore[arg-type]
    expected_counts, expected_pixels = [0, 0, 0], [0, 0, 0]
    for label in data.labels:
        flat = label.ravel().tolist()
        labelled = sum(value != IGNORED for value in flat)
        for k in range(3):
            expected_counts[k] += flat.count(k)
            expected_pixels[k] += labelled if k in flat else 0
    assert counts.tolist() == expected_counts and pixels.tolist() == expected_pixels
    assert counts.dtype == pixels.dtype == np.int64

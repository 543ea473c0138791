from __future__ import annotations

import numpy as np
import pytest

from made_maps import pair_of_maps
from tarsia.card import IGNORED
from tarsia.errors import ModelFileError
from tarsia.evaluation.reliability import count, curve, ece


def test_calibration_equals_the_loop():
    draw = np.random.default_rng(0)
    truth, predicted = pair_of_maps(draw, 3, (30, 40))
    confidence = draw.random(truth.shape, dtype=np.float32)
    confidence[0, :3] = 1.0, 1 / 3, 1e-9
    expected = np.zeros((15, 3))
    for at in np.ndindex(truth.shape):
        if truth[at] != IGNORED:
            b = next(b for b in range(15) if confidence[at] <= (b + 1) / 15)
            expected[b] += 1, confidence[at], truth[at] == predicted[at]
    np.testing.assert_allclose(count(truth, predicted, confidence), expected, rtol=1e-6)


def test_probabilities_that_tell_the_truth_have_no_calibration_error():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, (400, 500)).astype(np.float32)
    truth = (draw.random(confidence.shape) > confidence).astype(np.uint8)
    counts = count(truth, np.zeros_like(truth), confidence)
    assert ece(counts) < 0.005
    sure = count(truth, np.zeros_like(truth), np.ones_like(confidence))
    assert ece(sure) == pytest.approx(0.25, abs=0.005) and sure[14, 0] == truth.size


def test_confidences_over_one_by_a_rounding_are_one_and_others_refused():
    truth = np.zeros((1, 2), np.uint8)
    assert count(truth, truth, np.array([[1.0000001, 1]], np.float32))[14, 0] == 2
    assert count(truth, truth, np.zeros((1, 2), np.float32))[0, 0] == 2
    for strange in (np.nan, np.inf, -0.1, 1.2):
        with pytest.raises(ModelFileError, match="scores are not finite"):
            count(truth, truth, np.array([[strange, 0.5]], np.float32))


def test_error_and_curve():
    bins = np.array([[100, 60.0, 70], [0, 0, 0], [300, 285.0, 240]])
    assert ece(bins) == pytest.approx((100 * abs(0.6 - 0.7) + 300 * abs(0.95 - 0.8)) / 400)
    found = curve(bins)
    assert found[[0, 2]] == pytest.approx(np.array([[0.25, 0.6, 0.7], [0.75, 0.95, 0.8]]))
    assert found[1, 0] == 0 and np.isnan(found[1, 1:]).all()
    assert np.isnan(ece(np.zeros((3, 3))))

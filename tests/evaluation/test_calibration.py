from __future__ import annotations

import numpy as np
import pytest

from tarsia.card import IGNORED
from tarsia.errors import DatasetError
from tarsia.evaluation import calibration, reliability
from tarsia.evaluation.calibration import TemperatureFit, fit


def softmax(scores, axis=1):
    raised = np.exp(scores - scores.max(axis, keepdims=True))
    return raised / raised.sum(axis, keepdims=True)


def honest_scores(pixels=40_000, class_count=4, seed=0):
    """Scores whose probabilities are those the classes were drawn with."""
    draw = np.random.default_rng(seed)
    scores_PK = draw.normal(0, 2, (pixels, class_count)).astype(np.float32)
    truth_P = (softmax(scores_PK).cumsum(1) < draw.random((pixels, 1))).sum(1).clip(0, class_count - 1)
    return scores_PK, truth_P


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("class_count", [2, 11])
def test_the_factor_that_scores_were_scaled_by_is_found(factor, class_count):
    scores_PK, truth_P = honest_scores(class_count=class_count)
    assert fit(factor * scores_PK, truth_P) == pytest.approx(factor, rel=0.03)


def test_the_temperature_is_where_the_likelihood_is_largest():
    scores_PK, truth_P = honest_scores(pixels=300)
    scores_PK *= 2.5

    def loss(temperature):
        return -np.log(softmax(scores_PK.astype(float) / temperature)[np.arange(300), truth_P]).mean()

    grid = np.geomspace(0.5, 10, 4001)
    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    assert fit(scores_PK, truth_P) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("what", ["all right", "all wrong"])
def test_scores_that_no_temperature_fits_are_refused(what):
    scores_PK, _ = honest_scores(500)
    truth_P = scores_PK.argmax(1) if what == "all right" else scores_PK.argmin(1)
    with pytest.raises(DatasetError, match=r"no temperature between 0\.02 and 50"):
        fit(scores_PK, truth_P)


class SoftEngine:
    """Scores are logits already at the picture's size."""

    def probabilities(self, scores_BKHW, size):
        assert scores_BKHW.shape[2:] == tuple(size)
        return softmax(scores_BKHW).astype(np.float32)


def batch_of(seed=0, pictures=2, size=(30, 40), class_count=3, factor=3.0):
    scores_PK, truth_P = honest_scores(pictures * size[0] * size[1], class_count, seed)
    scores_BKHW = (factor * scores_PK).reshape(pictures, *size, class_count).transpose(0, 3, 1, 2)
    truth_BHW = truth_P.reshape(pictures, *size).astype(np.uint8)
    truth_BHW[:, :5] = IGNORED
    return np.ascontiguousarray(scores_BKHW), truth_BHW


def test_pictures_in_give_a_temperature_and_what_comes_of_it():
    fitted = TemperatureFit(SoftEngine(), 4)
    batches = [batch_of(0), batch_of(1)]
    for scores, truths in batches:
        fitted.add(scores, list(truths))
    found = fitted.result("streets", "val", "abc")
    assert (found.dataset, found.split, found.data_hash, found.pixels) == ("streets", "val", "abc", 4 * 25 * 40)
    assert found.temperature == pytest.approx(3, rel=0.05) and len(str(found.temperature)) <= 5
    scores = np.concatenate([scores[:, :, 5:] for scores, _ in batches])
    truths = np.concatenate([truths[:, 5:] for _, truths in batches])
    for temperature, nll, ece in (
        (1.0, found.nll_before, found.ece_before),
        (found.temperature, found.nll_after, found.ece_after),
    ):
        probabilities = softmax(scores / temperature)
        true = np.take_along_axis(probabilities, truths[:, None].astype(int), 1)
        assert nll == pytest.approx(-np.log(true).mean(), rel=1e-4)
        counts = reliability.count_pixels(probabilities.max(1).ravel(), (probabilities.argmax(1) == truths).ravel())
        assert ece == pytest.approx(float(reliability.ece(counts)), abs=1e-4)
    assert found.ece_after < 0.03 < 0.1 < found.ece_before and found.nll_after < found.nll_before


def test_the_same_pixels_are_looked_at_every_time_and_as_many_of_each_picture(monkeypatch):
    monkeypatch.setattr(calibration, "PIXELS", 240)
    found = []
    for _ in range(2):
        fitted = TemperatureFit(SoftEngine(), 2)
        scores, truths = batch_of()
        fitted.add(scores[:1], [truths[0]])
        fitted.add(scores[1:], [truths[1]])
        assert [len(truth) for truth in fitted._truths] == [120, 120]
        found.append(fitted.result("", "", ""))
    assert found[0] == found[1] and found[0].pixels == 240


def test_splits_that_cannot_calibrate():
    fitted = TemperatureFit(SoftEngine(), 1)
    scores, truths = batch_of(pictures=1)
    fitted.add(scores, [np.full_like(truths[0], IGNORED)])
    with pytest.raises(DatasetError, match="no labelled pixels"):
        fitted.result("", "", "")
    fitted = TemperatureFit(SoftEngine(), 1)
    fitted.add(scores[:, :1], [np.zeros_like(truths[0])])
    with pytest.raises(DatasetError, match="one class"):
        fitted.result("", "", "")


def test_probabilities_of_nought_have_a_likelihood():
    fitted = TemperatureFit(SoftEngine(), 1)
    scores, truths = batch_of(pictures=1, factor=300.0)
    fitted.add(scores, [truths[0]])
    found = fitted.result("", "", "")
    assert 20 < found.temperature <= 50 and np.isfinite([found.nll_before, found.nll_after]).all()

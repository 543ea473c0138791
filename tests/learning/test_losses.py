"""Cross-entropy pixel by pixel, and class weights by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from inlay.learning.losses import CrossEntropy, class_weights

WEIGHTS = [1.0, 0.25, 3.0, 0.5]


def sample(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, 4, 3, 5, generator=generator) * 3
    label = torch.randint(0, 4, (2, 3, 5), generator=generator, dtype=torch.uint8)
    label[0, 0] = 255
    label[1, 2, 1:4] = 255
    return scores, label


def slow(scores, label, weights, smoothing) -> float:
    """The formula of the docstring, a pixel at a time."""
    total = divisor = 0.0
    batch, count, height, width = scores.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                truth = int(label[b, y, x])
                if truth == 255:
                    continue
                values = [float(scores[b, k, y, x]) for k in range(count)]
                log_sum = math.log(sum(math.exp(value) for value in values))
                for k in range(count):
                    target = (1 - smoothing) * (k == truth) + smoothing / count
                    total += weights[k] * target * (log_sum - values[k])
                divisor += weights[truth]
    return total / divisor


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_against_the_formula(weights, smoothing):
    scores, label = sample()
    found = CrossEntropy(None if weights is None else torch.tensor(weights), smoothing)(scores, label)
    assert float(found) == pytest.approx(slow(scores, label, weights or [1.0] * 4, smoothing), rel=1e-5)


def test_a_class_that_is_absent_changes_nothing_else():
    scores, label = sample()
    label[label == 2] = 0
    found = CrossEntropy(torch.tensor(WEIGHTS))(scores, label)
    assert float(found) == pytest.approx(slow(scores, label, WEIGHTS, 0.0), rel=1e-5)


def test_ignored_pixels_get_no_gradient():
    scores, label = sample()
    scores.requires_grad_()
    CrossEntropy(label_smoothing=0.1)(scores, label).backward()
    ignored = (label == 255)[:, None].expand_as(scores)
    assert not scores.grad[ignored].any() and scores.grad[~ignored].all()


@pytest.mark.parametrize("weights", [None, torch.tensor(WEIGHTS)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nothing_labelled_costs_nothing(weights, smoothing):
    scores = sample()[0].requires_grad_()
    loss = CrossEntropy(weights, smoothing)(scores, torch.full((2, 3, 5), 255, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_a_batch_of_a_class_with_weight_zero_costs_nothing():
    scores = sample()[0].requires_grad_()
    loss = CrossEntropy(torch.tensor([0.0, 1, 1, 1]))(scores, torch.zeros(2, 3, 5, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0.0 and not scores.grad.any()


def test_bfloat16_scores_are_summed_in_float32():
    scores, label = sample()
    rough = scores.bfloat16()
    found = CrossEntropy()(rough, label)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(slow(rough.float(), label, [1.0] * 4, 0.0), rel=1e-5)


def test_one_class_costs_nothing():
    assert float(CrossEntropy()(torch.randn(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8))) == 0.0


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

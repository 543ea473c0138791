from __future__ import annotations

import math

import numpy as np
import pytest

from made_maps import SIZES, around, pair_of_maps, random_map
from tarsia.card import IGNORED
from tarsia.evaluation import borders
from tarsia.evaluation.borders import count


def boundary_slowly(truth, predicted, class_count):
    """The definitions, pixel by pixel and neighbour by neighbour, with distances by brute force."""
    size = truth.shape
    diagonal = math.sqrt(size[0] ** 2 + size[1] ** 2)
    band, tolerance = max(1, round(0.02 * diagonal)), max(1, round(0.0075 * diagonal))

    def has_other(label, y, x, reach):
        near = (at for at in around(y, x, size, reach) if truth[at] != IGNORED)
        return any(label[at] != label[y, x] for at in near)

    labelled = [(y, x) for y in range(size[0]) for x in range(size[1]) if truth[y, x] != IGNORED]
    bands, lines = [], []
    for label in (truth, predicted):
        bands.append({at: label[at] for at in labelled if label[at] != IGNORED and has_other(label, *at, band)})
        lines.append({at: label[at] for at in labelled if label[at] != IGNORED and has_other(label, *at, 1)})

    def matched(one, other, k):
        return sum(
            any(other.get(near) == k for near in around(*at, size, tolerance)) for at, own in one.items() if own == k
        )

    iou, f1 = np.zeros((2, class_count), int), np.zeros((4, class_count), int)
    for k in range(class_count):
        a, b = ({at for at, own in pixels.items() if own == k} for pixels in bands)
        iou[:, k] = len(a & b), len(a | b)
        true, found = lines
        counts = [sum(own == k for own in border.values()) for border in (found, true)]
        f1[:, k] = matched(found, true, k), counts[0], matched(true, found, k), counts[1]
    return iou, f1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("class_count", [1, 2, 5, 254, 255])
def test_boundaries_equal_the_loops(class_count, size):
    for seed in range(3):
        truth, predicted = pair_of_maps(np.random.default_rng(seed), class_count, size)
        found = count(truth, predicted, class_count)
        expected = boundary_slowly(truth, predicted, class_count)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == np.int64 and np.array_equal(one, other)


def test_boundaries_with_wide_bands_equal_the_loops():
    """Pictures long enough for a band of 4 and a tolerance of 2 pixels."""
    truth, predicted = pair_of_maps(np.random.default_rng(1), 4, (9, 220), coarse=7)
    for one, other in zip(count(truth, predicted, 4), boundary_slowly(truth, predicted, 4), strict=True):
        assert np.array_equal(one, other) and one.all()


def test_more_classes_along_the_borders_than_are_looked_for_at_once():
    truth = np.random.default_rng(0).permutation(np.arange(400) % 200).astype(np.uint8).reshape(20, 20)
    predicted = np.roll(truth, 1, axis=0)
    found, expected = count(truth, predicted, 200), boundary_slowly(truth, predicted, 200)
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
    assert 0 < found[1][0].sum() < 400


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 7, 8, 12, 40])
def test_windows_of_any_reach(reach):
    values = np.random.default_rng(reach).integers(0, 200, (17, 11)).astype(np.uint8)
    expected = [[max(values[at] for at in around(y, x, values.shape, reach)) for x in range(11)] for y in range(17)]
    assert np.array_equal(borders._gathered(values, reach, np.maximum), expected)


def test_a_shifted_border_by_hand():
    """Two halves; the predicted border lies one column further right.  The diagonal is 12.8: both reaches are 1."""
    truth = np.zeros((8, 10), np.uint8)
    truth[:, 5:] = 1
    predicted = np.zeros((8, 10), np.uint8)
    predicted[:, 6:] = 1
    iou, f1 = count(truth, predicted, 2)
    # Of class 0 the bands are column 4 and column 5, of class 1 columns 5 and 6: nothing in common, 16 in the union.
    assert iou.tolist() == [[0, 0], [16, 16]]
    assert f1.tolist() == [[8, 8]] * 4, "one pixel away is near enough"
    predicted[:, 6] = 0
    assert count(truth, predicted, 2)[1].tolist() == [[0, 0], [8, 8], [0, 0], [8, 8]]


def test_what_is_ignored_makes_no_border_and_counts_nowhere():
    truth = np.zeros((12, 12), np.uint8)
    truth[:, 4:8] = IGNORED
    predicted = truth.copy()
    predicted[:, 4:8] = 1  # whatever is predicted there
    assert not any(counts.any() for counts in count(truth, predicted, 2))
    truth[:, 8:] = 1
    predicted[:, 8:] = 1
    assert not count(truth, predicted, 2)[1].any(), "the two classes are nowhere neighbours"


def test_a_labelled_pixel_predicted_as_ignored_is_a_border_of_no_class():
    truth, predicted = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    predicted[4, 4] = IGNORED
    iou, f1 = count(truth, predicted, 1)
    assert iou.tolist() == [[0], [8]] and f1.tolist() == [[0], [8], [0], [0]]


def test_perfect_predictions_give_one_and_no_border_gives_nothing():
    truth = random_map(np.random.default_rng(2), 3, (40, 40), coarse=9)
    iou, f1 = count(truth, truth, 3)
    assert borders.boundary_iou(iou) == 1 and borders.boundary_f1(f1) == 1 and iou[0].any()
    flat = np.zeros((20, 20), np.uint8)
    iou, f1 = count(flat, flat, 3)
    assert not iou.any() and not f1.any()
    assert np.isnan(borders.boundary_iou(iou)) and np.isnan(borders.boundary_f1(f1))


def test_boundary_figures_are_means_over_the_classes_that_have_a_border():
    iou = np.array([[6, 3, 0], [10, 12, 0]])
    assert borders.boundary_iou(iou) == pytest.approx((6 / 10 + 3 / 12) / 2)
    # matched predicted, predicted, matched true, true: the third class is predicted only, the fourth nowhere
    f1 = np.array([[6, 2, 0, 0], [8, 4, 5, 0], [5, 3, 0, 0], [10, 3, 0, 0]])
    first = 2 * (6 / 8) * (5 / 10) / (6 / 8 + 5 / 10)
    second = 2 * 0.5 * 1.0 / 1.5
    assert borders.boundary_f1(f1) == pytest.approx((first + second + 0) / 3)
    assert np.isnan(borders.boundary_iou(np.zeros((2, 3)))) and np.isnan(borders.boundary_f1(np.zeros((4, 3))))

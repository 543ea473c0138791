from __future__ import annotations

import math

import numpy as np
import pytest

from tarsia.card import IGNORED
from tarsia.errors import DatasetError, ModelFileError
from tarsia.evaluation import details, finer
from tarsia.evaluation.details import Details, boundary_counts, calibration_counts, objects

SIZES = [(1, 1), (1, 9), (7, 1), (2, 2), (6, 9), (23, 31)]


def random_map(draw, class_count, size, ignored=0.15, coarse=1):
    """Labels in squares of `coarse` pixels, so that there are insides as well as borders."""
    small = draw.integers(0, class_count, (-(-size[0] // coarse), -(-size[1] // coarse)), dtype=np.uint8)
    label = np.kron(small, np.ones((coarse, coarse), np.uint8))[: size[0], : size[1]]
    label[draw.random(size) < ignored] = IGNORED
    return label


def pair_of_maps(draw, class_count, size, coarse=3):
    truth = random_map(draw, class_count, size, coarse=coarse)
    predicted = random_map(draw, class_count, size, ignored=0.05, coarse=coarse)
    alike = draw.random(size) < 0.6
    predicted[alike & (truth != IGNORED)] = truth[alike & (truth != IGNORED)]
    return truth, predicted


# ---- borders


def around(y, x, size, reach):
    for v in range(max(0, y - reach), min(size[0], y + reach + 1)):
        for u in range(max(0, x - reach), min(size[1], x + reach + 1)):
            yield v, u


def boundary_slowly(truth, predicted, class_count):
    """The definitions, pixel by pixel and neighbour by neighbour, with distances by brute force."""
    size = truth.shape
    diagonal = math.sqrt(size[0] ** 2 + size[1] ** 2)
    band, tolerance = max(1, round(0.02 * diagonal)), max(1, round(0.0075 * diagonal))

    def has_other(label, y, x, reach):
        near = (at for at in around(y, x, size, reach) if truth[at] != IGNORED)
        return any(label[at] != label[y, x] for at in near)

    labelled = [(y, x) for y in range(size[0]) for x in range(size[1]) if truth[y, x] != IGNORED]
    bands, borders = [], []
    for label in (truth, predicted):
        bands.append({at: label[at] for at in labelled if label[at] != IGNORED and has_other(label, *at, band)})
        borders.append({at: label[at] for at in labelled if label[at] != IGNORED and has_other(label, *at, 1)})

    def matched(one, other, k):
        return sum(
            any(other.get(near) == k for near in around(*at, size, tolerance)) for at, own in one.items() if own == k
        )

    iou, f1 = np.zeros((2, class_count), int), np.zeros((4, class_count), int)
    for k in range(class_count):
        a, b = ({at for at, own in pixels.items() if own == k} for pixels in bands)
        iou[:, k] = len(a & b), len(a | b)
        true, found = borders
        counts = [sum(own == k for own in border.values()) for border in (found, true)]
        f1[:, k] = matched(found, true, k), counts[0], matched(true, found, k), counts[1]
    return iou, f1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("class_count", [1, 2, 5, 254, 255])
def test_boundaries_equal_the_loops(class_count, size):
    for seed in range(3):
        truth, predicted = pair_of_maps(np.random.default_rng(seed), class_count, size)
        found = boundary_counts(truth, predicted, class_count)
        expected = boundary_slowly(truth, predicted, class_count)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == np.int64 and np.array_equal(one, other)


def test_boundaries_with_wide_bands_equal_the_loops():
    """Pictures long enough for a band of 4 and a tolerance of 2 pixels."""
    truth, predicted = pair_of_maps(np.random.default_rng(1), 4, (9, 220), coarse=7)
    for one, other in zip(boundary_counts(truth, predicted, 4), boundary_slowly(truth, predicted, 4), strict=True):
        assert np.array_equal(one, other) and one.all()


def test_more_classes_along_the_borders_than_are_looked_for_at_once():
    truth = np.random.default_rng(0).permutation(np.arange(400) % 200).astype(np.uint8).reshape(20, 20)
    predicted = np.roll(truth, 1, axis=0)
    found, expected = boundary_counts(truth, predicted, 200), boundary_slowly(truth, predicted, 200)
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
    assert 0 < found[1][0].sum() < 400


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 7, 8, 12, 40])
def test_windows_of_any_reach(reach):
    values = np.random.default_rng(reach).integers(0, 200, (17, 11)).astype(np.uint8)
    expected = [[max(values[at] for at in around(y, x, values.shape, reach)) for x in range(11)] for y in range(17)]
    assert np.array_equal(details._gathered(values, reach, np.maximum), expected)


def test_a_shifted_border_by_hand():
    """Two halves; the predicted border lies one column further right.  The diagonal is 12.8: both reaches are 1."""
    truth = np.zeros((8, 10), np.uint8)
    truth[:, 5:] = 1
    predicted = np.zeros((8, 10), np.uint8)
    predicted[:, 6:] = 1
    iou, f1 = boundary_counts(truth, predicted, 2)
    # Of class 0 the bands are column 4 and column 5, of class 1 columns 5 and 6: nothing in common, 16 in the union.
    assert iou.tolist() == [[0, 0], [16, 16]]
    assert f1.tolist() == [[8, 8]] * 4, "one pixel away is near enough"
    predicted[:, 6] = 0
    assert boundary_counts(truth, predicted, 2)[1].tolist() == [[0, 0], [8, 8], [0, 0], [8, 8]]


def test_what_is_ignored_makes_no_border_and_counts_nowhere():
    truth = np.zeros((12, 12), np.uint8)
    truth[:, 4:8] = IGNORED
    predicted = truth.copy()
    predicted[:, 4:8] = 1  # whatever is predicted there
    assert not any(counts.any() for counts in boundary_counts(truth, predicted, 2))
    truth[:, 8:] = 1
    predicted[:, 8:] = 1
    assert not boundary_counts(truth, predicted, 2)[1].any(), "the two classes are nowhere neighbours"


def test_a_labelled_pixel_predicted_as_ignored_is_a_border_of_no_class():
    truth, predicted = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    predicted[4, 4] = IGNORED
    iou, f1 = boundary_counts(truth, predicted, 1)
    assert iou.tolist() == [[0], [8]] and f1.tolist() == [[0], [8], [0], [0]]


def test_perfect_predictions_give_one_and_no_border_gives_nothing():
    truth = random_map(np.random.default_rng(2), 3, (40, 40), coarse=9)
    iou, f1 = boundary_counts(truth, truth, 3)
    assert finer.boundary_iou(iou) == 1 and finer.boundary_f1(f1) == 1 and iou[0].any()
    flat = np.zeros((20, 20), np.uint8)
    iou, f1 = boundary_counts(flat, flat, 3)
    assert not iou.any() and not f1.any()
    assert np.isnan(finer.boundary_iou(iou)) and np.isnan(finer.boundary_f1(f1))


# ---- objects


def objects_slowly(truth, predicted):
    """A flood fill from every pixel not yet seen, in reading order."""
    seen, rows = np.zeros(truth.shape, bool), []
    for y, x in np.ndindex(truth.shape):
        if seen[y, x] or truth[y, x] == IGNORED:
            continue
        waiting, area, right = [(y, x)], 0, 0
        seen[y, x] = True
        while waiting:
            at = waiting.pop()
            area, right = area + 1, right + int(truth[at] == predicted[at])
            for near in around(*at, truth.shape, 1):
                if not seen[near] and truth[near] == truth[y, x]:
                    seen[near] = True
                    waiting.append(near)
        rows.append([truth[y, x], area, right])
    return np.array(rows, np.int64).reshape(-1, 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("class_count", [1, 2, 4])
@pytest.mark.parametrize("coarse", [1, 3])
def test_objects_equal_the_flood_fill(class_count, size, coarse):
    for seed in range(4):
        truth, predicted = pair_of_maps(np.random.default_rng(seed), class_count, size, coarse)
        found = objects(truth, predicted)
        assert found.dtype == np.int64 and np.array_equal(found, objects_slowly(truth, predicted))


def spiral(side):
    """One winding object: the longest way for a label to travel."""
    label = np.zeros((side, side), np.uint8)
    y, x, step = 0, 0, (0, 1)
    label[0, 0] = 1
    for _ in range(side * side):
        for _ in range(2):
            v, u = y + 2 * step[0], x + 2 * step[1]
            if 0 <= v < side and 0 <= u < side and not label[v, u]:
                label[y + step[0], x + step[1]] = label[v, u] = 1
                y, x = v, u
                break
            step = (step[1], -step[0])
    return label


@pytest.mark.parametrize(
    "label",
    [
        spiral(41),
        (np.indices((30, 30)).sum(0) % 2).astype(np.uint8),  # a chessboard: two objects, by their corners
        np.tile(np.array([[0, 1], [0, 0]], np.uint8), (15, 15)),
        np.tri(25, dtype=np.uint8),
        np.kron(np.eye(12, dtype=np.uint8)[::-1], np.ones((2, 3), np.uint8)),
    ],
    ids=["spiral", "chessboard", "dots", "triangle", "staircase"],
)
def test_winding_objects(label):
    for turned in (label, label.T, label[::-1], label[:, ::-1]):
        assert np.array_equal(objects(np.ascontiguousarray(turned), turned), objects_slowly(turned, turned))


def test_objects_equal_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    truth, predicted = pair_of_maps(np.random.default_rng(3), 5, (180, 240), coarse=4)
    expected = []
    for k in range(5):
        place, count = ndimage.label(truth == k, np.ones((3, 3)))
        area = np.bincount(place.ravel(), minlength=count + 1)[1:]
        right = np.bincount(place.ravel(), (truth == predicted).ravel(), count + 1)[1:]
        expected += [(k, int(a), int(r)) for a, r in zip(area, right, strict=True)]
    assert sorted(map(tuple, objects(truth, predicted).tolist())) == sorted(expected)


def test_pictures_without_labels_or_pixels_have_no_objects():
    for size in ((4, 5), (0, 5)):
        nothing = np.full(size, IGNORED, np.uint8)
        assert objects(nothing, np.zeros(size, np.uint8)).shape == (0, 3)
    truth = np.zeros((3, 4), np.uint8)
    assert objects(truth, truth).tolist() == [[0, 12, 12]]


# ---- calibration


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
    np.testing.assert_allclose(calibration_counts(truth, predicted, confidence), expected, rtol=1e-6)


def test_probabilities_that_tell_the_truth_have_no_calibration_error():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.5, 1, (400, 500)).astype(np.float32)
    truth = (draw.random(confidence.shape) > confidence).astype(np.uint8)
    counts = calibration_counts(truth, np.zeros_like(truth), confidence)
    assert finer.ece(counts) < 0.005
    sure = calibration_counts(truth, np.zeros_like(truth), np.ones_like(confidence))
    assert finer.ece(sure) == pytest.approx(0.25, abs=0.005) and sure[14, 0] == truth.size


def test_confidences_over_one_by_a_rounding_are_one_and_others_refused():
    truth = np.zeros((1, 2), np.uint8)
    assert calibration_counts(truth, truth, np.array([[1.0000001, 1]], np.float32))[14, 0] == 2
    assert calibration_counts(truth, truth, np.zeros((1, 2), np.float32))[0, 0] == 2
    for strange in (np.nan, np.inf, -0.1, 1.2):
        with pytest.raises(ModelFileError, match="scores are not finite"):
            calibration_counts(truth, truth, np.array([[strange, 0.5]], np.float32))


# ---- together


def gathered(confident=True):
    draw, counts = np.random.default_rng(0), Details(3, 4)
    maps = [pair_of_maps(draw, 4, size) for size in ((20, 30), (1, 1), (25, 9))]
    for truth, predicted in maps:
        counts.add(truth, predicted, draw.random(truth.shape, dtype=np.float32) if confident else None)
    return maps, counts.arrays()


def test_details_hold_each_picture_in_its_place():
    maps, arrays = gathered()
    assert tuple(arrays) == details.KEYS
    for index, (truth, predicted) in enumerate(maps):
        iou, f1 = boundary_counts(truth, predicted, 4)
        assert np.array_equal(arrays["boundary_iou"][index], iou) and np.array_equal(arrays["boundary_f1"][index], f1)
        own = arrays["objects"][arrays["objects"][:, 0] == index]
        assert np.array_equal(own[:, 1:], objects(truth, predicted))
        assert arrays["calibration"][index, :, 0].sum() == (truth != IGNORED).sum()
    assert "calibration" not in gathered(confident=False)[1]
    details.check(arrays, 3, 4, "here")
    assert set(finer.per_picture(arrays, 3, 4, "here")) == set(details.KEYS), "compare reads them too"


def test_figures_are_those_of_the_sums():
    _, arrays = gathered()
    found = details.described(arrays, 4)
    sums = {key: values.sum(0) for key, values in finer.per_picture(arrays, 3, 4, "here").items()}
    assert found["boundary_iou"] == finer.boundary_iou(sums["boundary_iou"])
    assert found["boundary_f1"] == finer.boundary_f1(sums["boundary_f1"])
    assert [found[f"recall_{name}"] for name in finer.SIZES] == finer.recall(sums["objects"]).tolist()
    assert found["ece"] == finer.ece(sums["calibration"])
    assert found["objects"] == {
        name: sums["objects"][size, :, 0].sum() for size, name in enumerate(("small", "medium", "large"))
    }
    assert len(found["reliability"]) == 15 and sum(row["share"] for row in found["reliability"]) == pytest.approx(1)
    assert details.described({}, 4) == {} and details.figures({}, 4) == {}


def test_no_pictures_and_no_objects_have_figures_that_are_not_defined():
    for arrays in (Details(0, 2).arrays(), Details(2, 2).arrays()):
        assert all(math.isnan(value) for value in details.figures(arrays, 2).values())
        assert details.described(arrays, 2)["objects"] == {"small": 0, "medium": 0, "large": 0}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("boundary_iou", np.zeros((3, 2, 5))),
        ("boundary_iou", np.zeros((2, 2, 4))),
        ("boundary_f1", np.zeros((3, 4, 4), str)),
        ("calibration", np.zeros((3, 3))),
        ("objects", np.zeros((3, 3), int)),
        ("objects", np.array([[3, 0, 1, 1]])),
        ("objects", np.array([[0, 4, 1, 1]])),
        ("objects", np.array([[0, -1, 1, 1]])),
    ],
)
def test_arrays_of_other_pictures_are_refused(key, values):
    with pytest.raises(DatasetError, match=r"counts\.npz: .*evaluate again"):
        details.check({key: values}, 3, 4, "counts.npz")

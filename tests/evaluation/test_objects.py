from __future__ import annotations

import numpy as np
import pytest

from made_maps import SIZES, around, pair_of_maps
from tarsia.card import IGNORED
from tarsia.evaluation.objects import by_size, count, recall


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
        found = count(truth, predicted)
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
        assert np.array_equal(count(np.ascontiguousarray(turned), turned), objects_slowly(turned, turned))


def test_objects_equal_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    truth, predicted = pair_of_maps(np.random.default_rng(3), 5, (180, 240), coarse=4)
    expected = []
    for k in range(5):
        place, number = ndimage.label(truth == k, np.ones((3, 3)))
        area = np.bincount(place.ravel(), minlength=number + 1)[1:]
        right = np.bincount(place.ravel(), (truth == predicted).ravel(), number + 1)[1:]
        expected += [(k, int(a), int(r)) for a, r in zip(area, right, strict=True)]
    assert sorted(map(tuple, count(truth, predicted).tolist())) == sorted(expected)


def test_pictures_without_labels_or_pixels_have_no_objects():
    for size in ((4, 5), (0, 5)):
        nothing = np.full(size, IGNORED, np.uint8)
        assert count(nothing, np.zeros(size, np.uint8)).shape == (0, 3)
    truth = np.zeros((3, 4), np.uint8)
    assert count(truth, truth).tolist() == [[0, 12, 12]]


def recalls(counted):
    """Of small, medium and large objects."""
    return [float(recall(counted.sum(0), size)) for size in range(3)]


def test_recall_by_size_is_the_share_of_found_objects_of_a_third():
    random = np.random.default_rng(0)
    objects = np.stack([random.integers(0, 7, 300), random.integers(0, 3, 300), random.integers(1, 60, 300)], 1)
    objects = np.column_stack([objects, (objects[:, 2] * random.random(300)).astype(int)])
    found = by_size(objects, 7, 4)
    assert found.shape == (7, 3, 4, 2) and found[..., 0].sum() == 300
    slow: list[list[float]] = [[], [], []]
    for k in range(3):
        own = objects[objects[:, 1] == k]
        small, medium = np.quantile(own[:, 2], [1 / 3, 2 / 3])
        parts = (own[:, 2] <= small, (own[:, 2] > small) & (own[:, 2] <= medium), own[:, 2] > medium)
        for size, part in enumerate(parts):
            slow[size].append(float(np.mean([2 * right > area for _, _, area, right in own[part]])))
    assert recalls(found) == pytest.approx(np.mean(slow, 1))


def test_objects_of_one_size_are_all_small_and_classes_without_objects_left_out():
    objects = np.array([[0, 1, 9, 9], [0, 1, 9, 4], [1, 1, 9, 5]])
    small, medium, large = recalls(by_size(objects, 2, 3))
    assert small == pytest.approx(2 / 3) and np.isnan(medium) and np.isnan(large)
    assert np.isnan(recalls(by_size(np.zeros((0, 4), int), 2, 3))).all()

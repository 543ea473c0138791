"""Boundaries, objects by size and calibration against slow versions."""

from __future__ import annotations

import numpy as np
import pytest

from made_reports import detailed
from tarsia.errors import DatasetError
from tarsia.evaluation import finer


def test_boundary_figures_are_means_over_the_classes_that_have_a_border():
    iou = np.array([[6, 3, 0], [10, 12, 0]])
    assert finer.boundary_iou(iou) == pytest.approx((6 / 10 + 3 / 12) / 2)
    # matched predicted, predicted, matched true, true: the third class is predicted only, the fourth nowhere
    f1 = np.array([[6, 2, 0, 0], [8, 4, 5, 0], [5, 3, 0, 0], [10, 3, 0, 0]])
    first = 2 * (6 / 8) * (5 / 10) / (6 / 8 + 5 / 10)
    second = 2 * 0.5 * 1.0 / 1.5
    assert finer.boundary_f1(f1) == pytest.approx((first + second + 0) / 3)
    assert np.isnan(finer.boundary_iou(np.zeros((2, 3)))) and np.isnan(finer.boundary_f1(np.zeros((4, 3))))


def test_recall_by_size_is_the_share_of_found_objects_of_a_third():
    random = np.random.default_rng(0)
    objects = np.stack([random.integers(0, 7, 300), random.integers(0, 3, 300), random.integers(1, 60, 300)], 1)
    objects = np.column_stack([objects, (objects[:, 2] * random.random(300)).astype(int)])
    found = finer.per_picture({"objects": objects}, 7, 4, "x")["objects"]
    assert found.shape == (7, 3, 4, 2) and found[..., 0].sum() == 300
    slow: list[list[float]] = [[], [], []]
    for k in range(3):
        own = objects[objects[:, 1] == k]
        small, medium = np.quantile(own[:, 2], [1 / 3, 2 / 3])
        parts = (own[:, 2] <= small, (own[:, 2] > small) & (own[:, 2] <= medium), own[:, 2] > medium)
        for size, part in enumerate(parts):
            slow[size].append(float(np.mean([2 * right > area for _, _, area, right in own[part]])))
    assert finer.recall(found.sum(0)) == pytest.approx(np.mean(slow, 1))
    sizes = [finer.FIGURES[f"recall_{name}"].of(found.sum(0)) for name in finer.SIZES]
    assert sizes == pytest.approx(np.mean(slow, 1))


def test_objects_of_one_size_are_all_small_and_classes_without_objects_left_out():
    objects = np.array([[0, 1, 9, 9], [0, 1, 9, 4], [1, 1, 9, 5]])
    small, medium, large = finer.recall(finer.per_picture({"objects": objects}, 2, 3, "x")["objects"].sum(0))
    assert small == pytest.approx(2 / 3) and np.isnan(medium) and np.isnan(large)
    none = finer.per_picture({"objects": np.zeros((0, 4), int)}, 2, 3, "x")["objects"]
    assert np.isnan(finer.recall(none.sum(0))).all()


def test_calibration():
    bins = np.array([[100, 60.0, 70], [0, 0, 0], [300, 285.0, 240]])
    assert finer.ece(bins) == pytest.approx((100 * abs(0.6 - 0.7) + 300 * abs(0.95 - 0.8)) / 400)
    curve = finer.reliability(bins)
    assert curve[[0, 2]] == pytest.approx(np.array([[0.25, 0.6, 0.7], [0.75, 0.95, 0.8]]))
    assert curve[1, 0] == 0 and np.isnan(curve[1, 1:]).all()
    assert np.isnan(finer.ece(np.zeros((3, 3))))


def test_every_figure_takes_many_sums_at_once():
    """As the bootstrap gives them: the same as one after the other."""
    arrays = finer.per_picture(detailed(), 12, 3, "x")
    random = np.random.default_rng(1)
    for one in finer.FIGURES.values():
        sums = np.stack([arrays[one.source][random.integers(0, 12, 12)].sum(0) for _ in range(5)])
        assert one.of(sums) == pytest.approx(np.array([float(one.of(part)) for part in sums]))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("boundary_iou", np.zeros((12, 3, 3))),
        ("boundary_f1", np.zeros((11, 4, 3))),
        ("objects", np.zeros((5, 3), int)),
        ("calibration", np.zeros((12, 3))),
    ],
)
def test_what_does_not_fit_is_refused(key, values):
    with pytest.raises(DatasetError, match=rf"runs/a: {key} is \(.*expected .*evaluate again"):
        finer.per_picture({key: values}, 12, 3, "runs/a")


def test_what_is_not_there_is_left_out():
    assert finer.per_picture({}, 12, 3, "x") == {}
    assert list(finer.per_picture({**detailed(), "others": np.zeros(3)}, 12, 3, "x")) == [
        "boundary_iou",
        "boundary_f1",
        "objects",
        "calibration",
    ]

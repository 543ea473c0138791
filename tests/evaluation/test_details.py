from __future__ import annotations

import math

import numpy as np
import pytest

from made_maps import pair_of_maps
from made_reports import detailed
from tarsia.card import IGNORED
from tarsia.errors import DatasetError
from tarsia.evaluation import borders, details, objects, reliability
from tarsia.evaluation.details import Details


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
        iou, f1 = borders.count(truth, predicted, 4)
        assert np.array_equal(arrays["boundary_iou"][index], iou) and np.array_equal(arrays["boundary_f1"][index], f1)
        own = arrays["objects"][arrays["objects"][:, 0] == index]
        assert np.array_equal(own[:, 1:], objects.count(truth, predicted))
        assert arrays["calibration"][index, :, 0].sum() == (truth != IGNORED).sum()
    assert "calibration" not in gathered(confident=False)[1]
    details.check(arrays, 3, 4, "here")
    assert set(details.per_picture(arrays, 3, 4, "here")) == set(details.KEYS), "compare reads them too"


def test_figures_are_those_of_the_sums():
    _, arrays = gathered()
    found = details.described(arrays, 4)
    sums = {key: values.sum(0) for key, values in details.per_picture(arrays, 3, 4, "here").items()}
    assert found["boundary_iou"] == borders.boundary_iou(sums["boundary_iou"])
    assert found["boundary_f1"] == borders.boundary_f1(sums["boundary_f1"])
    for size, name in enumerate(objects.SIZES):
        assert found[f"recall_{name}"] == objects.recall(sums["objects"], size)
    assert found["ece"] == reliability.ece(sums["calibration"])
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
    with pytest.raises(DatasetError, match="runs/a: "):
        details.per_picture({key: values}, 3, 4, "runs/a")


def test_every_figure_takes_many_sums_at_once():
    """As the bootstrap gives them: the same as one after the other."""
    arrays = details.per_picture(detailed(), 12, 3, "x")
    random = np.random.default_rng(1)
    for one in details.FIGURES.values():
        sums = np.stack([arrays[one.source][random.integers(0, 12, 12)].sum(0) for _ in range(5)])
        assert one.of(sums) == pytest.approx(np.array([float(one.of(part)) for part in sums]))


def test_what_is_not_there_is_left_out():
    assert details.per_picture({}, 12, 3, "x") == {}
    assert list(details.per_picture({**detailed(), "others": np.zeros(3)}, 12, 3, "x")) == [
        "boundary_iou",
        "boundary_f1",
        "objects",
        "calibration",
    ]

"""What is asked of every data set."""

from __future__ import annotations

import pytest

from tarsia.card import Classes
from tarsia.data._dataset import check_same_classes, evenly
from tarsia.errors import DatasetError


def test_evenly_spaced_samples_are_different_ones_and_hold_both_ends() -> None:
    assert evenly(3, 11) == [0, 5, 10] and evenly(4, 6) == [0, 2, 3, 5] and evenly(1, 9) == [0]
    assert evenly(9, 3) == [0, 1, 2] and evenly(0, 3) == evenly(3, 0) == []
    for of in range(1, 60):
        for count in range(2, of + 1):
            found = evenly(count, of)
            assert len({*found}) == count and found[0] == 0 and found[-1] == of - 1 and found == sorted(found)


def test_other_classes_are_named() -> None:
    def classes(*names: str) -> Classes:
        return Classes(names=names, colors=tuple((k, k, k) for k in range(len(names))))

    check_same_classes(classes("road", "car"), classes("road", "car"))
    with pytest.raises(DatasetError, match=r"the model has 2 classes, the data set 1; only the model has car: use the"):
        check_same_classes(classes("road", "car"), classes("road"))
    with pytest.raises(DatasetError, match=r"differ: A has 2 .*, B 2; only A has car; only B has bus: no"):
        check_same_classes(classes("road", "car"), classes("road", "bus"), ("A", "B"), "no")
    with pytest.raises(DatasetError, match="the order differs: class 0 is road in the model and car in the data set"):
        check_same_classes(classes("road", "car"), classes("car", "road"))

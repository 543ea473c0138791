"""Labels that a model doubts: whole regions, where it is sure, and nothing along borders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sick_data
from sick_data import label, pixels, scene, write_healthy
from tarsia.card import Card, Classes
from tarsia.checking import check
from tarsia.doctor.model_disagreement import doubt
from tarsia.errors import DatasetError
from tarsia.prediction.prediction import Prediction


class Knowing:
    """A model that knows every scene, and is as sure as it is told to be; along borders it is a pixel off."""

    def __init__(self, classes: Classes, sure: float) -> None:
        self.classes, self.sure = classes, sure
        self.card = Card(architecture="knowing", model={}, classes=classes)
        self.truth = {scene(seed)[0].tobytes(): np.roll(scene(seed)[1], 1) for seed in (*range(12), *range(5000, 5006))}

    def at_levels(self, levels: None) -> Knowing:
        assert levels is None, "its range is no picture's own"
        return self

    def __call__(self, image: np.ndarray, confidence: bool = False) -> Prediction:
        truth = self.truth[image.tobytes()]
        return Prediction(truth, self.classes, np.full(truth.shape, self.sure, np.float32))


def asked(root: Path, sure: float = 0.99) -> Any:
    classes = check(f"folder:{root}").checked.classes
    return check(f"folder:{root}", model=Knowing(classes, sure))  # type: ignore[arg-type]


def test_wrong_regions_are_named_largest_first(tmp_path: Path) -> None:
    root = write_healthy(tmp_path, 12, 6)
    assert asked(root).findings == []
    for name, split, part in (("t03", "train", np.s_[70:96, 60:100]), ("v02", "val", np.s_[60:96, 20:100])):
        values = pixels(label(root, name, split))
        values[part] = 1
        sick_data._save(label(root, name, split), values)
    (finding,) = [one for one in asked(root).findings if one.kind == "doubted-label"]
    assert finding.severity == "note" and [place.name for place in finding.places] == ["v02", "t03"]
    assert "mostly sky that looks like ground, in rows " in finding.places[0].detail
    assert not [one for one in asked(root, sure=0.9).findings if one.kind == "doubted-label"]


def test_where_it_is_and_how_much() -> None:
    label_HW = np.zeros((96, 128), np.uint8)
    predicted = label_HW.copy()
    predicted[40:64, 80:120] = 3
    predicted[80:88, 8:16] = 2
    sure = np.full(label_HW.shape, 0.99, np.float32)
    found = doubt(label_HW, predicted, sure)
    assert found is not None
    assert (found.labelled, found.taken_for, found.rows, found.columns) == (0, 3, (40, 64), (80, 120))
    assert found.share == (24 * 40 + 64) / label_HW.size
    sure[40:64, 80:120] = 0.5
    found = doubt(label_HW, predicted, sure)
    assert found is not None and (found.taken_for, found.rows, found.columns) == (2, (80, 88), (8, 16))
    assert doubt(np.full_like(label_HW, 255), predicted, np.ones_like(sure)) is None
    assert doubt(label_HW[:4, :4], predicted[:4, :4] + 1, sure[:4, :4]) is None


def test_a_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    root = write_healthy(tmp_path, 5, 2)
    other = Knowing(Classes(names=("cat", "dog"), colors=((1, 1, 1), (2, 2, 2))), 0.99)
    with pytest.raises(DatasetError, match="only the model has cat, dog; only the data set has ground"):
        check(f"folder:{root}", model=other)  # type: ignore[arg-type]

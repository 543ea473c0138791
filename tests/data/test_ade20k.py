from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia.data
from tarsia.data._pairing import require_complete
from tarsia.data.ade20k import CLASSES, Data
from tarsia.errors import DatasetError

EVERY_VALUE = np.array([*range(151), 0], np.uint8).reshape(8, 19)


def tree(root: Path, split="training", names=("ADE_train_00000001", "ADE_train_00000002"), values=EVERY_VALUE) -> Path:
    for folder in ("images", "annotations"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", values.shape[1::-1], (90, 80, 70)).save(root / "images" / split / f"{name}.jpg")
        Image.fromarray(values).save(root / "annotations" / split / f"{name}.png")
    return root


def test_values_are_shifted_and_none_ignored(tmp_path):
    data = Data(tree(tmp_path))
    sample = data[0]
    assert (len(data), sample.name, sample.domain) == (2, "ADE_train_00000001", "")
    assert sample.label.ravel().tolist() == [255, *range(150), 255]


def test_splits_by_either_name(tmp_path):
    tree(tree(tmp_path), "validation", ("ADE_val_00000001",))
    for split in ("training", "train"):
        assert len(Data(tmp_path, split)) == 2
    for split in ("validation", "val"):
        assert [sample.name for sample in tarsia.data.open("ade20k", tmp_path, split)] == ["ADE_val_00000001"]


def test_classes():
    assert len(CLASSES) == 150 and (CLASSES.names[0], CLASSES.names[12], CLASSES.names[149]) == (
        "wall",
        "person",
        "flag",
    )
    assert CLASSES.colors[:3] == ((120, 120, 120), (180, 120, 120), (6, 230, 230))
    assert CLASSES.colors[-1] == (92, 0, 255) and len(set(CLASSES.colors)) == 149
    assert CLASSES.colors[CLASSES.names.index("road")] == CLASSES.colors[CLASSES.names.index("skyscraper")]


@pytest.mark.parametrize("place", ["..", "images", "annotations", "images/training"])
def test_the_wrong_level_names_the_right_one(tmp_path, place):
    tree(tmp_path / "ADEChallengeData2016")
    with pytest.raises(DatasetError, match=r"did you mean .*ADEChallengeData2016[?]$"):
        Data(tmp_path / "ADEChallengeData2016" / place)


def test_halves(tmp_path):
    tree(tmp_path)
    cases = {
        "vale": "ade20k has no split vale, did you mean val",
        "val": r"no images/validation/ and no annotations/validation/, which ade20k's val.*in images/: training",
    }
    for split, message in cases.items():
        with pytest.raises(DatasetError, match=message):
            Data(tmp_path, split)
    label = tmp_path / "annotations/training/ADE_train_00000001.png"
    label.rename(label.with_name("ADE_train_00000009.png"))
    with pytest.raises(DatasetError, match=r"1 of 2 images .*00000001; 1 labels .*00000009\.  Remedy"):
        require_complete(Data(tmp_path).pairing)
    with pytest.raises(DatasetError, match="ade20k needs a folder with images/ and annotations/ in it"):
        Data(None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((2, 3), 255, np.uint8), r"label value 255 in 6 pixels .*known: 0-150\); .*shifted by one already"),
        (np.full((2, 3, 3), 9, np.uint8), r"colour \[9, 9, 9\]"),
    ],
)
def test_strange_masks(tmp_path, values, message):
    with pytest.raises(DatasetError, match=message):
        Data(tree(tmp_path, values=values))[0]


@pytest.mark.shared
def test_names_are_the_first_of_the_list(shared):
    with (shared / "data/samples/ade20k_layout/object150_info.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["Idx"]) for row in rows] == list(range(1, 151))
    for name, row in zip(CLASSES.names, rows, strict=True):
        assert f"{row['Name']};".startswith(f"{name.replace('_', ';')};")


@pytest.mark.shared
def test_the_layout_of_the_samples(shared):
    data = Data(shared / "data/samples/ade20k_layout")
    stored = np.asarray(Image.open(data.pairs[0].label))
    assert len(data) == 1 and data[0].image.shape == (512, 683, 3)
    np.testing.assert_array_equal(data[0].label, np.where(stored == 0, 255, stored - 1))


@pytest.mark.shared
@pytest.mark.parametrize("year", [2017, 2020])
def test_the_whole_ade20k_is_another_layout(shared, year):
    root = shared / f"data/samples/datumaro_fixtures/ade20k{year}_dataset/dataset"
    with pytest.raises(DatasetError, match=r"no images/training/ and no annotations/.*folders there: training, valid"):
        Data(root)

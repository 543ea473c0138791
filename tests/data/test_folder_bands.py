"""Data sets whose pictures have other than three bands: dataset.yaml says so, and everything follows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia import data
from tarsia.card import Spec
from tarsia.data import Dataset, bands_of
from tarsia.data._dataset import Sample, check_bands, check_sample
from tarsia.errors import DatasetError, ImageError, RecipeError

SIDE = 16


def write(root: Path, bands: int, count: int = 4, said: str | None = None) -> Path:
    """`count` arrays whose last band is the label, 0 or 200, and their masks."""
    generator = np.random.default_rng(bands)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image = generator.integers(0, 256, (SIDE, SIDE, bands), np.uint8)
        label = generator.integers(0, 2, (SIDE, SIDE), np.uint8)
        image[..., -1] = 200 * label
        np.save(root / f"images/{number}.npy", image)
        Image.fromarray(label).save(root / f"labels/{number}.png")
    said = f"bands: {bands}\n" if said is None else said
    (root / "dataset.yaml").write_text(f"classes: [back, thing]\n{said}split: {{val: 0.5}}\n")
    return root


@pytest.mark.parametrize("bands", [1, 2, 4, 12])
def test_samples_have_the_bands_that_dataset_yaml_says(bands: int, tmp_path: Path) -> None:
    dataset = data.open("folder", write(tmp_path / "a", bands), "all")
    assert isinstance(dataset, Dataset) and bands_of(dataset) == bands and len(dataset) == 4
    for sample in (dataset[index] for index in range(4)):
        assert sample.image.shape == (SIDE, SIDE, bands)
        np.testing.assert_array_equal(sample.image[..., -1], 200 * sample.label)


@pytest.mark.parametrize("bands", [1, 4])
def test_the_cache_gives_the_same_samples(bands: int, tmp_path: Path) -> None:
    root = write(tmp_path / "a", bands)
    plain = data.open("folder", root, "all")
    for _ in range(2):  # built, then found
        cached = data.open("folder", root, "all", cache=tmp_path / "cache")
        assert bands_of(cached) == bands
        for index in range(4):
            for one, other in zip(cached[index][:2], plain[index][:2], strict=True):
                np.testing.assert_array_equal(one, other)
    assert len(list((tmp_path / "cache").glob("*/samples.bin"))) == 1


def test_other_bands_are_another_fingerprint(tmp_path: Path) -> None:
    root = write(tmp_path / "a", 2)
    before = data.open("folder", root, "all").fingerprint()  # type: ignore[attr-defined]
    (root / "dataset.yaml").write_text("classes: [back, thing]\nbands: 4\n")
    assert data.open("folder", root, "all").fingerprint() != before  # type: ignore[attr-defined]


@pytest.mark.parametrize("said", ["bands: 0", "bands: 65", "bands: yes", "bands: four", "bands: 4.0", "bands: [4]"])
def test_numbers_of_bands_that_there_are_not(said: str, tmp_path: Path) -> None:
    root = write(tmp_path / "a", 4, said=f"{said}\n")
    with pytest.raises(RecipeError, match=r"dataset\.yaml:2: bands"):
        data.open("folder", root)


def test_a_picture_of_other_bands_is_refused_by_both_numbers(tmp_path: Path) -> None:
    root = write(tmp_path / "a", 5, said="bands: 4\n")
    with pytest.raises(ImageError, match=r"0\.npy: a picture of 5 bands, expected 4"):
        data.open("folder", root, "all")[0]


def test_arrays_are_no_pictures_of_an_rgb_data_set(tmp_path: Path) -> None:
    root = write(tmp_path / "a", 3, said="")
    with pytest.raises(DatasetError, match="no images found"):
        data.open("folder", root)


def test_lists_may_name_arrays(tmp_path: Path) -> None:
    root = write(tmp_path / "a", 4)
    (root / "val.txt").write_text("1.npy\n3\n")
    (root / "dataset.yaml").write_text("classes: [back, thing]\nbands: 4\nsplits: {val: {list: val.txt}}\n")
    assert [sample.name for sample in data.open("folder", root, "val")] == ["1", "3"]


def test_checks_name_both_numbers(tmp_path: Path) -> None:
    dataset = data.open("folder", write(tmp_path / "a", 4), "all")
    check_bands(dataset, 4)
    with pytest.raises(DatasetError, match=r"the pictures of the data set have 4, the model takes 3.*dataset\.yaml"):
        check_bands(dataset, 3)
    sample = dataset[0]
    with pytest.raises(DatasetError, match=r"uint8 \(16, 16, 4\), expected uint8 \(H, W, 3\)"):
        check_sample(sample, dataset.classes)
    wrong = Sample(sample.image[..., :2], sample.label, "a")
    with pytest.raises(DatasetError, match=r"expected uint8 \(H, W, 4\)"):
        check_sample(wrong, dataset.classes, Spec(4))


def test_data_sets_that_say_nothing_have_three() -> None:
    assert bands_of(data.open("streets", None, "train", count=1)) == 3

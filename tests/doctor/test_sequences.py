"""Films on both sides of a split are found: those the data set names, and those only the pictures show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sick_data
from sick_data import put, scene
from tarsia.checking import check
from tarsia.doctor.finding import Finding

DRAWN = {"split": {"val": 0.4, "seed": 1}}


def film(seed: int, count: int, step: int = 2) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A camera that pans over one large scene, in noise."""
    image, label = scene(seed, (96, 128 + step * count))
    random = np.random.default_rng(seed)
    for index in range(count):
        part = np.s_[:, index * step : index * step + 128]
        yield (image[part] + random.normal(0, 9, (96, 128, 3))).clip(0, 255).astype(np.uint8), label[part]


def write(root: Path, pictures: dict[str, tuple[np.ndarray, np.ndarray]], **more: object) -> Path:
    """Pictures by name, all in one folder, and a dataset.yaml with `more`."""
    for name, (image, label) in pictures.items():
        put(root, ".", name, image, np.ascontiguousarray(label))
    lines = [f"classes: [{', '.join(sick_data.CLASSES)}]"] + [f"{key}: {value}" for key, value in more.items()]
    (root / "dataset.yaml").write_text("\n".join(lines) + "\n")
    return root


def of_films(root: Path) -> list[Finding]:
    return [one for one in check(f"folder:{root}").findings if one.kind in ("divided-sequence", "divided-film")]


def test_a_named_sequence_in_two_splits(tmp_path: Path) -> None:
    films = {f"{name}_{10 * k:04d}": pair for name in "ab" for k, pair in enumerate(film(ord(name), 16))}
    root = write(tmp_path, films, split="{val: 0.3, seed: 1}", sequence_by='"^(.)_"')
    (finding,) = of_films(root)
    val = len(list(finding.places))
    assert finding.title == f"all {val} pictures of val are from films that train has too: a, b"
    assert "nearest frames are 10 numbers apart" in finding.why
    assert finding.remedy.splitlines()[1] == "split: {val: 0.3, seed: 1, group_by: ^(.)_}"
    first = finding.places[0]
    assert first.other is not None and first.other[0] == "train" and "10 numbers from " in first.detail
    gaps = [abs(int(place.name[2:]) - int(place.other[1][2:])) for place in finding.places if place.other]
    assert gaps == sorted(gaps) and len(gaps) == val
    healed = write(tmp_path, films, split='{val: 0.3, seed: 1, group_by: "^(.)_"}')
    assert of_films(healed) == []


def test_a_film_that_nobody_named(tmp_path: Path) -> None:
    films = {f"cam{name}-{k:03d}": pair for name in "xy" for k, pair in enumerate(film(ord(name), 40))}
    (finding,) = of_films(write(tmp_path, films, split="{val: 0.4, seed: 1}"))
    assert finding.kind == "divided-film" and finding.severity == "warning"
    assert "camx-, camy-" in finding.title and "group_by" in finding.remedy
    for place in finding.places:
        assert place.split == "val" and place.other is not None and place.other[0] == "train"
        assert abs(int(place.name[-3:]) - int(place.other[1][-3:])) == 1


def test_numbered_photos_are_no_film(tmp_path: Path) -> None:
    photos = {f"img{k:03d}": scene(k) for k in range(60)}
    assert of_films(write(tmp_path, photos, split="{val: 0.4, seed: 1}")) == []


@pytest.mark.shared
def test_camvid_s_val_is_of_a_drive_that_train_has_too(shared: Path) -> None:
    """README of the data: val is one stretch of drive 0016E5, at least 31 frames away from any train frame."""
    result = check(f"camvid:{shared / 'data' / 'camvid'}")
    assert [one.kind for one in result.findings if one.severity != "note"] == ["divided-sequence"]
    (finding,) = [one for one in result.findings if one.kind == "divided-sequence"]
    assert finding.title == "all 101 pictures of val are from films that train has too: 0016E5"
    assert "nearest frames are 31 numbers apart" in finding.why and len(finding.places) == 101
    assert finding.remedy.splitlines()[-1].endswith("/camvid,folds=sequence,fold=0016E5")
    assert result.exit_code == 1 and list(result.checked.absent) == ["test"]
    facts = result.facts()
    shares = {row["name"]: row["pictures"] for row in facts["splits"]["train"]["classes"]}
    assert shares["sky"] == 366 and shares["fence"] == 173 and shares["bicyclist"] == 201

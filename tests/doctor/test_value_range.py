"""What check says of pictures of more than 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import tarsia


def write(folder: Path, pictures: list[np.ndarray], more: str = "") -> Path:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for index, image in enumerate(pictures):
        tifffile.imwrite(folder / "images" / f"{index}.tif", image, photometric="minisblack", planarconfig="contig")
        label = (np.indices(image.shape[:2]).sum(0) // 8 % 2).astype(np.uint8)
        Image.fromarray(label).save(folder / "labels" / f"{index}.png")
    (folder / "dataset.yaml").write_text(f"classes: [a, b]\nbands: 4\n{more}")
    return folder


def ground(seed: int) -> np.ndarray:
    """Reflectance times 10,000, as of a satellite: a few hundred levels, and a cloud's edge."""
    values = np.random.default_rng(seed).normal([420, 610, 500, 2600], 60, (48, 40, 4))
    values[0, 0] = 9800
    return values.astype(np.uint16)


def kinds(folder: Path) -> dict[str, list[str]]:
    found = tarsia.check(f"folder:{folder}").findings
    return {one.kind: [place.detail for place in one.places] for one in found}


def test_nothing_is_said_of_what_percentiles_make_of_ground(tmp_path: Path) -> None:
    assert "value-range" not in kinds(write(tmp_path / "a", [ground(seed) for seed in range(6)]))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("range: limits", "of 255 steps"),
        ("range: {low: 0, high: 20000}", "are below"),
        ("range: {low: 550, high: 3000}", "of its values are below 550"),
        ("range: {low: 0, high: 500}", "of its values are above 500"),
    ],
)
def test_a_range_that_leaves_little(rule: str, says: str, tmp_path: Path) -> None:
    found = kinds(write(tmp_path / "a", [ground(seed) for seed in range(6)], rule + "\n"))
    assert any(says in detail for detail in found["value-range"]), found


def test_a_corrected_copy_keeps_how_pictures_are_read(tmp_path: Path) -> None:
    pictures = [ground(seed) for seed in range(6)] + [ground(0)]
    told = "nodata: 0\nrange: {percentiles: [1, 99], per: all}\ntake: [4, 3, 2, 1]\n"
    folder = write(tmp_path / "a", pictures, told)
    tarsia.check(f"folder:{folder}", fix=True, out=tmp_path / "b")
    copy = tarsia.data.open("folder", tmp_path / "b", "train")
    assert copy.spec == tarsia.data.open("folder", folder, "train").spec
    assert copy.range_rule == {"percentiles": (1, 99), "per": "all"}


def test_of_pictures_with_a_range_each_those_of_one_value_are_named(tmp_path: Path) -> None:
    pictures = [ground(0), ground(1)]
    pictures[1][..., 2] = 7
    found = kinds(write(tmp_path / "a", pictures, "range: {picture: [1, 99.8]}\n"))
    assert found["value-range"] == ["band 3"]

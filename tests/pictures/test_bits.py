"""How many of 16 bits the values use: as the files say, or as dataset.yaml says for all of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tarsia
from tarsia.card import Card, Classes, Input, Range, Spec
from tarsia.data._range import settled
from tarsia.errors import DatasetError, ImageError, RecipeError
from tarsia.pictures.headers import stored_numbers
from tarsia.pictures.reader import read

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

HEIGHT, WIDTH = 16, 12
TWELVE = np.random.default_rng(0).integers(0, 4096, (HEIGHT, WIDTH, 3)).astype(np.uint16)


def png(values_HWC: np.ndarray) -> bytes:
    content: bytes = imagecodecs.png_encode(values_HWC)
    return content


def ppm(values_HWC: np.ndarray, most: int = 4095) -> bytes:
    return b"P6\n%d %d\n%d\n" % (WIDTH, HEIGHT, most) + values_HWC.astype(">u2").tobytes()


def tiff(values_HWC: np.ndarray, bits: int = 12, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values_HWC, **{"photometric": "rgb", "bitspersample": bits, "metadata": None, **options})
    return file.getvalue()


def folder(root: Path, pictures: dict[str, bytes], more: str = "") -> Path:
    for name, content in pictures.items():
        for place in ("images", "labels"):
            (root / place).mkdir(exist_ok=True, parents=True)
        (root / "images" / name).write_bytes(content)
        label = Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8))
        label.save(root / "labels" / f"{Path(name).stem}.png")
    (root / "dataset.yaml").write_text(f"classes: [a, b]\n{more}")
    return root


def test_what_a_file_says(tmp_path: Path) -> None:
    for name, content, bits in (("a.ppm", ppm(TWELVE), 12), ("b.tif", tiff(TWELVE), 12), ("c.png", png(TWELVE), 16)):
        (tmp_path / name).write_bytes(content)
        assert stored_numbers(tmp_path / name) == ("uint16", bits)
        np.testing.assert_array_equal(read(content, Spec(dtype="uint16")).values_HWC, TWELVE)
    (tmp_path / "d.tif").write_bytes(tiff(TWELVE.astype(np.uint8), 8))
    assert stored_numbers(tmp_path / "d.tif") == ("uint8", 0)


def test_files_of_two_depths_are_refused_until_it_is_said_what_they_hold(tmp_path: Path) -> None:
    pictures = {"a.ppm": ppm(TWELVE), "b.png": png(TWELVE), "c.tif": tiff(TWELVE)}
    with pytest.raises(DatasetError, match=r"2 pictures of 12 bits, 1 picture of 16 bits\).*bits: 12.*bits: 16"):
        tarsia.data.open("folder", folder(tmp_path, pictures), "train")
    with pytest.raises(DatasetError, match="several depths"):
        tarsia.data.open("folder", folder(tmp_path, pictures, "dtype: uint16\n"), "train")
    for more, bits in (("bits: 12\n", 12), ("bits: 12\ndtype: uint16\n", 12), ("bits: 16\n", None)):
        dataset = tarsia.data.open("folder", folder(tmp_path, pictures, more), "train")
        assert dataset.spec == Spec(dtype="uint16", bits=bits)
        for index in range(3):
            np.testing.assert_array_equal(dataset[index].image, TWELVE)
    folder(tmp_path, {"d.png": png(TWELVE * 16)}, "bits: 12\n")
    with pytest.raises(ImageError, match=r"d\.png: holds 65\d+, more than the 4095 of 12 bits"):
        tarsia.data.open("folder", tmp_path, "train")[3]
    with pytest.raises(RecipeError, match="bits"):
        tarsia.data.open("folder", folder(tmp_path, {}, "bits: 12\ndtype: int16\n"), "train")


def test_files_of_one_depth_say_it_themselves(tmp_path: Path) -> None:
    dataset = tarsia.data.open("folder", folder(tmp_path, {"a.ppm": ppm(TWELVE)}, "range: limits\n"), "train")
    assert dataset.spec == Spec(dtype="uint16", bits=12)
    rule = settled(dataset)
    assert rule is not None and rule.high == (4095.0,) * 3
    seen = Input(dtype="uint16", bits=12, range=rule)
    classes = Classes(names=("a", "b"), colors=((0, 0, 0), (255, 0, 0)))
    card = Card(architecture="unet", model={}, classes=classes, input=seen)
    assert Card.from_json(card.to_json(), "a").spec == Spec(dtype="uint16", low=(0.0,) * 3, bits=12)
    plain = Range(rule="limits", low=(0,) * 3, high=(65_535,) * 3)
    assert '"bits"' not in card.model_copy(update={"input": Input(dtype="uint16", range=plain)}).to_json()


def test_a_model_of_8_bits_takes_the_upper_of_those_that_are_used() -> None:
    for content in (png(TWELVE), tiff(TWELVE, 16), ppm(TWELVE)):
        found = read(content, Spec(bits=12))
        np.testing.assert_array_equal(found.values_HWC, TWELVE >> 4)
        assert found.remarks == ()
    assert "nearly black" in read(png(TWELVE)).remarks[0]
    inverted = tiff(TWELVE[..., 0], 16, photometric="miniswhite")
    np.testing.assert_array_equal(read(inverted, Spec(1, "uint16", bits=12)).values_HWC, 4095 - TWELVE[..., :1])


def test_what_has_no_data_may_hold_more() -> None:
    stored = TWELVE.copy()
    stored[0, 0] = 65_535
    for content in (png(stored), tiff(stored, 16)):
        found = read(content, Spec(dtype="uint16", bits=12, nodata=65_535, low=(1.0, 2.0, 3.0)))
        assert found.valid_HW is not None and not found.valid_HW[0, 0] and tuple(found.values_HWC[0, 0]) == (1, 2, 3)
        with pytest.raises(ImageError, match="holds 65535"):
            read(content, Spec(dtype="uint16", bits=12))

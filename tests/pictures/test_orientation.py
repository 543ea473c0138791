"""One table of orientations: the same pixels as Pillow's."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tarsia.pictures.headers import read_header
from tarsia.pictures.orientation import ORIENTATION, orientation_of, swaps_sides, upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_as_pillow_turns_pictures(orientation: int, format: str) -> None:
    stored_HW3 = np.random.default_rng(orientation).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.fromarray(stored_HW3).save(file, format, exif=exif)
    assert read_header(file.getvalue()) == ((5, 7), orientation, "RGB")
    expected_HW3 = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(upright(stored_HW3, orientation), expected_HW3)
    np.testing.assert_array_equal(upright(stored_HW3[..., 1], orientation), expected_HW3[..., 1])
    assert upright(stored_HW3, orientation).flags.c_contiguous
    assert swaps_sides(orientation) == (expected_HW3.shape != stored_HW3.shape)


@pytest.mark.parametrize("found", [0, 1, 9, 65_535])
def test_what_says_nothing_sensible_is_upright(found: int) -> None:
    image = Image.new("L", (2, 3))
    image.getexif()[ORIENTATION] = found
    label_HW = np.zeros((3, 2), np.uint8)
    assert orientation_of(image) == 1 and upright(label_HW, found) is label_HW and not swaps_sides(found)

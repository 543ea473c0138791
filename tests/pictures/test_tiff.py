"""How many bands a TIFF has, by its header, and what is said of pictures that are neither grey nor RGB."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.labels import read_label
from tarsia.pictures.reader import read
from tarsia.pictures.tiff import tiff_bands


def tiff(bands: int, order: str = "<", large: bool = False, photometric: int = 1, extra: int | None = None) -> bytes:
    """4 x 3 pixels of `bands` bytes, uncompressed; the tags by the book (TIFF 6.0, section 2; BigTIFF)."""
    data = bytes(range(12 * bands))
    tags = {256: 4, 257: 3, 258: 8, 259: 1, 262: photometric, 277: bands, 278: 3, 279: len(data)}
    place, number, entry = (16, "Q", 20) if large else (8, "I", 12)
    tags |= {338: extra} if extra is not None else {}
    count = len(tags) + 1
    end = place + struct.calcsize(order + ("Q" if large else "H")) + count * entry + struct.calcsize(order + number)
    bits = struct.pack(f"{order}{bands}H", *[8] * bands)
    tags[273] = end + len(bits)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if large else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if large else struct.pack(order + "I", 8)
    entries = struct.pack(order + ("Q" if large else "H"), count)
    for tag, value in sorted(tags.items()):
        many = bands if tag == 258 else 1
        inside = many * 2 <= struct.calcsize(order + number)
        stored = bits if tag == 258 and inside else struct.pack(order + number, end) if tag == 258 else None
        stored = stored or struct.pack(order + "I", value)
        kind = 3 if tag == 258 else 4
        entries += struct.pack(order + "HH" + number, tag, kind, many) + stored.ljust(struct.calcsize(number), b"\0")
    return head + entries + struct.pack(order + number, 0) + bits + data


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("large", [False, True])
def test_bands_of_every_kind_of_header(bands: int, order: str, large: bool) -> None:
    content = tiff(bands, order, large)
    assert tiff_bands(io.BytesIO(content)) == bands
    for cut in range(60):
        tiff_bands(io.BytesIO(content[:cut]))  # never an error


@pytest.mark.parametrize(
    ("mode", "bands"), [("1", 1), ("L", 1), ("P", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("CMYK", 4)]
)
def test_of_pillow_s_own_files(mode: str, bands: int) -> None:
    file = io.BytesIO()
    Image.new(mode, (5, 4)).save(file, format="TIFF")
    assert tiff_bands(file) == bands


def test_what_is_no_tiff_has_none() -> None:
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, format="PNG")
    for content in (
        file.getvalue(),
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + b"\x15\1\xff\xff" * 9,
    ):
        assert tiff_bands(io.BytesIO(content)) is None or content.startswith(b"II*\0")


@pytest.mark.parametrize("bands", [2, 5, 8, 13])
def test_other_bands_than_networks_see_are_refused_by_number(bands: int, tmp_path: Path) -> None:
    path = tmp_path / "satellite.tif"
    path.write_bytes(tiff(bands))
    with pytest.raises(ImageError, match=rf"satellite\.tif: a TIFF of {bands} bands; Tarsia reads one .*choose three"):
        read(path)
    with pytest.raises(DatasetError, match=rf"label .*satellite\.tif: a TIFF of {bands} bands"):
        read_label(path)
    with pytest.raises(ImageError, match=rf"its last axis has {bands} bands, expected uint8 \(H, W, 3\)"):
        read(np.zeros((4, 5, bands), np.uint8))


def test_a_fourth_band_that_is_no_transparency_is_left_out_and_said() -> None:
    image_HW3, _, _, (remark,) = read(tiff(4, photometric=2, extra=0))
    assert "a TIFF of 4 bands; those after red, green and blue are left out" in remark
    np.testing.assert_array_equal(image_HW3, np.arange(48, dtype=np.uint8).reshape(3, 4, 4)[..., :3])

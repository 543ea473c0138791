"""TIFFs by hand: their samples, whatever the header, and what is said of those that are neither grey nor RGB."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.labels import read_label
from tarsia.pictures.reader import Spec, read
from tarsia.pictures.tiff import open_tiff


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
def test_samples_of_every_kind_of_header(bands: int, order: str, large: bool) -> None:
    content = tiff(bands, order, large)
    with open_tiff(content, "x") as found:
        assert (found.samples, found.size, found.bits) == (bands, (3, 4), 8)
        np.testing.assert_array_equal(found.rows(0, 3).ravel(), np.arange(12 * bands))
        np.testing.assert_array_equal(found.rows(1, 2).ravel(), np.arange(4 * bands, 8 * bands))
    for cut in range(len(content)):
        with pytest.raises(ImageError):
            read(content[:cut], Spec(bands))


@pytest.mark.parametrize("bands", [2, 5, 8, 13])
def test_other_bands_than_networks_see_are_refused_by_number(bands: int, tmp_path: Path) -> None:
    path = tmp_path / "satellite.tif"
    path.write_bytes(tiff(bands))
    with pytest.raises(ImageError, match=rf"satellite\.tif: a TIFF of {bands} bands, expected 3 bands: choose"):
        read(path)
    with pytest.raises(DatasetError, match=r"label .*satellite\.tif: "):
        read_label(path)
    with pytest.raises(ImageError, match=rf"its last axis has {bands} bands, expected uint8 \(H, W, 3\)"):
        read(np.zeros((4, 5, bands), np.uint8))


def test_a_fourth_band_that_is_no_transparency_is_left_out_and_said() -> None:
    image_HW3, _, (remark,), _ = read(tiff(4, photometric=2, extra=0))
    assert "a TIFF of 4 bands; those after red, green and blue are left out" in remark
    np.testing.assert_array_equal(image_HW3, np.arange(48, dtype=np.uint8).reshape(3, 4, 4)[..., :3])

"""HEIC: upright as the format says, of 8 and 10 bits, with transparency; its size checked before it is decoded."""

from __future__ import annotations

import io
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from heic_files import ALPHA, DEEP, FILES, RGB
from PIL import Image

from tarsia.card import Spec
from tarsia.errors import DatasetError, ImageError, MissingExtraError, TooLargeError
from tarsia.pictures import heic
from tarsia.pictures.headers import read_header, stored_kind, stored_size
from tarsia.pictures.labels import read_label
from tarsia.pictures.reader import read

WHITE = np.where(ALPHA[..., None] == 255, RGB, 255)


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("pi_heif", reason="pi-heif (extra heic) is not installed")


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("rgb", Spec(), RGB),
        ("rgb", Spec(2, take=(3, 1)), RGB[..., [2, 0]]),
        ("rgb", Spec(dtype="float32"), RGB.astype(np.float32)),
        ("grey", Spec(1), RGB[..., 1:2]),
        ("grey", Spec(), np.repeat(RGB[..., 1:2], 3, axis=2)),
        ("rgba", Spec(), WHITE),
        ("rgba", Spec(4, alpha="none"), np.dstack([RGB, ALPHA])),
        ("turned", Spec(), np.rot90(RGB, -1)),
        ("deep", Spec(dtype="uint16"), DEEP),
        ("deep", Spec(), RGB),
        ("deep rgba", Spec(dtype="uint16"), DEEP),
        ("deep rgba", Spec(), WHITE),
    ],
)
def test_what_becomes_of_each_kind(name: str, spec: Spec, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"  # the content chooses the decoder
    path.write_bytes(FILES[name])
    for source in (path, FILES[name]):
        found = read(source, spec)
        assert found.values_HWC.flags.writeable and found.remarks == ()
        np.testing.assert_array_equal(found.values_HWC, expected)
    hidden = name == "deep rgba" and spec.dtype == "uint16"
    assert (found.valid_HW is not None) is hidden
    assert found.valid_HW is None or (found.valid_HW == (ALPHA == 255)).all()
    deep = name.startswith("deep")
    assert stored_kind(path) == ("uint16" if deep else "uint8") and stored_size(path) == expected.shape[:2]
    assert read_header(path)[1:] == (1, {"grey": "L", "rgba": "RGBA", "deep rgba": "RGBA"}.get(name, "RGB"))


def test_exif_alone_turns_nothing() -> None:
    place = FILES["turned"].index(b"irot") + 4
    lying = FILES["turned"][:place] + b"\0" + FILES["turned"][place + 1 :]
    np.testing.assert_array_equal(read(lying).values_HWC, RGB)


def test_brands() -> None:
    def brands(*names: bytes) -> bytes:
        return struct.pack(">I", 8 + 4 * len(names) + 4) + b"ftyp" + names[0] + bytes(4) + b"".join(names[1:]) + b"meta"

    for names in ((b"heic",), (b"heix", b"mif1"), (b"mif1", b"heic", b"avif"), (b"mif1", b"miaf"), (b"hevc", b"msf1")):
        assert heic.is_heic(brands(*names)), names
    for names in ((b"avif", b"mif1", b"heic"), (b"mif1", b"avif"), (b"isom", b"heic"), (b"crx ",)):
        assert not heic.is_heic(brands(*names)), names
    avif = io.BytesIO()
    Image.fromarray(RGB).save(avif, "AVIF", quality=100)
    for content in (avif.getvalue(), avif.getvalue().replace(b"ftypavif", b"ftypmif1")):
        assert np.abs(read(content).values_HWC.astype(int) - RGB).max() < 40


def test_its_size_is_checked_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    import pi_heif

    monkeypatch.setattr(pi_heif.HeifImage, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(TooLargeError, match=r"8x16 .*128 pixels, more than the 100 allowed"):
        read(FILES["rgb"], limit=100)
    with pytest.raises(TooLargeError, match="more than the 100"):
        stored_size(FILES["rgb"], 100)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (30_000, 30_000), (17, 8), (0, 0)])
def test_sizes_that_are_not_those_of_the_picture(size: tuple[int, int]) -> None:
    place = FILES["rgb"].index(b"ispe") + 8
    with pytest.raises(ImageError, match="HEIC data, damaged or cut off"):
        read(FILES["rgb"][:place] + struct.pack(">II", *size) + FILES["rgb"][place + 8 :])


def test_damaged_files_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    whole = FILES["rgba"]
    for content in (
        *(whole[:length] for length in range(24, len(whole), 97)),
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(64),
    ):
        path.write_bytes(content)
        with pytest.raises(ImageError, match=r"a\.heic: HEIC") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match="HEIC data, which does not keep label values exactly; save labels as PNG"):
        read_label(path)
    with pytest.raises(ImageError, match="HEIC without a picture of HEVC"):
        read(FILES["rgb"].replace(b"hvc1", b"avc1"))


def test_transparency_is_no_band_unless_it_is_said_to_be() -> None:
    with pytest.raises(ImageError, match="alpha: none"):
        read(FILES["rgba"], Spec(4))
    with pytest.raises(ImageError, match="uint8, expected uint16"):
        read(FILES["rgb"], Spec(dtype="uint16"))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(FILES["rgb"])
    for ask in (read, stored_size, stored_kind):
        with pytest.raises(MissingExtraError, match=re.escape("IMG_1.HEIC: reading HEIC needs packages")) as caught:
            ask(path)
        assert "the extra `heic`" in str(caught.value)

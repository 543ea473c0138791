"""Pictures of any number of bands: what is read, what is refused, and what a person gets to see of them."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.errors import ImageError, TooLargeError
from tarsia.pictures.files import unheard
from tarsia.pictures.headers import stored_size
from tarsia.pictures.rasters import place_of
from tarsia.pictures.reader import ImageLike, Picture, Spec, read
from tarsia.pictures.rgb import as_visible, resize

rasterio = pytest.importorskip("rasterio", reason="rasterio (extra geo) is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 13, 17


def values(source: ImageLike, bands: int = 3, **limit: int) -> np.ndarray:
    return read(source, Spec(bands), **limit).values_HWC


def picture(bands: int, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(bands).integers(0, np.iinfo(kind).max, (HEIGHT, WIDTH, bands), kind, endpoint=True)


def tiff(path: Path, image_HWC: np.ndarray, **options) -> Path:
    height, width, count = image_HWC.shape
    options = {"photometric": "minisblack", **options}
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype=image_HWC.dtype, **options) as file:
        file.write(image_HWC.transpose(2, 0, 1))
    return path


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def encoded(mode: str, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (5, 4)).save(file, format=format)
    return file.getvalue()


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 12, 64])
@pytest.mark.parametrize("options", [{"interleave": "pixel"}, {"interleave": "band"}, {"compress": "lzw"}])
def test_tiffs_give_their_bands_back(bands: int, options: dict, tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", picture(bands), **options)
    for source in (path, str(path), path.read_bytes()):
        image_HWC = values(source, bands)
        assert image_HWC.dtype == np.uint8 and image_HWC.flags.writeable and image_HWC.flags.c_contiguous
        np.testing.assert_array_equal(image_HWC, picture(bands))


def test_a_fourth_band_tagged_as_alpha_is_a_band_like_any_other(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", picture(4), photometric="rgb", alpha="yes")
    with rasterio.open(path) as file:
        assert file.colorinterp[3].name == "alpha"
    np.testing.assert_array_equal(values(path, 4), picture(4))


@pytest.mark.parametrize("bands", [2, 4])
def test_16_bits_become_the_upper_byte_and_dark_ones_are_announced(bands: int, tmp_path: Path) -> None:
    stored = picture(bands, np.uint16)
    np.testing.assert_array_equal(values(tiff(tmp_path / "a.tif", stored), bands), stored >> 8)
    dark = read(tiff(tmp_path / "dark.tif", stored >> 5), Spec(bands))
    assert re.search(r"dark\.tif: 16-bit picture whose largest value is \d+ of 65535", *dark.remarks)
    np.testing.assert_array_equal(dark.values_HWC, stored >> 13)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_give_their_values_back(bands: int, order: str, tmp_path: Path) -> None:
    content = npy(np.asarray(picture(bands), order=order))
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for source in (path, content):
        image_HWC = values(source, bands)
        assert image_HWC.flags.c_contiguous and image_HWC.flags.writeable
        np.testing.assert_array_equal(image_HWC, picture(bands))
    assert stored_size(content) == (HEIGHT, WIDTH)


def test_one_band_is_any_grey_picture(tmp_path: Path) -> None:
    grey_HW = picture(1)[..., 0]
    for name in ("a.png", "a.tif", "a.bmp", "a.pgm"):
        Image.fromarray(grey_HW).save(tmp_path / name)
        np.testing.assert_array_equal(values(tmp_path / name, 1)[..., 0], grey_HW)
    Image.fromarray(grey_HW.astype(np.uint16) << 8).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(values(tmp_path / "wide.png", 1)[..., 0], grey_HW)
    np.testing.assert_array_equal(values(npy(grey_HW), 1)[..., 0], grey_HW)
    for mode in ("1", "LA"):
        np.testing.assert_array_equal(values(encoded(mode), 1), values(encoded(mode))[..., :1])


def test_three_bands_are_read_as_ever() -> None:
    for mode in ("RGB", "L", "RGBA", "P"):
        np.testing.assert_array_equal(values(encoded(mode)), values(encoded(mode)))


def of_kind(at: Path, kind: type) -> bytes:
    return tiff(at / "x.tif", picture(4).astype(kind)).read_bytes()


REFUSED = {  # what it is -> content, bands asked for, what is said
    "RGB for four": (lambda _: encoded("RGB"), 4, "a picture of 3 bands, expected 4"),
    "grey for four": (lambda _: encoded("L"), 4, "a picture of 1 band, expected 4"),
    "RGBA is transparency": (lambda _: encoded("RGBA"), 4, "a PNG of mode RGBA, whose last is no band"),
    "LA is transparency": (lambda _: encoded("LA"), 2, "a PNG of mode LA, whose last is no band"),
    "RGB for one": (lambda _: encoded("RGB"), 1, r"a picture of 3 bands \(mode RGB\), expected 1 \(grey\)"),
    "palette for one": (lambda _: encoded("P"), 1, r"3 bands \(mode P\), expected 1"),
    "TIFF of five for four": (lambda at: tiff(at / "x.tif", picture(5)).read_bytes(), 4, "of 5 bands, expected 4"),
    "TIFF of four for one": (lambda at: tiff(at / "x.tif", picture(4)).read_bytes(), 1, "of 4 bands, expected 1"),
    "TIFF of five for three": (
        lambda at: tiff(at / "x.tif", picture(5)).read_bytes(),
        3,
        r"a TIFF of 5 bands, expected 3 bands: choose .*learn from all: bands: 5",
    ),
    "float": (
        lambda at: tiff(at / "x.tif", picture(4).astype(np.float32)).read_bytes(),
        4,
        "its values are float32, expected uint8: .*dtype: float32",
    ),
    "int16": (
        lambda at: tiff(at / "x.tif", picture(4).astype(np.int16)).read_bytes(),
        4,
        "its values are int16, expected uint8: .*dtype: int16",
    ),
    "CMYK": (lambda _: encoded("CMYK", "TIFF"), 4, "a CMYK picture"),
    "no picture": (lambda _: b"hello", 4, "not a picture|no picture|unknown|text"),
    "empty": (lambda _: b"", 4, "empty"),
    "cut TIFF": (lambda at: tiff(at / "x.tif", picture(4)).read_bytes()[:700], 4, "damaged or cut off"),
    "cut npy": (lambda _: npy(picture(4))[:-1], 4, "damaged or cut off"),
    "long npy": (lambda _: npy(picture(4)) + b"x", 4, "damaged or cut off"),
    "npy without header": (lambda _: b"\x93NUMPY\x01\x00", 4, r"a damaged \.npy file"),
    "npy of five for four": (lambda _: npy(picture(5)), 4, "a picture of 5 bands, expected 4"),
    "npy of four for three": (lambda _: npy(picture(4)), 3, "a picture of 4 bands, expected 3"),
    "float npy": (lambda _: npy(picture(4).astype(float)), 4, "its values are float32, expected uint8: .*scale it"),
    "flat npy": (lambda _: npy(picture(4)[..., 0]), 4, "a picture of 1 band, expected 4"),
    "pickled npy": (lambda _: npy_of_objects(), 4, r"object .*expected uint8"),
    "empty npy": (lambda _: npy(np.zeros((0, 4, 4), np.uint8)), 4, "an empty picture"),
}


def npy_of_objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[[{}]]], object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case: str, tmp_path: Path) -> None:
    content, bands, says = REFUSED[case]
    path = tmp_path / "given.bin"
    path.write_bytes(content(tmp_path))
    for source, where in ((path, r"given\.bin"), (path.read_bytes(), r"picture of \d+ bytes")):
        with pytest.raises(ImageError, match=rf"(?s){where}.*({says})"):
            values(source, bands)


def test_the_size_in_the_header_is_checked_first(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", picture(6))
    assert values(path, 6, limit=2 * HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 6)
    for source in (path, npy(picture(6))):
        with pytest.raises(ImageError, match=r"13x17 \(height x width\) is 221 pixels, more than the 220 allowed"):
            values(source, 6, limit=441)  # twice the bands, half the pixels
    huge = npy(np.zeros((1, 1, 4), np.uint8)).replace(b"(1, 1, 4)", b"(99999, 99999, 4)")
    with pytest.raises(ImageError, match=r"pixels, more than|damaged \.npy"):
        values(huge, 4)


def test_random_damage_gives_a_picture_or_an_image_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    sources = [tiff(tmp_path / "a.tif", picture(5), compress="deflate").read_bytes(), npy(picture(5))]
    for source in sources:
        for _ in range(60):
            content = bytearray(source)
            for place in generator.integers(0, len(content), 4):
                content[place] = generator.integers(256)
            with contextlib.suppress(ImageError):
                assert values(bytes(content), 5).shape[2] == 5


def test_arrays_and_pil_images_as_pictures() -> None:
    image_HWC = picture(5)
    assert values(image_HWC, 5) is image_HWC
    assert values(picture(1)[..., 0], 1).shape == (HEIGHT, WIDTH, 1)
    np.testing.assert_array_equal(values(Image.fromarray(picture(1)[..., 0]), 1), picture(1))
    np.testing.assert_array_equal(values(picture(3)), picture(3))
    cases = [
        (picture(4), 5, r"last axis has 4 bands, expected uint8 \(H, W, 5\); give all of them"),
        (picture(4), 3, "its last axis has 4 bands.*; choose 3 of them"),
        (picture(3), 4, "its last axis has 3 bands"),
        (picture(5).astype(float), 5, "astype"),
        (np.zeros((0, 4, 5), np.uint8), 5, "no pixels"),
        (Image.new("RGB", (4, 4)), 4, "mode RGB, expected 4 bands"),
        (Image.new("RGB", (4, 4)), 1, "3 bands .*expected 1"),
        ([1, 2], 4, "list given as picture"),
    ]
    for given, bands, says in cases:
        with pytest.raises(ImageError, match=says):
            values(given, bands)


def test_every_band_is_resized_as_a_grey_picture_is() -> None:
    for bands in (1, 2, 4, 5):
        image_HWC = picture(bands)
        found = resize(image_HWC, (7, 30))
        for band in range(bands):
            alone = Image.fromarray(image_HWC[..., band]).resize((30, 7), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(found[..., band], np.asarray(alone))
    image_HW3 = picture(3)
    four = np.dstack([image_HW3, np.zeros((HEIGHT, WIDTH), np.uint8)])  # a fourth of 0: nothing is blended by it
    np.testing.assert_array_equal(resize(four, (7, 30))[..., :3], resize(image_HW3, (7, 30)))


def test_a_person_sees_three_bands_or_the_first_as_grey() -> None:
    assert as_visible(picture(3)) is not None
    np.testing.assert_array_equal(as_visible(picture(5)), picture(5)[..., :3])
    for bands in (1, 2):
        seen = as_visible(picture(bands))
        assert seen.shape == (HEIGHT, WIDTH, 3)
        assert all((seen[..., channel] == picture(bands)[..., 0]).all() for channel in range(3))


def test_sizes_by_the_header(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", picture(5))
    assert stored_size(path) == stored_size(path.read_bytes()) == (HEIGHT, WIDTH)
    assert stored_size(encoded("RGB")) == (4, 5)
    for content, says in ((b"", "an empty file"), (b"\x93NUMPY", r"damaged \.npy"), (encoded("RGB")[:20], "damaged")):
        with pytest.raises(ImageError, match=says):
            stored_size(content)
    for content in (path, npy(picture(5)), encoded("RGB")):
        with pytest.raises(TooLargeError, match="more than the 19 allowed"):
            stored_size(content, 19)


def test_bands_of_4_bits_are_spread_over_8(tmp_path: Path) -> None:
    found = values(tiff(tmp_path / "x.tif", picture(4) >> 4, nbits=4), 4)
    np.testing.assert_array_equal(found, (picture(4) >> 4) * 17)


def test_where_a_picture_lies(tmp_path: Path) -> None:
    transform = rasterio.Affine(0.5, 0, 10, 0, -0.5, 20)
    place = place_of(tiff(tmp_path / "a.tif", picture(4), crs="EPSG:32633", transform=transform))
    assert place is not None and place.transform == transform and place.crs_name == "EPSG:32633"
    plain = tiff(tmp_path / "b.tif", picture(4))
    assert place_of(plain) is None
    (tmp_path / "b.tfw").write_text("0.5\n0\n0\n-0.5\n10.25\n19.75\n")
    placed = place_of(plain)
    assert placed is not None and placed.affine == (0.5, 0, 10, 0, -0.5, 20)


def test_what_pillow_warns_of_is_no_line_for_anybody(recwarn: pytest.WarningsRecorder) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + b"\x12\x01\x03\0\x01\0\0\0\x01\0\0\0"  # of two entries one is there
    file = io.BytesIO()
    Image.new("RGB", (5, 4)).save(file, "JPEG", exif=exif)
    assert read(file.getvalue()).remarks == () and not [one.message for one in recwarn]


def test_what_one_thread_does_not_hear_others_do(recwarn: pytest.WarningsRecorder) -> None:
    with unheard(UserWarning), ThreadPoolExecutor(1) as pool:
        warnings.warn("mine", stacklevel=1)
        pool.submit(warnings.warn, "another's").result()
    warnings.warn("later", stacklevel=1)
    assert [str(one.message) for one in recwarn] == ["another's", "later"]


def test_remarks_are_warnings_where_nobody_else_tells_them() -> None:
    with pytest.warns(UserWarning, match="one|two") as told:
        assert Picture(picture(3), remarks=("one", "two")).warned().shape == (HEIGHT, WIDTH, 3)
    assert [str(one.message) for one in told] == ["one", "two"]

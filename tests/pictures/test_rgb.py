"""Every kind of picture file Pillow can write, and what damage does to it."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.files import shown
from tarsia.pictures.labels import read_colors, read_label
from tarsia.pictures.reader import ImageLike, Spec, read
from tarsia.pictures.rgb import pad_to_multiple, resize, resize_label

HEIGHT, WIDTH = 13, 17


def values(source: ImageLike, bands: int = 3, **limit: int) -> np.ndarray:
    return read(source, Spec(bands), **limit).values_HWC


def ramp_HW3() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows * 19, columns * 15, (rows + columns) * 8], axis=2).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand: depths that Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "WEBP"])
def test_lossless_formats_give_the_pixels_back(format, tmp_path):
    options = {"lossless": True} if format == "WEBP" else {}
    path = tmp_path / "picture.wrong-suffix"
    path.write_bytes(encoded(Image.fromarray(ramp_HW3()), format, **options))
    for source in (path, str(path), path.read_bytes()):
        image_HW3 = values(source)
        assert image_HW3.dtype == np.uint8
        assert image_HW3.flags.writeable and image_HW3.flags.c_contiguous
        np.testing.assert_array_equal(image_HW3, ramp_HW3())


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "GIF"])
def test_lossy_formats_come_near(format):
    smooth_HW3 = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    image_HW3 = values(encoded(Image.fromarray(smooth_HW3), format))
    assert np.abs(image_HW3.astype(int) - smooth_HW3).max() <= 6


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        *[("1", "PNG"), ("1", "TIFF"), ("1", "PPM"), ("L", "PNG"), ("L", "JPEG"), ("L", "WEBP"), ("L", "BMP")],
        *[("L", "GIF"), ("P", "PNG"), ("P", "TIFF"), ("P", "BMP"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF")],
        *[("YCbCr", "TIFF"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP"), ("LA", "PNG"), ("LA", "TIFF")],
        *[("RGBX", "TIFF"), ("HSV", "no file holds it")],
    ],
)
def test_every_mode_comes_as_pillow_shows_it(mode, format):
    source = Image.fromarray(ramp_HW3()).convert(mode)
    if mode == "HSV":
        np.testing.assert_array_equal(values(source), np.asarray(source.convert("RGB")))
        return
    content = encoded(source, format)
    expected_HW3 = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(values(content), expected_HW3)
    np.testing.assert_array_equal(values(Image.open(io.BytesIO(content))), expected_HW3)


@pytest.mark.parametrize("make", ["rgba", "la", "palette", "colour key", "premultiplied", "grey key 16"])
def test_transparency_is_laid_on_white(make):
    alpha_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha_HW[:, 5:] = 255
    dark_HW3 = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    if make == "rgba":
        content = encoded(Image.fromarray(np.dstack([dark_HW3, alpha_HW])), "PNG")
    elif make == "la":
        content = encoded(Image.merge("LA", [Image.fromarray(dark_HW3[..., 0]), Image.fromarray(alpha_HW)]), "PNG")
    elif make == "palette":
        image = Image.fromarray((alpha_HW // 255).astype(np.uint8)).convert("L")
        image = Image.frombytes("P", image.size, image.tobytes())
        image.putpalette([1, 2, 3, 40, 40, 40])
        content = encoded(image, "PNG", transparency=0)
    elif make == "colour key":
        dark_HW3[:, :5] = (1, 2, 3)
        content = encoded(Image.fromarray(dark_HW3), "PNG", transparency=(1, 2, 3))
    elif make == "premultiplied":
        image = Image.fromarray(np.dstack([dark_HW3, alpha_HW])).convert("RGBa")
        np.testing.assert_array_equal(values(image)[:, :5], 255)
        content = encoded(image.convert("RGBA"), "WEBP", lossless=True)
    else:
        values_HW = np.where(alpha_HW > 0, 40 * 257, 7).astype(">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in values_HW)
        content = png(WIDTH, HEIGHT, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 7)))
    expected_HW3 = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    expected_HW3[:, :5] = 255
    np.testing.assert_array_equal(values(content), expected_HW3)


def test_half_transparent_is_half_white():
    image_HW3 = values(encoded(Image.new("RGBA", (4, 4), (0, 100, 200, 128)), "PNG"))
    assert np.abs(image_HW3[0, 0].astype(int) - (127, 177, 227)).max() <= 1


VALUES = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff big endian", "pgm", "array image"])
def test_16_bit_grey_keeps_the_upper_byte(kind):
    image = Image.fromarray(VALUES)
    if kind == "array image":
        image_HW3 = values(image)
    elif kind == "tiff big endian":
        raw = VALUES.astype(">u2").tobytes()
        image_HW3 = values(encoded(Image.frombytes("I;16B", image.size, raw), "TIFF"))
    else:
        image_HW3 = values(encoded(image, {"png": "PNG", "tiff": "TIFF", "pgm": "PPM"}[kind]))
    for channel in range(3):
        np.testing.assert_array_equal(image_HW3[..., channel], VALUES // 256)


def test_16_bit_colour_follows_the_same_rule_as_16_bit_grey():
    rows = b"".join(b"\0" + np.repeat(row.astype(">u2"), 3).tobytes() for row in VALUES)
    np.testing.assert_array_equal(values(png(WIDTH, HEIGHT, 16, 2, rows))[..., 1], VALUES // 256)


def test_8_bit_values_widened_to_16_bits_come_back_exactly():
    grey_HW = ramp_HW3()[..., 0]
    content = encoded(Image.fromarray(grey_HW.astype(np.uint16) * 257), "PNG")
    np.testing.assert_array_equal(values(content)[..., 2], grey_HW)


def test_dark_16_bit_pictures_are_not_brightened_but_announced():
    content = encoded(Image.fromarray((VALUES // 16).astype(np.uint16)), "PNG")
    image_HW3, _, (remark,), _ = read(content)
    assert image_HW3.max() == 15 and "largest value is 4095 of 65535" in remark


def tiff(tags: dict[int, int], data: bytes) -> bytes:
    """A one-strip little-endian TIFF by hand."""
    entries = {**tags, 259: 1, 273: 8, 277: 1, 278: tags[257], 279: len(data)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    at = 8 + len(data) + len(data) % 2
    return (
        b"II*\0"
        + struct.pack("<I", at)
        + data.ljust(at - 8, b"\0")
        + struct.pack("<H", len(entries))
        + table
        + b"\0" * 4
    )


def test_12_bit_tiff_is_scaled_by_its_declared_depth():
    packed = bytes([0xFF, 0xF8, 0x00, 0x00, 0x01, 0x23])  # 4095, 2048, 0, 291
    image_HW3 = values(tiff({256: 4, 257: 1, 258: 12, 262: 1}, packed))
    assert image_HW3[0, :, 0].tolist() == [255, 128, 0, 18]


def test_16_bit_tiff_with_zero_as_white_is_turned_over():
    image_HW3 = values(tiff({256: 2, 257: 1, 258: 16, 262: 0}, struct.pack("<HH", 0, 65535)))
    assert image_HW3[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("array", "what"), [(np.float32, "float32"), (np.int32, "32-bit integers")], ids=["float", "int32"]
)
def test_pictures_without_a_known_white_are_refused(array, what, tmp_path):
    path = tmp_path / "depth.tif"
    Image.fromarray(VALUES.astype(array)).save(path)
    with pytest.raises(ImageError, match=rf"depth\.tif.*{what}.*scale it"):
        values(path)


def test_lab_is_refused():
    with pytest.raises(ImageError, match=r"Lab-coloured"):
        values(Image.new("LAB", (4, 4)))


def turned(image_HW3: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows, written out: the EXIF standard says where row 0 and column 0 of the file belong."""
    return {
        1: image_HW3,
        2: image_HW3[:, ::-1],
        3: image_HW3[::-1, ::-1],
        4: image_HW3[::-1],
        5: image_HW3.transpose(1, 0, 2),
        6: image_HW3.transpose(1, 0, 2)[:, ::-1],
        7: image_HW3.transpose(1, 0, 2)[::-1, ::-1],
        8: image_HW3.transpose(1, 0, 2)[::-1],
    }[orientation]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, format):
    image = Image.fromarray(ramp_HW3())
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95}}
    content = encoded(image, format, exif=exif, **options.get(format, {}))
    stored_HW3 = values(encoded(image, format, **options.get(format, {})))
    near = {"JPEG": 0, "AVIF": 0}.get(format, 0)
    for image_HW3 in (values(content), values(Image.open(io.BytesIO(content)))):
        assert np.abs(image_HW3.astype(int) - turned(stored_HW3, orientation)).max() <= near
    assert np.abs(turned(stored_HW3, orientation).astype(int) - turned(ramp_HW3(), orientation)).max() < 40


def test_16_bit_grey_is_turned_as_well():
    exif = Image.Exif()
    exif[0x0112] = 6
    image_HW3 = values(encoded(Image.fromarray(VALUES), "PNG", exif=exif))
    np.testing.assert_array_equal(image_HW3[..., 0], (VALUES // 256).T[:, ::-1])


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_first_of_several_pictures_with_a_remark(format):
    first, second = Image.new("RGB", (6, 5), (250, 0, 0)), Image.new("RGB", (6, 5), (0, 0, 250))
    content = encoded(first, format, save_all=True, append_images=[second])
    image_HW3, _, (remark,), _ = read(content)
    assert "several pictures, only the first" in remark
    assert np.abs(image_HW3.astype(int) - (250, 0, 0)).max() < 10


def test_a_phone_jpeg_with_a_preview_is_one_picture():
    first, preview = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 250))
    content = encoded(first, "MPO", save_all=True, append_images=[preview])
    picture = read(content)
    assert picture.values_HWC.shape == (16, 16, 3) and picture.remarks == ()


JPEG = encoded(Image.fromarray(ramp_HW3()), "JPEG")
NOT_PICTURES = {
    "empty": (b"", "empty file"),
    "text": (b"class,pixels\nroad,12\n", "a text file, not a picture"),
    "latin text": ("Die Straße ist frei\n".encode("latin-1") * 20, "a text file"),
    "json": (b'{"a": 1}', "a text file"),
    "noise": (bytes(range(128, 256)) * 4, "unknown format"),
    "zeros": (b"\0" * 512, "unknown format"),
    "jxl": (b"\xff\x0a\xfa\x7f" + b"\0" * 64, "JPEG XL"),
    "jxl box": (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 64, "JPEG XL"),
    "jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 64, "."),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    "svg": (b'<?xml version="1.0"?><svg width="4" height="4"></svg>', "SVG"),
    "pdf": (b"%PDF-1.7\n", "PDF"),
    "video": (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
    "vrt": (b'<VRTDataset rasterXSize="4">', "VRT"),
    "dicom": (b"\0" * 128 + b"DICM", "DICOM"),
    "nifti": (b"\x5c\1" + b"\0" * 342 + b"n+1\0", "NIfTI"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "exr": (b"\x76\x2f\x31\x01" + b"\0" * 9, "OpenEXR"),
    "raw": (b"\0\0\0\x18ftypcrx \0\0\0\1", "camera RAW"),
    "psd": (b"8BPS\0\1" + b"\0" * 40, "Photoshop"),
    "numpy": (b"\x93NUMPY\1\0", "a damaged \\.npy file"),
    "zip": (b"PK\3\4" + b"\0" * 40, "zip"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "png head": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "jpeg head": (b"\xff\xd8\xff\xe0", "."),
    "zero width": (png(0, 4, 8, 2, b"\0" * 4), "."),
    "zero height": (png(4, 0, 8, 2, b""), "."),
    "strange tiff": (
        tiff({256: 2, 257: 1, 258: 64, 262: 1}, b"\0" * 16),
        ".",
    ),
}


@pytest.mark.parametrize("case", NOT_PICTURES)
def test_what_is_no_picture_is_named(case, tmp_path):
    content, says = NOT_PICTURES[case]
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"picture\.jpg: .*{says}") as caught:
        values(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"label .*picture\.jpg: "):
        read_label(path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(ImageError, match="a folder"):
        values(tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        values(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        values(tmp_path / ("n" * 300 + ".jpg"))
    with pytest.raises(ImageError, match="cannot be read"):
        values("zero\0byte.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="neither file nor folder"):
        values(tmp_path / "pipe.jpg")
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    with pytest.raises(ImageError, match=r"a\.jpg"):
        values(tmp_path / "a.jpg")


def test_unreadable_file(tmp_path):
    path = tmp_path / "locked.png"
    path.write_bytes(JPEG)
    path.chmod(0)
    try:
        path.open("rb").close()
        pytest.skip("this user reads everything")
    except PermissionError:
        pass
    with pytest.raises(ImageError, match=r"locked\.png: cannot be read \(Permission denied\)"):
        values(path)


def test_names_are_shown_on_one_line(tmp_path):
    with pytest.raises(ImageError, match=r"two\\nlines \\x1b\.jpg: no such file"):
        values(tmp_path / "two\nlines \x1b.jpg")
    assert shown(b"\xff" * 3) == "picture of 3 bytes"
    assert shown("\udcff.png").isprintable()
    assert shown("Straße 東京.png") == "Straße 東京.png"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "AVIF"])
@pytest.mark.parametrize("kept", [0.1, 0.4, 0.7, 0.9])
def test_truncated_pictures_are_refused(format, kept):
    noise_HW3 = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = encoded(Image.fromarray(noise_HW3), format)
    with pytest.raises(ImageError, match=f"picture of {int(len(content) * kept)} bytes: "):
        values(content[: int(len(content) * kept)])


def traced(act) -> float:
    """Python-side MB of an act that must raise ImageError for its pixels: what is not decoded takes no time either."""
    tracemalloc.start()
    with pytest.raises(ImageError, match="pixels"):
        act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def test_bombs_are_refused_from_the_header():
    rows = zlib.compress(bytes(2_000_000), 9) * 20  # 40 MB of zero rows in some 40 KB
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert len(bomb) < 50_000
    assert traced(lambda: values(bomb)) < 5
    for width, height in ((16_000, 16_000), (2**31 - 1, 2**31 - 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        big = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows[:1000])
        assert traced(lambda big=big: values(big)) < 5
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    assert traced(lambda: values(bmp + bytes(20))) < 5


def test_own_cap_says_size_and_remedy():
    with pytest.raises(ImageError, match=r"13x17 \(height x width\) is 221 pixels, more than the 220 allowed; cut it"):
        values(JPEG, limit=220)
    assert values(JPEG, limit=221).shape == (13, 17, 3)


def test_text_and_profile_bombs_inside_a_png_stay_small():
    bomb = zlib.compress(bytes(50_000_000), 9)
    for kind, data in ((b"zTXt", b"k\0\0" + bomb), (b"iCCP", b"k\0\0" + bomb), (b"iTXt", b"k\0\1\0\0\0" + bomb)):
        content = png(1, 1, 8, 2, b"\0\1\2\3", chunk(kind, data))
        tracemalloc.start()
        with contextlib.suppress(ImageError):
            assert values(content).tolist() == [[[1, 2, 3]]]
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
        tracemalloc.stop()


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        at = int(generator.integers(len(changed)))
        match generator.integers(4):
            case 0:
                changed[at] = generator.integers(256)
            case 1:
                changed[at] ^= 1 << int(generator.integers(8))
            case 2:
                del changed[at : at + int(generator.integers(1, 9))]
            case _:
                changed[at:at] = generator.bytes(int(generator.integers(1, 9)))
        if not changed:
            break
    return bytes(changed)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "AVIF"])
def test_random_damage_gives_a_picture_or_an_image_error(format):
    generator = np.random.default_rng(list(format.encode()))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if format in ("GIF", "BMP", "PPM") else {"exif": exif}
    content = encoded(Image.fromarray(ramp_HW3()), format, **options)
    refused = 0
    for _ in range(300):
        try:
            image_HW3 = values(mutated(content, generator), limit=1_000_000)
            assert image_HW3.dtype == np.uint8 and image_HW3.ndim == 3 and image_HW3.shape[2] == 3 and image_HW3.size
        except ImageError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF"])
def test_random_damage_to_a_label_gives_a_label_or_a_dataset_error(format, tmp_path):
    generator = np.random.default_rng(3)
    content = encoded(Image.fromarray(ramp_HW3()[..., 0]), format)
    path = tmp_path / "label"
    for _ in range(60):
        path.write_bytes(mutated(content, generator))
        try:
            label = read_label(path)
            assert label.ndim == 2 or label.shape[2] == 3
        except DatasetError as error:
            assert str(path) in str(error)


def test_arrays():
    image_HW3 = ramp_HW3()
    assert values(image_HW3) is image_HW3
    np.testing.assert_array_equal(values(image_HW3[..., 0])[..., 2], image_HW3[..., 0])
    for wrong in (image_HW3 / 255, image_HW3.astype(np.int64), image_HW3[None], image_HW3.transpose(2, 0, 1)):
        with pytest.raises(ImageError, match=r"expected uint8 \(H, W, 3\) RGB"):
            values(wrong)
    with pytest.raises(ImageError, match="no pixels"):
        values(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="list given as picture"):
        values([1, 2, 3])


def test_reading_pil_images_leaves_them_alone():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(Image.fromarray(ramp_HW3()), "PNG", exif=exif)))
    assert values(image).shape == (WIDTH, HEIGHT, 3)
    assert image.size == (WIDTH, HEIGHT) and image.getexif()[0x0112] == 6
    with pytest.raises(ImageError, match="damaged or cut off"):
        values(Image.open(io.BytesIO(JPEG[: len(JPEG) - 8])))


def test_large_pictures_are_converted_in_strips_to_the_same_pixels(monkeypatch):
    rgba = Image.fromarray(np.dstack([ramp_HW3(), ramp_HW3()[..., 1]]))
    whole_HW3 = values(rgba)
    monkeypatch.setattr("tarsia.pictures.rgb._STRIP_PIXELS", 3 * WIDTH)
    np.testing.assert_array_equal(values(rgba), whole_HW3)
    palette = rgba.convert("RGB").quantize(16)
    np.testing.assert_array_equal(values(palette), np.asarray(palette.convert("RGB")))


def test_resize_is_antialiased_bilinear():
    image_HW3 = ramp_HW3()
    assert resize(image_HW3, (HEIGHT, WIDTH)) is image_HW3
    small_HW3 = resize(np.tile(np.array([[0, 255]], np.uint8), (8, 8))[..., None].repeat(3, 2), (4, 4))
    assert small_HW3.shape == (4, 4, 3) and small_HW3.flags.writeable
    assert 100 < small_HW3.mean() < 156 and np.ptp(small_HW3.astype(int)) < 90  # stripes average, not alias to 0 or 255
    np.testing.assert_array_equal(
        resize(image_HW3[:, ::-1], (7, 30)), resize(image_HW3.copy()[:, ::-1].copy(), (7, 30))
    )
    assert resize(image_HW3, (1, 1)).shape == (1, 1, 3)


@pytest.mark.parametrize("size", [(7, 30), (26, 34), (1, 1), (5, 4)])
def test_resize_label_is_pillows_nearest_for_every_integer_type(size):
    label_HW = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    expected_HW = np.asarray(Image.fromarray(label_HW).resize((size[1], size[0]), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(resize_label(label_HW, size), expected_HW)
    np.testing.assert_array_equal(resize_label(label_HW.astype(np.int64), size), expected_HW)
    assert resize_label(label_HW, label_HW.shape) is label_HW


def test_pad_repeats_the_border():
    image_HW3 = ramp_HW3()
    padded_HW3 = pad_to_multiple(image_HW3, 8)
    assert padded_HW3.shape == (16, 24, 3)
    rows, columns = np.minimum(np.arange(16), HEIGHT - 1), np.minimum(np.arange(24), WIDTH - 1)
    np.testing.assert_array_equal(padded_HW3, image_HW3[rows][:, columns])
    assert pad_to_multiple(np.stack([image_HW3] * 2), 32).shape == (2, 32, 32, 3)
    assert pad_to_multiple(padded_HW3, 8) is padded_HW3


INDICES = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)


def palette_image(indices_HW: np.ndarray) -> Image.Image:
    image = Image.frombytes("P", indices_HW.shape[::-1], indices_HW.tobytes())
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    return image


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_labels_keep_grey_values_and_palette_indices(format, tmp_path):
    path = tmp_path / "label"
    images = [Image.fromarray(INDICES)]
    images += [palette_image(INDICES)] if format != "GIF" else []  # Pillow reorders palettes when it writes a GIF
    for image in images:
        path.write_bytes(encoded(image, format))
        label_HW = read_label(path)
        assert label_HW.dtype == np.uint8
        np.testing.assert_array_equal(label_HW, INDICES)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("color", [0, 3], ids=["grey", "palette"])
def test_labels_of_few_bits_come_unscaled(bits, color, tmp_path):
    values_HW = (INDICES[:, :16] % 2**bits).astype(np.uint8)
    spread = (values_HW[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in spread)
    palette = chunk(b"PLTE", bytes(3 * 2**bits)) if color == 3 else b""
    path = tmp_path / "label.png"
    path.write_bytes(png(16, HEIGHT, bits, color, rows, palette))
    np.testing.assert_array_equal(read_label(path), values_HW)
    assert values(path).shape == (HEIGHT, 16, 3)


def test_labels_of_many_bits(tmp_path):
    path = tmp_path / "label.png"
    Image.fromarray(VALUES).save(path)
    np.testing.assert_array_equal(read_label(path), VALUES)
    path = tmp_path / "label.tif"
    Image.fromarray(VALUES.astype(np.int32) * 100).save(path)
    np.testing.assert_array_equal(read_label(path), VALUES.astype(np.int32) * 100)
    path.write_bytes(encoded(Image.frombytes("I;16B", (WIDTH, HEIGHT), VALUES.astype(">u2").tobytes()), "TIFF"))
    label_HW = read_label(path)
    assert label_HW.dtype == np.uint16 and label_HW.dtype.isnative
    np.testing.assert_array_equal(label_HW, VALUES)


def test_colour_labels(tmp_path):
    path = tmp_path / "label.png"
    for image in (Image.fromarray(ramp_HW3()), Image.fromarray(ramp_HW3()).convert("RGBA")):
        image.save(path)
        np.testing.assert_array_equal(read_label(path), ramp_HW3())


FOUR = np.array([[0, 1, 2, 3]] * 2, np.uint8)
FOUR_COLORS = np.array([[0, 0, 0], [255, 255, 255], [0, 0, 255], [9, 9, 9]], np.uint8)


@pytest.mark.parametrize("transparent", [None, 0, 2, bytes([0, 128, 255, 0])])
@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_the_colours_of_a_palette_are_never_laid_on_white(format, transparent, tmp_path):
    """Programs mark the background's index transparent; read as a photo it would be white, another class."""
    image = Image.fromarray(FOUR)
    image.putpalette(FOUR_COLORS.tobytes())
    path = tmp_path / "label"
    transparent = 1 if format == "GIF" and isinstance(transparent, bytes) else transparent  # a GIF has one such index
    path.write_bytes(encoded(image, format, **({} if transparent is None else {"transparency": transparent})))
    np.testing.assert_array_equal(read_colors(path), FOUR_COLORS[FOUR])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_colours_of_grey_files_of_few_bits(bits, tmp_path):
    """White is white whatever number stands for it; these are also the colours that a viewer shows."""
    values_HW = (INDICES[:, :16] % 2**bits).astype(np.uint8)
    spread = (values_HW[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in spread)
    path = tmp_path / "label.png"
    path.write_bytes(png(16, HEIGHT, bits, 0, rows))
    np.testing.assert_array_equal(read_colors(path), values(path))
    assert read_colors(path).max() == 255


def test_the_colours_of_grey_and_rgb_files_that_declare_one_transparent(tmp_path):
    path = tmp_path / "label.png"
    for colors_HW3, transparent in ((FOUR_COLORS[FOUR], (0, 0, 0)), (np.repeat(FOUR[..., None], 3, axis=2), 1)):
        grey = not isinstance(transparent, tuple)
        image = Image.fromarray(colors_HW3[..., 0] if grey else colors_HW3)
        image.save(path, transparency=transparent)
        np.testing.assert_array_equal(read_colors(path), colors_HW3)
    Image.merge("LA", [Image.fromarray(FOUR), Image.new("L", (4, 2), 255)]).save(path)
    np.testing.assert_array_equal(read_label(path), FOUR)
    np.testing.assert_array_equal(read_colors(path)[..., 2], FOUR)


def test_colours_that_a_file_does_not_have(tmp_path):
    path = tmp_path / "label.png"
    Image.fromarray(VALUES).save(path)
    with pytest.raises(DatasetError, match=r"label\.png: a mask of uint16 numbers, expected colours"):
        read_colors(path)
    path.write_bytes(png(4, 1, 8, 3, b"\0\0\1\2\3", chunk(b"PLTE", bytes(9))))
    with pytest.raises(DatasetError, match=r"label\.png: index 3 is beyond its palette of 3 colours"):
        read_colors(path)


def oriented_label() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(INDICES), "PNG", exif=exif)


REFUSED_LABELS = {
    "jpeg": (JPEG, "JPEG data, which does not keep label values exactly; save labels as PNG"),
    "webp": (encoded(Image.fromarray(INDICES), "WEBP"), "WEBP|WebP"),
    "pgm": (encoded(Image.fromarray(INDICES), "PPM"), "PPM"),
    "float": (encoded(Image.fromarray(VALUES.astype(np.float32) + 0.5), "TIFF"), "expected whole numbers of classes"),
    "grey with alpha": (encoded(Image.new("LA", (4, 4)), "PNG"), "partly transparent.*as grey without alpha"),
    "cmyk": (encoded(Image.new("CMYK", (4, 4)), "TIFF"), "pixel kind CMYK"),
    "transparent": (encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 254)), "PNG"), "partly transparent"),
    "16-bit colour": (png(1, 1, 16, 2, b"\0" * 7), "16 bits per colour channel"),
    "16-bit grey alpha": (png(1, 1, 16, 4, b"\0" * 5), "16 bits per colour channel"),
    "white is zero": (tiff({256: 4, 257: 1, 258: 8, 262: 0}, b"\0\1\2\3"), "0 as white"),
    "exif": (oriented_label(), "EXIF orientation"),
    "animated": (
        encoded(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 9)]),
        "several pictures",
    ),
    "truncated": (encoded(Image.fromarray(VALUES), "PNG")[:-80], "damaged or cut off"),
    "bomb": (png(30_000, 30_000, 8, 0, b"\0"), "pixels"),
}


@pytest.mark.parametrize("case", REFUSED_LABELS)
def test_labels_refused(case, tmp_path):
    content, says = REFUSED_LABELS[case]
    path = tmp_path / "label.png"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"label\.png: .*({says})"):
        read_label(path)


def test_missing_label(tmp_path):
    with pytest.raises(DatasetError, match=r"nothing\.png: no such file"):
        read_label(Path(tmp_path / "nothing.png"))

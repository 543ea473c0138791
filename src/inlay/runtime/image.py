"""Pictures and label files in, arrays out; and the one resize of the project.  Pillow and numpy only.

What becomes of a picture that is not plain 8-bit RGB:

| kind | becomes |
|---|---|
| EXIF orientation | turned upright |
| grey, 1-bit, palette, CMYK, YCbCr | converted to RGB (colour profiles are not applied) |
| transparency of any kind | laid on white |
| 16 bits a channel | the upper byte: 0 .. 65535 -> 0 .. 255, whatever values the picture happens to hold |
| 12-bit TIFF | the upper 8 of its 12 bits |
| several pictures in a file (GIF, WebP, TIFF, APNG) | the first one, with a warning |
| 32-bit integer, floating point, Lab | refused: nothing says which value is white |
| TIFF of two bands, five or more, or four of an unknown kind | refused: networks see red, green and blue |
| TIFF of RGB and further bands that are not transparency | these are left out, with a warning |

Scaling by a picture's own maximum would show the network another brightness for every picture, so it is never done;
16-bit files that only use 12 bits or fewer come out dark and a warning says so.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# The plugins are named so that Pillow registers these formats alone and never starts its forty other readers.
from PIL import AvifImagePlugin, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from inlay.errors import DatasetError, ImageError, InlayError
from inlay.runtime.signatures import identified
from inlay.runtime.tiff_bands import tiff_bands

ImageLike = str | Path | bytes | Image.Image | np.ndarray

MAX_PIXELS = 178_000_000  # just under the 178,956,970 at which Pillow itself refuses
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
LABEL_FORMATS = ("PNG", "TIFF", "BMP", "GIF")  # lossless, and Pillow hands out their stored values
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"}
    | {".ppm", ".pgm", ".pnm", ".pbm"}
)  # what a folder is searched for; a file named outright is read whatever its suffix
# What the formats' codes can reach: a bit for each 8 x 8 pixels; deflate's 1032 times 8 pixels; LZW's longest string.
_MOST_PIXELS_PER_BYTE = {"JPEG": 512, "MPO": 512, "PNG": 8_256, "GIF": 4_096}
_UNSUSPICIOUS_PIXELS = 1_000_000
_BAND_PIXELS = 4_000_000  # converted at a time: a large picture is never held twice
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO, _EXTRA_SAMPLES = 258, 262, 0, 338
_UNSCALABLE = {"I": "32-bit integer", "F": "floating-point", "LAB": "Lab-coloured"}


def shown(source: str | Path | bytes) -> str:
    """How a file is named in a message: line breaks and other unprintable characters escaped, bytes by their count."""
    if isinstance(source, bytes):
        return f"picture of {len(source)} bytes"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(source))


def open_rgb(source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file (or its bytes) -> H x W x 3 uint8 RGB, upright, converted as this module's docstring says.

    The size in the header is checked before anything is decoded.  Raises ImageError, naming the file, for anything
    that is missing, cut off, too large (`max_pixels`) or no picture.
    """
    where = shown(source)
    remarks: list[str] = []
    with _opened(source, where, FORMATS, max_pixels) as image:
        image_HW3 = _to_rgb(image, where, remarks)
        # A JPEG's further pictures (MPO) are previews of the first, which every phone and drone adds.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            remarks.append(f"{where}: holds several pictures, only the first is used")
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)
    return image_HW3


def as_rgb(image: ImageLike) -> np.ndarray:
    """A path, file content, PIL image, or uint8 array (H x W x 3, or H x W grey) -> H x W x 3 uint8 RGB.

    Raises ImageError for anything else.  An H x W x 3 array is returned as it is, not copied.
    """
    if isinstance(image, str | Path | bytes):
        return open_rgb(image)
    if isinstance(image, np.ndarray):
        return _checked_array(image)
    if not isinstance(image, Image.Image):
        raise ImageError(f"{type(image).__name__} given as picture: expected a path, bytes, PIL image or numpy array")
    where = shown(getattr(image, "filename", "")) or "PIL image"
    remarks: list[str] = []
    with _explained(where, b"", FORMATS):
        _check_size(image.size, where, MAX_PIXELS)
        image_HW3 = _to_rgb(image, where, remarks)
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)
    return image_HW3


def resize(image_HW3: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W x 3 uint8 -> h x w x 3 at `size` (height, width), bilinear and antialiased; itself where equal already.

    The only resize for pictures: training, evaluation, export and service see the same pixels.
    """
    if image_HW3.shape[:2] == tuple(size):
        return image_HW3
    resized = Image.fromarray(image_HW3).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(resized)


def resize_label(label_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W labels -> h x w at `size` (height, width), nearest neighbour by pixel centres; itself where equal."""
    if label_HW.shape[:2] == tuple(size):
        return label_HW
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(label_HW.shape, size, strict=True))
    return label_HW[rows[:, None], columns]


def pad_to_multiple(images_BHW3: np.ndarray, multiple: int) -> np.ndarray:
    """(..., H, W, 3) -> the same with H and W brought up to multiples, the last row and column repeated.

    Repeated and not black, so that no edge appears which the scene does not have.
    """
    height, width = images_BHW3.shape[-3:-1]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return images_BHW3
    return np.pad(images_BHW3, [(0, 0)] * (images_BHW3.ndim - 3) + [(0, down), (0, right), (0, 0)], mode="edge")


def read_label(path: str | Path, wide: bool = False) -> np.ndarray:
    """A label file -> its stored values: H x W integers (grey, palette indices, 1-bit), or H x W x 3 uint8 colours.

    Never colour-converted and never scaled: a palette file gives its indices, a 4-bit file 0 .. 15.  Raises
    DatasetError naming the file for lossy formats, alpha that is not opaque, 16-bit colours, and whatever `open_rgb`
    refuses.  `wide`: an RGB PNG of 16 bits a channel is H x W x 3 uint16.
    """
    where = shown(path)
    try:
        with _opened(path, where, LABEL_FORMATS, MAX_PIXELS) as image:
            wide = wide and image.format == "PNG" and _raw_mode(image) == "RGB;16B"
            stored = _stored_values(image, where, wide)
        if not wide:
            return stored
        # Pillow keeps the upper byte of each pair.  Told that the file has them in the other order, it keeps the lower.
        with _opened(path, where, LABEL_FORMATS, MAX_PIXELS) as image:
            image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]  # type: ignore[attr-defined]
            return stored.astype(np.uint16) << 8 | np.array(image)
    except ImageError as error:
        raise DatasetError(f"label {error}") from error


@contextlib.contextmanager
def _opened(source: str | Path | bytes, where: str, formats: tuple[str, ...], limit: int) -> Iterator[Image.Image]:
    """The picture in `source`, its size checked, not decoded yet; whatever goes wrong inside is an ImageError."""
    with contextlib.ExitStack() as stack:
        file: Any = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(_file(Path(source), where))
        head = file.read(1024)
        with _explained(where, head, formats):
            try:
                image = stack.enter_context(Image.open(file, formats=formats))
            except UnidentifiedImageError:
                _check_bands(tiff_bands(file), where)
                raise
            _check_size(image.size, where, limit)
            _check_content(image, file, where)
            yield image


def _file(path: Path, where: str) -> io.BufferedReader:
    try:
        if path.is_dir():
            raise ImageError(f"{where}: a folder, expected one picture file")
        if path.exists() and not path.is_file():  # a pipe would wait for ever, a device never end
            raise ImageError(f"{where}: neither file nor folder (a pipe or device?), expected a picture file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise ImageError(f"{where}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{where}: cannot be read ({reason})") from error


@contextlib.contextmanager
def _explained(where: str, head: bytes, formats: tuple[str, ...]) -> Iterator[None]:
    """Turn whatever Pillow raises on bad input (it raises nearly everything) into one ImageError."""
    try:
        yield
    except InlayError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{where}: {identified(head, formats, FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).partition(",")[0]
        raise ImageError(f"{where}: refused, too many pixels ({reason}); cut it into smaller pictures") from error
    except MemoryError as error:
        raise ImageError(f"{where}: not enough memory to decode it; make the picture smaller") from error
    except Exception as error:
        raise ImageError(f"{where}: damaged or cut off ({shown(str(error))}); get the file again") from error


def _check_size(size: tuple[int, int], where: str, limit: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{where}: an empty picture ({height}x{width}, height x width)")
    if width * height > limit:
        raise ImageError(
            f"{where}: {height}x{width} (height x width) is {width * height:,} pixels, more than the {limit:,} "
            "allowed; cut it into smaller pictures"
        )


def _check_content(image: Image.Image, file: Any, where: str) -> None:
    """ImageError for a file far too small for its size: a decoder would fill gigabytes with grey."""
    width, height = image.size
    place = file.tell()
    length = file.seek(0, io.SEEK_END)
    file.seek(place)
    most = _MOST_PIXELS_PER_BYTE.get(image.format or "")
    if most and width * height > max(_UNSUSPICIOUS_PIXELS, most * length):
        raise ImageError(f"{where}: damaged, {length} bytes cannot hold {height}x{width} pixels; get the file again")


def _check_bands(bands: int | None, where: str) -> None:
    """ImageError for a TIFF that is neither grey nor RGB; None: not a TIFF, or nobody knows."""
    if bands is not None and bands not in (1, 3):
        raise ImageError(
            f"{where}: a TIFF of {bands} bands; Inlay reads one (grey) or three (red, green and blue): choose three of "
            "them, as gdal_translate -b 1 -b 2 -b 3 does"
        )


def _checked_array(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] not in (3, 0) and image.shape[2] < 64:
        raise ImageError(
            f"array of uint8 {image.shape} given as picture: its last axis has {image.shape[2]} bands, expected "
            "uint8 (H, W, 3) RGB; choose three of them, or reorder its axes"
        )
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        hint = "scale it to 0 .. 255 and use .astype(np.uint8)" if image.dtype != np.uint8 else "reorder its axes"
        raise ImageError(f"array of {image.dtype} {image.shape} given as picture: expected uint8 (H, W, 3) RGB; {hint}")
    if not image.size:
        raise ImageError(f"array of shape {image.shape} given as picture: it has no pixels")
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def _to_rgb(image: Image.Image, where: str, remarks: list[str]) -> np.ndarray:
    """Decode and convert; `remarks` takes what a person should know."""
    image.load()
    tags = dict(getattr(image, "tag_v2", None) or {})
    further = len(tags.get(_EXTRA_SAMPLES) or ()) if image.mode == "RGB" else 0
    if further:
        remarks.append(f"{where}: a TIFF of {3 + further} bands; those after red, green and blue are left out")
    from_ppm = image.format == "PPM" and image.mode == "I"  # Pillow has brought it to 0 .. 65535
    orientation = image.getexif().get(_ORIENTATION, 1)
    transparent = image.info.get("transparency")
    if orientation in range(2, 9):
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or from_ppm:
        values_HW = np.asarray(image)
        bits = int(np.ravel(tags.get(_BITS_PER_SAMPLE, 16))[0])
        grey_HW = (values_HW >> (bits - 8)).astype(np.uint8)
        if 0 < int(values_HW.max()) < 4096 and bits == 16:
            remarks.append(
                f"{where}: 16-bit picture whose largest value is {values_HW.max()} of 65535: it comes out nearly "
                "black; spread its values over 0 .. 65535 in the file, by the same factor for all pictures"
            )
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey_HW = 255 - grey_HW
        if isinstance(transparent, int):
            grey_HW[values_HW == transparent] = 255
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    if image.mode in _UNSCALABLE:
        raise ImageError(
            f"{where}: a {_UNSCALABLE[image.mode]} picture (mode {image.mode}); nothing says which value is white: "
            "scale it to 8 or 16 bits (the same way for all pictures) and save it as PNG"
        )
    return _in_bands(image)


def _in_bands(image: Image.Image) -> np.ndarray:
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    if rows >= height:
        return np.array(_flat(image))
    image_HW3 = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(height, top + rows)))
        image_HW3[top : top + rows] = np.asarray(_flat(band))
    return image_HW3


def _flat(image: Image.Image) -> Image.Image:
    """Any 8-bit picture as RGB, transparency laid on white."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == "RGB" else image.convert("RGB")


def _stored_values(image: Image.Image, where: str, upper_bytes: bool = False) -> np.ndarray:
    raw = _raw_mode(image)
    if getattr(image, "is_animated", False):
        raise ImageError(f"{where}: holds several pictures; save one label picture per file")
    if image.getexif().get(_ORIENTATION, 1) in range(2, 9):
        raise ImageError(f"{where}: has an EXIF orientation, so its rows may not be the picture's; remove the tag")
    image.load()
    packing = raw.partition(";")[2]
    if image.mode in ("1", "L") and "I" in packing:
        raise ImageError(f"{where}: stored with 0 as white, so its values are unclear; save it as a plain grey PNG")
    if image.mode in ("1", "P"):
        return np.array(image, dtype=np.uint8)
    if image.mode == "L":
        # Pillow spreads 2- and 4-bit values over 0 .. 255 (factors 85 and 17); labels want them back as stored.
        return np.array(image) // np.uint8({"2": 85, "4": 17}.get(packing[:1], 1))
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        return np.array(image).astype(np.int32)
    if image.mode not in ("RGB", "RGBA"):
        raise ImageError(f"{where}: pixel kind {image.mode} is no label; save it as index PNG (grey or palette) or RGB")
    if packing.startswith("16") and not upper_bytes:
        raise ImageError(f"{where}: 16 bits per colour channel; save the class numbers as an 8- or 16-bit grey PNG")
    values = np.array(image)
    if image.mode == "RGBA" and int(values[..., 3].min()) < 255:
        raise ImageError(f"{where}: partly transparent, so its colours are unclear; save it as RGB without alpha")
    return np.ascontiguousarray(values[..., :3])


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's terms (`L;4`: four bits of grey); known until it is decoded."""
    tiles = getattr(image, "tile", None) or []
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else image.mode

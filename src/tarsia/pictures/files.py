"""Opening a picture file: its size checked before anything is decoded, whatever is wrong with it one ImageError."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

# The plugins are named so that Pillow registers these formats alone and never starts its forty other readers.
from PIL import AvifImagePlugin, Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from tarsia.card import MAX_PIXELS as MAX_PIXELS
from tarsia.errors import ImageError, TarsiaError, TooLargeError
from tarsia.pictures.orientation import orientation_of, swaps_sides
from tarsia.pictures.signatures import identified
from tarsia.pictures.tiff import tiff_bands
from tarsia.plain_text import plain

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
# What the formats' codes can reach: a bit for each 8 x 8 pixels; deflate's 1032 times 8 pixels; LZW's longest string.
_MOST_PIXELS_PER_BYTE = {"JPEG": 512, "MPO": 512, "PNG": 8_256, "GIF": 4_096}
_UNSUSPICIOUS_PIXELS = 1_000_000


class Header(NamedTuple):
    """What a picture says of itself before it is decoded.

    `size`: (height, width) as stored.  `orientation`: see orientation.py.  `mode`: as Pillow calls it.
    """

    size: tuple[int, int]
    orientation: int
    mode: str


def shown(source: str | Path | bytes) -> str:
    """How a file is named in a message: line breaks and other unprintable characters escaped, bytes by their count."""
    if isinstance(source, bytes):
        return f"picture of {len(source)} bytes"
    return plain(source)


@contextlib.contextmanager
def opened(
    source: str | Path | bytes | IO[bytes], where: str, formats: tuple[str, ...], limit: int
) -> Iterator[Image.Image]:
    """The picture in `source`, its size checked, not decoded yet; whatever goes wrong inside is an ImageError.

    A file that is open already is read from its beginning, and closed in the end.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_file(source, where) if isinstance(source, str | Path | bytes) else source)
        file.seek(0)
        head = file.read(1024)
        with explained(where, head, formats):
            never_warn(Image.DecompressionBombWarning)  # of the size, which is looked at below
            never_warn(UserWarning, r"PIL\.")  # of damaged EXIF data and the like: names no file, changes no pixel
            try:
                image = stack.enter_context(Image.open(file, formats=formats))
            except UnidentifiedImageError:
                _check_bands(tiff_bands(file), where)
                raise
            check_size(image.size, where, limit)
            _check_content(image, file, where)
            yield image


def read_header(source: str | Path | bytes, limit: int = MAX_PIXELS) -> Header:
    """The header of a picture that Pillow reads; ImageError as `opened` raises it."""
    with opened(source, shown(source), FORMATS, limit) as image:
        orientation, size = orientation_of(image), (image.height, image.width)
        if image.format == "TIFF" and swaps_sides(orientation):  # of these Pillow gives the upright size
            size = size[::-1]
        return Header(size, orientation, image.mode)


def open_file(source: str | Path | bytes, where: str) -> Any:
    """A file, or its content, open for reading; ImageError for a folder, a pipe, and what is not there."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        path = Path(source)
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
def explained(where: str, head: bytes, formats: tuple[str, ...]) -> Iterator[None]:
    """Turn whatever Pillow raises on bad input (it raises nearly everything) into one ImageError."""
    try:
        yield
    except TarsiaError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{where}: {identified(head, formats, FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).partition(",")[0]
        raise TooLargeError(f"{where}: refused, too many pixels ({reason}); cut it into smaller pictures") from error
    except MemoryError as error:
        raise TooLargeError(f"{where}: not enough memory to decode it; make the picture smaller") from error
    except Exception as error:
        raise ImageError(f"{where}: damaged or cut off ({shown(str(error))}); get the file again") from error


def never_warn(category: type[Warning], module: str = "") -> None:
    """What such warnings (of modules that fit a pattern) say is of no use to anybody.

    For the whole process, since `warnings.catch_warnings` is not for threads.
    """
    wanted = ("ignore", category, module)
    if not any((action, found, getattr(of, "pattern", "")) == wanted for action, _, found, of, _ in warnings.filters):
        warnings.filterwarnings("ignore", category=category, module=module)


def most_pixels(bands: int, limit: int) -> int:
    """How many pixels a picture of `bands` may have, so that it takes no more memory than `limit` of RGB."""
    return limit * 3 // max(3, bands)


def check_size(size: tuple[int, int], where: str, limit: int) -> None:
    """ImageError for a picture of no pixels, TooLargeError for more than `limit`; size: (width, height)."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{where}: an empty picture ({height}x{width}, height x width)")
    if width * height > limit:
        raise TooLargeError(
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
            f"{where}: a TIFF of {bands} bands; Tarsia reads one (grey) or three (red, green and blue) here: choose "
            f"three of them, as gdal_translate -b 1 -b 2 -b 3 does, or learn from all: bands: {bands} in dataset.yaml, "
            f"model.bands: {bands} in the recipe"
        )

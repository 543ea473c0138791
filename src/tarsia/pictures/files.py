"""Opening a picture file: its size checked before anything is decoded, whatever is wrong with it one ImageError."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import numpy as np

# The plugins are named so that Pillow registers these formats alone and never starts its forty other readers.
from PIL import AvifImagePlugin, Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from tarsia.card import MAX_PIXELS as MAX_PIXELS
from tarsia.card import Spec
from tarsia.errors import ImageError, TarsiaError, TooLargeError
from tarsia.plain_text import plain

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
# What the formats' codes can reach: a bit for each 8 x 8 pixels; deflate's 1032 times 8 pixels; LZW's longest string.
_MOST_PIXELS_PER_BYTE = {"JPEG": 512, "MPO": 512, "PNG": 8_256, "GIF": 4_096}
_UNSUSPICIOUS_PIXELS = 1_000_000
# (offset, bytes, what it is); formats without a reader come with them so that the error can name them.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypavi", "AVIF"),
    *((0, b"P%d" % kind, "PPM") for kind in range(1, 7)),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypcrx", "camera RAW"),
    (4, b"ftyp", "MP4 or MOV video"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"%!PS", "EPS or PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS or PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"<VRTDataset", "VRT (a list of other files)"),
    (128, b"DICM", "DICOM"),
    *((344, mark, "NIfTI") for mark in (b"n+1\0", b"ni1\0")),
    (0, b"\x89HDF", "HDF5"),
    (0, b"CDF", "NetCDF"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    *((0, mark, "camera RAW") for mark in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")),
    (0, b"PK\3\4", "zip"),
    (0, b"\x1f\x8b", "gzip"),
)
_UNHEARD: ContextVar[tuple[type[Warning], ...]] = ContextVar("unheard", default=())


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
        # Of the size, which is looked at below; of damaged EXIF data and the like, which changes no pixel.
        with explained(where, head, formats), unheard(Image.DecompressionBombWarning, UserWarning):
            image = stack.enter_context(Image.open(file, formats=formats))
            check_size(image.size, where, limit)
            _check_content(image, file, where)
            yield image


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
        raise ImageError(f"{where}: {_identified(head, formats)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).partition(",")[0]
        raise TooLargeError(f"{where}: refused, too many pixels ({reason}); cut it into smaller pictures") from error
    except MemoryError as error:
        raise TooLargeError(f"{where}: not enough memory to decode it; make the picture smaller") from error
    except Exception as error:
        raise ImageError(f"{where}: damaged or cut off ({shown(str(error))}); get the file again") from error


class _OfThisThread(type):
    def __subclasscheck__(cls, category: type) -> bool:
        return issubclass(category, _UNHEARD.get())


class _Unheard(Warning, metaclass=_OfThisThread):
    """For the one filter: the warnings that are `unheard` just now, in the thread that asks."""


@contextlib.contextmanager
def unheard(*categories: type[Warning]) -> Iterator[None]:
    """Within, such warnings are not heard in this thread; `warnings.catch_warnings` would be for the whole process."""
    if ("ignore", None, _Unheard, None, 0) not in warnings.filters:
        warnings.simplefilter("ignore", _Unheard)
    token = _UNHEARD.set((*_UNHEARD.get(), *categories))
    try:
        yield
    finally:
        _UNHEARD.reset(token)


def most_pixels(spec: Spec, limit: int) -> int:
    """How many pixels a picture of `spec` may have, so that it takes no more memory than `limit` of 8-bit RGB."""
    return limit * 3 // max(3, spec.bands * np.dtype(spec.dtype).itemsize)


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


def _identified(head: bytes, formats: tuple[str, ...]) -> str:
    """What a file is, by its first bytes, that none of `formats` could read; and what to do."""
    if not head:
        return "an empty file; get the file again"
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            if name.upper() in formats:
                return f"{name} data, but damaged or of a rare kind; get the file again or save it as 8-bit PNG"
            if name.upper() in (*FORMATS, "HEIC"):
                return f"{name} data, which does not keep label values exactly; save labels as PNG"
            return f"{name} data, which Tarsia does not read; save the picture as PNG or JPEG"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer in place of the picture; fetch it with `git lfs pull`"
    if b"<svg" in head:
        return "an SVG drawing, which Tarsia does not read; save the picture as PNG"
    text = head.decode("utf-8", errors="ignore")
    printable = sum(c.isprintable() or c.isspace() for c in text) > 0.9 * len(head)
    what = "a text file" if printable else "a file of an unknown format"
    return f"{what}, not a picture; expected one of {', '.join(formats)}"

"""HEIC, also called HEIF and HIF, as phones and cameras save: by pi-heif (extra `heic`).

The format itself says how a picture is turned, and its decoder turns it; EXIF then says the same again, and is left
aside.  10 and 12 bits stay as stored.  AVIF comes in the same boxes and is Pillow's.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tarsia.errors import ImageError, TarsiaError, TooLargeError, needs
from tarsia.pictures.deep import Samples
from tarsia.pictures.files import check_size, shown

if TYPE_CHECKING:
    from pi_heif import HeifImage

_HEVC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_CODE, _AV1 = frozenset({b"mif1", b"mif2", b"msf1"}), frozenset({b"avif", b"avis"})
_UNREAD = ("Unsupported", "not been built in")  # what libheif says of codes that it has no decoder for


def is_heic(head: bytes) -> bool:
    """Whether a file that begins so is HEIC, by its brands (ISO 14496-12, box `ftyp`)."""
    if head[4:8] != b"ftyp":
        return False
    main, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[place : place + 4] for place in range(16, end - 3, 4)}
    return main in _HEVC or (main in _ANY_CODE and (bool(brands & _HEVC) or not brands & _AV1))


def read(content: bytes, where: str, limit: int) -> tuple[Image.Image | Samples, bool]:
    """The main picture, upright, of 8 bits as Pillow's, else its samples; and whether there are others.

    ImageError for one that is damaged or has more than `limit` pixels, before it is decoded.
    """
    with _opened(content, where) as (found, several):
        check_size(found.size, where, limit)
        bits = int(found.info["bit_depth"])
        if bits == 8:
            return Image.frombytes(found.mode, found.size, found.data, "raw", found.mode, found.stride), several
        if found.premultiplied_alpha:
            raise ImageError(
                f"{where}: HEIC of {bits} bits, its colours multiplied by its alpha; save it as 16-bit PNG"
            )
        width, height = found.size
        return Samples(np.array(found).reshape(height, width, -1), bits, found.has_alpha), several


def header(content: bytes, where: str) -> tuple[tuple[int, int], int, str]:
    """(height, width) upright, bits a sample, and the mode as Pillow calls it; nothing is decoded."""
    with _opened(content, where) as (found, _):
        return (found.size[1], found.size[0]), int(found.info["bit_depth"]), found.mode.partition(";")[0]


@contextlib.contextmanager
def _opened(content: bytes, where: str) -> Iterator[tuple[HeifImage, bool]]:
    with needs(f"{where}: reading HEIC", "heic"):
        import pi_heif
    try:
        file: Any = pi_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        if not len(file):
            raise ImageError(f"{where}: HEIC without a picture of HEVC in it, which alone is read: save it as PNG")
        yield file[file.primary_index], len(file) > 1
    except TarsiaError:
        raise
    except MemoryError as error:
        raise TooLargeError(f"{where}: not enough memory to decode it; make the picture smaller") from error
    except Exception as error:  # libheif's many faults come as any of Python's errors
        text = shown(str(error).strip())
        if any(mark in text for mark in _UNREAD):
            raise ImageError(f"{where}: HEIC of a kind that Tarsia does not read ({text}): save it as PNG") from error
        raise ImageError(f"{where}: HEIC data, damaged or cut off ({text}); get the file again") from error

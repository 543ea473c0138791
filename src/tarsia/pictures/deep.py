"""Pictures that Pillow would cut to 8 bits, or cannot read: their stored samples, H x W x C.

| file | by |
|---|---|
| PNG of 16 bits | imagecodecs (Pillow keeps the upper byte of colours alone); a transparent colour comes as alpha |
| JPEG of 12 bits | imagecodecs |
| PPM and PGM beyond 8 bits | their own header, then numbers of 16 bits, the larger byte first |
| JPEG 2000 | GDAL (extra `geo`): Pillow doubles values of 15 bits |
| .npy | numpy, of which nothing is run (no pickles) |
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np

from tarsia.errors import ImageError, TarsiaError
from tarsia.pictures import gdal_file
from tarsia.pictures.by_rows import Lies
from tarsia.pictures.files import check_size, shown
from tarsia.pictures.jpeg import frame, orientation
from tarsia.pictures.orientation import upright

NPY = b"\x93NUMPY"
MAX_TAKEN = 1024  # bands of a file
_MOST_HEADER = 10_000  # characters of a .npy file's header
_JPEG_2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_PNM = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")


class Samples(NamedTuple):
    """Samples as stored, H x W x C of `bits` bits; `alpha`: whether the last is transparency by the file's format.

    `lies`: where on earth.
    """

    values_HWC: np.ndarray
    bits: int
    alpha: bool = False
    lies: Lies | None = None


def is_deep_png(head: bytes) -> bool:
    """Whether a file that begins so is a PNG of 16 bits a sample."""
    return head[:4] == b"\x89PNG" and len(head) > 24 and head[24] == 16


def is_jpeg_2000(head: bytes) -> bool:
    """Whether a file that begins so is JPEG 2000."""
    return head.startswith(_JPEG_2000)


def is_deep_jpeg(head: bytes) -> bool:
    """Whether the frame of a JPEG says 12 bits a sample."""
    found = frame(head)
    return found is not None and found.bits == 12


def is_deep_pnm(head: bytes) -> bool:
    """Whether a file that begins so is a PPM or PGM of more than 8 bits."""
    found = _PNM.match(head)
    return found is not None and int(found[4]) > 255


def pnm_bits(head: bytes) -> int:
    """How many bits a sample of a PPM or PGM has."""
    found = _PNM.match(head)
    return 8 if found is None else int(found[4]).bit_length()


def read_png(content: bytes, where: str) -> Samples:
    """A PNG of 16 bits; its size is checked by who opened it."""
    values = _decoded(lambda: imagecodecs.png_decode(content), where)
    values_HWC = values[..., None] if values.ndim == 2 else values
    return Samples(values_HWC, 16, values_HWC.shape[2] in (2, 4))


def read_jpeg(content: bytes, where: str, limit: int) -> Samples:
    """A JPEG of 12 bits; ImageError for one that is damaged or has more than `limit` pixels."""
    found = frame(content)
    assert found is not None
    check_size((found.width, found.height), where, limit)
    values = _decoded(lambda: imagecodecs.jpeg8_decode(content), where)
    return Samples(upright(values[..., None] if values.ndim == 2 else values, orientation(content)), 12)


def read_pnm(content: bytes, where: str, limit: int) -> Samples:
    """A PPM or PGM of up to 16 bits."""
    found = _PNM.match(content)
    assert found is not None
    width, height, most = (int(text) for text in found.groups()[1:])
    check_size((width, height), where, limit)
    count = 3 if found[1] == b"6" else 1
    body = content[found.end() : found.end() + height * width * count * 2]
    if most > 65_535 or len(body) < height * width * count * 2:
        raise ImageError(f"{where}: damaged or cut off; get the file again")
    values = np.frombuffer(body, ">u2").reshape(height, width, count).astype(np.uint16)
    bits = most.bit_length()
    if most != 2**bits - 1:
        raise ImageError(f"{where}: its largest value is said to be {most}, which is no number of bits; save it as PNG")
    return Samples(values, bits)


def read_jpeg_2000(source: str | Path | bytes, where: str, limit: int) -> Samples:
    """All of a JPEG 2000."""
    with open_jpeg_2000(source) as raster:
        check_size((raster.width, raster.height), where, limit)
        return jpeg_2000_rows(raster, 0, raster.height, where)._replace(lies=jpeg_2000_lies(raster))


def jpeg_2000_rows(raster: Any, top: int, bottom: int, where: str) -> Samples:
    """Rows of a JPEG 2000 that is open."""
    values = _decoded(lambda: raster.read(window=((top, bottom), (0, raster.width))), where)
    values_HWC = np.ascontiguousarray(values.transpose(1, 2, 0))
    return Samples(values_HWC, _bits(raster), raster.colorinterp[-1].name == "alpha")


def jpeg_2000_header(source: str | Path | bytes) -> tuple[tuple[int, int], int, np.dtype[Any], int]:
    """(height, width), bands, kind of numbers and bits of a JPEG 2000, by its header."""
    with open_jpeg_2000(source) as raster:
        return (raster.height, raster.width), raster.count, np.dtype(raster.dtypes[0]), _bits(raster)


def jpeg_2000_lies(raster: Any) -> Lies | None:
    """Where one that is open lies on earth."""
    affine = None if raster.transform.is_identity else tuple(raster.transform)[:6]
    if not raster.crs:
        return None if affine is None else Lies(None, affine)
    number = raster.crs.to_epsg()
    return Lies(f"EPSG:{number}" if number else raster.crs.to_wkt(), affine)


def _bits(raster: Any) -> int:
    return int(raster.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", np.dtype(raster.dtypes[0]).itemsize * 8))


def open_jpeg_2000(source: str | Path | bytes) -> AbstractContextManager[Any]:
    """One as GDAL has it, by its own driver and no other."""
    return gdal_file.opened(source if isinstance(source, bytes) else Path(source), "JP2OpenJPEG", "reading JPEG 2000")


def npy_header(file: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether columns come first, and kind of a .npy file's array; ImageError where that is damaged."""
    file.seek(0)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    try:
        return read[np.lib.format.read_magic(file)[0]](file, max_header_size=_MOST_HEADER)
    except Exception as error:  # numpy has Python's own parser read it, which raises nearly everything
        raise ImageError(f"{where}: a damaged .npy file ({shown(str(error))}); get the file again") from error


def read_npy(file: BinaryIO, where: str, expected: str, limit: int) -> Samples:
    """The array of a .npy file, H x W or H x W x C; `expected` says in the error what is wanted."""
    shape, fortran, kind = npy_header(file, where)
    sizes = all(type(side) is int and side > 0 for side in shape) and max(shape[2:], default=1) <= MAX_TAKEN
    if not sizes and 0 in shape:
        check_size((0, 0), where, limit)
    if not sizes or kind.hasobject or kind.kind not in "buif" or kind.itemsize > 8 or len(shape) not in (2, 3):
        raise ImageError(f"{where}: {kind} {shape}, expected {expected}; reorder its axes, or save plain numbers")
    check_size((shape[1], shape[0]), where, limit)
    shape = shape if len(shape) == 3 else (*shape, 1)
    length = shape[0] * shape[1] * shape[2] * kind.itemsize
    content = file.read(length + 1)
    if len(content) != length:
        raise ImageError(f"{where}: damaged or cut off, its values are not those of {shape}; get the file again")
    values = np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")
    return Samples(values.astype(kind.newbyteorder("="), order="C"), 1 if kind.kind == "b" else kind.itemsize * 8)


def _decoded(decode: Any, where: str) -> np.ndarray:
    try:
        return decode()
    except (TarsiaError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"{where}: damaged or cut off ({shown(str(error))}); get the file again") from error

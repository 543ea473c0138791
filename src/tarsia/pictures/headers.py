"""What a picture says of itself in its header: nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tarsia.pictures import deep, heic, kinds
from tarsia.pictures.files import FORMATS, MAX_PIXELS, check_size, open_file, opened, shown
from tarsia.pictures.jpeg import frame, orientation
from tarsia.pictures.orientation import orientation_of
from tarsia.pictures.reader import head_of
from tarsia.pictures.tiff import CMYK, PALETTE, is_tiff, open_tiff

_ANY = 2**62  # pixels: of a header nothing is decoded


class Header(NamedTuple):
    """What a picture says of itself before it is decoded.

    `size`: (height, width) as stored.  `orientation`: see orientation.py.  `mode`: as Pillow calls it; of a TIFF's
    samples it has no name for, how many there are.
    """

    size: tuple[int, int]
    orientation: int
    mode: str


class Numbers(NamedTuple):
    """The kind of numbers of a picture, and of uint16 how many of their bits it says it uses; of others 0."""

    kind: str
    bits: int = 0


class _Stored(NamedTuple):
    """A picture's (height, width), bands and kind of numbers as stored; how it lies; what Pillow calls it; bits."""

    size: tuple[int, int]
    bands: int
    kind: str
    orientation: int = 1
    mode: str = "array"
    bits: int = 16


def stored_size(source: str | Path | bytes, limit: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture of any bands as its header has it, before any turning upright.

    Raises ImageError for what is no picture, TooLargeError for more than `limit` pixels.
    """
    return _stored(source, limit, lying=False).size


def read_header(source: str | Path | bytes, limit: int = MAX_PIXELS) -> Header:
    """The header of a picture; ImageError for what is none."""
    found = _stored(source, limit)
    return Header(found.size, found.orientation, found.mode)


def stored_kind(path: str | Path) -> str:
    """uint8, uint16, int16 or float32: what kind of numbers a picture holds, by its header."""
    return _stored(path, _ANY, lying=False).kind


def stored_numbers(path: str | Path) -> Numbers:
    """What kind of numbers a picture holds, and how many bits of 16, by its header."""
    found = _stored(path, _ANY, lying=False)
    return Numbers(found.kind, found.bits if found.kind == "uint16" else 0)


def stored_bands(path: str | Path) -> int:
    """How many samples a pixel has, by its header; 3 of what becomes RGB."""
    return _stored(path, _ANY, lying=False).bands


def _stored(source: str | Path | bytes, limit: int, lying: bool = True) -> _Stored:
    """`lying`: how it lies is asked for, too, for which a PNG is decoded."""
    where = shown(source)
    with open_file(source, where) as file:
        head = head_of(file)
        if head.startswith(deep.NPY):
            shape, _, kind = deep.npy_header(file, where)
            size = (shape[0], shape[1]) if len(shape) in (2, 3) else (0, 0)
            found = _Stored(size, shape[2] if len(shape) == 3 else 1, kinds.kind_of(kind))
        elif is_tiff(head):
            with open_tiff(file, where, None if isinstance(source, bytes) else Path(source)) as tiff:
                plain = tiff.photometric == PALETTE
                bands = 3 if plain or tiff.photometric == CMYK else tiff.samples
                kind = "uint8" if plain else kinds.kind_of(np.dtype(tiff.kind))
                found = _Stored(tiff.size, bands, kind, tiff.orientation, tiff.mode, tiff.bits)
        elif deep.is_jpeg_2000(head):
            size, bands, stored, bits = deep.jpeg_2000_header(source)
            found = _Stored(size, bands, kinds.kind_of(stored), bits=bits)
        elif heic.is_heic(head):
            file.seek(0)
            size, bits, mode = heic.header(file.read(), where)
            found = _Stored(size, 3, "uint8" if bits == 8 else "uint16", mode=mode, bits=bits)
        elif (jpeg := frame(head)) is not None and jpeg.bits == 12:
            found = _Stored((jpeg.height, jpeg.width), 3, "uint16", orientation(head), bits=12)
        else:
            kind = "uint16" if deep.is_deep_png(head) or deep.is_deep_pnm(head) else "uint8"
            bits = deep.pnm_bits(head) if deep.is_deep_pnm(head) else 16
            with opened(file, where, FORMATS, limit) as image:
                lies = orientation_of(image) if lying else 1
                return _Stored((image.height, image.width), 3, kind, lies, image.mode, bits)
    check_size(found.size[::-1], where, limit)
    return found

"""What a picture says of itself in its header: nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tarsia.card import Spec
from tarsia.pictures import deep, kinds
from tarsia.pictures.files import FORMATS, MAX_PIXELS, check_size, open_file, opened, shown
from tarsia.pictures.orientation import orientation_of
from tarsia.pictures.reader import HEAD, read
from tarsia.pictures.tiff import CMYK, PALETTE, is_tiff, open_tiff

_EIGHT_BITS = (".jpg", ".jpeg", ".webp", ".gif", ".bmp")  # unless a file is not what its name says


class Header(NamedTuple):
    """What a picture says of itself before it is decoded.

    `size`: (height, width) as stored.  `orientation`: see orientation.py.  `mode`: as Pillow calls it; of a TIFF's
    samples it has no name for, how many there are.
    """

    size: tuple[int, int]
    orientation: int
    mode: str


def stored_size(source: str | Path | bytes, limit: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture of any bands as its header has it, before any turning upright.

    Raises ImageError for what is no picture,  for more than `limit` pixels.
    """
    where = shown(source)
    with open_file(source, where) as file:
        head = file.read(HEAD)
        if head.startswith(deep.NPY):
            shape = deep.npy_header(file, where)[0]
            height, width = (shape[0], shape[1]) if len(shape) in (2, 3) else (0, 0)
        elif is_tiff(head):
            with open_tiff(file, where) as tiff:
                height, width = tiff.size
        elif deep.is_jpeg_2000(head) or deep.is_deep_jpeg(head):
            height, width = read(source, Spec(dtype="float32"), limit).values_HWC.shape[:2]
        else:
            with opened(file, where, FORMATS, limit) as image:  # no more of it: of a PNG its EXIF data is decoded
                return image.height, image.width
    check_size((width, height), where, limit)
    return height, width


def read_header(source: str | Path | bytes, limit: int = MAX_PIXELS) -> Header:
    """The header of a picture; ImageError for what is none."""
    where = shown(source)
    with open_file(source, where) as file:
        head = file.read(HEAD)
        if is_tiff(head):
            with open_tiff(file, where, None if isinstance(source, bytes) else Path(source)) as tiff:
                check_size(tiff.size[::-1], where, limit)
                return Header(tiff.size, tiff.orientation, tiff.mode)
        if head.startswith(deep.NPY) or deep.is_jpeg_2000(head) or deep.is_deep_jpeg(head):
            return Header(stored_size(source, limit), 1, "array")
        with opened(file, where, FORMATS, limit) as image:
            return Header((image.height, image.width), orientation_of(image), image.mode)


def stored_kind(path: str | Path) -> str:
    """uint8, uint16, int16 or float32: what kind of numbers a picture holds, by its header."""
    path = Path(path)
    if path.suffix.lower() in _EIGHT_BITS:
        return "uint8"
    with open_file(path, shown(path)) as file:
        head = file.read(HEAD)
        if is_tiff(head):
            with open_tiff(file, shown(path), path) as tiff:
                return "uint8" if tiff.photometric == PALETTE else kinds.kind_of(np.dtype(tiff.kind))
        if head.startswith(deep.NPY):
            return kinds.kind_of(deep.npy_header(file, shown(path))[2])
        deeper = deep.is_deep_png(head) or deep.is_deep_jpeg(head) or deep.is_deep_pnm(head)
        if deep.is_jpeg_2000(head):
            return kinds.kind_of(deep.jpeg_2000_kind(path, shown(path)))
        return "uint16" if deeper else "uint8"


def stored_bands(path: str | Path) -> int:
    """How many samples a pixel of a TIFF or .npy file has, by its header; 3 of all else, which becomes RGB."""
    path = Path(path)
    with open_file(path, shown(path)) as file:
        head = file.read(HEAD)
        if head.startswith(deep.NPY):
            shape = deep.npy_header(file, shown(path))[0]
            return shape[2] if len(shape) == 3 else 1
        if is_tiff(head):
            with open_tiff(file, shown(path), path) as tiff:
                return 3 if tiff.photometric in (PALETTE, CMYK) else tiff.samples
    return 3

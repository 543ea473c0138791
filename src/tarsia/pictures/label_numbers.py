"""Label files beyond grey and colours: whole numbers kept as floats, NumPy arrays, WebP without loss."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.errors import ImageError
from tarsia.pictures.files import check_size, open_file

_NPY = b"\x93NUMPY"
_MOST_HEADER = 10_000  # characters of a .npy file's header
_MOST_CHUNKS = 64  # of a WebP file that are looked at
_LARGEST = 2**31 - 1


def whole_numbers(values_HW: np.ndarray, where: str) -> np.ndarray:
    """Floats that are whole numbers as int32; ImageError for others, NaN among them."""
    whole_HW = np.rint(values_HW)
    wrong = ~np.isfinite(values_HW) | (whole_HW != values_HW) | (np.abs(whole_HW) > _LARGEST)
    if wrong.any():
        found = values_HW[wrong][0]
        raise ImageError(f"{where}: holds {found} in {int(wrong.sum())} pixels, expected whole numbers of classes")
    return whole_HW.astype(np.int32)


def is_array(path: str | Path, where: str) -> bool:
    """Whether a file is a NumPy array, by its first bytes."""
    with open_file(path, where) as file:
        return bool(file.read(len(_NPY)) == _NPY)


def read_array(path: str | Path, where: str, limit: int) -> np.ndarray:
    """A .npy file of H x W numbers or H x W x 3 uint8 colours; ImageError for any other.  Nothing in it is run."""
    with open_file(path, where) as file:
        try:
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            shape, fortran, kind = read[np.lib.format.read_magic(file)[0]](file, max_header_size=_MOST_HEADER)
        except Exception as error:  # numpy has Python's own parser read it, which raises nearly everything
            raise ImageError(f"{where}: a damaged .npy file; get the file again") from error
        if len(shape) == 3 and shape[2] == 1:
            shape = shape[:2]
        colors = len(shape) == 3 and shape[2] == 3 and kind == np.uint8
        if kind.hasobject or kind.kind not in "buif" or not (len(shape) == 2 or colors) or 0 in shape:
            raise ImageError(f"{where}: {kind} {shape}, expected whole numbers (H, W) or colours, uint8 (H, W, 3)")
        check_size((shape[1], shape[0]), where, limit)
        content = file.read(int(np.prod(shape)) * kind.itemsize + 1)
    if len(content) != int(np.prod(shape)) * kind.itemsize:
        raise ImageError(f"{where}: damaged or cut off, its values are not those of {shape}; get the file again")
    stored = np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")
    if kind.kind == "f":
        return whole_numbers(stored, where)
    if kind.kind == "b" or kind == np.uint8:
        return stored.astype(np.uint8)
    if stored.min() < -_LARGEST or stored.max() > _LARGEST:
        raise ImageError(f"{where}: holds numbers up to {stored.max()}, expected those of classes")
    return stored.astype(np.uint16 if kind == np.uint16 else np.int32)


def is_lossless_webp(file: Any) -> bool:
    """Whether a WebP file's picture is kept without loss (VP8L); the file is left where it was."""
    at = file.tell()
    file.seek(0)
    head = file.read(12)
    lossless = False
    for _ in range(_MOST_CHUNKS if head[8:12] == b"WEBP" else 0):
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if name in (b"VP8L", b"VP8 ", b"ANIM", b""):
            lossless = name == b"VP8L"
            break
        file.seek(size + size % 2, io.SEEK_CUR)
    file.seek(at)
    return lossless

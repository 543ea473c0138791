"""Label files beyond grey and colours: whole numbers kept as floats, NumPy arrays, WebP without loss."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.errors import ImageError
from tarsia.pictures.deep import NPY, read_npy
from tarsia.pictures.files import open_file

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


def is_array(path: str | Path | bytes, where: str) -> bool:
    """Whether a file is a NumPy array, by its first bytes."""
    with open_file(path, where) as file:
        return bool(file.read(len(NPY)) == NPY)


def read_array(path: str | Path | bytes, where: str, limit: int) -> np.ndarray:
    """A .npy file of H x W numbers or H x W x 3 uint8 colours; ImageError for any other.  Nothing in it is run."""
    expected = "whole numbers (H, W) or colours, uint8 (H, W, 3)"
    with open_file(path, where) as file:
        stored = read_npy(file, where, expected, limit).values_HWC
    kind, shape = stored.dtype, stored.shape
    if shape[2] == 1:
        stored = stored[..., 0]
    elif shape[2] != 3 or kind != np.uint8:
        raise ImageError(f"{where}: {kind} {shape}, expected {expected}")
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

"""Pictures of any number of bands in, H x W x N uint8 arrays out.

Three bands are red, green and blue, and `rgb.py` reads them.  For other numbers:

| file | becomes |
|---|---|
| TIFF of N bands, chunky or planar, of 8 or 16 bits | its bands; of 16 bits the upper byte (needs the extra `geo`) |
| .npy, uint8, H x W x N | its values; nothing in it is run (no pickles) |
| one band: any grey picture | grey, as `rgb.py` has it (upright, transparency on white); one .npy may be H x W |
| another number of bands than N, colours for one band | refused; transparency is a band in a TIFF and nowhere else |
| other numbers than these, TIFFs of turned or inverted values | refused: nothing says which value is white |
"""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.errors import ImageError
from tarsia.pictures.files import (
    ARRAY_SUFFIX,
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    bands_in_words,
    check_size,
    most_pixels,
    open_file,
    opened,
    shown,
)
from tarsia.pictures.rasters import open_raster
from tarsia.pictures.rgb import ImageLike, as_rgb, check_grey, open_grey, open_rgb
from tarsia.pictures.tiff import HEIGHT, WIDTH, tiff_bands, tiff_tags

_NPY = b"\x93NUMPY"
_MOST_HEADER = 10_000  # characters of a .npy file's header


def suffixes(bands: int) -> frozenset[str]:
    """What a folder is searched for: pictures, and arrays where pictures are not RGB."""
    return SUFFIXES if bands == 3 else SUFFIXES | {ARRAY_SUFFIX}


def open_bands(source: str | Path | bytes, bands: int = 3, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file (or its bytes) -> H x W x `bands` uint8, as this module's docstring says.

    Size and bands in the header are checked before anything is decoded; `max_pixels` is the limit for three bands, and
    less for more of them.  Raises ImageError, naming the file, for anything else than such a picture.
    """
    where = shown(source)
    with open_file(source, where) as file:
        if file.read(len(_NPY)) == _NPY:
            return _stored_array(file, where, bands, most_pixels(bands, max_pixels))
        found = tiff_bands(file) if bands != 3 else None
    if bands == 3:
        return open_rgb(source, max_pixels)
    if found is not None and found != bands:
        raise _other_bands(where, found, bands)
    if bands == 1:
        return open_grey(source, max_pixels)
    if found is None:
        with opened(source, where, FORMATS, max_pixels) as image:
            kind, has = image.format, len(image.getbands()) if image.mode != "P" else 3
        if has == bands:  # a PNG's grey and alpha, or colours and alpha
            raise ImageError(f"{where}: a {kind} of mode {image.mode}, whose last is no band: give a TIFF or .npy file")
        raise _other_bands(where, has, bands)
    with open_raster(source if isinstance(source, bytes) else Path(source), bands) as raster:
        height, width = raster.size
        check_size((width, height), where, most_pixels(bands, max_pixels))
        image_HWC = raster.read(0, height)
        remark = raster.remark()
    if remark:
        warnings.warn(remark, stacklevel=2)
    return image_HWC


def header_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a .npy file, or of a TIFF of any bands, as its header has it; None for all else."""
    if content.startswith(_NPY):
        with contextlib.suppress(ImageError):
            shape = _header(io.BytesIO(content), "")[0]
            return (shape[1], shape[0]) if len(shape) in (2, 3) else None
        return None
    tags = tiff_tags(io.BytesIO(content)) or {}
    return (tags[WIDTH], tags[HEIGHT]) if WIDTH in tags and HEIGHT in tags else None


def as_bands(image: ImageLike, bands: int = 3) -> np.ndarray:
    """A path, file content, PIL image, or uint8 array (H x W x `bands`; one or three: H x W grey) -> H x W x `bands`.

    Raises ImageError for anything else.  An array of this shape is returned as it is, not copied.
    """
    if isinstance(image, str | Path | bytes):
        return open_bands(image, bands)
    if bands == 3:
        return as_rgb(image)
    if isinstance(image, Image.Image):
        where = shown(getattr(image, "filename", "")) or "PIL image"
        if bands != 1:
            raise ImageError(f"{where}: of mode {image.mode}, expected {bands} bands: give an array or a file's path")
        check_grey(image, where)
        return np.ascontiguousarray(as_rgb(image)[..., :1])
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{type(image).__name__} given as picture: expected a path, bytes, PIL image or numpy array")
    return _checked(image, "array given as picture", bands)


def _checked(image: np.ndarray, where: str, bands: int) -> np.ndarray:
    if image.ndim == 2 and bands == 1:
        image = image[:, :, None]
    _check_kind(image.dtype, image.shape, where, bands)
    if not image.size:
        raise ImageError(f"{where}: of shape {image.shape}, it has no pixels")
    return image


def _check_kind(kind: Any, shape: tuple[int, ...], where: str, bands: int) -> None:
    if len(shape) == 3 and shape[2] != bands and kind == np.uint8:
        raise _other_bands(where, shape[2], bands)
    if kind != np.uint8 or len(shape) != 3:
        hint = "scale it to 0 .. 255 and use .astype(np.uint8)" if kind != np.uint8 else "reorder its axes"
        raise ImageError(f"{where}: {kind} {shape}, expected uint8 (H, W, {bands}); {hint}")


def _header(file: Any, where: str) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether columns come first, and kind of a .npy file's array; ImageError where that is damaged."""
    file.seek(0)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    try:
        return read[np.lib.format.read_magic(file)[0]](file, max_header_size=_MOST_HEADER)
    except Exception as error:  # numpy has Python's own parser read it, which raises nearly everything
        raise ImageError(f"{where}: a damaged .npy file ({shown(str(error))}); get the file again") from error


def _stored_array(file: Any, where: str, bands: int, limit: int) -> np.ndarray:
    """The array of a .npy file; ImageError unless its header says uint8 of the right shape and size."""
    shape, fortran, kind = _header(file, where)
    if len(shape) == 2 and bands in (1, 3):
        shape = (*shape, 1)
    if kind.hasobject or kind != np.uint8 or len(shape) != 3 or shape[2] != bands:
        _check_kind(kind, shape, where, bands)
    check_size((shape[1], shape[0]), where, limit)
    content = file.read(shape[0] * shape[1] * shape[2] + 1)
    if len(content) != shape[0] * shape[1] * shape[2]:
        raise ImageError(f"{where}: damaged or cut off, its values are not those of {shape}; get the file again")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C").copy()


def _other_bands(where: str, found: int, expected: int) -> ImageError:
    remedy = "give a TIFF or .npy file with all of them" if expected > 1 else "save it as a grey PNG or TIFF"
    return ImageError(f"{where}: a picture of {bands_in_words(found)}, expected {expected}: {remedy}")

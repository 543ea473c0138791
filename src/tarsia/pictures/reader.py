"""The one reader of pictures: a file of any kind, or what is in memory -> H x W x N values, and what to know of them.

The file chooses the decoder, never the task.  Three bands are red, green and blue, and become what `rgb.py` says.  For
other numbers:

| file | becomes |
|---|---|
| TIFF of N bands, chunky or planar, of 8 or 16 bits | its bands; of 16 bits the upper byte (needs the extra `geo`) |
| .npy, uint8, H x W x N | its values; nothing in it is run (no pickles) |
| one band: any grey picture | grey, as `rgb.py` has it (upright, transparency on white); one .npy may be H x W |
| another number of bands than N, colours for one band | refused; transparency is a band in a TIFF and nowhere else |
| other numbers than these, TIFFs of turned or inverted values | refused: nothing says which value is white |

Windows of huge TIFFs: `rasters.open_raster`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tarsia.card import MAX_BANDS
from tarsia.errors import ImageError, TooLargeError
from tarsia.pictures.files import (
    FORMATS,
    MAX_PIXELS,
    check_size,
    explained,
    most_pixels,
    open_file,
    opened,
    shown,
)
from tarsia.pictures.rasters import Place, open_raster
from tarsia.pictures.rgb import to_rgb
from tarsia.pictures.tiff import HEIGHT, WIDTH, tiff_bands, tiff_tags
from tarsia.plain_text import number

ImageLike = str | Path | bytes | Image.Image | np.ndarray

_NPY = b"\x93NUMPY"
_MOST_HEADER = 10_000  # characters of a .npy file's header
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # of Pillow; and I;16 with its byte orders


@dataclass(frozen=True)
class Spec:
    """What a model, or a data set, takes pictures as: of how many bands."""

    bands: int = 3


RGB = Spec()


class Picture(NamedTuple):
    """What was read.

    `values_HWC`: uint8, upright.  `valid_HW`: where there is data; None everywhere, or where nobody asked, as yet of
    all but rasters (`Raster.nowhere`).  `place`: where on earth, if it says so and has other bands than three.
    `remarks`: what a person should know, each naming the file.
    """

    values_HWC: np.ndarray
    valid_HW: np.ndarray | None = None
    place: Place | None = None
    remarks: tuple[str, ...] = ()

    def warned(self) -> np.ndarray:
        """The values; the remarks become Python's warnings, for callers that have no other way to say them."""
        for remark in self.remarks:
            warnings.warn(remark, stacklevel=3)
        return self.values_HWC


def read(source: ImageLike, spec: Spec = RGB, limit: int = MAX_PIXELS) -> Picture:
    """A path, file content, PIL image, or uint8 array (H x W x bands; of one or three: H x W grey) -> a picture.

    Size and bands in a file's header are checked before anything is decoded; `limit` is the most pixels of three bands,
    and less for more of them.  Raises ImageError, naming the file, for anything else than such a picture.  An array of
    the right shape is returned as it is, not copied.
    """
    if isinstance(source, str | Path | bytes):
        return _of_file(source, spec.bands, limit)
    if isinstance(source, Image.Image):
        return _of_pillow(source, spec.bands, limit)
    if not isinstance(source, np.ndarray):
        raise ImageError(f"{type(source).__name__} given as picture: expected a path, bytes, PIL image or numpy array")
    return Picture(_checked(source, spec.bands))


def stored_size(source: str | Path | bytes, limit: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture of any bands as its header has it, before any turning upright.

    Raises ImageError for what is no picture, TooLargeError for more than `limit` pixels.
    """
    where = shown(source)
    try:
        with opened(source, where, FORMATS, limit) as image:  # no more of it: of a PNG its EXIF data is decoded
            return image.height, image.width
    except TooLargeError:
        raise
    except ImageError:
        size = _size_of_bands(source, where)
        if size is None:
            raise
    check_size((size[1], size[0]), where, limit)
    return size


def _size_of_bands(source: str | Path | bytes, where: str) -> tuple[int, int] | None:
    """(height, width) of a .npy file, or a TIFF of any bands; None for all else."""
    with open_file(source, where) as file:
        if file.read(len(_NPY)) == _NPY:
            shape = _header(file, where)[0]
            return (shape[0], shape[1]) if len(shape) in (2, 3) else None
        tags = tiff_tags(file) or {}
    return (tags[HEIGHT], tags[WIDTH]) if WIDTH in tags and HEIGHT in tags else None


def _of_file(source: str | Path | bytes, bands: int, limit: int) -> Picture:
    where = shown(source)
    with open_file(source, where) as file:
        if file.read(len(_NPY)) == _NPY:
            return Picture(_stored_array(file, where, bands, most_pixels(bands, limit)))
        found = tiff_bands(file) if bands != 3 else None
        if found is not None and found != bands:
            raise _other_bands(where, found, bands)
        if bands in (1, 3) or found is None:
            with opened(file, where, FORMATS, limit) as image:
                return _converted(image, where, bands)
    with open_raster(source if isinstance(source, bytes) else Path(source), bands) as raster:
        height, width = raster.size
        check_size((width, height), where, most_pixels(bands, limit))
        return Picture(raster.read(0, height), None, raster.place, tuple(raster.remarks()))


def _of_pillow(image: Image.Image, bands: int, limit: int) -> Picture:
    where = shown(getattr(image, "filename", "")) or "PIL image"
    if bands not in (1, 3):
        raise ImageError(f"{where}: of mode {image.mode}, expected {bands} bands: give an array or a file's path")
    with explained(where, b"", FORMATS):
        check_size(image.size, where, limit)
        return _converted(image, where, bands, several=False)  # it stands at the one that is meant


def _converted(image: Image.Image, where: str, bands: int, several: bool = True) -> Picture:
    """What Pillow has opened -> RGB, or grey; `several`: whether to remark that there are more of them."""
    found = len(image.getbands()) if image.mode != "P" else 3
    if bands == 1 and image.mode.partition(";")[0] not in _GREY_MODES:
        what = f"a picture of {found} bands (mode {image.mode})"
        raise ImageError(f"{where}: {what}, expected 1 (grey): save it as a grey PNG or TIFF")
    if bands not in (1, 3) and found != bands:
        raise _other_bands(where, found, bands)
    if bands not in (1, 3):  # a PNG's grey and alpha, or colours and alpha
        what = f"a {image.format} of mode {image.mode}"
        raise ImageError(f"{where}: {what}, whose last is no band: give a TIFF or .npy file")
    remarks: list[str] = []
    image_HW3 = to_rgb(image, where, remarks)
    # A JPEG's further pictures (MPO) are previews of the first, which every phone and drone adds.
    if several and image.format != "MPO" and getattr(image, "is_animated", False):
        remarks.append(f"{where}: holds several pictures, only the first is used")
    return Picture(image_HW3 if bands == 3 else np.ascontiguousarray(image_HW3[..., :1]), remarks=tuple(remarks))


def _checked(image: np.ndarray, bands: int) -> np.ndarray:
    """An array as H x W x bands, itself where it is that; H x W grey is one band, or spread over three."""
    where = f"array of {image.dtype} {image.shape} given as picture"
    wanted = f"uint8 (H, W, {bands}){' RGB' if bands == 3 else ''}"
    if image.ndim == 2 and bands in (1, 3):
        image = np.repeat(image[:, :, None], bands, axis=2)
    found = image.shape[2] if image.ndim == 3 else 0
    if image.dtype == np.uint8 and 0 < found <= MAX_BANDS and found != bands:
        remedy = f"choose {bands} of them" if found > bands else "give all of them"
        raise ImageError(f"{where}: its last axis has {found} bands, expected {wanted}; {remedy}, or reorder its axes")
    if image.dtype != np.uint8 or found != bands:
        hint = "scale it to 0 .. 255 and use .astype(np.uint8)" if image.dtype != np.uint8 else "reorder its axes"
        raise ImageError(f"{where}: expected {wanted}; {hint}")
    if not image.size:
        raise ImageError(f"{where}: it has no pixels")
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
    return ImageError(f"{where}: a picture of {number(found, 'band')}, expected {expected}: {remedy}")

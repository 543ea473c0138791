"""The one reader of pictures: a file of any kind, or what is in memory -> H x W x N values, and what to know of them.

The file chooses the decoder, never the task: training, check, evaluation, prediction, the gate and the service get the
same array.  A `Spec` (of a model's card, or of a data set) says how many bands, and in which kind of numbers.

| file | becomes |
|---|---|
| JPEG, PNG, WebP, GIF, BMP, AVIF, PPM of 8 bits | RGB, or grey for one band, as `rgb.py` says |
| PNG of 16 bits, JPEG of 12, PPM beyond 8, JPEG 2000, .npy | its samples (`deep.py`), in the kind wanted (`kinds.py`) |
| HEIC (`heic.py`) | as the first of 8 bits, as the second of more |
| TIFF | its samples, as `tiff_picture.py` says |
| another number of bands, or kind of numbers, than wanted | refused, both named |
| the first of several files, one a band (`Spec.files`) | all of them (`several.py`) |

Where there is no data (the file's value for it, a mask, alpha 0 beside samples as stored, NaN) `valid_HW` is False, and
labels there are 255.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from tarsia.card import IGNORED, MAX_BANDS, Spec
from tarsia.errors import ImageError
from tarsia.pictures import deep, heic, kinds
from tarsia.pictures.by_rows import ByRows, Whole
from tarsia.pictures.deep import Samples
from tarsia.pictures.files import FORMATS, MAX_PIXELS, check_size, explained, most_pixels, open_file, opened, shown
from tarsia.pictures.jpeg import frame
from tarsia.pictures.jpeg_2000 import Jpeg2000
from tarsia.pictures.of_samples import not_several, of_samples, other_bands
from tarsia.pictures.orientation import orientation_of, upright
from tarsia.pictures.ranges import Levels, counted, in_rows
from tarsia.pictures.rgb import to_rgb
from tarsia.pictures.sentinel2 import harmonised
from tarsia.pictures.several import Joined
from tarsia.pictures.tensors import as_array, is_tensor
from tarsia.pictures.tiff import is_tiff, open_tiff
from tarsia.pictures.tiff_picture import TiffPicture
from tarsia.plain_text import number

ImageLike = str | Path | bytes | Image.Image | np.ndarray

_HEAD, _LONG_HEAD = 4096, 2**20  # bytes of a file by which its kind is known; of a JPEG with much before its frame
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # of Pillow; and I;16 with its byte orders
_ROWS = 512  # read at a time where a picture's own levels are counted, about as many as tiles have
RGB = Spec()


class Picture(NamedTuple):
    """What was read.

    `values_HWC`: of the spec's kind, upright.  `valid_HW`: where there is data, None for everywhere.  `remarks`: what a
    person should know, each naming the file.  `levels`: the picture's own, where the spec has percentiles.
    """

    values_HWC: np.ndarray
    valid_HW: np.ndarray | None = None
    remarks: tuple[str, ...] = ()
    levels: Levels | None = None

    def warned(self) -> np.ndarray:
        """The values; the remarks become Python's warnings, for callers that have no other way to say them."""
        for remark in self.remarks:
            warnings.warn(remark, stacklevel=3)
        return self.values_HWC


def read(source: ImageLike, spec: Spec = RGB, limit: int = MAX_PIXELS) -> Picture:
    """A path, file content, PIL image, array (H x W x bands; of one or three: H x W grey) or tensor -> a picture.

    Size and bands in a file's header are checked before anything is decoded; `limit` is the most pixels of three bands
    of 8 bits, and less for more of them.  Raises ImageError, naming the file, for anything else than such a picture.
    An array of the right shape is returned as it is, not copied.
    """
    if isinstance(source, str | Path | bytes):
        with open_picture(source, spec, limit) as picture:
            values, valid = picture.rows(0, picture.size[0])
            return _whole(values, valid, picture.remarks(), spec)
    if isinstance(source, Image.Image):
        return _of_pillow(source, spec, limit)
    if is_tensor(source):
        return _whole(_checked(as_array(source, spec.bands), spec), None, (), spec)
    if not isinstance(source, np.ndarray):
        raise ImageError(
            f"{type(source).__name__} given as picture: expected a path, bytes, PIL image, numpy array or tensor"
        )
    return _whole(_checked(source, spec), None, (), spec)


def own_levels(picture: ByRows, spec: Spec) -> Levels | None:
    """A picture's own levels, by one pass over its rows; None where the spec has no percentiles."""
    if not spec.percentiles:
        return None
    rows = (picture.rows(top, min(top + _ROWS, picture.size[0])) for top in range(0, picture.size[0], _ROWS))
    return counted(rows, np.empty(spec.bands, spec.dtype), spec.percentiles, spec.per)


def _whole(values_HWC: np.ndarray, valid_HW: np.ndarray | None, remarks: Sequence[str], spec: Spec) -> Picture:
    """What was read of a picture, all of it: with its own levels where these are asked for."""
    levels = None
    if spec.percentiles:
        levels = counted(in_rows(values_HWC, valid_HW), values_HWC, spec.percentiles, spec.per)
    return Picture(filled(values_HWC, valid_HW, spec, levels), valid_HW, tuple(remarks), levels)


def masked(label_HW: np.ndarray, valid_HW: np.ndarray | None) -> np.ndarray:
    """Labels with 255 where there is no data; `valid_HW`: where there is, None for everywhere."""
    return label_HW if valid_HW is None else np.where(valid_HW, label_HW, np.uint8(IGNORED))


def unsure(confidence_HW: np.ndarray | None, valid_HW: np.ndarray | None) -> np.ndarray | None:
    """Confidence as files hold it: 0 where there is no data."""
    if confidence_HW is None or valid_HW is None:
        return confidence_HW
    return np.where(valid_HW, confidence_HW, np.float32(0))


def filled(values_HWC: np.ndarray, valid_HW: np.ndarray | None, spec: Spec, levels: Levels | None = None) -> np.ndarray:
    """Values of other kinds than 8 bits, `low` where there is no data: one NaN would spread when it is resized.

    `levels`: the picture's own, whose low it is then.
    """
    low = np.array(spec.low) if levels is None else levels.low_BC[0]
    if valid_HW is None or not low.size or spec.dtype == "uint8":
        return values_HWC
    if values_HWC.dtype.kind != "f":
        limits = np.iinfo(values_HWC.dtype)
        low = np.clip(np.rint(low), limits.min, limits.max)
    return np.where(valid_HW[..., None], values_HWC, low.astype(values_HWC.dtype))


def head_of(file: BinaryIO) -> bytes:
    """The beginning of an open file, as far as its kind needs it."""
    file.seek(0)
    head = file.read(_HEAD)
    if head[:2] == b"\xff\xd8" and frame(head) is None:
        head += file.read(_LONG_HEAD)
    return head


@contextlib.contextmanager
def open_picture(source: str | Path | bytes, spec: Spec = RGB, limit: int | None = MAX_PIXELS) -> Iterator[ByRows]:
    """A file, or its content, as a picture that is read by rows: a TIFF's are decoded as they are asked for.

    `limit` as for `read`; None for a TIFF of any size, or a JPEG 2000, which is decoded by rows, too, then.  ImageError
    for what is no such picture.
    """
    with _opened(source, spec, limit) as picture:
        yield picture if spec.harmonise is None else harmonised(picture, source, spec.dtype)


@contextlib.contextmanager
def _opened(source: str | Path | bytes, spec: Spec, limit: int | None) -> Iterator[ByRows]:
    if not isinstance(source, bytes) and spec.stem_of(source) is not None:
        with _open_several(source, spec, limit) as picture:
            yield picture
        return
    where = shown(source)
    most = most_pixels(spec, MAX_PIXELS if limit is None else limit)
    with open_file(source, where) as file:
        head = head_of(file)
        if spec.files and not (is_tiff(head) or head.startswith(deep.NPY)):
            raise not_several(where, spec)
        if limit is None and deep.is_jpeg_2000(head):
            with deep.open_jpeg_2000(source) as raster:
                yield Jpeg2000(raster, spec, where)
            return
        if not is_tiff(head):
            yield _of_file(file, head, source, spec, where, most)
            return
        with open_tiff(file, where, None if isinstance(source, bytes) else Path(source)) as tiff:
            if limit is not None:
                check_size(tiff.size[::-1], where, most)
            if spec.files and tiff.samples != spec.bands:
                raise not_several(where, spec)
            yield TiffPicture(tiff, spec)


@contextlib.contextmanager
def _open_several(source: str | Path, spec: Spec, limit: int | None) -> Iterator[ByRows]:
    """The files of a picture's bands as one picture."""
    alone = replace(spec, bands=1, low=(), files=(), harmonise=None, percentiles=())
    found: list[ByRows] = []
    with contextlib.ExitStack() as stack:
        for band, path in zip(spec.files, spec.files_of(source), strict=True):
            if not path.is_file():
                first = "" if not found else f", as {shown(source)} has"
                raise ImageError(f"{shown(path)}: no such file, and the picture needs its band {band.name}{first}")
            found.append(stack.enter_context(open_picture(path, alone, limit)))
            if len(found) == 1 and limit is not None:
                check_size(found[0].size[::-1], shown(source), most_pixels(spec, limit))
        yield Joined(found, spec)


def _of_file(file: BinaryIO, head: bytes, source: str | Path | bytes, spec: Spec, where: str, most: int) -> Whole:
    """All of a file that is no TIFF."""
    if head.startswith(deep.NPY):
        kind = f"{spec.dtype} (H, W, {spec.bands})"
        return of_samples(deep.read_npy(file, where, kind, most), spec, where)
    if deep.is_jpeg_2000(head):
        return of_samples(deep.read_jpeg_2000(source, where, most), spec, where)
    if deep.is_deep_jpeg(head):
        return of_samples(deep.read_jpeg(_content(file), where, most), spec, where)
    if deep.is_deep_pnm(head) and (spec.dtype != "uint8" or spec.bits):
        return of_samples(deep.read_pnm(_content(file), where, most), spec, where)
    if heic.is_heic(head):
        return _of_heic(_content(file), spec, where, most)
    with opened(file, where, FORMATS, most) as image:
        if deep.is_deep_png(head):
            samples = deep.read_png(_content(file), where)
            turned = upright(samples.values_HWC, orientation_of(image))
            return of_samples(samples._replace(values_HWC=turned), spec, where)
        return _converted(image, where, spec)


def _of_heic(content: bytes, spec: Spec, where: str, most: int) -> Whole:
    found, several = heic.read(content, where, most)
    picture = of_samples(found, spec, where) if isinstance(found, Samples) else _converted(found, where, spec)
    remark = f"{where}: holds several pictures, only the main one is used"
    return Whole(where, picture.values_HWC, picture.data, [*picture.remarks(), remark]) if several else picture


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _of_pillow(image: Image.Image, spec: Spec, limit: int) -> Picture:
    where = shown(getattr(image, "filename", "")) or "PIL image"
    if spec.files:
        raise not_several(where, spec)
    if spec.bands not in (1, 3) or spec.dtype != "uint8":
        what = f"{number(spec.bands, 'band')} of {spec.dtype}"
        raise ImageError(f"{where}: of mode {image.mode}, expected {what}: give an array or a file's path")
    with explained(where, b"", FORMATS):
        check_size(image.size, where, limit)
        found = _converted(image, where, spec, several=False)  # it stands at the one that is meant
        return _whole(found.values_HWC, found.data.valid_HW, found.remarks(), spec)


def _converted(image: Image.Image, where: str, spec: Spec, several: bool = True) -> Whole:
    """What Pillow has opened, of 8 bits -> RGB, or grey; `several`: whether to remark that there are more of them."""
    bands = spec.bands
    found = len(image.getbands()) if image.mode != "P" else 3
    transparent = image.mode in ("LA", "RGBA") and spec.alpha in ("last", "drop")
    if spec.take or transparent or (bands == found and bands not in (1, 3) and spec.alpha == "none"):
        image.load()
        turned = upright(np.array(image).reshape(image.height, image.width, -1), orientation_of(image))
        return of_samples(Samples(turned, 8), spec, where)
    if bands == 1 and image.mode.partition(";")[0] not in _GREY_MODES:
        what = f"a picture of {found} bands (mode {image.mode})"
        raise ImageError(f"{where}: {what}, expected 1 (grey): save it as a grey PNG or TIFF")
    if bands not in (1, 3) and found != bands:
        raise other_bands(where, found, spec)
    if bands not in (1, 3):  # a PNG's grey and alpha, or colours and alpha
        what = f"a {image.format} of mode {image.mode}"
        raise ImageError(
            f"{where}: {what}, whose last is no band: give a TIFF or .npy file, or say `alpha: none` in dataset.yaml"
        )
    remarks: list[str] = []
    image_HW3 = to_rgb(image, where, remarks)
    # A JPEG's further pictures (MPO) are previews of the first, which every phone and drone adds.
    if several and image.format != "MPO" and getattr(image, "is_animated", False):
        remarks.append(f"{where}: holds several pictures, only the first is used")
    values = image_HW3 if bands == 3 else np.ascontiguousarray(image_HW3[..., :1])
    data = kinds.data_of(values, spec.nodata, None)
    return Whole(where, kinds.converted(values, 8, spec.dtype, where), data, remarks)


def _checked(image: np.ndarray, spec: Spec) -> np.ndarray:
    """An array as H x W x bands, itself where it is that; H x W grey is one band, or spread over three."""
    bands, kind = spec.bands, np.dtype(spec.dtype)
    where = f"array of {image.dtype} {image.shape} given as picture"
    wanted = f"{kind} (H, W, {bands}){' RGB' if bands == 3 else ''}"
    if image.ndim == 2 and bands in (1, 3):
        image = np.repeat(image[:, :, None], bands, axis=2)
    found = image.shape[2] if image.ndim == 3 else 0
    if image.dtype == kind and 0 < found <= MAX_BANDS and found != bands:
        remedy = f"choose {bands} of them" if found > bands else "give all of them"
        raise ImageError(f"{where}: its last axis has {found} bands, expected {wanted}; {remedy}, or reorder its axes")
    if image.dtype != kind or found != bands:
        scale = "scale it to 0 .. 255 and use .astype(np.uint8)" if kind == np.uint8 else f"give it as {kind}, unscaled"
        raise ImageError(f"{where}: expected {wanted}; {scale if image.dtype != kind else 'reorder its axes'}")
    if not image.size:
        raise ImageError(f"{where}: it has no pixels")
    return image

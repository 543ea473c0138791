"""Pictures in, RGB arrays out; and the one resize of the project.  Pillow and numpy only.

What becomes of a picture that is not plain 8-bit RGB:

| kind | becomes |
|---|---|
| EXIF orientation | turned upright |
| grey, 1-bit, palette, CMYK, YCbCr | converted to RGB (colour profiles are not applied) |
| transparency of any kind | laid on white |
| 16 bits a channel | the upper byte: 0 .. 65535 -> 0 .. 255, whatever values the picture happens to hold |
| 12-bit TIFF | the upper 8 of its 12 bits |
| several pictures in a file (GIF, WebP, TIFF, APNG) | the first one, with a warning |
| 32-bit integer, floating point, Lab | refused: nothing says which value is white |
| TIFF of two bands, five or more, or four of an unknown kind | refused: `bands.py` reads these |
| TIFF of RGB and further bands that are not transparency | these are left out, with a warning |

Scaling by a picture's own maximum would show the network another brightness for every picture, so it is never done;
16-bit files that only use 12 bits or fewer come out dark and a warning says so.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tarsia.errors import ImageError
from tarsia.pictures.files import FORMATS, MAX_PIXELS, check_size, explained, opened, shown
from tarsia.pictures.orientation import orientation_of

ImageLike = str | Path | bytes | Image.Image | np.ndarray

_BAND_PIXELS = 4_000_000  # converted at a time: a large picture is never held twice
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO, _EXTRA_SAMPLES = 258, 262, 0, 338
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})  # and those that begin with I;16
_UNSCALABLE = {"I": "32-bit integer", "F": "floating-point", "LAB": "Lab-coloured"}


def open_rgb(source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file (or its bytes) -> H x W x 3 uint8 RGB, upright, converted as this module's docstring says.

    The size in the header is checked before anything is decoded.  Raises ImageError, naming the file, for anything
    that is missing, cut off, too large (`max_pixels`) or no picture.
    """
    return _decoded(source, max_pixels, grey=False)


def open_grey(source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """As `open_rgb`, a picture file that holds no colours -> H x W x 1 uint8; ImageError for one that does."""
    return np.ascontiguousarray(_decoded(source, max_pixels, grey=True)[..., :1])


def _decoded(source: str | Path | bytes, max_pixels: int, grey: bool) -> np.ndarray:
    where = shown(source)
    remarks: list[str] = []
    with opened(source, where, FORMATS, max_pixels) as image:
        if grey:
            check_grey(image, where)
        image_HW3 = _to_rgb(image, where, remarks)
        # A JPEG's further pictures (MPO) are previews of the first, which every phone and drone adds.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            remarks.append(f"{where}: holds several pictures, only the first is used")
    for remark in remarks:
        warnings.warn(remark, stacklevel=3)
    return image_HW3


def as_rgb(image: ImageLike) -> np.ndarray:
    """A path, file content, PIL image, or uint8 array (H x W x 3, or H x W grey) -> H x W x 3 uint8 RGB.

    Raises ImageError for anything else.  An H x W x 3 array is returned as it is, not copied.
    """
    if isinstance(image, str | Path | bytes):
        return open_rgb(image)
    if isinstance(image, np.ndarray):
        return _checked_array(image)
    if not isinstance(image, Image.Image):
        raise ImageError(f"{type(image).__name__} given as picture: expected a path, bytes, PIL image or numpy array")
    where = shown(getattr(image, "filename", "")) or "PIL image"
    remarks: list[str] = []
    with explained(where, b"", FORMATS):
        check_size(image.size, where, MAX_PIXELS)
        image_HW3 = _to_rgb(image, where, remarks)
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)
    return image_HW3


def check_grey(image: Image.Image, where: str) -> None:
    """ImageError for a picture in colour, a palette's too, where one band is expected."""
    if image.mode not in _GREY_MODES and not image.mode.startswith("I;16"):
        bands = len(image.getbands()) if image.mode != "P" else 3
        raise ImageError(
            f"{where}: a picture of {bands} bands (mode {image.mode}), expected 1 (grey): save it as a grey PNG or TIFF"
        )


def as_visible(image_HWC: np.ndarray) -> np.ndarray:
    """A picture of any bands -> H x W x 3 for a person to see: the first three, or of fewer the first as grey."""
    if image_HWC.ndim != 3 or image_HWC.shape[2] == 3:
        return image_HWC
    shown_as = (0, 1, 2) if image_HWC.shape[2] > 3 else (0, 0, 0)
    return np.ascontiguousarray(image_HWC[..., shown_as])


def resize(image_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W x C uint8 -> h x w x C at `size` (height, width), bilinear and antialiased; itself where equal already.

    The only resize for pictures: training, evaluation, export and service see the same pixels.
    """
    if image_HWC.shape[:2] == tuple(size):
        return image_HWC

    def resized(part: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(part).resize((size[1], size[0]), Image.Resampling.BILINEAR))

    if image_HWC.shape[2] == 3:
        return resized(image_HWC)
    # Each band by itself: of two or four Pillow would take the last for transparency.
    return np.stack([resized(image_HWC[..., band]) for band in range(image_HWC.shape[2])], axis=2)


def resize_label(label_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W labels -> h x w at `size` (height, width), nearest neighbour by pixel centres; itself where equal."""
    if label_HW.shape[:2] == tuple(size):
        return label_HW
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(label_HW.shape, size, strict=True))
    return label_HW[rows[:, None], columns]


def pad_to_multiple(images_BHWC: np.ndarray, multiple: int) -> np.ndarray:
    """(..., H, W, C) -> the same with H and W brought up to multiples, the last row and column repeated.

    Repeated and not black, so that no edge appears which the scene does not have.
    """
    height, width = images_BHWC.shape[-3:-1]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return images_BHWC
    return np.pad(images_BHWC, [(0, 0)] * (images_BHWC.ndim - 3) + [(0, down), (0, right), (0, 0)], mode="edge")


def _checked_array(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] not in (3, 0) and image.shape[2] < 64:
        raise ImageError(
            f"array of uint8 {image.shape} given as picture: its last axis has {image.shape[2]} bands, expected "
            "uint8 (H, W, 3) RGB; choose three of them, or reorder its axes"
        )
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        hint = "scale it to 0 .. 255 and use .astype(np.uint8)" if image.dtype != np.uint8 else "reorder its axes"
        raise ImageError(f"array of {image.dtype} {image.shape} given as picture: expected uint8 (H, W, 3) RGB; {hint}")
    if not image.size:
        raise ImageError(f"array of shape {image.shape} given as picture: it has no pixels")
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def _to_rgb(image: Image.Image, where: str, remarks: list[str]) -> np.ndarray:
    """Decode and convert; `remarks` takes what a person should know."""
    image.load()
    tags = dict(getattr(image, "tag_v2", None) or {})
    further = len(tags.get(_EXTRA_SAMPLES) or ()) if image.mode == "RGB" else 0
    if further:
        remarks.append(f"{where}: a TIFF of {3 + further} bands; those after red, green and blue are left out")
    from_ppm = image.format == "PPM" and image.mode == "I"  # Pillow has brought it to 0 .. 65535
    transparent = image.info.get("transparency")
    if orientation_of(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or from_ppm:
        values_HW = np.asarray(image)
        bits = int(np.ravel(tags.get(_BITS_PER_SAMPLE, 16))[0])
        grey_HW = (values_HW >> (bits - 8)).astype(np.uint8)
        if 0 < int(values_HW.max()) < 4096 and bits == 16:
            remarks.append(
                f"{where}: 16-bit picture whose largest value is {values_HW.max()} of 65535: it comes out nearly "
                "black; spread its values over 0 .. 65535 in the file, by the same factor for all pictures"
            )
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey_HW = 255 - grey_HW
        if isinstance(transparent, int):
            grey_HW[values_HW == transparent] = 255
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    if image.mode in _UNSCALABLE:
        raise ImageError(
            f"{where}: a {_UNSCALABLE[image.mode]} picture (mode {image.mode}); nothing says which value is white: "
            "scale it to 8 or 16 bits (the same way for all pictures) and save it as PNG"
        )
    return _in_bands(image)


def _in_bands(image: Image.Image) -> np.ndarray:
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    if rows >= height:
        return np.array(_flat(image))
    image_HW3 = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(height, top + rows)))
        image_HW3[top : top + rows] = np.asarray(_flat(band))
    return image_HW3


def _flat(image: Image.Image) -> Image.Image:
    """Any 8-bit picture as RGB, transparency laid on white."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == "RGB" else image.convert("RGB")

"""What Pillow has opened in, RGB arrays out; and the one resize of the project.  Pillow and numpy only.

What becomes of a picture that is not plain 8-bit RGB:

| kind | becomes |
|---|---|
| EXIF orientation | turned upright |
| grey, 1-bit, palette, CMYK, YCbCr | converted to RGB (colour profiles are not applied) |
| transparency of any kind | laid on white |
| 16 bits a band | the upper byte: 0 .. 65535 -> 0 .. 255, whatever values the picture happens to hold |
| 12-bit TIFF | the upper 8 of its 12 bits |
| several pictures in a file (GIF, WebP, TIFF, APNG) | the first one, with a remark |
| 32-bit integer, floating point, Lab | refused: nothing says which value is white |
| TIFF of two bands, five or more, or four of an unknown kind | refused: read with a `Spec` of so many bands |
| TIFF of RGB and further bands that are not transparency | these are left out, with a remark |

Scaling by a picture's own maximum would show the network another brightness for every picture, so it is never done;
16-bit files that only use 12 bits or fewer come out dark and a remark says so.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from tarsia.errors import ImageError
from tarsia.pictures.orientation import orientation_of

_STRIP_PIXELS = 4_000_000  # converted at a time: a large picture is never held twice
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO, _EXTRA_SAMPLES = 258, 262, 0, 338
_UNSCALABLE = {"I": "32-bit integer", "F": "floating-point", "LAB": "Lab-coloured"}


def as_visible(image_HWC: np.ndarray) -> np.ndarray:
    """A picture of any bands -> H x W x 3 for a person to see: the first three, or of fewer the first as grey.

    Of other kinds than 8 bits, from the 1st percentile of what is shown to the 99th.
    """
    if image_HWC.dtype != np.uint8:
        return as_visible(_spread(image_HWC[..., :3] if image_HWC.shape[2] >= 3 else image_HWC[..., :1]))
    if image_HWC.ndim != 3 or image_HWC.shape[2] == 3:
        return image_HWC
    shown_as = (0, 1, 2) if image_HWC.shape[2] > 3 else (0, 0, 0)
    return np.ascontiguousarray(image_HWC[..., shown_as])


def _spread(image_HWC: np.ndarray) -> np.ndarray:
    values = image_HWC.astype(np.float32)
    numbers = values[np.isfinite(values)]
    low, high = np.percentile(numbers, (1, 99)) if numbers.size else (0, 1)
    shares = np.nan_to_num((values - low) / max(high - low, 1e-30), nan=0.0)
    return (np.clip(shares, 0, 1) * 255).astype(np.uint8)


def resize(image_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H x W x C of any kind -> h x w x C at `size` (height, width), bilinear, antialiased; itself where equal already.

    The only resize for pictures: training, evaluation, export and service see the same pixels.
    """
    if image_HWC.shape[:2] == tuple(size):
        return image_HWC

    def resized(part: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(part).resize((size[1], size[0]), Image.Resampling.BILINEAR))

    if image_HWC.dtype != np.uint8:
        bands = [resized(image_HWC[..., band].astype(np.float32)) for band in range(image_HWC.shape[2])]
        found = np.stack(bands, axis=2)
        if image_HWC.dtype.kind == "f":
            return found
        limits = np.iinfo(image_HWC.dtype)
        return np.clip(np.rint(found), limits.min, limits.max).astype(image_HWC.dtype)
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


def to_rgb(image: Image.Image, where: str, remarks: list[str]) -> np.ndarray:
    """Decode, and convert as this module's docstring says -> H x W x 3 uint8; `remarks` takes what one should know."""
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
    return _in_strips(image)


def _in_strips(image: Image.Image) -> np.ndarray:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        return np.array(flat(image))
    image_HW3 = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        image_HW3[top : top + rows] = np.asarray(flat(strip))
    return image_HW3


def flat(image: Image.Image) -> Image.Image:
    """Any 8-bit picture as RGB, transparency laid on white."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == "RGB" else image.convert("RGB")

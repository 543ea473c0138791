"""Label files in, their stored values or colours out: never composited, values never scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tarsia.errors import DatasetError, ImageError
from tarsia.pictures.files import MAX_PIXELS, opened, shown
from tarsia.pictures.label_numbers import is_array, is_lossless_webp, read_array, whole_numbers
from tarsia.pictures.orientation import orientation_of

LABEL_FORMATS = ("PNG", "TIFF", "BMP", "GIF", "WEBP")  # lossless, and Pillow hands out their stored values
LOSSY_FORMATS = (*LABEL_FORMATS, "JPEG")  # what masks are read from where a tolerance is stated


def read_label(path: str | Path | bytes, wide: bool = False, lossy: bool = False) -> np.ndarray:
    """A label file -> its stored values: H x W integers (grey, palette indices, 1-bit), or H x W x 3 uint8 colours.

    Never colour-converted and never scaled: a palette file gives its indices, a 4-bit file 0 .. 15; floats that are
    whole numbers are int32.  Raises DatasetError naming the file for lossy formats (unless `lossy`), alpha that is not
    opaque, 16-bit colours, and whatever `reader.read` refuses.  `wide`: an RGB PNG of 16 bits a band is H x W x 3
    uint16.
    """
    where = shown(path)
    try:
        if is_array(path, where):
            return read_array(path, where, MAX_PIXELS)
        with opened(path, where, LOSSY_FORMATS if lossy else LABEL_FORMATS, MAX_PIXELS) as image:
            _check_lossless(image, where, lossy)
            wide = wide and image.format == "PNG" and _raw_mode(image) == "RGB;16B"
            stored = _stored_values(image, where, wide)
        if not wide:
            return stored
        # Pillow keeps the upper byte of each pair.  Told that the file has them in the other order, it keeps the lower.
        with opened(path, where, LABEL_FORMATS, MAX_PIXELS) as image:
            image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]  # type: ignore[attr-defined]
            return stored.astype(np.uint16) << 8 | np.array(image)
    except ImageError as error:
        raise DatasetError(f"label {error}") from error


def read_colors(path: str | Path, lossy: bool = False) -> np.ndarray:
    """A label file -> its colours, H x W x 3 uint8: those of its palette, greys as three equal bands.

    What a file declares transparent keeps its colour: no background is laid under a label.  Raises DatasetError as
    `read_label` does, and for more than 8 bits of grey and for indices beyond the palette.
    """
    where = shown(path)
    try:
        if is_array(path, where):
            array = read_array(path, where, MAX_PIXELS)
            if array.ndim == 2:
                raise ImageError(f"{where}: a mask of {array.dtype} numbers, expected colours, uint8 (H, W, 3)")
            return array
        with opened(path, where, LOSSY_FORMATS if lossy else LABEL_FORMATS, MAX_PIXELS) as image:
            _check_lossless(image, where, lossy)
            palette = image.getpalette("RGB") if image.mode == "P" else None
            whitest = {"1": 255, "2": 85, "4": 17}.get("1" if image.mode == "1" else _raw_mode(image)[2:3], 1)
            grey = image.mode in ("1", "L", "LA")
            stored = _stored_values(image, where)
    except ImageError as error:
        raise DatasetError(f"label {error}") from error
    if stored.ndim == 3:
        return stored
    if palette is None and not grey:
        raise DatasetError(f"label {where}: a mask of {stored.dtype} numbers, expected colours: save it as RGB")
    colors = np.arange(256).repeat(3) * whitest if palette is None else np.array(palette)
    colors_N3 = colors.astype(np.uint8).reshape(-1, 3)
    if int(stored.max()) >= len(colors_N3):
        found = f"index {stored.max()} is beyond its palette of {len(colors_N3)} colours"
        raise DatasetError(f"label {where}: {found}: save it again, as RGB or with its whole palette")
    return colors_N3[stored]


def _check_lossless(image: Image.Image, where: str, lossy: bool) -> None:
    """ImageError for a WebP file that has lost something, unless that is what is asked for."""
    if image.format == "WEBP" and not lossy and not is_lossless_webp(getattr(image, "fp")):  # noqa: B009
        raise ImageError(
            f"{where}: a WebP file with loss, so its values are not those drawn: save it lossless, or as PNG"
        )


def _stored_values(image: Image.Image, where: str, upper_bytes: bool = False) -> np.ndarray:
    raw = _raw_mode(image)
    if getattr(image, "is_animated", False):
        raise ImageError(f"{where}: holds several pictures; save one label picture per file")
    if orientation_of(image) != 1:
        raise ImageError(f"{where}: has an EXIF orientation, so its rows may not be the picture's; remove the tag")
    image.load()
    packing = raw.partition(";")[2]
    if image.mode in ("1", "L") and "I" in packing:
        raise ImageError(f"{where}: stored with 0 as white, so its values are unclear; save it as a plain grey PNG")
    if image.mode in ("1", "P"):
        return np.array(image, dtype=np.uint8)
    if image.mode == "L":
        # Pillow spreads 2- and 4-bit values over 0 .. 255 (factors 85 and 17); labels want them back as stored.
        return np.array(image) // np.uint8({"2": 85, "4": 17}.get(packing[:1], 1))
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        return np.array(image).astype(np.int32)
    if image.mode == "F":
        return whole_numbers(np.array(image), where)
    if image.mode not in ("RGB", "RGBA", "LA"):
        raise ImageError(f"{where}: pixel kind {image.mode} is no label; save it as index PNG (grey or palette) or RGB")
    if packing.startswith("16") and not upper_bytes:
        raise ImageError(f"{where}: 16 bits per colour channel; save the class numbers as an 8- or 16-bit grey PNG")
    values = np.array(image)
    if image.mode != "RGB" and int(values[..., -1].min()) < 255:
        kind = "RGB" if image.mode == "RGBA" else "grey"
        raise ImageError(f"{where}: partly transparent, so its colours are unclear; save it as {kind} without alpha")
    return np.ascontiguousarray(values[..., :3] if image.mode != "LA" else values[..., 0])


def _raw_mode(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's terms (`L;4`: four bits of grey); known until it is decoded."""
    tiles = getattr(image, "tile", None) or []
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else image.mode

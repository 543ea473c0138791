"""Huge and georeferenced TIFFs: read by rows, written by rows, never held whole.  Needs rasterio (extra `geo`).

| raster | becomes |
|---|---|
| one band of 8 or 16 bits, or a palette | grey, or the palette's colours |
| three bands of 8 or 16 bits; CMYK | RGB; of 16 bits the upper byte, as in pictures |
| a further band that is alpha | nothing: where it is 0 there is no data |
| further bands after red, green and blue | left out, with a remark |
| no data (its value, a mask, alpha 0) | read as it is; the label there is 255 |
| more bands, other kinds of numbers | refused |
| as many bands as the model's, where these are not 3 | as they are, alpha like any other; of 16 bits the upper byte |
| several pictures in a file | the first one, with a remark |
| orientation | not applied: a raster's rows are as stored |
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tarsia import environment
from tarsia.errors import ImageError, MissingExtraError, NoRoomError
from tarsia.files import writing
from tarsia.pictures.files import MAX_PIXELS, most_pixels, open_file, shown
from tarsia.pictures.gdal_file import bounded, check_blocks, explained, gdal_file, opened
from tarsia.pictures.orientation import ORIENTATION
from tarsia.pictures.tiff import PHOTOMETRIC, tiff_tags
from tarsia.plain_text import number

_BLOCK = 512
_PLAIN = (1, 2)  # TIFF 6.0, section 8: black is zero; red, green, blue (and what further bands there are)
_REMEDY = "choose the bands that the model was trained with, as gdal_translate -b does"
_GEOREFERENCE_TAGS = (33550, 33922, 34264)  # pixel scale, tie points, transformation


class Place(NamedTuple):
    """Where on earth a picture lies: coordinate system (None: unknown) and affine transform, as rasterio has them."""

    crs: Any
    transform: Any


def is_raster(path: Path, bands: int = 3, tell: Callable[[str], object] = lambda _: None) -> bool:
    """Whether a TIFF is one for this file: georeferenced, or larger than a picture of `bands` may be.

    Without rasterio no TIFF is; `tell` hears of a georeferenced one.
    """
    try:
        with opened(path) as raster, explained(shown(path)):
            lies_somewhere = raster.crs is not None or not raster.transform.is_identity
            return lies_somewhere or raster.width * raster.height > most_pixels(bands, MAX_PIXELS)
    except MissingExtraError:
        if _lies_somewhere(path):
            line = environment.install_line("geo")
            tell(f"{shown(path)}: its georeference is lost on the way, kept with the extra `geo`: {line}")
    except ImageError:  # let the reader of pictures say what is wrong
        pass
    return False


class Raster:
    """An open TIFF, as `tiles.Rows`, seen in `bands`."""

    def __init__(self, source: Path | bytes, raster: Any, bands: int = 3) -> None:
        self.where = shown(source)
        self._raster = raster
        self._remarks: list[str] = []
        if raster.subdatasets:
            self._remarks.append(f"{self.where}: holds several pictures, only the first is used")
        self.size: tuple[int, int] = (raster.height, raster.width)
        self._palette: np.ndarray | None = None
        if bands == 3:
            self._bands, self._palette = _colors(raster, self.where, self._remarks)
        else:
            self._bands = _all_bands(source, raster, self.where, bands)
        self._grey_as_rgb = bands == 3 and len(self._bands) == 1
        check_blocks(raster, self.where)
        self._largest = 0
        flags = {flag.name for band in raster.mask_flag_enums for flag in band}
        # Alpha that is read as a band says nothing of where there is data.
        self._masked = flags != {"all_valid"} and not (bands != 3 and "alpha" in flags)

    @property
    def place(self) -> Place | None:
        """Where on earth; None for plain pixels."""
        found = Place(self._raster.crs, self._raster.transform)
        return None if not found.crs and found.transform.is_identity else found

    @property
    def crs(self) -> str | None:
        """The coordinate system's name, such as EPSG:32633."""
        return self._raster.crs.to_string() if self._raster.crs else None

    @property
    def transform(self) -> tuple[float, ...] | None:
        """(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f; None for plain pixels."""
        found = self._raster.transform
        return None if found.is_identity else tuple(found)[:6]

    def read(self, top: int, bottom: int) -> np.ndarray:
        """uint8 RGB (or the bands), bottom - top rows of full width; ImageError where the file is damaged there."""
        with explained(self.where):
            values_Chw = self._raster.read(self._bands, window=self._window(top, bottom))
        if self._palette is not None:
            return self._palette[values_Chw[0]]
        if values_Chw.dtype == np.uint16:
            self._largest = max(self._largest, int(values_Chw.max()))
            values_Chw = (values_Chw >> 8).astype(np.uint8)
        return np.stack([values_Chw[0]] * 3 if self._grey_as_rgb else list(values_Chw), axis=2)

    def remarks(self) -> list[str]:
        """What a person should know once all is read; of 16 bits also that few are used, so that they come out dark."""
        if not 0 < self._largest < 4096:
            return self._remarks
        dark = (
            f"{self.where}: 16-bit raster whose largest value is {self._largest} of 65535: it comes out nearly black; "
            "spread its values over 0 .. 65535, by the same factor for all rasters (gdal_translate -scale)"
        )
        return [*self._remarks, dark]

    def nowhere(self, top: int, bottom: int) -> np.ndarray | None:
        """True where rows have no data; None where the whole raster has."""
        if not self._masked:
            return None
        with explained(self.where):
            return self._raster.dataset_mask(window=self._window(top, bottom)) == 0

    def _window(self, top: int, bottom: int) -> tuple[tuple[int, int], tuple[int, int]]:
        return (top, bottom), (0, self.size[1])


@contextlib.contextmanager
def open_raster(source: Path | bytes, bands: int = 3) -> Iterator[Raster]:
    """A TIFF, or its content, open for reading in `bands`.

    ImageError for what the docstring above refuses, MissingExtraError without rasterio.
    """
    needs = () if bands == 3 else (f"reading a TIFF of {number(bands, 'band')}",)
    with opened(source, *needs) as raster:
        with explained(shown(source)):
            found = Raster(source, raster, bands)
        yield found


@contextlib.contextmanager
def writing_raster(
    path: Path, like: Raster, palette_256x3: np.ndarray | None = None, no_data: int | None = None
) -> Iterator[RowWriter]:
    """Write a tiled TIFF of one 8-bit band with the georeference of `like`, whole or not at all."""
    height, width = like.size
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": height, "width": width}
    profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "BIGTIFF": "IF_SAFER"}
    if like.place is not None:
        profile |= like.place._asdict()
    if no_data is not None:
        profile["nodata"] = no_data
    with contextlib.ExitStack() as stack:
        part = stack.enter_context(writing(path))
        stack.enter_context(bounded())
        # After the file is closed, before it takes its place.
        stack.push(lambda failed, *_: None if failed else _check_whole(part, path))
        raster = stack.enter_context(gdal_file(part, "w", **profile))
        if palette_256x3 is not None:
            raster.write_colormap(1, {k: (*map(int, color), 255) for k, color in enumerate(palette_256x3)})
        writer = RowWriter(raster)
        yield writer
        writer.finish()


def _check_whole(part: Path, path: Path) -> None:
    """NoRoomError where a block is missing: what does not fit on the disk when a file is closed, GDAL does not say."""
    with contextlib.suppress(ImageError), explained(shown(path)), gdal_file(part, "r", driver="GTiff") as raster:
        length = part.stat().st_size
        for (row, column), _ in raster.block_windows(1):
            start, size = (
                raster.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", 1) for what in ("OFFSET", "SIZE")
            )
            if not start or not size or int(start) + int(size) > length:
                break
        else:
            return
    raise NoRoomError(f"cannot write {shown(path)}: it came out cut off, the disk is probably full")


class RowWriter:
    """Takes rows from the top in any number, and writes them by whole blocks."""

    def __init__(self, raster: Any) -> None:
        self._raster = raster
        self._waiting: list[np.ndarray] = []
        self._row = 0

    def write(self, rows_hW: np.ndarray) -> None:
        """The next rows."""
        self._waiting.append(rows_hW)
        count = sum(map(len, self._waiting)) // _BLOCK * _BLOCK
        if count:
            self._flush(count)

    def finish(self) -> None:
        """The rows that fill no block."""
        self._flush(sum(map(len, self._waiting)))

    def _flush(self, count: int) -> None:
        rows_hW = np.concatenate(self._waiting) if self._waiting else np.empty((0, self._raster.width), np.uint8)
        if count:
            window = ((self._row, self._row + count), (0, self._raster.width))
            self._raster.write(rows_hW[:count], 1, window=window)
        self._row += count
        self._waiting = [rows_hW[count:].copy()]


def _colors(raster: Any, where: str, remarks: list[str]) -> tuple[list[int], np.ndarray | None]:
    """The bands to read as RGB, and the palette of one with colours; ImageError for what is no picture."""
    kinds = [kind.name for kind in raster.colorinterp]
    color = [index for index, kind in enumerate(kinds, 1) if kind != "alpha"]
    if kinds[:3] == ["red", "green", "blue"] and len(color) > 3:
        remarks.append(f"{where}: has {len(kinds)} bands; those after red, green and blue are left out")
        color = color[:3]
    if len(color) not in (1, 3):
        raise ImageError(
            f"{where}: has {raster.count} bands ({', '.join(kinds)}), expected one (grey) or red, green and blue: "
            "choose three of them, as gdal_translate -b 1 -b 2 -b 3 does"
        )
    kind = _kind(raster, color, where)
    palette = None
    if kinds[0] == "palette":
        palette = np.zeros((65_536 if kind == "uint16" else 256, 3), np.uint8)
        for value, found in raster.colormap(1).items():
            palette[value] = found[:3]
    return color, palette


def _all_bands(source: Path | bytes, raster: Any, where: str, bands: int) -> list[int]:
    """All the bands of a TIFF, whatever they are called; ImageError unless they are `bands` of plain values."""
    if raster.count != bands:
        raise ImageError(f"{where}: has {number(raster.count, 'band')}, expected {bands}: {_REMEDY}")
    with open_file(source, where) as file:
        tags = tiff_tags(file) or {}
    photometric, orientation = tags.get(PHOTOMETRIC), tags.get(ORIENTATION, 1)
    if photometric not in _PLAIN or orientation != 1:
        found = f"orientation {orientation}" if photometric in _PLAIN else f"photometric interpretation {photometric}"
        raise ImageError(
            f"{where}: has {found}, expected bands of plain values (1 or 2), stored upright (1): write it anew, as "
            "gdal_translate -co PHOTOMETRIC=MINISBLACK does"
        )
    chosen = list(range(1, bands + 1))
    _kind(raster, chosen, where)
    bits = raster.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    if bits:
        raise ImageError(f"{where}: its bands hold {bits} bits a value: scale them to 8 or 16 bits")
    return chosen


def _kind(raster: Any, bands: list[int], where: str) -> str:
    """The one kind of number in `bands`, uint8 or uint16; ImageError for others."""
    types = {raster.dtypes[index - 1] for index in bands}
    if not types <= {"uint8", "uint16"} or len(types) > 1:
        raise ImageError(
            f"{where}: its bands hold {' and '.join(sorted(types))}; nothing says which value is white: scale them to "
            "8 or 16 bits, the same way for all rasters"
        )
    return str(types.pop())


def _lies_somewhere(path: Path) -> bool:
    """Whether a TIFF is georeferenced, by Pillow alone."""
    try:
        with Image.open(path, formats=["TIFF"]) as picture:
            return any(tag in getattr(picture, "tag_v2", {}) for tag in _GEOREFERENCE_TAGS)
    except Exception:  # the reader of pictures says what is wrong
        return False

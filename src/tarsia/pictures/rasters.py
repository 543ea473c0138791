"""Georeferenced pictures and huge TIFFs: where a picture lies on earth, and results written by rows, never held whole.

Needs rasterio (extra `geo`).  The samples are read like any picture's (reader.py, tiff.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tarsia import environment
from tarsia.card import Spec
from tarsia.errors import ImageError, MissingExtraError, NoRoomError, needs
from tarsia.files import writing
from tarsia.pictures.deep import is_jpeg_2000
from tarsia.pictures.files import MAX_PIXELS, most_pixels, open_file, shown
from tarsia.pictures.gdal_file import bounded, explained, gdal_file, opened
from tarsia.pictures.tiff import open_tiff

_BLOCK = 512


class Place(NamedTuple):
    """Where on earth a picture lies, as rasterio has it: an affine transform, or control points, or polynomials.

    `crs`: the coordinate system, None where it is unknown.
    """

    crs: Any
    transform: Any
    points: tuple[Any, ...] = ()
    polynomials: Any = None

    @property
    def crs_name(self) -> str | None:
        """The coordinate system's name, such as EPSG:32633."""
        return self.crs.to_string() if self.crs else None

    @property
    def affine(self) -> tuple[float, ...] | None:
        """(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f; None where points place it."""
        return None if self.transform.is_identity else tuple(self.transform)[:6]


def place_of(source: Path | bytes) -> Place | None:
    """Where a TIFF or JPEG 2000 lies by its tags (boxes) or the world file beside it, else by its control points.

    None for plain pixels, ImageError for what is neither.
    """
    driver = "JP2OpenJPEG" if is_jpeg_2000(_head(source)) else "GTiff"
    with opened(source, driver) as raster, explained(shown(source)):
        points, crs = raster.gcps
        polynomials = raster.rpcs
        if raster.crs or not raster.transform.is_identity:
            return Place(raster.crs, raster.transform)
        if not points and polynomials is None:
            return None
        return Place(crs, raster.transform, tuple(points), polynomials)


def is_raster(path: Path, spec: Spec, tell: Callable[[str], object] = lambda _: None) -> bool:
    """Whether a file is one for this module: it lies somewhere, or is a TIFF larger than a picture of `spec` may be.

    Without rasterio none is; `tell` hears of a TIFF that lies somewhere.
    """
    try:
        if is_jpeg_2000(_head(path)):
            return place_of(path) is not None
        with open_tiff(path, shown(path)) as tiff:
            placed, large = tiff.lies_somewhere, tiff.size[0] * tiff.size[1] > most_pixels(spec, MAX_PIXELS)
    except (ImageError, MissingExtraError):  # let the reader of pictures say what is wrong
        return False
    if not (placed or large):
        return False
    try:
        with needs(shown(path), "geo"):
            import rasterio  # noqa: F401
    except MissingExtraError:
        if placed:
            line = environment.install_line("geo")
            tell(f"{shown(path)}: its georeference is lost on the way, kept with the extra `geo`: {line}")
        return False
    return True


def _head(source: Path | bytes) -> bytes:
    with open_file(source, shown(source)) as file:
        found: bytes = file.read(16)
    return found


@contextlib.contextmanager
def writing_raster(
    path: Path,
    size: tuple[int, int],
    place: Place | None,
    palette_256x3: np.ndarray | None = None,
    no_data: int | None = None,
    bands: int = 1,
    dtype: str = "uint8",
) -> Iterator[RowWriter]:
    """Write a tiled TIFF of `bands` of `dtype`, of `size` (height, width), that lies at `place`; whole or not at all.

    Three bands are red, green and blue.
    """
    height, width = size
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": dtype, "count": bands, "height": height, "width": width}
    profile |= {"photometric": "rgb", "interleave": "pixel"} if bands == 3 else {}
    profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "BIGTIFF": "IF_SAFER"}
    if place is not None and place.affine is not None:
        profile |= {"crs": place.crs, "transform": place.transform}
    if place is not None and place.points:
        profile |= {"gcps": list(place.points), "crs": place.crs}
    if place is not None and place.polynomials is not None:
        profile |= {"rpcs": place.polynomials}
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
        """The next rows, h x W, or h x W x 3 of three bands."""
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
            rows = rows_hW[:count]
            self._raster.write(rows[None] if rows.ndim == 2 else rows.transpose(2, 0, 1), window=window)
        self._row += count
        self._waiting = [rows_hW[count:].copy()]

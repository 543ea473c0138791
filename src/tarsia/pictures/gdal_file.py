"""TIFFs opened by GDAL: with little memory, nothing from the network, and one ImageError for whatever is wrong."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia.errors import ImageError, TarsiaError, needs
from tarsia.pictures.files import shown, unheard

_CACHE_MEGABYTES = 64  # GDAL's own default is a twentieth of the machine's memory
_LARGEST_BLOCK_BYTES = 256 * 2**20  # GDAL decodes whole blocks: a file in one strip would be held whole
_MOST_PIXELS = 2**40


@contextlib.contextmanager
def opened(source: Path | bytes, what: str = "reading a TIFF this large, or its georeference,") -> Iterator[Any]:
    """A TIFF, or its content, open for reading; `what` needs rasterio, says the error where it is missing."""
    where = shown(source)
    with needs(f"{where}: {what}", "geo"):
        from rasterio.io import MemoryFile

    # A name that GDAL would take for an address is never handed on.
    if not isinstance(source, bytes) and not os.path.isfile(source):
        raise ImageError(f"{where}: no such file")
    with contextlib.ExitStack() as stack:
        stack.enter_context(bounded())
        with explained(where):
            file: Any = stack.enter_context(MemoryFile(source)) if isinstance(source, bytes) else source
            raster = stack.enter_context(gdal_file(file, "r", driver="GTiff"))
            if not 0 < raster.width * raster.height <= _MOST_PIXELS:
                raise ImageError(f"{where}: {raster.height}x{raster.width} (height x width) is no size of a picture")
        yield raster


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """GDAL with a small cache, and without anything from the network or its other drivers' plugins."""
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
        yield


def gdal_file(file: Any, mode: str, **profile: Any) -> Any:
    """An open file of GDAL's, by its path or in memory; that a picture lies nowhere on earth is no reason to warn."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    place = os.path.abspath(file) if isinstance(file, str | Path) else file.name
    with unheard(NotGeoreferencedWarning):
        return rasterio.open(place, mode, sharing=False, **profile)


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn whatever GDAL makes of a bad file (not all of it is rasterio's own errors) into one ImageError."""
    try:
        yield
    except (TarsiaError, MemoryError):
        raise
    except Exception as error:
        reason = shown(str(error.__cause__ or error))
        raise ImageError(f"{where}: damaged, cut off or no TIFF ({reason}); get the file again") from error


def check_blocks(raster: Any, where: str) -> None:
    """ImageError for pieces so large that one of them takes more memory than a raster should."""
    height, width = raster.block_shapes[0]
    block_bytes = height * width * raster.count * np.dtype(raster.dtypes[0]).itemsize
    if block_bytes > _LARGEST_BLOCK_BYTES:
        raise ImageError(
            f"{where}: is stored in pieces of {height}x{width} (height x width), each to be held whole: store it "
            "in tiles (gdal_translate -co TILED=YES)"
        )

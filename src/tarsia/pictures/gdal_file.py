"""Files opened by GDAL, each by its one driver: with little memory, nothing from the network, one ImageError.

It says where on earth a picture lies, and reads JPEG 2000; the samples of TIFFs are tifffile's (tiff.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tarsia.errors import ImageError, TarsiaError, needs
from tarsia.pictures.files import shown, unheard

_CACHE_MEGABYTES = 64  # GDAL's own default is a twentieth of the machine's memory
_MOST_PIXELS = 2**40


@contextlib.contextmanager
def opened(source: Path | bytes, driver: str = "GTiff", what: str = "where it lies on earth") -> Iterator[Any]:
    """A file, or its content, open for reading by GDAL's `driver`; MissingExtraError says what needs rasterio."""
    where = shown(source)
    with needs(f"{where}: {what}", "geo"):
        from rasterio.io import MemoryFile

    # A name that GDAL would take for an address is never handed on.
    if not isinstance(source, bytes) and not os.path.isfile(source):
        raise ImageError(f"{where}: no such file")
    with contextlib.ExitStack() as stack:
        stack.enter_context(bounded(listing=not isinstance(source, bytes)))
        with explained(where):
            file: Any = stack.enter_context(MemoryFile(source)) if isinstance(source, bytes) else source
            raster = stack.enter_context(gdal_file(file, "r", driver=driver))
            if not 0 < raster.width * raster.height <= _MOST_PIXELS:
                raise ImageError(f"{where}: {raster.height}x{raster.width} (height x width) is no size of a picture")
        yield raster


@contextlib.contextmanager
def bounded(listing: bool = False) -> Iterator[None]:
    """GDAL with a small cache, and without anything from the network or its other drivers' plugins.

    `listing`: files beside a picture, as its world file, are looked for by their names; folders are never listed.
    """
    import rasterio

    beside = "TRUE" if listing else "EMPTY_DIR"
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_DISABLE_READDIR_ON_OPEN=beside, GDAL_PAM_ENABLED="NO"):
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

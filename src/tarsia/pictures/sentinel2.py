"""Sentinel-2's two scales: products of processing baseline 04.00 and later hold 1000 more for the same ground.

A product says its baseline in its MTD_MSIL1C.xml or MTD_MSIL2A.xml, beside its pictures or in a folder above; its date
says nothing, since old scenes are processed anew.  `harmonise: sentinel2` adds 1000 to pictures of earlier products,
where there is data (0 is none, 65535 is saturated in both): subtracting from later ones would clip dark water.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tarsia.errors import ImageError
from tarsia.pictures.by_rows import ByRows
from tarsia.pictures.files import shown
from tarsia.pictures.kinds import Data

NAMES = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
_LEVELS = 6  # from a band's folder, R10m, up to the product's
_MOST_BYTES = 16 * 2**20
_OFFSET, _SINCE, _SATURATED = 1000, (4, 0), 65_535
_OF_A_PRODUCT = re.compile(r"T\d\d[A-Z]{3}_\d{8}T\d{6}")  # in the names of its files
_REMEDY = "keep pictures below their product's folder, or leave `harmonise` out where all have one scale"


class Harmonised(ByRows):
    """A picture of an earlier product on the scale of the later ones."""

    def __init__(self, picture: ByRows) -> None:
        self.where, self.size, self.lies, self._picture = picture.where, picture.size, picture.lies, picture

    def parts(self, top: int, bottom: int) -> tuple[np.ndarray, Data]:
        values, data = self._picture.parts(top, bottom)
        there = (values > 0) & (values < _SATURATED)
        if values.size and int(values.max(where=there, initial=0)) >= _SATURATED - _OFFSET:
            raise ImageError(f"{self.where}: holds values to which {_OFFSET} cannot be added in 16 bits: {_REMEDY}")
        return np.where(there, values + np.uint16(_OFFSET), values), data

    def remarks(self) -> list[str]:
        return self._picture.remarks()


def harmonised(picture: ByRows, source: str | Path | bytes, dtype: str) -> ByRows:
    """A picture as products since baseline 04.00 have it; ImageError where nothing says of which product it is."""
    where = shown(source)
    if dtype != "uint16":
        raise ImageError(f"{where}: harmonise: sentinel2 is for values of uint16, as products hold them, not {dtype}")
    if isinstance(source, bytes):
        raise ImageError(
            f"{where}: no product's {' or '.join(NAMES)} is beside it, which says whether {_OFFSET} is to be added: "
            "give the path of a file in its product (`tarsia predict`), or an array to which it was added"
        )
    found = is_early(source)
    if found is None:
        raise ImageError(f"{where}: neither {' nor '.join(NAMES)} in its folder or one above it: {_REMEDY}")
    return Harmonised(picture) if found else picture


def is_early(source: str | Path) -> bool | None:
    """Whether a picture is of a product before baseline 04.00, by the product's own metadata; None without these."""
    file = metadata_of(source)
    if file is None:
        return None
    try:
        state = file.stat()
    except OSError as error:
        raise ImageError(f"{shown(file)}: cannot be read ({error.strerror})") from error
    early, text = _read(file, state.st_size, state.st_mtime_ns)
    name = _OF_A_PRODUCT.search(Path(source).name)
    if name is not None and name[0] not in text:
        raise ImageError(f"{shown(source)}: {shown(file)} is of another product, {name[0]} is not in it: {_REMEDY}")
    return early


def metadata_of(source: str | Path) -> Path | None:
    """The metadata of the product that a file is of; None where there are none."""
    folder = Path(os.path.abspath(source)).parent
    for place in [folder, *folder.parents][:_LEVELS]:
        found = [place / name for name in NAMES if (place / name).is_file()]
        if len(found) > 1:
            raise ImageError(f"{shown(place)}: holds {' and '.join(NAMES)}, of two products: keep each in its folder")
        if found:
            return found[0]
    return None


@functools.lru_cache(maxsize=64)
def _read(file: Path, size: int, changed: int) -> tuple[bool, str]:
    """Whether a product is early, and the text of its metadata; anew for each state of the file."""
    where = shown(file)
    if size > _MOST_BYTES:
        raise ImageError(f"{where}: {size:,} bytes, expected {_MOST_BYTES:,} at most; get the file again")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{where}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if "<!DOCTYPE" in text.upper():
        raise ImageError(f"{where}: declares entities, which no product does; get the file again")
    try:
        root = ElementTree.fromstring(text)
        told = _texts(root, "PROCESSING_BASELINE")
        offsets = {float(one) for name in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET") for one in _texts(root, name)}
        (major, minor) = (int(part) for part in told[0].split("."))
    except (ElementTree.ParseError, ValueError, IndexError) as error:
        raise ImageError(f"{where}: says no PROCESSING_BASELINE, as 05.09; get the file again") from error
    early = (major, minor) < _SINCE
    if offsets != (set() if early else {-_OFFSET}):
        has = f"offsets {sorted(offsets)}" if offsets else "no offsets"
        raise ImageError(
            f"{where}: baseline {told[0]} with {has}, expected {'none' if early else -_OFFSET}: what was done to its "
            "values cannot be known; get the product from its publisher"
        )
    return early, text


def _texts(root: Any, name: str) -> list[str]:
    """What stands in all elements of a name, whatever their namespace."""
    return [(one.text or "").strip() for one in root.iter() if one.tag.rpartition("}")[2] == name]

"""What a TIFF says of its bands in its header: Pillow says of most that are not RGB only that it fails."""

from __future__ import annotations

import struct
from typing import BinaryIO

from tarsia.pictures.orientation import ORIENTATION

WIDTH, HEIGHT, SAMPLES_PER_PIXEL, PHOTOMETRIC = 256, 257, 277, 262
_MOST_TAGS = 4096  # no picture has as many; a damaged count would be read for ever


def tiff_bands(file: BinaryIO) -> int | None:
    """The bands of the first picture in a TIFF or BigTIFF; None where it is no TIFF or its header is damaged."""
    tags = tiff_tags(file)
    # TIFF 6.0, section 8: one where no tag says so.
    return None if tags is None else tags.get(SAMPLES_PER_PIXEL, 1)


def tiff_tags(file: BinaryIO) -> dict[int, int] | None:
    """Of the first picture in a TIFF or BigTIFF, the tags above that are there; None where it is no sound TIFF."""
    wanted = (WIDTH, HEIGHT, SAMPLES_PER_PIXEL, PHOTOMETRIC, ORIENTATION)
    found: dict[int, int] = {}
    try:
        file.seek(0)
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}[head[:2]]
        (version,) = struct.unpack(order + "H", head[2:4])
        large = {42: False, 43: True}[version]  # BigTIFF has places of 8 bytes
        (place,) = struct.unpack(order + ("Q" if large else "I"), head[8:16] if large else head[4:8])
        file.seek(place)
        (count,) = struct.unpack(order + ("Q" if large else "H"), file.read(8 if large else 2))
        for _ in range(min(count, _MOST_TAGS)):
            entry = file.read(20 if large else 12)
            tag, kind = struct.unpack(order + "HH", entry[:4])
            if tag in wanted:
                size = {3: "H", 4: "I"}[kind]
                found[tag] = int(struct.unpack_from(order + size, entry, 12 if large else 8)[0])
        return found
    except (KeyError, struct.error, OSError, OverflowError):
        return None

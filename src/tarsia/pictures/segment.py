"""A TIFF's strips and tiles hold pictures of their own, whose headers may promise more than the TIFF's: a bomb."""

from __future__ import annotations

import struct

from tarsia.errors import ImageError
from tarsia.pictures.jpeg import frame

_JPEG, _LERC, _JPEG_2000, _WEBP = (6, 7), (34887,), (33003, 33004, 33005, 34712), (50001, 34927)
_UNREAD = {34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR", 50002: "JPEG XL", 52546: "JPEG XL"}


def check_segment(content: bytes, compression: int, size: tuple[int, int], where: str) -> None:
    """ImageError for a piece of a TIFF that says it is larger than `size` (rows, columns); nothing is decoded."""
    if compression in _UNREAD:
        raise ImageError(f"{where}: a TIFF that holds {_UNREAD[compression]}, which Tarsia does not read: save it anew")
    found = _promised(content, compression)
    if found is not None and (found[0] > size[0] or found[1] > size[1]):
        raise ImageError(f"{where}: damaged, a piece of {size[0]}x{size[1]} says it is {found[0]}x{found[1]}")


def _promised(content: bytes, compression: int) -> tuple[int, int] | None:
    """(rows, columns) that a piece says of itself; None where it says nothing."""
    try:
        if compression in _JPEG:
            seen = frame(content)
            return None if seen is None else (seen.height, seen.width)
        if compression in _LERC and content[:6] == b"Lerc2 ":
            (version,) = struct.unpack_from("<i", content, 6)
            rows, columns = struct.unpack_from("<ii", content, 14 if version >= 3 else 10)
            return rows, columns
        if compression in _JPEG_2000:
            place = content.find(b"\xff\x4f\xff\x51")
            columns, rows = struct.unpack_from(">II", content, place + 8)
            return rows, columns
        if compression in _WEBP:
            return _webp(content)
    except struct.error:
        pass
    return None


def _webp(content: bytes) -> tuple[int, int] | None:
    """Of the first chunk: VP8X, VP8L or VP8."""
    kind, head = content[12:16], content[20:30]
    if kind == b"VP8X":
        columns, rows = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (4, 7))
        return rows, columns
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        columns, rows = struct.unpack_from("<HH", head, 6)
        return rows & 0x3FFF, columns & 0x3FFF
    return None

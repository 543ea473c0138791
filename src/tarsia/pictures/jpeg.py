"""What a JPEG says before it is decoded: bits, size and orientation, which Pillow gives of 8 bits alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from tarsia.pictures.orientation import ORIENTATION

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of a frame
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_EXIF, _SCAN = 0xE1, 0xDA


class Frame(NamedTuple):
    """Bits a sample, and the size."""

    bits: int
    height: int
    width: int


def frame(content: bytes) -> Frame | None:
    """The first frame of a JPEG, or of its beginning; None where that has none."""
    for marker, part in _parts(content):
        if marker in _FRAMES and len(part) >= 5:
            return Frame(part[0], int.from_bytes(part[1:3], "big"), int.from_bytes(part[3:5], "big"))
    return None


def orientation(content: bytes) -> int:
    """What EXIF says of how it lies; 1 where it says nothing sensible."""
    for marker, part in _parts(content):
        if marker == _EXIF and part[:6] == b"Exif\0\0":
            exif = Image.Exif()
            try:
                exif.load(part)
                found = exif.get(ORIENTATION, 1)
            except Exception:  # Pillow raises nearly everything on damaged EXIF data, which changes no pixel
                return 1
            return found if isinstance(found, int) and 1 <= found <= 8 else 1
    return 1


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what follows each, up to the first scan."""
    place = 2
    while content[:2] == b"\xff\xd8" and place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        yield marker, content[place + 4 : place + 2 + length]
        if marker == _SCAN or length < 2:
            return
        place += 2 + length

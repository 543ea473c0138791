"""Label Studio's run lengths of a brush: a stream of bits, decoded and written by runs.

Format: its converter's brush.py, after rle-pack of thi.ng/umbrella.  32 bits: how many values, four for a pixel (RGBA,
row by row); 5 bits: of a value, less one; four times 4 bits: of a length, less one.  Then blocks: one bit, 1 for a run;
two bits, which of the four sizes; a length less one in so many bits; one value of a run, or as many as there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SIZES = (3, 4, 8, 16)
_LONGEST = 1 << _SIZES[-1]


def decode(found: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The bytes of a brush -> its opacity, height x width uint8; ValueError where they are of something else."""
    content = np.array(found)
    if content.ndim != 1 or content.dtype.kind not in "iu" or (content < 0).any() or (content > 255).any():
        raise ValueError("no list of bytes")
    bits = _Bits(content.astype(np.uint8))
    count, pixels = bits.take(32), size[0] * size[1]
    if count != 4 * pixels:
        raise ValueError(f"{count} values, but a picture of {size[0]}x{size[1]} has {4 * pixels}")
    if bits.take(5) != 7:
        raise ValueError("values of another size than 8 bits")
    sizes = [bits.take(4) + 1 for _ in range(4)]
    alpha_P = np.zeros(pixels, np.uint8)
    at = 0
    while at < count:
        run, which = bits.take(1), bits.take(2)
        length = bits.take(sizes[which]) + 1
        if at + length > count:
            raise ValueError(f"more than the {count} values of the picture")
        first, last = -(-(at - 3) // 4), -(-(at + length - 3) // 4)  # pixels whose fourth value is among these
        if run:
            alpha_P[first:last] = bits.take(8)
        else:
            alpha_P[first:last] = bits.values(length)[(3 - at) % 4 :: 4]
        at += length
    return alpha_P.reshape(size)


def encode(mask_HW: np.ndarray) -> list[int]:
    """A mask -> the bytes of a brush, opaque (255, and red, green and blue too) where it is set."""
    flat = np.ascontiguousarray(mask_HW, bool).reshape(-1)
    turns = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    lengths, values = np.diff(turns) * 4, np.where(flat[turns[:-1]], 255, 0)
    pieces = -(-lengths // _LONGEST)
    values = np.repeat(values, pieces)
    last = np.cumsum(pieces) - 1
    rest = np.full(len(values), _LONGEST)
    rest[last] = lengths - (pieces - 1) * _LONGEST
    which = np.searchsorted([1 << size for size in _SIZES], rest)
    width = np.array(_SIZES)[which]
    # A block: 1, two bits, the length less one, the value.
    code = (((4 | which) << width | (rest - 1)) << 8) | values
    head = [(4 * flat.size, 32), (7, 5), *((size - 1, 4) for size in _SIZES)]
    codes = np.concatenate([[value for value, _ in head], code]).astype(np.int64)
    widths = np.concatenate([[size for _, size in head], width + 11]).astype(np.int64)
    ends = np.cumsum(widths)
    bits = np.zeros(int(ends[-1]) + 8 - int(ends[-1]) % 8, np.uint8)
    for place in range(int(widths.max())):
        there = widths > place
        bits[ends[there] - 1 - place] = codes[there] >> place & 1
    return np.packbits(bits).tolist()


class _Bits:
    """A stream of bits, the most significant of each byte first."""

    def __init__(self, content: np.ndarray) -> None:
        self._content = content
        self._bytes = content.tobytes()
        self._at = 0

    def take(self, count: int) -> int:
        first, shift = divmod(self._at, 8)
        self._at += count
        if self._at > 8 * len(self._bytes):
            raise ValueError("cut off")
        size = (shift + count + 7) // 8
        number = int.from_bytes(self._bytes[first : first + size], "big")
        return number >> (8 * size - shift - count) & ((1 << count) - 1)

    def values(self, count: int) -> np.ndarray:
        """So many bytes, wherever they begin."""
        first, shift = divmod(self._at, 8)
        self._at += 8 * count
        if self._at > 8 * len(self._bytes):
            raise ValueError("cut off")
        found = self._content[first : first + count + 1].astype(np.uint16)
        if not shift:
            return found[:count].astype(np.uint8)
        return (found[:-1] << shift | found[1:] >> (8 - shift)).astype(np.uint8)

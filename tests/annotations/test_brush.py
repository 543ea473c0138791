"""Label Studio's brush: bits by hand, any map there and back, streams with blocks of values."""

from __future__ import annotations

import numpy as np
import pytest

from tarsia.annotations.brush import decode, encode


def packed(text: str) -> list[int]:
    """Bits in groups, the way a person writes them, and the padding."""
    bits = text.replace(" ", "")
    bits += "0" * (8 - len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


HEAD = "00111 0010 0011 0111 1111"  # 8-bit values; lengths of 3, 4, 8 and 16 bits


def test_by_hand() -> None:
    """Three pixels: one clear, one half opaque, one opaque; a run of 4, a block of 3 values, a run of 5."""
    head = f"{12:032b} {HEAD}"
    stream = f"{head} 1 00 011 {0:08b} 0 00 010 {9:08b}{8:08b}{7:08b} 1 01 0000 {128:08b} 1 10 {3:08b} {255:08b}"
    assert decode(packed(stream), (1, 3)).tolist() == [[0, 128, 255]]
    assert decode(packed(stream), (3, 1)).tolist() == [[0], [128], [255]]


def test_the_head_of_a_real_file() -> None:
    """The first bytes of a picture of 3332 x 2527: 2, 1, 233, 240, 57, 27."""
    assert encode(np.zeros((2527, 3332), bool))[:6] == [2, 1, 233, 240, 57, 27]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (13, 1), (33, 45), (300, 311)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_there_and_back(size: tuple[int, int], share: float) -> None:
    mask = np.random.default_rng(size[1]).random(size) < share
    assert np.array_equal(decode(encode(mask), size), mask * np.uint8(255))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([1, 2, 3], "cut off"),
        ([300], "no list of bytes"),
        (["a"], "no list of bytes"),
        ([[1]], "no list of bytes"),
        (encode(np.ones((2, 2), bool)), "16 values, but a picture of 3x3 has 36"),
        (encode(np.ones((3, 3), bool))[:-2], "cut off"),
        (packed(f"{36:032b} 01111 0010 0011 0111 1111"), "another size than 8 bits"),
        (packed(f"{36:032b} {HEAD} 1 11 {99:016b} {1:08b}"), "more than the 36 values"),
    ],
)
def test_what_is_no_brush(found: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(found, (3, 3))

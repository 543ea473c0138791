from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def read(page: Any, file: bytes) -> Any:
    return page.evaluate(
        """async (text) => {
            const { readBase64 } = await import("./assets/png.js");
            const { width, height, values } = await readBase64(text).catch(({ message }) => ({ values: [message] }));
            return [width, height, [...values]];
        }""",
        base64.b64encode(file).decode(),
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def written(values_HW: np.ndarray, filters: list[int]) -> bytes:
    """An 8-bit grey PNG, row y with filter filters[y], by the book (PNG specification, section 9)."""
    height, width = values_HW.shape
    padded = np.pad(values_HW.astype(int), ((1, 0), (1, 0)))
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            left, above, corner = int(padded[y + 1, x]), int(padded[y, x + 1]), int(padded[y, x])
            guess = left + above - corner
            paeth = min((abs(guess - value), order, value) for order, value in enumerate((left, above, corner)))[2]
            predicted = (0, left, above, (left + above) // 2, paeth)[filters[y]]
            row.append((int(values_HW[y, x]) - predicted) % 256)
        rows.append(bytes([filters[y], *row]))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"".join(rows))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", packed[:20]) + chunk(b"IDAT", packed[20:]) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_every_filter(page: Any) -> None:
    values_HW = np.random.default_rng(0).integers(0, 256, (10, 7))
    file = written(values_HW, [0, 1, 2, 3, 4, 4, 3, 2, 1, 0])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), values_HW)
    assert read(page, file) == [7, 10, values_HW.ravel().tolist()]


def test_every_depth_of_a_palette_whose_colors_repeat(page: Any) -> None:
    for bits in (1, 2, 4, 8):
        values_HW = np.random.default_rng(bits).integers(0, 2**bits, (9, 13), dtype=np.uint8)
        picture = Image.fromarray(values_HW)
        picture.putpalette([7, 7, 7] * 2**bits)
        file = io.BytesIO()
        picture.save(file, "PNG", bits=bits)
        assert read(page, file.getvalue()) == [13, 9, values_HW.ravel().tolist()]


def test_what_it_cannot_read_is_an_error(page: Any) -> None:
    colors = io.BytesIO()
    Image.new("RGB", (4, 4)).save(colors, "PNG")
    good = written(np.zeros((3, 3), int), [0, 0, 0])
    cases = {
        b"GIF89a, which is something else": "not a PNG",
        colors.getvalue(): "a PNG of kind 2 with 8 bits",
        good[:33]: "a PNG without a picture",
        written(np.zeros((3, 3), int), [0, 0, 0]).replace(
            struct.pack(">II", 3, 3), struct.pack(">II", 3, 9)
        ): "a PNG cut short",
    }
    for file, message in cases.items():
        assert read(page, file) == [None, None, [message]]

"""Contact sheets: rows of captioned pictures, with their labels below where they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tarsia.card import Classes
from tarsia.drawing import paint
from tarsia.drawing.lettering import CLEAR, FAINT, fit_fonts, lettering, shortened, wrapped
from tarsia.pictures.rgb import as_visible

_LETTERS, _GAP = 14, 8


class Tile(NamedTuple):
    """A picture H x W x 3 with its caption; a label H x W is laid over a second copy of the picture, below it."""

    caption: str
    image_HW3: np.ndarray
    label_HW: np.ndarray | None = None


class Row(NamedTuple):
    """Tiles side by side, with a `heading` above them where it is not empty."""

    heading: str
    tiles: Sequence[Tile]


def sheet(rows: Sequence[Row], classes: Classes, tile_size: tuple[int, int] = (180, 240)) -> Image.Image:
    """Rows of tiles -> one RGBA picture on clear paper.

    Each tile's picture is fitted into `tile_size` (height, width), tiny ones enlarged.  Raises ValueError where there
    is no tile, for sizes of picture and label that differ and for strange label values.
    """
    columns = max((len(row.tiles) for row in rows), default=0)
    if not columns or min(tile_size) < 1:
        raise ValueError(f"a sheet of {len(rows)} rows, {columns} columns and tiles of {tile_size}: nothing to draw")
    strips = [_strip(row, classes, columns, tile_size) for row in rows]
    drawn = Image.new("RGBA", (strips[0].width, sum(strip.height for strip in strips) + _GAP), CLEAR)
    top = 0
    for strip in strips:
        drawn.paste(strip, (0, top))
        top += strip.height
    return drawn


def _strip(row: Row, classes: Classes, columns: int, size: tuple[int, int]) -> Image.Image:
    """One row: heading, captions, pictures, and the labels over them if there are any."""
    (height, width), line = size, round(1.6 * _LETTERS)
    fonts = fit_fonts(_LETTERS, [row.heading, *(tile.caption for tile in row.tiles)])
    lines, letters = wrapped(row.heading, fonts, columns * (width + _GAP) - _GAP)
    head = len(lines) * line + (_GAP if lines else 0)
    seconds = any(tile.label_HW is not None for tile in row.tiles)
    below = head + line + height + _GAP
    strip = Image.new("RGBA", (columns * (width + _GAP) + _GAP, below + (height + _GAP) * seconds), CLEAR)
    draw = ImageDraw.Draw(strip)
    for index, text in enumerate(lines):
        draw.text((_GAP, _GAP + (index + 0.5) * line), text, fill=FAINT, font=letters, anchor="lm")
    for column, tile in enumerate(row.tiles):
        left = _GAP + column * (width + _GAP)
        text, font = lettering(tile.caption, "-", fonts)  # a dash where no font here can draw it
        draw.text((left, head + line / 2), shortened(text, font, width), fill=FAINT, font=font, anchor="lm")
        _paste(strip, Image.fromarray(as_visible(tile.image_HW3)), (left, head + line), size)
        if tile.label_HW is not None:
            over = paint.overlay(tile.image_HW3, tile.label_HW, classes, legend=False)
            _paste(strip, over, (left, below), size)
    return strip


def _paste(strip: Image.Image, picture: Image.Image, at: tuple[int, int], size: tuple[int, int]) -> None:
    """`picture` at the top left of its cell, as large as fits; enlarged pixels stay pixels."""
    ratio = min(size[0] / picture.height, size[1] / picture.width)
    how = Image.Resampling.LANCZOS if ratio < 1 else Image.Resampling.NEAREST
    strip.paste(picture.resize((max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))), how), at)

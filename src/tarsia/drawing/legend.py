"""Legends: a picture with its classes named below or beside it."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from PIL import Image, ImageDraw

from tarsia.drawing.lettering import FAINT, INK, PAPER, Font, fit_fonts, lettering, shortened


class Entry(NamedTuple):
    """One line of a legend."""

    color: tuple[int, int, int]
    name: str
    fallback: str  # for a name no font at hand can draw
    share: str


def percent(share: float) -> str:
    """A share of 0 .. 1 as text; a class that is there never reads 0.0 %."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"


class _Layout(NamedTuple):
    letters: int  # height of the letters; a line is 1.6 of it
    columns: int
    rows: int
    name: int  # width left for a name
    share: int  # width left for a share

    @property
    def column(self) -> int:
        return round(self.letters * 3.4) + self.name + self.share  # with swatch and gaps

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.column, round(self.rows * self.letters * 1.6 + 2 * self.letters)


def with_legend(picture: Image.Image, entries: list[Entry]) -> Image.Image:
    """`picture` at the top left, its legend below it, or beside it where it is upright."""
    below = picture.width >= picture.height
    layout = _layout(entries, picture.size, below)
    (width, height), line = layout.size, layout.letters * 1.6
    if below:
        canvas, left, top = (max(picture.width, width), picture.height + height), 0, picture.height
    else:
        canvas, left, top = (picture.width + width, max(picture.height, height)), picture.width, 0
    sheet = Image.new("RGB", canvas, PAPER)
    sheet.paste(picture, (0, 0))
    fonts = fit_fonts(layout.letters, [entry.name for entry in entries])
    for index, entry in enumerate(entries):
        column, row = divmod(index, layout.rows)
        at = left + layout.letters + column * layout.column, top + layout.letters + round((row + 0.5) * line)
        _draw_entry(ImageDraw.Draw(sheet), entry, layout, at, fonts)
    return sheet


def _layout(entries: list[Entry], size: tuple[int, int], below: bool) -> _Layout:
    """Letters that scale with the picture; smaller, and long names cut, while the legend would outgrow half of it."""
    width, height = size
    largest = min(96, max(13, round(math.sqrt(width * height) / 46)))
    reference = 100  # widths are measured once and scaled
    fonts = fit_fonts(reference, [entry.name for entry in entries])
    texts = [lettering(entry.name, entry.fallback, fonts) for entry in entries]
    longest = max(font.getlength(text) for text, font in texts) / reference
    share = max(fonts[0].getlength(entry.share) for entry in entries) / reference
    for letters, most in itertools.product(range(largest, max(13, largest // 2) - 1, -1), (18.0, 10.0)):
        name = math.ceil(min(longest, most) * letters) + 2
        layout = _Layout(letters, 1, len(entries), name, math.ceil(share * letters) + 2)
        lines = max(1, int((height - 2 * letters) / (letters * 1.6)))
        columns = max(1, width // layout.column) if below else math.ceil(len(entries) / lines)
        rows = math.ceil(len(entries) / min(columns, len(entries)))
        layout = layout._replace(columns=math.ceil(len(entries) / rows), rows=rows)
        if layout.size[1] <= height / 2 if below else layout.size[0] <= width / 2:
            break
    return layout


def _draw_entry(
    draw: ImageDraw.ImageDraw, entry: Entry, layout: _Layout, at: tuple[int, int], fonts: list[Font]
) -> None:
    (left, middle), letters = at, layout.letters
    half, start = round(letters * 0.45), left + round(letters * 1.4)
    box = (left, middle - half, left + 2 * half, middle + half)
    draw.rounded_rectangle(box, radius=max(1, letters // 6), fill=entry.color, outline=(190, 195, 201))
    text, font = lettering(entry.name, entry.fallback, fonts)
    draw.text((start, middle), shortened(text, font, layout.name), fill=INK, font=font, anchor="lm")
    end = start + layout.name + round(letters * 0.5) + layout.share
    draw.text((end, middle), entry.share, fill=FAINT, font=fonts[0], anchor="rm")

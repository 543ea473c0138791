"""Attention maps over their picture, as one sheet.  Pillow and numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tarsia.drawing.lettering import FAINT, INK, PAPER, fit_fonts, shortened
from tarsia.drawing.paint import grid
from tarsia.engines.engine import AttentionMap
from tarsia.pictures.rgb import as_visible

# Low to high: CIELAB lightness 10 to 96 in even steps, hue from violet over red to yellow, so that the order of the
# colours is that of the values for every eye, and in grey print.
_HEAT = (
    (5, 25, 66), (66, 30, 108), (136, 8, 123), (193, 2, 115), (244, 29, 96),
    (255, 107, 86), (255, 161, 100), (255, 205, 130), (255, 245, 189),
)  # fmt: skip
_OPACITY = 0.65  # of the heat over the picture in grey
_SMALLEST, _LARGEST, _LARGEST_OF_MANY = 300, 640, 400  # sides of the pictures in a sheet
_MANY = 4  # pictures, above which they stand in several rows
_LETTERS, _LINE, _STRIP = 15, 24, 40  # heights of letters, a line of text, and a strip of channel weights
_RING = 7  # radius of the mark at the chosen position
_WORDS = {
    "received": "attention that each position gets",
    "paid": "attention that the marked position pays",
    "active": "activity of what the module gives",
}


def heat_colors(values: np.ndarray) -> np.ndarray:
    """Values 0 .. 1 of any shape -> (..., 3) uint8: dark violet, red, pale yellow, brighter with every step."""
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(values, stops, channel) for channel in zip(*_HEAT, strict=True)]
    return np.round(np.stack(channels, -1)).astype(np.uint8)


def attention_sheet(
    image_HW3: np.ndarray, maps: Sequence[AttentionMap], at: tuple[int, int] | None = None
) -> Image.Image:
    """The picture, and each map as heat over it; channel weights as bars below.  `at`, (x, y), is marked.

    Maps of one module stand in a row, where it has several.  Each map is coloured from its lowest to its highest value,
    which stand beside the scale.  Raises ValueError for a map that is not finite.
    """
    rows, count = _by_module(maps), len(maps) + 1
    longest = max((len(row) for row in rows), default=0)
    columns = longest + 1 if longest > 1 else count if count <= _MANY else math.ceil(math.sqrt(count))
    shape = image_HW3.shape[:2]
    size = _tile_size(shape, _LARGEST if count <= _MANY else _LARGEST_OF_MANY)
    picture = Image.fromarray(as_visible(image_HW3)).resize(size, Image.Resampling.BILINEAR)
    weighed = any(one.weights_C is not None for one in maps)
    height = 2 * _LINE + size[1] + _LINE + (_STRIP + _LINE if weighed else 0)
    spot = at and tuple((place + 0.5) * shown / side for place, shown, side in zip(at, size, shape[::-1], strict=True))
    cells = [_cell(_marked(picture, spot), height, "picture", f"marked: {at[0]}, {at[1]}" if at else "")]
    blank = Image.new("RGB", cells[0].size, PAPER)
    for row in rows:
        if longest > 1 and len(cells) > 1:
            cells.append(blank)  # below the picture
        cells += [_map_cell(picture, height, one, spot) for one in row]
        if longest > 1:
            cells += [blank] * (longest - len(row))
    return grid(cells, columns)


def _by_module(maps: Sequence[AttentionMap]) -> list[list[AttentionMap]]:
    """The maps of each call of a module, which differ in kind, together."""
    rows: list[list[AttentionMap]] = []
    for one in maps:
        if rows and one.name == rows[-1][0].name and one.kind not in [other.kind for other in rows[-1]]:
            rows[-1].append(one)
        else:
            rows.append([one])
    return rows


def _map_cell(picture: Image.Image, height: int, one: AttentionMap, spot: tuple[float, ...] | None) -> Image.Image:
    """A map over its picture, between what it is and its scale."""
    what = "activity of the weighted channels" if one.weights_C is not None else _WORDS[one.kind]
    heated = _heated(picture, one.map_HW)
    if one.kind == "paid":
        heated = _marked(heated, spot)
    cell = _cell(heated, height, f"{one.name}  {'x'.join(map(str, one.map_HW.shape))}", what)
    _draw_foot(cell, 2 * _LINE + picture.height, one)
    return cell


def _marked(picture: Image.Image, spot: tuple[float, ...] | None) -> Image.Image:
    """The picture with a ring at `spot`, (x, y): white between black, to be seen on anything."""
    if spot is None:
        return picture
    picture, (x, y) = picture.copy(), spot
    draw = ImageDraw.Draw(picture)
    for radius, width, color in ((_RING + 2, 6, (0, 0, 0)), (_RING, 2, (255, 255, 255))):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=width)
    return picture


def _tile_size(shape: tuple[int, ...], largest: int) -> tuple[int, int]:
    """(width, height) that a picture of `shape` is shown at: at least _SMALLEST wide, for the words around it."""
    height, width = shape
    factor = min(largest / max(height, width), max(1.0, _SMALLEST / width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _cell(tile: Image.Image, height: int, name: str, what: str) -> Image.Image:
    cell = Image.new("RGB", (max(tile.width, _SMALLEST), height), PAPER)
    cell.paste(tile, (0, 2 * _LINE))
    draw, (font, *_) = ImageDraw.Draw(cell), fit_fonts(_LETTERS, [name])
    for row, (text, color) in enumerate(((name, INK), (what, FAINT))):
        draw.text((0, (row + 0.5) * _LINE), shortened(text, font, cell.width), fill=color, font=font, anchor="lm")
    return cell


def _heated(picture: Image.Image, map_HW: np.ndarray) -> Image.Image:
    low, high = _range(map_HW)
    heat_HW = Image.fromarray(map_HW.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)
    colors_HW3 = heat_colors((np.asarray(heat_HW) - low) / (high - low or 1.0))
    return Image.blend(picture.convert("L").convert("RGB"), Image.fromarray(colors_HW3), _OPACITY)


def _range(map_HW: np.ndarray) -> tuple[float, float]:
    low, high = float(map_HW.min()), float(map_HW.max())
    if not math.isfinite(high - low):
        raise ValueError(f"attention map from {low} to {high}: expected finite values")
    return low, high


def _apart(low: float, high: float) -> tuple[str, str]:
    """Both in three digits, or in as many as show two of their difference."""
    digits = 3
    if high > low:
        digits = max(digits, math.floor(math.log10(max(-low, high))) - math.floor(math.log10(high - low)) + 2)
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def _draw_foot(cell: Image.Image, top: int, one: AttentionMap) -> None:
    """The scale of the colours with its ends; channel weights as bars, largest first, 0 to 1, and what they are."""
    draw, (font, *_) = ImageDraw.Draw(cell), fit_fonts(_LETTERS, [])
    low, high = _apart(*_range(one.map_HW))
    unit = "" if one.kind == "active" else " x average"
    middle, ends = top + _LINE / 2, (f"{low} ", f" {high}{unit}")
    left, right = (round(font.getlength(text)) for text in ends)
    scale = np.linspace(0, 1, cell.width - left - right)[None].repeat(_LETTERS - 4, 0)
    draw.text((0, middle), ends[0], fill=FAINT, font=font, anchor="lm")
    cell.paste(Image.fromarray(heat_colors(scale)), (left, round(middle - scale.shape[0] / 2)))
    draw.text((cell.width, middle), ends[1], fill=FAINT, font=font, anchor="rm")
    if one.weights_C is None:
        return
    weights_C, floor = np.sort(one.weights_C)[::-1], top + _LINE + _STRIP
    draw.rectangle((0, floor - _STRIP, cell.width - 1, floor), fill=(238, 240, 243))
    for x in range(cell.width):
        weight = float(weights_C[x * len(weights_C) // cell.width])
        draw.line((x, floor, x, floor - round(weight * _STRIP)), fill=_HEAT[3])
    words = f"{len(weights_C)} channel weights: {weights_C[-1]:.2f} to {weights_C[0]:.2f}, mean {weights_C.mean():.2f}"
    draw.text((0, floor + _LINE / 2), shortened(words, font, cell.width), fill=FAINT, font=font, anchor="lm")

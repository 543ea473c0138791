"""Labels as pictures: colour maps, overlays with a legend, panels of errors, contact sheets.

Pillow and numpy only, as all of drawing/: matplotlib is not part of the base install.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tarsia.card import IGNORED, Classes
from tarsia.drawing.legend import Entry, percent, with_legend
from tarsia.drawing.lettering import CLEAR, FAINT, PAPER, fit_fonts, wrapped
from tarsia.files import writing
from tarsia.pictures.rgb import as_visible

LARGEST_JPEG_SIDE = 65_500
_FAST = 1  # of zlib's levels: label maps are small at any of them, and the default takes three times as long
_GREYS = (0, 255, 128, 192, 64)  # what ignored pixels may be painted in, first choice first
_NEAR = 48.0  # RGB distance below which a grey would pass for a class
_RED = (232, 30, 36)
_HATCH = ((150, 153, 158), (176, 179, 184))
_OPACITY = 0.55  # of the classes over a picture
_OF_EDGES = _OPACITY + 0.3  # through which the picture is visible too, but less
_STRIP_ROWS = 256  # rows blended at once: a 12-megapixel picture needs no copies of itself
_SMALLEST_TILE, _LARGEST_TILE = 180, 960  # sides of a panel's pictures


@functools.lru_cache(maxsize=64)
def ignored_color(classes: Classes) -> tuple[int, int, int]:
    """The grey that ignored pixels (255) are painted in: black, or the first grey no class could be mistaken for.

    Black unless a class is black or nearly so, then white, mid grey ...; where classes are near every grey, the one
    farthest from them all.
    """
    colors = np.asarray(classes.colors, float)
    distances = [float(np.linalg.norm(colors - grey, axis=1).min()) for grey in _GREYS]
    free = [grey for grey, distance in zip(_GREYS, distances, strict=True) if distance >= _NEAR]
    grey = free[0] if free else _GREYS[int(np.argmax(distances))]
    return grey, grey, grey


def colorize(label_HW: np.ndarray, classes: Classes) -> np.ndarray:
    """Label map H x W (0 .. K-1, 255 = ignored) -> H x W x 3 uint8 in the classes' colours.

    Ignored pixels get `ignored_color(classes)`.  Raises ValueError for a value that is neither a class nor 255.
    """
    return palette(classes)[_checked(label_HW, classes)]


def overlay(image_HW3: np.ndarray, label_HW: np.ndarray, classes: Classes, legend: bool = True) -> Image.Image:
    """Picture H x W x 3 uint8 and label map H x W -> the picture with the classes over it, edges a bit brighter.

    The blended picture keeps its size and stands at the top left.  With `legend`, the classes present follow below it
    (beside it where the picture is upright): swatch, name, share of all pixels in percent, largest first, and the
    ignored pixels last.  Raises ValueError for sizes that differ, values out of range.
    """
    label_HW = _checked(label_HW, classes)
    image_HW3 = _checked_image(image_HW3, label_HW)
    blended = Image.fromarray(_blend(image_HW3, label_HW, palette(classes)))
    return with_legend(blended, _entries(label_HW, classes)) if legend else blended


def panel(
    image_HW3: np.ndarray,
    truth_HW: np.ndarray,
    prediction_HW: np.ndarray,
    classes: Classes,
    caption: str = "",
    headings: tuple[str, str, str] = ("truth", "prediction", "errors"),
) -> Image.Image:
    """Picture, truth, prediction and errors in a row, each H x W, with `headings` above and `caption` under them: RGBA.

    Errors: right pixels are the picture, grey and dimmed; wrong ones red; pixels whose truth is ignored hatched grey.
    Large pictures are reduced and tiny ones enlarged (nearest neighbour).  Raises ValueError as `overlay` does.
    """
    truth_HW, prediction_HW = _checked(truth_HW, classes), _checked(prediction_HW, classes)
    image_HW3 = _checked_image(image_HW3, truth_HW)
    _checked_image(image_HW3, prediction_HW)
    scored = truth_HW != IGNORED
    wrong = scored & (truth_HW != prediction_HW)
    found = f"{percent(wrong.sum() / scored.sum())} of pixels" if scored.any() else "nothing to score"
    size = _tile_size(truth_HW.shape)
    tiles = [
        ("image", _resized(image_HW3, size, smooth=True)),
        (headings[0], _resized(colorize(truth_HW, classes), size)),
        (headings[1], _resized(colorize(prediction_HW, classes), size)),
        (f"{headings[2]}: {found}", Image.fromarray(_errors(image_HW3, truth_HW, wrong, size))),
    ]
    return _row(tiles, caption)


def save_label(path: Path, label_HW: np.ndarray, classes: Classes) -> None:
    """Write a label map as an index PNG (mode P, the classes' palette, 255 stays 255), whole or not at all.

    Raises ValueError for a value that is neither a class nor 255, OutputError where it cannot be written.
    """
    content = label_png(label_HW, classes)
    with writing(Path(path)) as part:
        part.write_bytes(content)


def label_png(label_HW: np.ndarray, classes: Classes) -> bytes:
    """What `save_label` writes.  Raises ValueError for a value that is neither a class nor 255."""
    picture = Image.fromarray(_checked(label_HW, classes))
    picture.putpalette(palette(classes).tobytes())
    return png(picture)


def png(picture: Image.Image) -> bytes:
    """A label map, or another picture of few levels, as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_FAST)
    return file.getvalue()


def jpeg(picture: Image.Image) -> bytes:
    """An RGB picture of at most `LARGEST_JPEG_SIDE` as a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def grid(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures -> one contact sheet, row by row, each in the middle of a cell as large as the largest."""
    if not images or columns < 1:
        raise ValueError(f"a grid of {len(images)} pictures in {columns} columns: both must be at least 1")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    width, height = max(image.width for image in images), max(image.height for image in images)
    gap = max(4, min(width, height) // 40)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), PAPER)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = gap + column * (width + gap) + (width - image.width) // 2
        top = gap + row * (height + gap) + (height - image.height) // 2
        sheet.paste(image.convert("RGB"), (left, top))
    return sheet


def _checked(label_HW: np.ndarray, classes: Classes) -> np.ndarray:
    label_HW = np.asarray(label_HW)
    if label_HW.ndim != 2 or not label_HW.size or label_HW.dtype.kind not in "ui":
        raise ValueError(f"label is {label_HW.dtype} {label_HW.shape}, expected whole numbers (H, W)")
    strange = (label_HW != IGNORED) & ((label_HW < 0) | (label_HW >= len(classes)))
    if strange.any():
        value = int(label_HW[strange][0])
        raise ValueError(f"label value {value} is neither a class (0 to {len(classes) - 1}) nor ignored ({IGNORED})")
    return label_HW.astype(np.uint8, copy=False)


def _checked_image(image_HW3: np.ndarray, label_HW: np.ndarray) -> np.ndarray:
    image_HW3 = as_visible(np.asarray(image_HW3))
    if image_HW3.dtype != np.uint8 or image_HW3.shape != (*label_HW.shape, 3):
        expected = (*label_HW.shape, 3)
        raise ValueError(f"image is {image_HW3.dtype} {image_HW3.shape}, expected uint8 {expected} to fit its label")
    return image_HW3


def palette(classes: Classes) -> np.ndarray:
    """256 x 3 uint8: the class colours, black where there is no class, the ignored grey at 255."""
    palette_256x3 = np.zeros((256, 3), np.uint8)
    palette_256x3[: len(classes)] = classes.colors
    palette_256x3[IGNORED] = ignored_color(classes)
    return palette_256x3


def _blend(image_HW3: np.ndarray, label_HW: np.ndarray, palette: np.ndarray) -> np.ndarray:
    # Tables of 256 entries instead of arithmetic on pixels: both addends are rounded down, so no sum passes 255.
    under = (np.arange(256) * (1.0 - _OPACITY)).astype(np.uint8)
    over = (palette * _OPACITY).astype(np.uint8)
    bright = palette + ((255 - palette) * 0.4).astype(np.uint8)
    blended_HW3 = np.empty_like(image_HW3)
    for top in range(0, len(label_HW), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        np.add(under[image_HW3[rows]], over[label_HW[rows]], out=blended_HW3[rows])
    edge = _edges(label_HW)
    blended_HW3[edge] = (image_HW3[edge] * (1.0 - _OF_EDGES) + bright[label_HW[edge]] * _OF_EDGES).astype(np.uint8)
    return blended_HW3


def _edges(label_HW: np.ndarray) -> np.ndarray:
    """True on one side of every border between two labels, a line of short side / 600 pixels; none in tiny pictures."""
    edge = np.zeros(label_HW.shape, bool)
    short = min(label_HW.shape)
    if short < 32:
        return edge
    for shift in range(1, max(1, round(short / 600)) + 1):
        edge[:-shift] |= label_HW[:-shift] != label_HW[shift:]
        edge[:, :-shift] |= label_HW[:, :-shift] != label_HW[:, shift:]
    return edge


def _entries(label_HW: np.ndarray, classes: Classes) -> list[Entry]:
    counts = np.bincount(label_HW.ravel(), minlength=256)
    order = sorted((k for k in range(len(classes)) if counts[k]), key=lambda k: (-counts[k], k))
    entries = [
        Entry(classes.colors[k], classes.names[k], f"class {k}", percent(counts[k] / label_HW.size)) for k in order
    ]
    if counts[IGNORED]:
        entries.append(Entry(ignored_color(classes), "ignored", "ignored", percent(counts[IGNORED] / label_HW.size)))
    return entries


def _tile_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) a panel shows a picture of `shape` at."""
    height, width = shape
    factor = min(1.0, _LARGEST_TILE / max(height, width))
    if max(height, width) < _SMALLEST_TILE:
        factor = math.ceil(_SMALLEST_TILE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _resized(image: np.ndarray, size: tuple[int, int], smooth: bool = False) -> Image.Image:
    picture = Image.fromarray(image)
    smaller = size[0] < picture.height
    how = Image.Resampling.LANCZOS if smooth and smaller else Image.Resampling.NEAREST
    return picture.resize((size[1], size[0]), how) if picture.size != (size[1], size[0]) else picture


def _errors(image_HW3: np.ndarray, truth_HW: np.ndarray, wrong: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = np.asarray(_resized(image_HW3, size, smooth=True).convert("L"))
    errors_HW3 = np.repeat((grey * 0.45 + 20).astype(np.uint8)[..., None], 3, axis=2)
    errors_HW3[np.asarray(_resized(wrong.view(np.uint8), size)) > 0] = _RED
    ignored = np.asarray(_resized((truth_HW == IGNORED).view(np.uint8), size)) > 0
    y, x = np.nonzero(ignored)
    errors_HW3[ignored] = np.asarray(_HATCH, np.uint8)[(y + x) // 4 % 2]
    return errors_HW3


def _row(tiles: list[tuple[str, Image.Image]], caption: str) -> Image.Image:
    width, height = tiles[0][1].size
    letters = max(13, min(44, round(width / 21)))  # legible with all four reduced to the width of a page
    gap, head = max(6, letters // 2), round(letters * 1.9)
    cell = max(width, _SMALLEST_TILE)
    total = 4 * cell + 5 * gap
    fonts = fit_fonts(letters, [caption])
    lines, font = wrapped(caption, fonts, total - 2 * gap)
    foot = round(len(lines) * letters * 1.45 + (letters * 0.8 if lines else 0))
    sheet = Image.new("RGBA", (total, head + height + gap + foot), CLEAR)
    draw = ImageDraw.Draw(sheet)
    for index, (heading, tile) in enumerate(tiles):
        left = gap + index * (cell + gap)
        draw.text((left, head / 2), heading, fill=FAINT, font=fonts[0], anchor="lm")
        sheet.paste(tile, (left, head))
    for index, line in enumerate(lines):
        top = head + height + gap + round((index + 0.5) * letters * 1.45)
        draw.text((gap, top), line, fill=FAINT, font=font, anchor="lm")
    return sheet

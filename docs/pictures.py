"""Draws docs/pictures/overview.png: a drawn street scene, its classes, both together, and the classes' names.

python docs/pictures.py                 with the scene's own labels
python docs/pictures.py runs/demo       with what a model sees in it
python docs/pictures.py augmentation    draws docs/pictures/augmentation.jpg instead, from docs/augmentation.md's recipe
python docs/pictures.py conditions      draws docs/pictures/conditions.jpg instead, two drawn streets in nine conditions
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tarsia import data
from tarsia.card import Classes
from tarsia.data import Sample
from tarsia.drawing import paint
from tarsia.files import writing
from tarsia.inference import load

TARGET = Path(__file__).parent / "pictures" / "overview.png"
AUGMENTATION = TARGET.with_name("augmentation.jpg")
CONDITIONS = TARGET.with_name("conditions.jpg")
PLACES = {"highway": 5, "town": 28}  # cities of streets, a scene of each
SIZE = (1200, 400)  # (width, height), as Pillow has it
SCENE, SEED = 20, 0  # a scene of the test split
_TILE = (288, 384)  # (height, width)
_PAPER, _INK, _FAINT = (250, 250, 247), (45, 48, 56), (120, 124, 132)
_SHEET_WIDTH = 1100
_SMALL = (186, 248)  # (height, width) of one of many tiles
_SMOOTH = 2  # drawn this much larger, then shrunk


def overview(model: Path | None = None) -> Image.Image:
    """The banner; `model` (a model file or run folder) says what is seen, the scene's labels where it is None."""
    sample = _scene()
    label_HW = sample.label if model is None else load(model, device="cpu")(sample.image).label_HW
    classes = data.open("streets", count=1, size=(32, 32)).classes
    both = paint.overlay(sample.image, label_HW, classes, legend=False)
    tiles = (
        ("A picture", sample.image),
        ("The class of every pixel", paint.colorize(label_HW, classes)),
        ("Both together", np.asarray(both)),
    )
    banner = Image.new("RGB", (SIZE[0] * _SMOOTH, SIZE[1] * _SMOOTH), _PAPER)
    gap = (SIZE[0] - len(tiles) * _TILE[1]) // (len(tiles) + 1)
    for place, (caption, image_HW3) in enumerate(tiles):
        _tile(banner, gap + place * (_TILE[1] + gap), 44, caption, image_HW3)
    _legend(banner, label_HW, classes, 44 + _TILE[0] + 36)
    return banner.resize(SIZE, Image.Resampling.LANCZOS)


def augmentation() -> Image.Image:
    """The contact sheet that `tarsia check streets,count=9 --augment weather.yaml` draws, a little smaller."""
    from tarsia.checking import augmentation_sheet
    from tarsia.recipe import Recipe

    text = (Path(__file__).parent / "augmentation.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^```yaml\n(# weather\.yaml\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weather.yaml").write_text(recipe, encoding="utf-8")
        settings = Recipe.load(Path(folder) / "weather.yaml")
        with Image.open(augmentation_sheet(settings, data.open("streets", count=9), Path(folder))) as sheet:
            size = (_SHEET_WIDTH, round(sheet.height * _SHEET_WIDTH / sheet.width))
            return sheet.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def conditions() -> Image.Image:
    """The same scene of each city in all nine conditions, three by three, the cities side by side."""
    from tarsia.data._streets.conditions import CONDITIONS as NAMES

    (height, width), gap, head = _SMALL, 8, 40
    block = 3 * width + 2 * gap
    size = (2 * block + 5 * gap, head + 3 * (height + gap) + gap)
    sheet = Image.new("RGB", (size[0] * _SMOOTH, size[1] * _SMOOTH), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (city, scene) in enumerate(PLACES.items()):
        left = gap * 3 // 2 + place * (block + 2 * gap)
        draw.text((left * _SMOOTH, (head - 12) * _SMOOTH), city.capitalize(), fill=_INK, font=_font(17), anchor="ls")
        for number, condition in enumerate(NAMES):
            tile = (height * _SMOOTH, width * _SMOOTH)
            options = {"split": "test", "count": scene + 1, "size": tile, "seed": SEED}
            image_HW3 = data.open("streets", city=city, condition=condition, **options)[scene].image
            row, column = divmod(number, 3)
            x, y = left + column * (width + gap), head + row * (height + gap)
            _tile(sheet, x, y, "", image_HW3)
            _pill(draw, x + 7, y + height - 7, condition.replace("_", " "))
    return sheet.resize(size, Image.Resampling.LANCZOS)


def _pill(draw: ImageDraw.ImageDraw, left: int, bottom: int, text: str) -> None:
    """A line of text on paper with round ends, its lower left corner given."""
    font = _font(11)
    wide, tall = draw.textlength(text, font=font) + 14 * _SMOOTH, 18 * _SMOOTH
    box = (left * _SMOOTH, bottom * _SMOOTH - tall, left * _SMOOTH + wide, bottom * _SMOOTH)
    draw.rounded_rectangle(box, tall / 2, fill=_PAPER)
    draw.text((left * _SMOOTH + wide / 2, bottom * _SMOOTH - tall / 2), text, fill=_INK, font=font, anchor="mm")


def _scene() -> Sample:
    size = (_TILE[0] * _SMOOTH, _TILE[1] * _SMOOTH)
    return data.open("streets", split="test", count=SCENE + 1, size=size, seed=SEED)[SCENE]


def _tile(banner: Image.Image, left: int, top: int, caption: str, image_HW3: np.ndarray) -> None:
    """One picture with rounded corners and its caption above."""
    picture = Image.fromarray(image_HW3)
    corners = Image.new("L", picture.size, 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), 10 * _SMOOTH, fill=255)
    banner.paste(picture, (left * _SMOOTH, top * _SMOOTH), corners)
    draw = ImageDraw.Draw(banner)
    draw.text((left * _SMOOTH + 2, (top - 10) * _SMOOTH), caption, fill=_INK, font=_font(17), anchor="ls")


def _legend(banner: Image.Image, label_HW: np.ndarray, classes: Classes, middle: int) -> None:
    """The names of the classes in the picture, in one centred line."""
    draw, font = ImageDraw.Draw(banner), _font(14)
    seen = [k for k in np.unique(label_HW).tolist() if k < len(classes)]
    names = [classes.names[k].replace("_", " ") for k in seen]
    side, gap = 14 * _SMOOTH, 20 * _SMOOTH
    widths = [side + 6 * _SMOOTH + draw.textlength(name, font=font) for name in names]
    x, y = (banner.width - sum(widths) - gap * (len(names) - 1)) / 2, middle * _SMOOTH
    for k, name, width in zip(seen, names, widths, strict=True):
        box = (x, y - side / 2, x + side, y + side / 2)
        draw.rounded_rectangle(box, 3 * _SMOOTH, fill=classes.colors[k], outline=_FAINT, width=1)
        draw.text((x + side + 6 * _SMOOTH, y), name, fill=_INK, font=font, anchor="lm")
        x += width + gap


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _SMOOTH)


if __name__ == "__main__":
    if sys.argv[1:] == ["augmentation"]:
        with writing(AUGMENTATION) as part:
            augmentation().save(part, format="JPEG", quality=82, optimize=True)
    elif sys.argv[1:] == ["conditions"]:
        with writing(CONDITIONS) as part:
            conditions().save(part, format="JPEG", quality=86, optimize=True)
    else:
        picture = overview(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        with writing(TARGET) as part:
            picture.save(part, format="PNG", optimize=True)

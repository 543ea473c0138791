"""Letters on pictures: a font that has a text's characters, lines that fit a width."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterable

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK, FAINT = (255, 255, 255), (24, 28, 34), (110, 118, 128)
CLEAR = (*PAPER, 0)  # what is behind, a dark page too, where FAINT can be read as well; white to what knows no alpha
# Pillow's own font draws ASCII only; these are asked for where a name needs more, and may all be absent.
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc")


def fit_fonts(size: int, texts: Iterable[str]) -> list[Font]:
    """Pillow's font, and where one of `texts` needs more than ASCII, what this machine has besides."""
    fonts: list[Font] = [ImageFont.load_default(size=size)]
    for name in () if all(text.isascii() for text in texts) else _SYSTEM_FONTS:
        with contextlib.suppress(OSError):
            fonts.append(ImageFont.truetype(name, size))
    return fonts


def _draws(font: Font, text: str) -> bool:
    """Whether `font` has every character of `text` (a missing one looks like a character no font has)."""
    missing = bytes(font.getmask("\U000ffffd"))
    return all(character == " " or bytes(font.getmask(character)) != missing for character in text)


def lettering(text: str, fallback: str, fonts: list[Font]) -> tuple[str, Font]:
    """`text` in one line and a font that can draw it; else its letters without accents; else `fallback`."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()) or fallback
    if text.isascii():
        return text, fonts[0]
    for font in fonts[1:]:
        if _draws(font, text):
            return text, font
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return (plain if plain.isascii() else fallback), fonts[0]


def shortened(text: str, font: Font, width: float) -> str:
    """`text`, cut and ended with dots where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text.rstrip() + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def wrapped(caption: str, fonts: list[Font], width: int) -> tuple[list[str], Font]:
    """`caption` in lines of at most `width` pixels, and the font to draw them in."""
    text, font = lettering(caption, "(a caption in characters that no font here can draw)" if caption else "", fonts)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [shortened(line, font, width) for line in lines if line], font

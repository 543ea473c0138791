"""What plots are drawn with: SVG as text, with names that are cut and escaped."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from tarsia.plain_text import plain, shortened

LETTERS = 12  # height of text, CSS pixels


class Box(NamedTuple):
    """A rectangle that a label or a point takes."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def at(self, right: float, up: float) -> tuple[float, float]:
        """The place at shares of its width from the left and of its height from below."""
        return self.left + (self.right - self.left) * right, self.bottom - (self.bottom - self.top) * up

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def within(self, other: Box) -> bool:
        horizontally = other.left <= self.left and self.right <= other.right
        return horizontally and other.top <= self.top and self.bottom <= other.bottom


def escaped(text: str) -> str:
    """Text in SVG: no markup, and nothing that does not print."""
    return html.escape(plain(text))


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most` of them."""
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = math.ceil(round(low / step, 9))
    return [round(k * step, 10) for k in range(first, math.floor(round(high / step, 9)) + 1)]


def share_axis(frame: Box, low: float, high: float) -> list[str]:
    parts = []
    for value in ticks(low, high, 6):
        y = frame.at(0, (value - low) / max(high - low, 1e-9))[1]
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(frame.left - 8, y + 4, f"{value:g}", "end", "soft"))
    return parts


def width_of(text: str) -> float:
    """About how wide a text is drawn."""
    return sum(LETTERS * (1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.56) for letter in text)


def cut(text: str, length: int) -> str:
    return shortened(" ".join(text.split()), length, "…")


def text(x: float, y: float, words: str, anchor: str, kind: str = "", length: int = 200) -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escaped(cut(plain(words), length))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, color: str, width: float, opacity: float = 1.0) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}" stroke-opacity="{opacity}"/>'


def svg(width: int, height: int, parts: Sequence[str], fixed: bool = False) -> str:
    size = f'width="{width}" height="{height}"' if fixed else f'style="max-width:{width}px"'
    return f'<svg role="img" viewBox="0 0 {width} {height}" {size}>{"".join(parts)}</svg>'

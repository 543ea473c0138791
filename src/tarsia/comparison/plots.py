"""Plots of a comparison as inline SVG: whiskers, bars of the classes, cost against score, reliability curves."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tarsia.comparison import Figure
from tarsia.comparison.table import in_thousands
from tarsia.plain_text import plain, shortened

COLORS = (
    *("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5", "#b58900", "#0b7285", "#c2255c", "#5c6b7a", "#66a80f", "#7048e8"),
    *("#74a9f7", "#f29d6b", "#7cc48a", "#cf94de", "#dfc26a", "#6cb6c4", "#e88bab", "#a3afbb", "#b2d977", "#b3a0f2"),
)
_LETTERS = 12  # height of text, CSS pixels
_NAME_LENGTH = 26
_LINE = 15


class Point(NamedTuple):
    """A model in a plot of cost against score."""

    name: str
    x: float
    miou: Figure
    color: str


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


def _escaped(text: str) -> str:
    """Text in SVG: no markup, and nothing that does not print."""
    return html.escape(plain(text))


def color_of(place: int) -> str:
    """The colour of the model in a place; from 20 on they repeat."""
    return COLORS[place % len(COLORS)]


def limits(figures: Sequence[Figure]) -> tuple[float, float]:
    """What an axis shows of scores: all values and intervals, to the next twentieth, within 0 .. 1."""
    values = [value for figure in figures for value in figure if not math.isnan(value)]
    low, high = min(values), max(values)
    return max(0.0, math.floor(low * 20 - 0.2) / 20), min(1.0, math.ceil(high * 20 + 0.2) / 20)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most` of them."""
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = math.ceil(round(low / step, 9))
    return [round(k * step, 10) for k in range(first, math.floor(round(high / step, 9)) + 1)]


def whisker(figure: Figure, low: float, high: float, color: str, width: int = 160, height: int = 22) -> str:
    """A score as a dot with its interval, on an axis from `low` to `high`."""
    middle = height / 2

    def at(value: float) -> float:
        return 4 + (width - 8) * (value - low) / max(high - low, 1e-9)

    parts = [f'<line class="grid" x1="4" x2="{width - 4}" y1="{middle}" y2="{middle}"/>']
    if not math.isnan(figure.low):
        ends = f'x1="{at(figure.low):.1f}" x2="{at(figure.high):.1f}"'
        parts.append(f'<line {ends} y1="{middle}" y2="{middle}" stroke="{color}" stroke-width="3"/>')
        for end in (figure.low, figure.high):
            parts.append(_line(at(end), middle - 5, at(end), middle + 5, color, 1.6))
    parts.append(f'<circle cx="{at(figure.value):.1f}" cy="{middle}" r="5" fill="{color}"/>')
    return _svg(width, height, parts, fixed=True)


def whisker_axis(low: float, high: float, width: int = 160) -> str:
    """The axis of `whisker`, for the row below."""
    parts = []
    for value in ticks(low, high, 5):
        x = 4 + (width - 8) * (value - low) / max(high - low, 1e-9)
        parts.append(_line(x, 0, x, 5, "currentColor", 1))
        parts.append(_text(min(max(x, 12), width - 12), 18, f"{value:g}", "middle", "soft"))
    return _svg(width, 22, parts, fixed=True)


def class_bars(names: Sequence[str], models: Sequence[tuple[str, str, Sequence[Figure]]]) -> str:
    """A group of bars for each class, one for each model (name, colour, IoU by class), with their intervals."""
    left, width, bar, gap = 170, 1060, 9, 11
    group = bar * len(models) + gap
    height = group * len(names) + 28

    def at(value: float) -> float:
        return left + (width - left - 16) * value

    parts = []
    for value in ticks(0, 1, 5):
        parts.append(f'<line class="grid" x1="{at(value)}" x2="{at(value)}" y1="0" y2="{height - 24}"/>')
        parts.append(_text(at(value), height - 6, f"{value:g}", "middle", "soft"))
    for k, name in enumerate(names):
        top = k * group + gap / 2
        parts.append(_text(left - 12, top + (group - gap) / 2 + 4, name, "end", length=22))
        for row, (model, color, figures) in enumerate(models):
            figure, y = figures[k], top + row * bar
            if math.isnan(figure.value):
                parts.append(_text(left + 3, y + bar - 1, "absent", "start", "tiny"))
                continue
            words = _escaped(f"{name}, {model}: {figure.value:.3f}")
            parts.append(
                f'<rect x="{left}" y="{y:.1f}" width="{at(figure.value) - left:.1f}" height="{bar - 1}" '
                f'fill="{color}"><title>{words}</title></rect>'
            )
            if not math.isnan(figure.low):
                middle = y + (bar - 1) / 2
                parts.append(_line(at(figure.low), middle, at(figure.high), middle, "currentColor", 1.2))
    return _svg(width, height, parts)


def scatter(points: Sequence[Point], x_label: str, width: int = 520, height: int = 380) -> str:
    """Models by cost (logarithmic) and score: those that none beats in both are joined, names never on each other."""
    frame = Box(52, 14, width - 16, height - 46)
    low, high = limits([point.miou for point in points])
    least, most = min(point.x for point in points), max(point.x for point in points)
    start, end = math.log10(least) - 0.15, math.log10(most) + 0.15

    def at(x: float, y: float) -> tuple[float, float]:
        return frame.at((math.log10(x) - start) / (end - start), (y - low) / max(high - low, 1e-9))

    parts = _share_axis(frame, low, high)
    for value in _log_ticks(10**start, 10**end):
        x = at(value, low)[0]
        parts.append(_line(x, frame.bottom, x, frame.bottom + 5, "currentColor", 1))
        parts.append(_text(x, frame.bottom + 19, in_thousands(value), "middle", "soft"))
    parts.append(_text(frame.middle[0], height - 6, x_label, "middle", "soft"))
    best = front([(point.x, point.miou.value) for point in points])
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(points[k].x, points[k].miou.value) for k in best))
    parts.append(f'<polyline class="front" points="{path}"/>')
    taken = []
    for k, point in enumerate(points):
        x, y = at(point.x, point.miou.value)
        if not math.isnan(point.miou.low):
            ends = [at(point.x, value)[1] for value in (point.miou.low, point.miou.high)]
            parts.append(_line(x, ends[0], x, ends[1], point.color, 1.4, 0.55))
        ring = f'fill="{point.color}"' if k in best else f'class="behind" stroke="{point.color}"'
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {ring}>{_title(point)}</circle>')
        taken.append(Box(x - 7, y - 7, x + 7, y + 7))
    return _svg(width, height, parts + _names(points, taken, frame))


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, score) that no other beats in both, by cost."""
    order = sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1]))
    found: list[int] = []
    for k in order:
        if not found or points[k][1] > points[found[-1]][1]:
            found.append(k)
    return found


def placed(widths: Sequence[float], taken: Sequence[Box], frame: Box) -> list[Box]:
    """Where the labels of these widths go: near their point's box, within the frame, on nothing else if that can be."""
    obstacles, found = list(taken), []
    for width, point in zip(widths, taken, strict=True):
        x, y = point.middle
        lefts = (point.right + 2, point.left - 2 - width, x - width / 2)
        offsets = sorted((step * _LINE / 2 for step in range(-40, 41)), key=abs)
        boxes = [
            Box(left, y + down - _LINE / 2, left + width, y + down + _LINE / 2) for down in offsets for left in lefts
        ]
        inside = [box for box in boxes if box.within(frame)] or boxes[:1]
        # The first, which is nearest, of those that cover least.
        best = min(inside, key=lambda box: round(sum(box.overlap(other) for other in obstacles)))
        obstacles.append(best)
        found.append(best)
    return found


def reliability(models: Sequence[tuple[str, str, np.ndarray]], size: int = 420) -> str:
    """Share right against confidence of each model (name, colour, bins x 3); a calibrated one lies on the diagonal."""
    frame = Box(48, 12, size - 12, size - 42)
    parts = _share_axis(frame, 0.0, 1.0)
    for value in ticks(0, 1, 5):
        parts.append(_text(frame.at(value, 0)[0], frame.bottom + 18, f"{value:g}", "middle", "soft"))
    parts.append(_text(frame.middle[0], size - 6, "confidence", "middle", "soft"))
    parts.append(_line(*frame.at(0, 0), *frame.at(1, 1), "currentColor", 1, 0.4))
    for name, color, bins_b3 in models:
        shown = [(float(x), float(y)) for share, x, y in bins_b3 if share > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.at(*point) for point in shown))
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>')
        for point, share in zip(shown, bins_b3[bins_b3[:, 0] > 0, 0], strict=True):
            x, y = frame.at(*point)
            words = _escaped(f"{name}: confidence {point[0]:.3f}, right {point[1]:.3f}, {100 * share:.1f} % of pixels")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{words}</title></circle>')
    return _svg(size, size, parts)


def _share_axis(frame: Box, low: float, high: float) -> list[str]:
    parts = []
    for value in ticks(low, high, 6):
        y = frame.at(0, (value - low) / max(high - low, 1e-9))[1]
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(frame.left - 8, y + 4, f"{value:g}", "end", "soft"))
    return parts


def _names(points: Sequence[Point], taken: Sequence[Box], frame: Box) -> list[str]:
    """Each point's name, with a line to it where it had to go further away."""
    texts = [_cut(point.name, _NAME_LENGTH) for point in points]
    parts = []
    boxes = placed([_width(text) for text in texts], taken, frame)
    for text, point, box, own in zip(texts, points, boxes, taken, strict=True):
        (x_middle, middle), (x, y) = box.middle, own.middle
        if abs(middle - y) > _LINE:
            near = min(max(x, box.left), box.right)
            parts.append(_line(x, y, near, box.top if middle > y else box.bottom, point.color, 0.8, 0.6))
        # Held at the side of the point, so that letters wider than thought grow away from it.
        at, anchor = x_middle, "middle"
        if box.left >= own.right or box.right <= own.left:
            at, anchor = (box.left, "start") if box.left >= own.right else (box.right, "end")
        start = f'x="{at:.1f}" y="{middle + 4:.1f}" text-anchor="{anchor}"'
        parts.append(f"<text {start}>{_escaped(text)}{_title(point)}</text>")
    return parts


def _title(point: Point) -> str:
    return f"<title>{_escaped(f'{point.name}: mIoU {point.miou.value:.4f}')}</title>"


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ... within the range; only the tens where they are many, all digits where they would be few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) >= 3:
            return found
    return found


def _width(text: str) -> float:
    """About how wide a text is drawn."""
    return sum(_LETTERS * (1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.56) for letter in text)


def _cut(text: str, length: int) -> str:
    return shortened(" ".join(text.split()), length, "…")


def _text(x: float, y: float, words: str, anchor: str, kind: str = "", length: int = 200) -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{_escaped(_cut(plain(words), length))}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float, opacity: float = 1.0) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{width}" stroke-opacity="{opacity}"/>'


def _svg(width: int, height: int, parts: Sequence[str], fixed: bool = False) -> str:
    size = f'width="{width}" height="{height}"' if fixed else f'style="max-width:{width}px"'
    return f'<svg role="img" viewBox="0 0 {width} {height}" {size}>{"".join(parts)}</svg>'

"""Plots of a comparison as inline SVG: whiskers, bars, cost against score, curves of learning and of reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tarsia.comparison import Curve, Figure
from tarsia.comparison.svg import Box, cut, escaped, line, share_axis, svg, text, ticks, width_of
from tarsia.comparison.table import in_thousands

COLORS = (
    *("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5", "#b58900", "#0b7285", "#c2255c", "#5c6b7a", "#66a80f", "#7048e8"),
    *("#74a9f7", "#f29d6b", "#7cc48a", "#cf94de", "#dfc26a", "#6cb6c4", "#e88bab", "#a3afbb", "#b2d977", "#b3a0f2"),
)
_NAME_LENGTH = 26
_LINE = 15


class Point(NamedTuple):
    """A model in a plot of cost against score."""

    name: str
    x: float
    miou: Figure
    color: str


def color_of(place: int) -> str:
    """The colour of the model in a place; from 20 on they repeat."""
    return COLORS[place % len(COLORS)]


def limits(figures: Sequence[Figure]) -> tuple[float, float]:
    """What an axis shows of scores: all values and intervals, to the next twentieth, within 0 .. 1."""
    values = [value for figure in figures for value in figure if not math.isnan(value)]
    low, high = min(values), max(values)
    return max(0.0, math.floor(low * 20 - 0.2) / 20), min(1.0, math.ceil(high * 20 + 0.2) / 20)


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
            parts.append(line(at(end), middle - 5, at(end), middle + 5, color, 1.6))
    parts.append(f'<circle cx="{at(figure.value):.1f}" cy="{middle}" r="5" fill="{color}"/>')
    return svg(width, height, parts, fixed=True)


def whisker_axis(low: float, high: float, width: int = 160) -> str:
    """The axis of `whisker`, for the row below."""
    parts = []
    for value in ticks(low, high, 5):
        x = 4 + (width - 8) * (value - low) / max(high - low, 1e-9)
        parts.append(line(x, 0, x, 5, "currentColor", 1))
        parts.append(text(min(max(x, 12), width - 12), 18, f"{value:g}", "middle", "soft"))
    return svg(width, 22, parts, fixed=True)


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
        parts.append(text(at(value), height - 6, f"{value:g}", "middle", "soft"))
    for k, name in enumerate(names):
        top = k * group + gap / 2
        parts.append(text(left - 12, top + (group - gap) / 2 + 4, name, "end", length=22))
        for row, (model, color, figures) in enumerate(models):
            figure, y = figures[k], top + row * bar
            if math.isnan(figure.value):
                parts.append(text(left + 3, y + bar - 1, "absent", "start", "tiny"))
                continue
            words = escaped(f"{name}, {model}: {figure.value:.3f}")
            parts.append(
                f'<rect x="{left}" y="{y:.1f}" width="{at(figure.value) - left:.1f}" height="{bar - 1}" '
                f'fill="{color}"><title>{words}</title></rect>'
            )
            if not math.isnan(figure.low):
                middle = y + (bar - 1) / 2
                parts.append(line(at(figure.low), middle, at(figure.high), middle, "currentColor", 1.2))
    return svg(width, height, parts)


def scatter(points: Sequence[Point], x_label: str, width: int = 520, height: int = 380) -> str:
    """Models by cost (logarithmic) and score: those that none beats in both are joined, names never on each other."""
    frame = Box(52, 14, width - 16, height - 46)
    low, high = limits([point.miou for point in points])
    least, most = min(point.x for point in points), max(point.x for point in points)
    start, end = math.log10(least) - 0.15, math.log10(most) + 0.15

    def at(x: float, y: float) -> tuple[float, float]:
        return frame.at((math.log10(x) - start) / (end - start), (y - low) / max(high - low, 1e-9))

    parts = share_axis(frame, low, high)
    for value in _log_ticks(10**start, 10**end):
        x = at(value, low)[0]
        parts.append(line(x, frame.bottom, x, frame.bottom + 5, "currentColor", 1))
        parts.append(text(x, frame.bottom + 19, in_thousands(value), "middle", "soft"))
    parts.append(text(frame.middle[0], height - 6, x_label, "middle", "soft"))
    best = front([(point.x, point.miou.value) for point in points])
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(points[k].x, points[k].miou.value) for k in best))
    parts.append(f'<polyline class="front" points="{path}"/>')
    taken = []
    for k, point in enumerate(points):
        x, y = at(point.x, point.miou.value)
        if not math.isnan(point.miou.low):
            ends = [at(point.x, value)[1] for value in (point.miou.low, point.miou.high)]
            parts.append(line(x, ends[0], x, ends[1], point.color, 1.4, 0.55))
        ring = f'fill="{point.color}"' if k in best else f'class="behind" stroke="{point.color}"'
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {ring}>{_title(point)}</circle>')
        taken.append(Box(x - 7, y - 7, x + 7, y + 7))
    return svg(width, height, parts + _names(points, taken, frame))


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


def learning(models: Sequence[tuple[str, str, Sequence[Curve]]], width: int = 520, height: int = 380) -> str:
    """mIoU on the validation pictures against steps, a line for each training of each model (name, colour, curves)."""
    frame = Box(52, 14, width - 16, height - 46)
    every = [point for _, _, curves in models for curve in curves for point in curve]
    low, high = limits([Figure(miou, math.nan, math.nan) for _, miou in every])
    most = max(step for step, _ in every)

    def at(step: float, miou: float) -> tuple[float, float]:
        return frame.at(step / most, (miou - low) / max(high - low, 1e-9))

    parts = share_axis(frame, low, high)
    for value in ticks(0, most, 5):
        parts.append(text(at(value, low)[0], frame.bottom + 19, in_thousands(value), "middle", "soft"))
    parts.append(text(frame.middle[0], height - 6, "steps", "middle", "soft"))
    for name, color, curves in models:
        for curve in curves:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in curve))
            words = escaped(f"{name}: {curve[-1][1]:.4f} after {curve[-1][0]} steps")
            parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="{path}"/>')
            x, y = at(*curve[-1])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{words}</title></circle>')
    return svg(width, height, parts)


def reliability(models: Sequence[tuple[str, str, np.ndarray]], size: int = 420) -> str:
    """Share right against confidence of each model (name, colour, bins x 3); a calibrated one lies on the diagonal."""
    frame = Box(48, 12, size - 12, size - 42)
    parts = share_axis(frame, 0.0, 1.0)
    for value in ticks(0, 1, 5):
        parts.append(text(frame.at(value, 0)[0], frame.bottom + 18, f"{value:g}", "middle", "soft"))
    parts.append(text(frame.middle[0], size - 6, "confidence", "middle", "soft"))
    parts.append(line(*frame.at(0, 0), *frame.at(1, 1), "currentColor", 1, 0.4))
    for name, color, bins_b3 in models:
        shown = [(float(x), float(y)) for share, x, y in bins_b3 if share > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.at(*point) for point in shown))
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>')
        for point, share in zip(shown, bins_b3[bins_b3[:, 0] > 0, 0], strict=True):
            x, y = frame.at(*point)
            words = escaped(f"{name}: confidence {point[0]:.3f}, right {point[1]:.3f}, {100 * share:.1f} % of pixels")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{words}</title></circle>')
    return svg(size, size, parts)


def _names(points: Sequence[Point], taken: Sequence[Box], frame: Box) -> list[str]:
    """Each point's name, with a line to it where it had to go further away."""
    texts = [cut(point.name, _NAME_LENGTH) for point in points]
    parts = []
    boxes = placed([width_of(words) for words in texts], taken, frame)
    for words, point, box, own in zip(texts, points, boxes, taken, strict=True):
        (x_middle, middle), (x, y) = box.middle, own.middle
        if abs(middle - y) > _LINE:
            near = min(max(x, box.left), box.right)
            parts.append(line(x, y, near, box.top if middle > y else box.bottom, point.color, 0.8, 0.6))
        # Held at the side of the point, so that letters wider than thought grow away from it.
        at, anchor = x_middle, "middle"
        if box.left >= own.right or box.right <= own.left:
            at, anchor = (box.left, "start") if box.left >= own.right else (box.right, "end")
        start = f'x="{at:.1f}" y="{middle + 4:.1f}" text-anchor="{anchor}"'
        parts.append(f"<text {start}>{escaped(words)}{_title(point)}</text>")
    return parts


def _title(point: Point) -> str:
    return f"<title>{escaped(f'{point.name}: mIoU {point.miou.value:.4f}')}</title>"


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 ... within the range; only the tens where they are many, all digits where they would be few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) >= 3:
            return found
    return found

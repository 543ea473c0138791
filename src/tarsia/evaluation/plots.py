"""Curves of a training, confusion matrix, objects and reliability as PNG files.  matplotlib's Agg canvas, no pyplot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.card import Classes
from tarsia.errors import MissingExtraError
from tarsia.files import writing
from tarsia.plain_text import shortened

_INK, _FAINT, _GRID = "#1c2128", "#6a737d", "#e6e9ed"
_TRAINING, _VALIDATION, _BEST = "#9aa5b1", "#1f6feb", "#d9480f"
_RIGHT, _WRONG, _EMPTY = (13, 71, 161), (198, 40, 40), (236, 238, 241)
_AXES = (("loss", "Loss"), ("miou", "mIoU"), ("mpa", "MPA"), ("pixel_accuracy", "Pixel accuracy"))
_MARKED_POINTS = 30  # up to so many points are drawn as dots on their line
_NUMBERED_CLASSES = 25
_NAME_LENGTH = 24
_DOTS_PER_INCH = 140


def save_curves(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Epochs of a training -> one PNG: loss, mIoU, MPA, pixel accuracy; training and validation on the same axes.

    A row of `history` holds `epoch` (from 1) and train_ and val_ of loss, miou, mpa, pixel_accuracy; what is None,
    NaN, infinite or missing was not measured and its neighbours are joined.  The best validation mIoU is marked.
    Raises ValueError without any epoch, MissingExtraError without matplotlib, OutputError where it cannot be written.
    """
    if not history:
        raise ValueError("no epochs to draw")
    figure = _new_figure((11, 7.2))
    all_axes = figure.subplots(2, 2).ravel()
    best = _best(history)
    for axes, (key, title) in zip(all_axes, _AXES, strict=True):
        _draw_curves(axes, history, key, title)
        if best is not None:
            axes.axvline(best[0], color=_BEST, linewidth=1, linestyle=(0, (2, 3)), alpha=0.7, zorder=1)
    if best is not None:
        _annotate_best(all_axes[1], best)
    handles, labels = _first_legend(all_axes)
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=10.5, labelcolor=_INK)
    _save(figure, path)


def save_confusion(path: Path, counts_KK1: np.ndarray, classes: Classes) -> None:
    """Confusion counts K x (K + 1), rows truth, columns prediction, last column ignored -> a row-normalised PNG.

    Right pixels blue, confused ones red, both stronger where the share of the class's true pixels is larger; shares in
    percent in the cells up to 25 classes.  Classes without truth are grey; the last column is left out where empty.
    Raises ValueError for another shape, MissingExtraError without matplotlib, OutputError where it cannot be written.
    """
    count = len(classes)
    counts = np.asarray(counts_KK1)
    if counts.shape != (count, count + 1):
        raise ValueError(f"confusion counts have shape {counts.shape}, expected {(count, count + 1)}")
    if not counts[:, -1].any():
        counts = counts[:, :-1]
    truth = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(truth, 1)
    side = min(20.0, max(4.5, 0.48 * count if count <= _NUMBERED_CLASSES else 6 + 0.1 * count))
    figure = _new_figure((side + 1.8, side + 1.6))
    axes = figure.subplots()
    axes.imshow(_cell_colors(shares, truth[:, 0] == 0), interpolation="nearest", aspect="equal")
    # Points that one row may take, in an axes that is about `side` inches high.
    letters = min(10.0, side * 72 / count * 0.72)
    _label_axes(axes, classes, counts.shape[1] > count, truth[:, 0] == 0, letters)
    if count <= _NUMBERED_CLASSES:
        _number_cells(axes, shares, min(9.5, letters))
    _save(figure, path)


def save_details(path: Path, details: Mapping[str, Any]) -> None:
    """The `details` of report.json -> one PNG: recall by objects' size and, where it was counted, reliability.

    Raises ValueError without objects, MissingExtraError without matplotlib, OutputError where it cannot be written.
    """
    if "objects" not in details:
        raise ValueError("no details to draw")
    bins = details.get("reliability")
    figure = _new_figure((11, 4.6))
    places = figure.add_gridspec(2, 2, height_ratios=(5, 1), width_ratios=(1, 1.15))
    _draw_recall(figure.add_subplot(places[:, 0] if bins else places[:, :]), details)
    if bins:
        diagram = figure.add_subplot(places[0, 1])
        _draw_reliability(diagram, bins, details["ece"])
        _draw_shares(figure.add_subplot(places[1, 1], sharex=diagram), bins)
    _save(figure, path)


def _new_figure(size_inches: tuple[float, float]) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing figures", "report") from error
    figure: Any = Figure(figsize=size_inches, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    return figure


def _save(figure: Any, path: Path) -> None:
    """Drawn once; `savefig` does it twice, for the layout and for the picture."""
    figure.set_dpi(_DOTS_PER_INCH)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))
    with writing(Path(path)) as part:
        picture.save(part, format="PNG", dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH))


def _draw_recall(axes: Any, details: Mapping[str, Any]) -> None:
    names = list(details["objects"])
    for place, name in enumerate(names):
        value = details[f"recall_{name}"]
        defined = value is not None and math.isfinite(value)
        axes.bar(place, value if defined else 0, width=0.6, color=_VALIDATION, zorder=2)
        words = f"{value:.3f}" if defined else "none there"
        axes.text(place, (value if defined else 0) + 0.02, words, ha="center", fontsize=10.5, color=_INK)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), [f"{name}\n{details['objects'][name]:,} objects" for name in names])
    axes.set_title("Objects found, by size", loc="left", fontsize=12.5, fontweight="bold", color=_INK, pad=10)
    axes.set_title("mean of the classes", loc="right", fontsize=10, color=_FAINT, pad=10)
    _quiet(axes, 0, 1)


def _draw_reliability(axes: Any, bins: Sequence[Mapping[str, Any]], ece: float) -> None:
    """How often pixels of each confidence are right: on the diagonal where the model is as sure as it is right."""
    width = 1 / len(bins)
    filled = [(place, row) for place, row in enumerate(bins) if row["share"] > 0]
    for place, row in filled:
        gap = row["confidence"] - row["accuracy"]
        at = (place + 0.5) * width
        axes.bar(at, row["accuracy"], width=0.86 * width, color=_VALIDATION, zorder=2)
        axes.bar(at, gap, 0.86 * width, bottom=row["accuracy"], color=_BEST, alpha=0.35, zorder=3)
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.2, linestyle=(0, (4, 3)), zorder=4)
    axes.set_xlim(0, 1)
    axes.set_title("Reliability", loc="left", fontsize=12.5, fontweight="bold", color=_INK, pad=10)
    words = f"red: how far from the confidence; ECE {ece:.3f}" if filled else "no pixels"
    axes.set_title(words, loc="right", fontsize=10, color=_BEST, pad=10)
    axes.set_ylabel("share right", color=_FAINT, fontsize=10)
    _quiet(axes, 0, 1)
    axes.tick_params(labelbottom=False)


def _draw_shares(axes: Any, bins: Sequence[Mapping[str, Any]]) -> None:
    width = 1 / len(bins)
    places = [(place + 0.5) * width for place in range(len(bins))]
    axes.bar(places, [row["share"] for row in bins], width=0.86 * width, color=_TRAINING, zorder=2)
    axes.set_xlabel("confidence", color=_FAINT, fontsize=10)
    axes.set_ylabel("pixels", color=_FAINT, fontsize=10)
    _quiet(axes, 0, 1)
    axes.set_yticks([0, 1])


def _quiet(axes: Any, *limits: float) -> None:
    """Lines across, nothing around; upwards from one limit to the other, where they are given."""
    if limits:
        axes.set_ylim(*limits)
    axes.grid(axis="y", color=_GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_FAINT, labelsize=9.5, length=0, pad=6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c9cfd6")


def _series(history: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of `key` where it was measured."""
    measured = [
        (int(row["epoch"]), float(row[key])) for row in history if row.get(key) is not None and math.isfinite(row[key])
    ]
    return [epoch for epoch, _ in measured], [value for _, value in measured]


def _best(history: Sequence[Mapping[str, Any]]) -> tuple[int, float] | None:
    epochs, values = _series(history, "val_miou")
    return max(zip(epochs, values, strict=True), key=lambda point: (point[1], -point[0])) if epochs else None


def _draw_curves(axes: Any, history: Sequence[Mapping[str, Any]], key: str, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    everything: list[float] = []
    for name, prefix, color, width in (("training", "train", _TRAINING, 1.8), ("validation", "val", _VALIDATION, 2.2)):
        epochs, values = _series(history, f"{prefix}_{key}")
        everything += values
        if epochs:
            # A lone point has no line to be seen by.
            marker = {"marker": "o", "markersize": 7 if len(epochs) == 1 else 3.6}
            marked = marker if len(history) <= _MARKED_POINTS or len(epochs) == 1 else {}
            axes.plot(epochs, values, color=color, linewidth=width, label=name, zorder=3, clip_on=False, **marked)
    if not everything:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=_FAINT)
        axes.set_yticks([])
    else:
        axes.set_ylim(*_limits(everything, key != "loss", len(history) == 1))
    first, last = (int(end(row["epoch"] for row in history)) for end in (min, max))
    axes.set_xlim(first - 0.5, last + 0.5) if last - first < 4 else axes.set_xlim(first, last)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, min_n_ticks=1))
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=_INK, pad=10)
    axes.set_xlabel("epoch", color=_FAINT, fontsize=10)
    _quiet(axes)


def _limits(values: list[float], share: bool, alone: bool) -> tuple[float, float]:
    """What the y axis shows: a share to the next tenths, within 0 .. 1; all of it where one epoch has no course yet."""
    lowest, highest = min(values), max(values)
    if alone:
        return (0.0, 1.0) if share else (min(0.0, lowest * 1.2), max(highest * 1.2, 1e-6))
    if not share:
        margin = (highest - lowest) * 0.05 or abs(highest) * 0.05 or 1.0
        return lowest - margin, highest + margin
    return max(0.0, math.floor(lowest * 10 - 0.3) / 10), min(1.0, math.ceil(highest * 10 + 0.3) / 10)


def _annotate_best(axes: Any, best: tuple[int, float]) -> None:
    epoch, value = best
    axes.plot([epoch], [value], "o", color="white", markeredgecolor=_BEST, markeredgewidth=2.2, markersize=9, zorder=5)
    # In the title's line: near the point it would cover one of the curves sooner or later.
    words = f"best validation {value:.3f} in epoch {epoch}"
    axes.set_title(words, loc="right", fontsize=10, color=_BEST, pad=10)


def _first_legend(all_axes: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """One handle for each name, whichever axes has it: validation may be missing in some."""
    pairs = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in all_axes]
    found = {label: handle for axes in pairs for handle, label in axes}
    names = [name for name in ("training", "validation") if name in found]
    return [found[name] for name in names], names


def _cell_colors(shares: np.ndarray, empty_K: np.ndarray) -> np.ndarray:
    """K x K' x 3 uint8; the root of a share is its strength, or a confusion of 5 percent would look white."""
    rows, columns = shares.shape
    color = np.broadcast_to(np.asarray(_WRONG, float), (rows, columns, 3)).copy()
    color[np.arange(rows), np.arange(rows)] = _RIGHT
    strength = np.sqrt(shares)[..., None]
    cells = 255 + (color - 255) * strength
    cells[empty_K] = _EMPTY
    return cells.round().astype(np.uint8)


def _label_axes(axes: Any, classes: Classes, ignored: bool, empty_K: np.ndarray, letters: float) -> None:
    count = len(classes)
    many = count > _NUMBERED_CLASSES
    names = _drawable_names(classes)
    columns = [*names, "ignored"] if ignored else names
    # parse_math: a dollar sign in a class name is no formula.
    axes.set_yticks(range(count), names, fontsize=letters, parse_math=False)
    rotation = {"rotation": 90} if many else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(columns)), columns, fontsize=letters, parse_math=False, **rotation)
    axes.tick_params(length=0, pad=letters * 0.75 + 7, colors=_INK)
    for k, label in enumerate(axes.get_yticklabels()):
        label.set_color(_FAINT if empty_K[k] else _INK)
    _draw_swatches(axes, classes, letters)
    # Between the cells; the grid of minor ticks would look the same and take three times as long.
    line = {"colors": "white" if many else _GRID, "linewidths": 0.3 if count > 60 else 0.8, "zorder": 1.5}
    axes.vlines(np.arange(len(columns) + 1) - 0.5, -0.5, count - 0.5, **line)
    axes.hlines(np.arange(count + 1) - 0.5, -0.5, len(columns) - 0.5, **line)
    if ignored:
        axes.axvline(count - 0.5, color=_FAINT, linewidth=1.2)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted as", color=_FAINT, fontsize=11, labelpad=8)
    axes.set_ylabel("truth", color=_FAINT, fontsize=11, labelpad=8)
    empty = ", grey = no truth" if empty_K.any() else ""
    words = f"Share of each class's true pixels: blue = right, red = confused{empty}"
    axes.set_title(words, loc="left", fontsize=10.5, color=_INK, pad=10)


def _draw_swatches(axes: Any, classes: Classes, letters: float) -> None:
    """A square in each class's colour between its name and its row, and its column."""
    from matplotlib.transforms import ScaledTranslation

    side = letters * 0.75
    away = (side / 2 + 4) / 72
    left = axes.get_yaxis_transform() + ScaledTranslation(-away, 0, axes.figure.dpi_scale_trans)
    below = axes.get_xaxis_transform() + ScaledTranslation(0, -away, axes.figure.dpi_scale_trans)
    at, zero = np.arange(len(classes)), np.zeros(len(classes))
    style = {"c": np.asarray(classes.colors) / 255, "s": side**2, "marker": "s", "clip_on": False}
    axes.scatter(zero, at, transform=left, edgecolors="#c9cfd6", linewidths=0.4, **style)
    axes.scatter(at, zero, transform=below, edgecolors="#c9cfd6", linewidths=0.4, **style)


def _drawable_names(classes: Classes) -> list[str]:
    """Class names in one line, shortened; `class 7` where the font, which has no CJK letters, cannot draw one."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    names = []
    for k, name in enumerate(classes.names):
        line = " ".join(name.split())
        drawable = line and all(ord(character) in known for character in line)
        names.append(shortened(line, _NAME_LENGTH, "…") if drawable else f"class {k}")
    return names


def _number_cells(axes: Any, shares: np.ndarray, letters: float) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            color = "white" if math.sqrt(share) > 0.6 else _INK
            text = axes.text(column, row, f"{share * 100:.0f}", ha="center", va="center", fontsize=letters, color=color)
            text.set_in_layout(False)  # it is within the axes

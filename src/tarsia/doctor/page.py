"""A check's folder: check.json, and check.html, one page that needs nothing but itself."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia import console, html
from tarsia.data._dataset import spec_of
from tarsia.doctor.balance import weights
from tarsia.doctor.dataset import CheckedData
from tarsia.doctor.finding import SHOWN, Finding, by_severity, storable
from tarsia.doctor.result import CheckResult
from tarsia.doctor.sample import read
from tarsia.doctor.split_statistics import CheckedSplit
from tarsia.drawing import paint
from tarsia.drawing.heat import heat_colors
from tarsia.pictures import reader
from tarsia.pictures.rgb import as_visible, resize, resize_label
from tarsia.plain_text import number

PICTURED = 6  # places of a finding that are shown
LISTED = 100  # places of a finding that are named; check.json has all
_THUMB = (150, 220)  # height, width that a thumbnail fits into
_HEATED = 30  # classes with a heat map, commonest first
_MAP_HEIGHT = 96  # of heat maps and mean picture
_SIZES = 12  # bars in the figure of sizes
_TYPED = re.compile(
    r"tarsia |\s+- |(classes|ignore|format|split|augment|input):"
)  # a line of a remedy that is to be typed


def write_folder(folder: Path, result: CheckResult) -> None:
    """Write check.json into `folder`, and check.html; what needs jinja2 is left out, and said, where it is missing."""
    result.write(folder)
    with html.left_out(page := folder / "check.html"):
        write_page(page, result)


def write_page(path: Path, result: CheckResult) -> None:
    """A check -> one self-contained HTML page without scripts.  Raises MissingExtraError without jinja2."""
    checked, gallery = result.checked, _Gallery(result.checked)
    splits = list(checked.splits.values())
    fix = checked.fix if result.copy is None else None  # what is done is not to be told
    counts = by_severity(result.findings).items()
    values: dict[str, Any] = {
        "title": storable(checked.spec),
        "facts": [number(len(checked.classes), "class", "classes"), result.summary()],
        "cards": [(f"{severity}s", count, f"is-{severity}" if count else "") for severity, count in counts],
        "picture_count": checked.pictures(),
        "findings": _findings(result.findings, gallery, fix),
        "healthy": not result.findings,
        "copy": _copy(result),
        "splits": [split.name for split in splits],
        "classes": _classes(checked, splits),
        "sizes": [(split.name, _sizes(split)) for split in splits],
        "brightness": [(split.name, _brightness(split)) for split in splits],
        "maps": _maps(splits),
    }
    html.write_page(path, "tarsia.doctor", values)


def _copy(result: CheckResult) -> dict[str, Any] | None:
    """What was written of a corrected copy, and what is left to do in it."""
    if result.copy is None or result.left is None:
        return None
    gallery = _Gallery(result.left.checked)
    return {
        "told": storable(result.copy.summary()),
        "sum": storable(result.left.summary()),
        "findings": _findings(result.left.findings, gallery, ""),
    }


def _findings(findings: Sequence[Finding], gallery: _Gallery, fix: str | None) -> list[dict[str, Any]]:
    """What the page says of findings; `fix`: the command that corrects a copy, None where nothing is left to do."""
    kinds = [finding.kind for finding in findings]
    shown = console.track(enumerate(findings), len(findings), "page")
    return [_finding(one, gallery, fix, kinds[:place].count(one.kind)) for place, one in shown]


def _finding(finding: Finding, gallery: _Gallery, fix: str | None, earlier: int) -> dict[str, Any]:
    rows = [storable(place.line()) for place in finding.places[:LISTED]]
    left = len(finding.places) - len(rows)
    return {
        "severity": finding.severity,
        "anchor": finding.kind if not earlier else f"{finding.kind}-{earlier + 1}",
        "title": storable(finding.title),
        "why": finding.why,
        "remedy": _paragraphs(storable(finding.what_to_do(fix))) if fix is not None else [],
        "shown": list(gallery.pictures(finding)),
        "open": len(finding.places) <= SHOWN,
        "places": rows,
        "count": number(len(finding.places), "place"),
        "left": f"and {left:,} more, all of them in check.json" if left else "",
    }


def _paragraphs(remedy: str) -> list[tuple[bool, str]]:
    """The lines of a remedy, those that are to be typed together: (whether they are, text)."""
    parts: list[tuple[bool, str]] = []
    for typed, group in itertools.groupby(remedy.splitlines(), lambda line: bool(_TYPED.match(line))):
        lines = list(group)
        parts += [(True, "\n".join(lines))] if typed else [(False, line) for line in lines]
    return parts


class _Gallery:
    """Thumbnails of samples, read again; what cannot be read has none."""

    def __init__(self, checked: CheckedData) -> None:
        self.checked = checked
        self._indices: dict[str, dict[str, int]] = {}

    def pictures(self, finding: Finding) -> Iterator[dict[str, Any]]:
        """Of the first places: caption, and the tiles: picture, label over it, and what it has to do with."""
        for place in finding.places[:PICTURED]:
            tiles = self._tiles(place.split, place.name)
            if place.other:
                # Copies: the pictures side by side, with labels where these are the matter.
                both = "label" in place.detail
                tiles = tiles[: 1 + both] + self._tiles(*place.other)[: 1 + both]
            if tiles:
                detail = f": {place.detail}" if place.detail else ""
                yield {"caption": storable(f"{place.name}{detail}"), "tiles": tiles}

    def _tiles(self, split_name: str, name: str) -> list[str]:
        split = self.checked.splits.get(split_name)
        if split is None:
            return []
        known = self._indices.setdefault(split_name, {})
        if not known:
            known |= {split.dataset.name(index): index for index in range(len(split))}
        return _drawn(split, known[name]) if name in known else []


def _drawn(split: CheckedSplit, index: int) -> list[str]:
    """A sample's picture, and its label over it (beside it where the sizes differ), as far as they can be read."""
    try:
        image_HW3, label_HW = read(split.dataset, index)[:2]
    except Exception:  # damaged: that is why it is shown
        with contextlib.suppress(Exception):
            spec = spec_of(split.dataset)
            return [_uri(_fitted(reader.read(split.files(index)[0], spec).values_HWC))]
        return []
    classes = split.dataset.classes
    picture = _fitted(image_HW3)
    label = resize_label(label_HW, _fitting(label_HW.shape))
    if label.shape == picture.shape[:2]:
        return [_uri(picture), _uri(np.asarray(paint.overlay(picture, label, classes, legend=False)))]
    return [_uri(picture), _uri(paint.colorize(label, classes))]


def _fitting(shape: tuple[int, ...]) -> tuple[int, int]:
    factor = min(_THUMB[0] / shape[0], _THUMB[1] / shape[1], 4.0)  # tiny ones are enlarged a little
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _fitted(image_HWC: np.ndarray) -> np.ndarray:
    return resize(as_visible(image_HWC), _fitting(image_HWC.shape))


def _uri(image_HW3: np.ndarray, kind: str = "jpeg") -> str:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 82} if kind == "jpeg" else {}
    Image.fromarray(image_HW3).save(buffer, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _classes(checked: CheckedData, splits: list[CheckedSplit]) -> list[dict[str, Any]]:
    """A row for each class: its share of the labelled pixels in every split, as bars on one scale, and its weight."""
    shares = [split.shares_K() for split in splits]
    largest = max((float(one.max()) for one in shares), default=0.0) or 1.0
    training = checked.training()
    told = weights(training) if training is not None else [None] * len(checked.classes)
    rows = []
    for k, (name, color) in enumerate(zip(checked.classes.names, checked.classes.colors, strict=True)):
        bars = [
            {
                "split": split.name,
                "percent": f"{100 * own[k] / largest:.2f}",
                "share": _percent(own[k]),
                "pictures": f"{split.pictures_K[k]:,}",
                "absent": not split.pictures_K[k],
            }
            for split, own in zip(splits, shares, strict=True)
        ]
        weight = f"{told[k]:.3g}" if told[k] is not None else ""
        rows.append({"name": name, "color": ", ".join(map(str, color)), "bars": bars, "weight": weight})
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= 0.0001 or not share else f"{100 * share:.1g} %"


def _sizes(split: CheckedSplit) -> list[Mapping[str, Any]]:
    """Bars: how many pictures have each size, the rest together."""
    sizes = split.sizes()
    bars = [(f"{height} x {width}", count) for (height, width), count in sizes[:_SIZES]]
    others = sum(count for _, count in sizes[_SIZES:])
    bars += [(f"{len(sizes) - _SIZES:,} other sizes", others)] if others else []
    most = max((count for _, count in bars), default=1)
    return [{"label": label, "count": f"{count:,}", "percent": f"{100 * count / most:.1f}"} for label, count in bars]


def _brightness(split: CheckedSplit) -> list[Mapping[str, Any]]:
    """Columns: how many pictures have which mean brightness."""
    counts, ends = np.histogram(split.mean_N[split.pictures_N], 32, (0, 256))
    most = max(int(counts.max()), 1)
    return [
        {"percent": f"{100 * count / most:.1f}", "what": f"{low:.0f} to {high:.0f}: {number(int(count), 'picture')}"}
        for count, low, high in zip(counts, ends[:-1], ends[1:], strict=True)
    ]


def _maps(splits: list[CheckedSplit]) -> list[dict[str, Any]]:
    """For the first split: its mean picture, and where in the pictures each class is."""
    split = splits[0]
    count = int(split.pictures_N.sum())
    if not count:
        return []
    (height, width), _ = split.sizes()[0]
    size = (_MAP_HEIGHT, max(24, min(320, round(_MAP_HEIGHT * width / height))))
    mean = np.round(split.mean_HW3 / count).astype(np.uint8)
    maps = [{"name": "mean picture", "uri": _uri(resize(mean, size), "png"), "size": size}]
    order = sorted(np.flatnonzero(split.pictures_K).tolist(), key=lambda k: (-split.pixels_K1[k], k))
    for k in order[:_HEATED]:
        heat = split.heat_KHW[k] / max(int(split.heat_KHW[k].max()), 1)
        name = split.dataset.classes.names[k]
        maps.append({"name": name, "uri": _uri(resize(heat_colors(heat), size), "png"), "size": size})
    return maps

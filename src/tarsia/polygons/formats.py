"""Label maps as polygons: GeoJSON (RFC 7946) and COCO's JSON.  Every region (polygons/outlines.py) is one of them.

Coordinates are (x, y) in pixels from the upper left corner of the picture, along the borders of pixels; GeoJSON takes
an affine `transform` to those of a map.  Ignored pixels (255) are in no polygon.

With a `tolerance` in pixels outlines have fewer corners: those go that cut off less than its square, and the border
between two regions stays one line for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tarsia.card import IGNORED, Classes
from tarsia.polygons.outlines import Region, outlines


def geojson(
    label_HW: np.ndarray,
    classes: Classes,
    *,
    tolerance: float = 0.0,
    transform: Sequence[float] | None = None,
    crs: str | None = None,
) -> dict[str, Any]:
    """Label map H x W -> a GeoJSON FeatureCollection, a Polygon for every region, in the order of the classes.

    Properties: `class` (name), `index`, `color` (#rrggbb) and `pixels` (of the region as predicted).  Outer rings are
    counter-clockwise in the axes of the coordinates written, holes clockwise (RFC 7946, section 3.1.6).  `transform`
    (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f, as GeoTIFF tools give it.  `crs`: the name
    of the coordinates' system ("EPSG:32633"), stored as GeoJSON did before RFC 7946 and as QGIS and GDAL still read.
    """
    features = []
    for region in _sorted(outlines(label_HW, tolerance).regions, classes):
        rings = [_closed(ring, transform) for ring in (region.outer, *region.holes)]
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "class": classes.names[region.label],
                    "index": region.label,
                    "color": "#{:02x}{:02x}{:02x}".format(*classes.colors[region.label]),
                    "pixels": region.pixels,
                },
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
        )
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    return {"type": "FeatureCollection", **named, "features": features}


def coco_categories(classes: Classes) -> list[dict[str, Any]]:
    """COCO's list of classes: class k has the id k + 1, and its color as COCO panoptic has it."""
    named = zip(classes.names, classes.colors, strict=True)
    return [
        {"id": k, "name": name, "supercategory": "", "color": list(color)} for k, (name, color) in enumerate(named, 1)
    ]


def coco_annotations(label_HW: np.ndarray, classes: Classes, *, tolerance: float = 0.0) -> list[dict[str, Any]]:
    """Label map H x W -> COCO's annotations, one a region, in the order of the classes; ids are for the caller to add.

    A region without holes is a polygon; one with holes, which COCO's polygons cannot have, is run lengths and exact
    whatever the tolerance.  `area` is in pixels as predicted, `bbox` is (x, y, width, height) of the outline.
    """
    found = outlines(label_HW, tolerance)
    # The runs of each region, sorted as they are down the columns.
    runs = found.runs[np.argsort(found.runs[:, 0], kind="stable")]
    annotations = []
    for region in _sorted(found.regions, classes):
        segmentation: Any = [region.outer.reshape(-1).tolist()]
        if region.holes:
            first, last = np.searchsorted(runs[:, 0], [region.number, region.number + 1])
            segmentation = {"size": list(label_HW.shape), "counts": _counts(runs[first:last, 1:], label_HW.size)}
        (left, top), (right, bottom) = region.outer.min(0).tolist(), region.outer.max(0).tolist()
        annotations.append(
            {
                "category_id": region.label + 1,
                "segmentation": segmentation,
                "area": region.pixels,
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    return annotations


def _sorted(regions: list[Region], classes: Classes) -> list[Region]:
    strange = {region.label for region in regions if region.label >= len(classes)} - {IGNORED}
    if strange:
        raise ValueError(f"label value {min(strange)} is neither a class (0 to {len(classes) - 1}) nor {IGNORED}")
    return sorted((region for region in regions if region.label != IGNORED), key=lambda region: region.label)


def _closed(ring_N2: np.ndarray, transform: Sequence[float] | None) -> list[list[float]]:
    """A ring as GeoJSON has it: in map coordinates, turned as RFC 7946 wants, its first corner once more at the end."""
    corners = ring_N2.tolist()
    if transform is not None:
        a, b, c, d, e, f = (float(value) for value in tuple(transform)[:6])
        corners = [[a * x + b * y + c, d * x + e * y + f] for x, y in corners]  # most rings are too short for NumPy
        if a * e - b * d < 0:
            corners.reverse()
    return [*corners, corners[0]]


def _counts(runs_N2: np.ndarray, pixels: int) -> list[int]:
    """(first position, length) of runs -> COCO's run lengths: outside, inside, outside ... to the picture's end."""
    begin, length = runs_N2.T
    end = begin + length
    apart = np.append(True, begin[1:] != end[:-1])  # a run that goes on at the top of the next column is the same run
    begin, end = begin[apart], end[np.append(np.flatnonzero(apart)[1:] - 1, len(end) - 1)]
    turns = np.stack([begin, end], axis=1).reshape(-1)
    counts = np.diff(turns, prepend=0).tolist()
    return [*counts, pixels - int(turns[-1])] if turns[-1] < pixels else counts

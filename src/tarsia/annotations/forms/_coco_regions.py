"""The region of a COCO annotation: polygons, or run lengths as a list or as COCO's text."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tarsia.annotations.source import Frame, Notes, check_extent, coordinates
from tarsia.errors import DatasetError
from tarsia.polygons.fill import Shape, Size, polygon_runs, rle_counts, rle_runs


def regions(annotation: dict[str, Any], label: int, seen: Frame, where: str, notes: Notes) -> list[Shape]:
    """The annotation's region; none where it has no area, which is noted.  DatasetError where it is malformed."""
    found = annotation.get("segmentation")
    if isinstance(found, dict):
        return [Shape(label, partial(rle_runs, _counts(found, seen.size, where)))]
    if not found:
        raise DatasetError(f"{where}: has no segmentation, only a box: label maps need polygons or run lengths")
    if not isinstance(found, list) or not all(isinstance(ring, list) for ring in found):
        raise DatasetError(f"{where}: its segmentation is neither a list of polygons nor run lengths")
    rings = [coordinates(ring, where) for ring in found]
    notes.add("polygons of fewer than 3 points, left out", where, sum(len(ring) < 3 for ring in rings))
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return []
    points_N2 = np.concatenate(rings)
    if points_N2.min() >= 0 and points_N2.max() <= 1 and (points_N2 % 1).any():
        raise DatasetError(
            f"{where}: its coordinates are all between 0 and 1, as shares of the picture are: COCO's are pixels, "
            "multiply them by its width and height"
        )
    check_extent(points_N2, seen.size, where, notes)
    return [Shape(label, partial(polygon_runs, rings))]


def _counts(found: dict[str, Any], size: Size, where: str) -> np.ndarray:
    """The run lengths of a segmentation, as many pixels as the picture has."""
    counts = found.get("counts")
    if found.get("size") != list(size):
        raise DatasetError(
            f"{where}: its run lengths are for a picture of {found.get('size')!r}, but it is {list(size)} "
            "(height, width)"
        )
    if isinstance(counts, str):
        try:
            counts = rle_counts(counts)
        except ValueError as error:
            raise DatasetError(f"{where}: its run lengths are damaged: {error}") from error
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise DatasetError(f"{where}: its run lengths are no list of counts and no text")
    if sum(counts) != size[0] * size[1]:
        pixels = size[0] * size[1]
        raise DatasetError(f"{where}: its run lengths add up to {sum(counts)} pixels, the picture has {pixels}")
    return np.array(counts, np.int64)

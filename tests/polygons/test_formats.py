"""Polygons of label maps: drawn back they are the very label, and simplified they keep common borders common."""

from __future__ import annotations

import json
from collections import Counter, deque

import numpy as np
import pytest
import shapely

from counting import calls
from tarsia.card import IGNORED, Classes
from tarsia.polygons.fill import polygon_runs, rle_runs
from tarsia.polygons.formats import coco_annotations, coco_categories, geojson
from tarsia.polygons.outlines import outlines

CLASSES = Classes(names=("road", "car", "sky"), colors=((128, 64, 128), (64, 0, 255), (0, 9, 10)))


def random_labels(count: int, values: tuple[int, ...] = (0, 1, 2, IGNORED)) -> list[np.ndarray]:
    """Noise, and noise enlarged, of all small sizes: corners that touch, holes in holes, single rows and columns."""
    draw = np.random.default_rng(6)
    labels = []
    for number in range(count):
        small_HW = draw.choice(values[: number % len(values) + 1], draw.integers(1, 9, 2))
        labels.append(small_HW.repeat(draw.integers(1, 4), 0).repeat(draw.integers(1, 4), 1).astype(np.uint8))
    return labels


def pieces_of(label_HW: np.ndarray) -> Counter[tuple[int, int]]:
    """How often each (label, pixels) is among the 4-connected regions: a flood fill."""
    found: Counter[tuple[int, int]] = Counter()
    open_HW = np.ones(label_HW.shape, bool)
    for start in np.ndindex(label_HW.shape):
        if not open_HW[start]:
            continue
        open_HW[start], todo, pixels = False, deque([start]), 0
        while todo:
            row, column = todo.popleft()
            pixels += 1
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = min(near) >= 0 and near[0] < label_HW.shape[0] and near[1] < label_HW.shape[1]
                if inside and open_HW[near] and label_HW[near] == label_HW[start]:
                    open_HW[near] = False
                    todo.append(near)
        found[int(label_HW[start]), pixels] += 1
    return found


def drawn(rings: list, size: tuple[int, int]) -> np.ndarray:
    """Outer ring and holes -> the pixels inside, each ring drawn by the reader of annotations."""
    inside_HW = np.zeros(size, bool)
    for ring in rings:
        for start, stop in polygon_runs([np.asarray(ring, float)], size).tolist():
            inside_HW.reshape(-1)[start:stop] ^= True
    return inside_HW


def doubled_area(ring: list) -> float:
    return sum(x * v - u * y for (x, y), (u, v) in zip(ring, ring[1:], strict=False))


@pytest.mark.parametrize("tolerance", [0.0, 1e-9])
def test_drawn_back_it_is_the_very_label(tolerance):
    for label_HW in random_labels(120):
        back_HW = np.full(label_HW.shape, IGNORED)
        for feature in geojson(label_HW, CLASSES, tolerance=tolerance)["features"]:
            inside_HW = drawn(feature["geometry"]["coordinates"], label_HW.shape)
            assert (back_HW[inside_HW] == IGNORED).all() and inside_HW.sum() == feature["properties"]["pixels"]
            back_HW[inside_HW] = feature["properties"]["index"]
        assert np.array_equal(back_HW, label_HW)


def test_regions_are_those_of_a_flood_fill():
    for label_HW in random_labels(60):
        found = Counter((region.label, region.pixels) for region in outlines(label_HW).regions)
        assert found == pieces_of(label_HW)


def test_a_feature_in_full():
    label_HW = np.full((4, 5), 2, np.uint8)
    label_HW[1:3, 1:4] = 1
    label_HW[3, 4] = IGNORED
    sky, car = geojson(label_HW, CLASSES)["features"][::-1]
    assert car["properties"] == {"class": "car", "index": 1, "color": "#4000ff", "pixels": 6}
    assert car["geometry"] == {"type": "Polygon", "coordinates": [[[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]]}
    assert sky["geometry"]["coordinates"] == [
        [[0, 0], [5, 0], [5, 3], [4, 3], [4, 4], [0, 4], [0, 0]],
        [[4, 3], [4, 1], [1, 1], [1, 3], [4, 3]],  # touches the outer ring in a corner
    ]
    assert json.loads(json.dumps(sky)) == sky


@pytest.mark.parametrize(
    "transform", [None, (1, 0, 0, 0, 1, 0), (0.5, 0, 300.0, 0, -0.5, 900.0), (0, -2, 5, 2, 0, 7), (0, 2, 5, 2, 0, 7)]
)
def test_outer_rings_are_counter_clockwise_in_the_axes_written(transform):
    for label_HW in random_labels(20):
        for feature in geojson(label_HW, CLASSES, transform=transform)["features"]:
            outer, *holes = feature["geometry"]["coordinates"]
            assert outer[0] == outer[-1] and len(outer) >= 5 and doubled_area(outer) > 0
            assert all(len(set(map(tuple, ring))) == len(ring) - 1 for ring in (outer, *holes))  # none touches itself
            assert all(hole[0] == hole[-1] and doubled_area(hole) < 0 for hole in holes)


def test_map_coordinates():
    found = geojson(np.zeros((2, 3), np.uint8), CLASSES, transform=(10, 0, 500, 0, -10, 900), crs="EPSG:32633")
    (ring,) = found["features"][0]["geometry"]["coordinates"]
    assert sorted(map(tuple, ring[:-1])) == [(500, 880), (500, 900), (530, 880), (530, 900)]
    assert found["crs"]["properties"]["name"] == "EPSG:32633" and "crs" not in geojson(np.zeros((1, 1), int), CLASSES)


def test_coco_drawn_back_is_the_very_label():
    for label_HW in random_labels(80):
        height, width = label_HW.shape
        back_HW = np.full(label_HW.shape, IGNORED)
        for one in coco_annotations(label_HW, CLASSES):
            shape = one["segmentation"]
            if isinstance(shape, dict):
                assert shape["size"] == [height, width] and sum(shape["counts"]) == label_HW.size
                assert min(shape["counts"][1:]) > 0
                runs = rle_runs(np.array(shape["counts"]), label_HW.shape)
            else:
                runs = polygon_runs([np.reshape(ring, (-1, 2)).astype(float) for ring in shape], label_HW.shape)
            inside_HW = np.zeros(label_HW.shape, bool)
            for start, stop in runs.tolist():
                inside_HW.reshape(-1)[start:stop] = True
            rows, columns = np.nonzero(inside_HW)
            left, top, wide, high = one["bbox"]
            assert (left, top) == (columns.min(), rows.min())
            assert (left + wide, top + high) == (columns.max() + 1, rows.max() + 1)
            assert one["area"] == inside_HW.sum()
            back_HW[inside_HW] = one["category_id"] - 1
        assert np.array_equal(back_HW, label_HW)
    assert [(one["id"], one["name"]) for one in coco_categories(CLASSES)] == [(1, "road"), (2, "car"), (3, "sky")]


def blobs(size: tuple[int, int], count: int) -> np.ndarray:
    """Cells around random points: slanting borders, and corners where three cells meet."""
    draw = np.random.default_rng(0)
    points_N2 = draw.uniform(0, 1, (count, 2)) * size
    grid_HW2 = np.stack(np.mgrid[: size[0], : size[1]], axis=2)
    nearest_HW = ((grid_HW2[:, :, None] - points_N2) ** 2).sum(3).argmin(2)
    return draw.integers(0, 3, count).astype(np.uint8)[nearest_HW]


def edges_of(features: list) -> Counter[tuple]:
    return Counter(
        (tuple(start), tuple(end))
        for feature in features
        for ring in feature["geometry"]["coordinates"]
        for start, end in zip(ring, ring[1:], strict=False)
    )


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
def test_simplified_neighbours_still_share_their_borders(tolerance):
    for label_HW in [blobs((60, 80), 40), *random_labels(40, (0, 1, 2))]:
        height, width = label_HW.shape
        edges = edges_of(geojson(label_HW, CLASSES, tolerance=tolerance)["features"])
        for (start, end), times in edges.items():
            at_the_rim = {start[0], end[0]} in ({0}, {width}) or {start[1], end[1]} in ({0}, {height})
            # A border is run along once from either side; the picture's rim from the inside only.
            assert at_the_rim or edges[end, start] == times, (start, end)


def shape_of(feature: dict) -> shapely.Polygon:
    outer, *holes = feature["geometry"]["coordinates"]
    return shapely.Polygon(outer, holes)


def corners_of(rings: list) -> set[tuple]:
    return {tuple(corner) for ring in rings for corner in ring}


@pytest.mark.parametrize("tolerance", [1e-9, 0.8, 2.0, 50.0])
def test_polygons_are_valid_and_cover_the_picture_once(tolerance):
    values = (0, 1, 2)
    for label_HW in [blobs((60, 80), 40), *random_labels(80, values)]:
        exact, found = (geojson(label_HW, CLASSES, tolerance=t)["features"] for t in (1e-9, tolerance))
        shapes = np.array([shape_of(feature) for feature in found])
        assert shapely.is_valid(shapes).all() and shapely.coverage_is_valid(shapes)
        assert shapely.area(shapes).sum() == pytest.approx(label_HW.size)
        for before, after in zip(exact, found, strict=True):
            assert before["properties"] == after["properties"]
            old, new = (one["geometry"]["coordinates"] for one in (before, after))
            assert len(old) == len(new) and corners_of(new) <= corners_of(old)
            assert doubled_area(new[0]) > 0 and all(doubled_area(hole) < 0 for hole in new[1:])


def test_a_larger_tolerance_leaves_fewer_corners():
    label_HW = blobs((120, 160), 30)
    corners = [sum(len(one.outer) for one in outlines(label_HW, t).regions) for t in (1e-9, 0.5, 1.0, 3.0)]
    assert corners[0] == corners[1] > 2 * corners[2] > 4 * corners[3]  # steps of a pixel cut off half a pixel


def test_corners_go_by_the_area_they_cut_off():
    """Of a step of 2 pixels on the picture's lower side, 1 pixel high, the two corners that cut off 1 pixel."""
    label_HW = np.zeros((9, 12), np.uint8)
    label_HW[4:] = 1
    label_HW[4, 5:7] = 0
    for tolerance, corners in ((0.9, 4), (1.1, 0)):
        (road,) = (one for one in outlines(label_HW, tolerance).regions if one.label == 0)
        assert len({*map(tuple, road.outer.tolist())} - {(0, 0), (12, 0), (12, 4), (0, 4)}) == corners


def test_the_picture_keeps_its_corners_and_small_regions_and_their_holes_stay():
    label_HW = np.zeros((9, 9), np.uint8)
    label_HW[4, 4] = 1
    road, car = geojson(label_HW, CLASSES, tolerance=4.0)["features"]
    outer, hole = road["geometry"]["coordinates"]
    assert outer == [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]] and road["properties"]["pixels"] == 80  # as predicted
    (ring,) = car["geometry"]["coordinates"]
    assert len(ring) == 4 and {*map(tuple, hole)} == {*map(tuple, ring)}


@pytest.mark.parametrize("label_HW", [np.zeros(3, np.uint8), np.zeros((0, 4), np.uint8), np.zeros((2, 2, 3), np.uint8)])
def test_what_is_no_label_map_is_refused(label_HW):
    with pytest.raises(ValueError, match="expected H x W"):
        geojson(label_HW, CLASSES)


def test_a_value_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="label value 7 is neither a class"):
        geojson(np.full((2, 2), 7, np.uint8), CLASSES)


def test_a_label_map_of_four_times_the_pixels_is_not_four_times_the_work():
    """Of Python's, for a service: what grows with the pixels is NumPy's."""
    few, many = (
        calls(lambda k=k: geojson(blobs((90, 120), 300).repeat(k, 0).repeat(k, 1), CLASSES, tolerance=1.0))
        for k in (4, 8)
    )
    assert many < 1.5 * few

"""Regions as runs of pixels, against loops over every pixel; COCO's run lengths against pycocotools' own."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tarsia.polygons.fill import Shape, bitmap_runs, circle_runs, paint, polygon_runs, rle_counts, rle_runs

SIZE = (13, 17)


def drawn(runs: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Runs as a mask; they must be what they promise."""
    mask = np.zeros(size[0] * size[1], int)
    for start, stop in runs:
        assert 0 <= start < stop <= mask.size
        mask[start:stop] += 1
    assert mask.max(initial=0) <= 1 and (np.diff(runs[:, 0]) > 0).all()
    return mask.reshape(size).astype(bool)


def inside(ring: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """For every pixel in turn, in fractions and so without rounding: how many edges a ray to the left meets."""
    points = [(Fraction(float(x)), Fraction(float(y))) for x, y in ring]
    mask = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = Fraction(2 * column + 1, 2), Fraction(2 * row + 1, 2)
            met = 0
            for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
                if min(y0, y1) <= y < max(y0, y1):
                    met += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
            mask[row, column] = met % 2
    return mask


@pytest.mark.parametrize("seed", range(25))
def test_polygons_as_pixel_by_pixel(seed: int) -> None:
    """Random outlines, which cross themselves and leave the picture; in quarters, so that centres lie on edges."""
    random = np.random.default_rng(seed)
    points = random.uniform(-5, 22, (random.integers(3, 12), 2))
    if seed % 2:
        points = np.round(points * 4) / 4
    assert np.array_equal(drawn(polygon_runs([points], SIZE)), inside(points))


def test_a_square_on_the_grid_has_its_own_pixels() -> None:
    square = np.array([[2, 3], [6, 3], [6, 5], [2, 5]], float)
    mask = np.zeros(SIZE, bool)
    mask[3:5, 2:6] = True
    assert np.array_equal(drawn(polygon_runs([square], SIZE)), mask)
    assert np.array_equal(drawn(polygon_runs([square + 0.5], SIZE)), mask), "left and upper outlines belong to it"
    assert np.array_equal(drawn(polygon_runs([square[::-1] + 0.25], SIZE)), mask)


@pytest.mark.parametrize("seed", range(6))
def test_neighbours_share_no_pixel_and_leave_none(seed: int) -> None:
    """Triangles around a point cover the picture exactly once, wherever the point is."""
    random = np.random.default_rng(seed)
    middle = np.round(random.uniform(1, 12, 2) * 2) / 2 if seed % 2 else random.uniform(1, 12, 2)
    height, width = SIZE
    corners = [(0, 0), (7.5, 0), (width, 0), (width, 4.5), (width, height), (3, height), (0, height), (0, 8.25)]
    count = np.zeros(SIZE, int)
    for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
        ring = np.array([middle, one, other])
        count += drawn(polygon_runs([ring if random.random() < 0.5 else ring[::-1]], SIZE))
    assert (count == 1).all()


def test_polygons_of_one_region_are_united() -> None:
    rings = [np.random.default_rng(seed).uniform(0, 13, (4, 2)) for seed in range(5)]
    union = np.any([inside(ring) for ring in rings], axis=0)
    assert np.array_equal(drawn(polygon_runs(rings, SIZE)), union)
    assert not len(polygon_runs([], SIZE))


def test_nothing_inside_the_picture() -> None:
    for ring in (
        [[-9, -9], [-2, -9], [-2, 30]],
        [[1.6, 1], [1.9, 1], [1.9, 9]],
        [[3, 3], [5, 5], [3, 3]],
        [[2, 2]] * 3,
    ):
        assert not len(polygon_runs([np.array(ring, float)], SIZE))
    around = np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert drawn(polygon_runs([around], SIZE)).all()


@pytest.mark.parametrize(
    ("center", "radius"), [((8, 6), 4), ((8.5, 6.5), 3), ((0, 0), 5.3), ((16, 12.2), 9), ((5, 5), 0), ((40, 5), 3)]
)
def test_circles_as_pixel_by_pixel(center: tuple[float, float], radius: float) -> None:
    """A centre on the outline itself may count or not."""
    mask = drawn(circle_runs(center, radius, SIZE))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            distance = (column + 0.5 - center[0]) ** 2 + (row + 0.5 - center[1]) ** 2
            assert mask[row, column] == (distance < radius**2) or distance == radius**2


def test_bitmaps_are_cut_at_the_edge() -> None:
    mask = np.random.default_rng(0).random((5, 6)) < 0.6
    for top, left in ((0, 0), (-2, 3), (10, 14), (4, -3), (-5, 0), (13, 2), (0, 17), (-9, -9)):
        wanted = np.zeros(SIZE, bool)
        for row in range(5):
            for column in range(6):
                if 0 <= row + top < SIZE[0] and 0 <= column + left < SIZE[1]:
                    wanted[row + top, column + left] = mask[row, column]
        assert np.array_equal(drawn(bitmap_runs(mask, (top, left), SIZE)), wanted)


def test_run_lengths_go_down_the_columns() -> None:
    counts = [5, 1, 7, 3, 3, 3, 3, 3, 8, 1, 5]
    mask, place, value = np.zeros((6, 7), bool), 0, False
    for count in counts:
        for _ in range(count):
            mask[place % 6, place // 6] = value
            place += 1
        value = not value
    assert mask.sum() == 11 and place == mask.size
    assert np.array_equal(drawn(rle_runs(np.array(counts), (6, 7)), (6, 7)), mask)
    assert drawn(rle_runs(np.array([0, 6]), (3, 2)), (3, 2)).all()
    assert not len(rle_runs(np.array([6]), (3, 2)))


@pytest.mark.parametrize(
    ("text", "counts"),
    [  # written by pycocotools 2.0.11
        ("5172L0005NM", [5, 1, 7, 3, 3, 3, 3, 3, 8, 1, 5]),
        ("06", [0, 6]),
        ("6", [6]),
        ("hT2d?X60boRc0nA`^m\\O0", [2200, 500, 200, 500, 625850, 50, 650, 50]),
        ("", []),
    ],
)
def test_compressed_run_lengths(text: str, counts: list[int]) -> None:
    assert rle_counts(text) == counts == slow_counts(text)


def slow_counts(text: str) -> list[int]:
    """By the bits: five of each character, the lowest first, a two's complement number where a chain ends."""
    counts: list[int] = []
    bits = ""
    for character in text:
        digit = f"{ord(character) - 48:06b}"
        bits = digit[1:] + bits
        if digit[0] == "0":
            number = int(bits, 2) - (2 ** len(bits) if bits[0] == "1" else 0)
            counts.append(number + (counts[len(counts) - 2] if len(counts) >= 3 else 0))
            bits = ""
    return counts


@pytest.mark.parametrize("text", ["5 1", "5\x00", "ü", "P", "oooooooooo0", "5172L0005Nm", "{"])
def test_damaged_run_lengths(text: str) -> None:
    with pytest.raises(ValueError):
        rle_counts(text)


def test_small_regions_lie_on_large_ones() -> None:
    """Painted as a loop would: by area, and one of the same area in the order given."""
    random = np.random.default_rng(3)
    rings = [random.uniform(-3, 20, (3, 2)) for _ in range(9)]
    rings += [np.array([[1, 1], [4, 1], [4, 3], [1, 3]], float), np.array([[2, 1], [5, 1], [5, 3], [2, 3]], float)]
    rings.append(np.array([[3.6, 3], [3.9, 3], [3.9, 9]]))  # between the centres of two columns
    regions = [
        Shape(255 if index == 4 else index, lambda size, ring=ring: polygon_runs([ring], size))
        for index, ring in enumerate(rings, 1)
    ]
    wanted = np.full(SIZE, 7, np.uint8)
    masks = [inside(ring) for ring in rings]
    for index in sorted(range(len(masks)), key=lambda index: (-masks[index].sum(), index)):
        wanted[masks[index]] = regions[index].label
    label, empty = paint(regions, SIZE, 7)
    assert np.array_equal(label, wanted) and label.dtype == np.uint8
    assert empty == sum(not mask.any() for mask in masks) >= 1
    label, empty = paint([], SIZE, 255)
    assert (label == 255).all() and label.shape == SIZE and not empty

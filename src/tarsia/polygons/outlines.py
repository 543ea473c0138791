"""A label map -> the outlines of its regions, along the borders of pixels, in a time linear in pixels.

A region is a set of pixels of one label that hang together by their sides (4-connected): where two pixels of a label
touch at a corner only, they are two regions.  Its outline is one outer ring and a ring around each hole.

Each side of a pixel that is a border is a directed edge with its pixel on the right as seen on the screen: the upper
side runs east, the right one south, the lower one west, the left one north.  Edges in line are one run; a run's
successor is found from the two pixels ahead of its end, turning towards its own region where two touch at a corner.
Following successors gives the rings; one that comes to a corner twice is cut there, so that none touches itself.

By hand, as the base install has neither GDAL nor OpenCV, whose outlines run through the centres of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_UP = 0  # sides of a pixel: 0 up, 1 right, 2 down, 3 left; the edge along a side runs towards side + 1
_CORNER = ((0, 0), (1, 0), (1, 1), (0, 1))  # (x, y) of where the edge along each side begins, from the pixel's corner


class Region(NamedTuple):
    """Pixels of one label that hang together.  Rings are N x 2 (x, y) in pixels, the first corner not repeated.

    `outer` runs clockwise on the screen, where y points down, `holes` the other way round.
    """

    label: int
    pixels: int
    outer: np.ndarray
    holes: list[np.ndarray]
    number: int  # by which `Outlines.runs` names it


class Outlines(NamedTuple):
    """Every region of a label map, from the top; and its pixels as runs down the columns, for run lengths.

    `runs`: N x 3 (region's number, first position, length), positions counted down the columns, sorted.
    """

    regions: list[Region]
    runs: np.ndarray


class _Runs(NamedTuple):
    """The straight pieces along one side of pixels, by pixel (row * W + column) of their first and last edge."""

    start: np.ndarray
    stop: np.ndarray
    successor_side: np.ndarray
    successor: np.ndarray  # pixel


def outlines(label_HW: np.ndarray, tolerance: float = 0.0) -> Outlines:
    """Label map H x W -> its regions (of 255 too), outlines exact where `tolerance` is 0.

    Otherwise with fewer corners, as `_simplified` says.  Raises ValueError for what is no label map.
    """
    if label_HW.ndim != 2 or not label_HW.size or tolerance < 0:
        raise ValueError(f"label {label_HW.shape}, tolerance {tolerance}: expected H x W pixels and 0 or more")
    height, width = label_HW.shape
    alike_4HW = _alike(label_HW)
    joint_VU = _joints(alike_4HW) if tolerance else None
    runs = [_along(alike_4HW, side, joint_VU) for side in range(4)]
    first_run = np.cumsum([0] + [len(one.start) for one in runs])
    number_4P = np.empty((4, height * width), np.int32)  # of the run that begins at a pixel's side; else not written
    for side, one in enumerate(runs):
        number_4P[side, one.start] = np.arange(first_run[side], first_run[side + 1])
    successor = np.concatenate([number_4P[one.successor_side, one.successor] for one in runs])
    corners_N2 = np.concatenate([_corners(one.start, side, width) for side, one in enumerate(runs)])
    pixels = np.concatenate([one.start for one in runs])
    order, starts = _cycles(successor, int(first_run[1]), _pinches(label_HW, corners_N2, pixels))
    corners_N2, pixels = corners_N2[order], pixels[order]
    lengths = np.diff(np.append(starts, len(order)))
    ring_of = np.empty(len(order), np.int64)
    ring_of[order] = np.repeat(np.arange(len(starts)), lengths)

    def ring_at(side: int, pixel: np.ndarray) -> np.ndarray:
        """The ring that the border on a side of pixels belongs to; for the upper and the left side."""
        one = runs[side]
        begins = one.start if side == _UP else _down(one.stop, height, width)
        key = pixel if side == _UP else _down(pixel, height, width)
        return ring_of[first_run[side] + np.searchsorted(begins, key, "right") - 1]

    areas = _areas(corners_N2, starts)
    owner = _owners(areas, runs[1].start, ring_of[first_run[1] : first_run[2]], alike_4HW, ring_at)
    label_of = label_HW.reshape(-1)[pixels[starts]]
    regions = _regions(np.split(corners_N2, starts[1:]), areas, owner, label_of)
    if tolerance:
        regions = _simplified(regions, tolerance)
    # Down the columns, each run of a region's pixels begins below a border on an upper side.
    top = np.flatnonzero(~alike_4HW[0].T)
    stop = np.flatnonzero(~alike_4HW[2].T) + 1
    region_of = owner[ring_at(_UP, top % height * width + top // height)]
    return Outlines(regions, np.stack([region_of, top, stop - top], 1))


def _alike(label_HW: np.ndarray) -> np.ndarray:
    """4 x H x W: whether the neighbour up, right, down, left has the pixel's label; outside is never alike."""
    alike_4HW = np.zeros((4, *label_HW.shape), bool)
    alike_4HW[0, 1:] = alike_4HW[2, :-1] = label_HW[1:] == label_HW[:-1]
    alike_4HW[3, :, 1:] = alike_4HW[1, :, :-1] = label_HW[:, 1:] == label_HW[:, :-1]
    return alike_4HW


def _joints(alike_4HW: np.ndarray) -> np.ndarray:
    """(H + 1) x (W + 1): the corners of pixels where three or four borders meet, and those of the picture."""
    height, width = alike_4HW.shape[1:]
    across = np.ones((height + 1, width), np.uint8)
    across[:-1] = ~alike_4HW[0]
    down = np.ones((height, width + 1), np.uint8)
    down[:, :-1] = ~alike_4HW[3]
    count_VU = np.zeros((height + 1, width + 1), np.uint8)
    for part, borders in ((np.s_[:, :-1], across), (np.s_[:, 1:], across), (np.s_[:-1], down), (np.s_[1:], down)):
        count_VU[part] += borders
    joint_VU = count_VU > 2
    joint_VU[::height, ::width] = True
    return joint_VU


def _along(alike_4HW: np.ndarray, side: int, joint_VU: np.ndarray | None) -> _Runs:
    """The runs along one side of pixels, in the order of rows for upper and lower sides, of columns for the others."""
    height, width = alike_4HW.shape[1:]
    steps = (-width, 1, width, -1)
    ahead, behind = (side + 1) % 4, (side + 3) % 4
    if side in (0, 2):
        pixels = np.flatnonzero(~alike_4HW[side])
    else:
        down = np.flatnonzero(~alike_4HW[side].T)
        pixels = down % height * width + down // height
    alike_4P = alike_4HW.reshape(4, -1)

    def goes_on(way: int) -> np.ndarray:
        straight = alike_4P[way, pixels]
        straight[straight] = ~alike_4P[side, pixels[straight] + steps[way]]
        return straight

    straight = goes_on(ahead)
    on, before = straight, goes_on(behind)
    if joint_VU is not None:
        joint = joint_VU.reshape(-1)
        row, column = np.divmod(pixels, width)
        on = straight & ~joint[_vertex(row, column, ahead, width)]
        before &= ~joint[_vertex(row, column, side, width)]
    last = ~on
    stop = pixels[last]
    inside, straight = alike_4P[ahead, stop], straight[last]
    turn = np.where(straight, side, np.where(inside, behind, ahead))
    onto = stop + inside * steps[ahead] + (inside & ~straight) * steps[side]
    return _Runs(pixels[~before], stop, turn, onto)


def _vertex(row: np.ndarray, column: np.ndarray, side: int, width: int) -> np.ndarray:
    """The number of the corner where the edge along `side` begins."""
    right, below = _CORNER[side]
    return (row + below) * (width + 1) + column + right


def _corners(pixels: np.ndarray, side: int, width: int) -> np.ndarray:
    row, column = np.divmod(pixels, width)
    right, below = _CORNER[side]
    return np.stack([column + right, row + below], axis=1)


def _down(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Positions along the rows -> down the columns."""
    row, column = np.divmod(pixels, width)
    return column * height + row


def _cycles(successor: np.ndarray, upper: int, pinch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A permutation -> rings one after the other, and where each begins.

    Every cycle has one of the first `upper` runs.  `pinch` is the number of the corner that a run begins at where its
    region comes to that corner twice, else -1: a cycle is cut there into two rings, none of which touches itself.
    """
    following, pinched, seen = successor.tolist(), pinch.tolist(), bytearray(len(successor))
    order: list[int] = []
    starts: list[int] = []

    def close(ring: list[int]) -> None:
        starts.append(len(order))
        order.extend(ring)

    for run in range(upper):
        ring: list[int] = []
        been: dict[int, int] = {}
        while not seen[run]:
            seen[run] = 1
            corner = pinched[run]
            if corner >= 0:
                if corner in been:
                    close(ring[been[corner] :])
                    del ring[been[corner] :]
                been[corner] = len(ring)
            ring.append(run)
            run = following[run]
        if ring:
            close(ring)
    return np.array(order), np.array(starts)


def _pinches(label_HW: np.ndarray, corners_N2: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The number of the corner that each run begins at, where the pixel across that corner has its pixel's label."""
    height, width = label_HW.shape
    x, y = corners_N2.T
    row, column = np.divmod(pixels, width)
    across_row, across_column = 2 * y - 1 - row, 2 * x - 1 - column
    inside = (across_row >= 0) & (across_row < height) & (across_column >= 0) & (across_column < width)
    alike = np.zeros(len(pixels), bool)
    alike[inside] = label_HW[across_row[inside], across_column[inside]] == label_HW.reshape(-1)[pixels[inside]]
    return np.where(alike, y * (width + 1) + x, -1)


def _areas(corners_N2: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The area that each ring encloses, in pixels: above 0 for outer rings, below for holes."""
    following = np.arange(1, len(corners_N2) + 1)
    following[np.append(starts[1:], len(corners_N2)) - 1] = starts
    x, y = corners_N2.T
    return np.add.reduceat(x * y[following] - x[following] * y, starts) // 2


def _owners(
    areas: np.ndarray,
    right: np.ndarray,
    ring_of_right: np.ndarray,
    alike_4HW: np.ndarray,
    ring_at: Callable[[int, np.ndarray], np.ndarray],
) -> np.ndarray:
    """The outer ring of the region that each ring belongs to.

    From the leftmost border of a hole, the row runs leftwards through the hole's own region to a border further left,
    of the outer ring or of another hole; taken from the left, that other hole has its owner already.
    """
    owner = np.arange(len(areas))
    width = alike_4HW.shape[2]
    hole = areas[ring_of_right] < 0
    pixels, rings = right[hole], ring_of_right[hole]
    rings, leftmost = np.unique(rings, return_index=True)  # `right` is in the order of columns
    pixels = pixels[leftmost]
    left = np.flatnonzero(~alike_4HW[3])
    reached = ring_at(3, left[np.searchsorted(left, pixels, "right") - 1])
    for index in np.argsort(pixels % width, kind="stable").tolist():
        owner[rings[index]] = owner[reached[index]]
    return owner


def _regions(rings: list[np.ndarray], areas: np.ndarray, owner: np.ndarray, label_of: np.ndarray) -> list[Region]:
    pixels = np.bincount(owner, areas, len(areas)).astype(np.int64)
    found = {
        ring: Region(int(label_of[ring]), int(pixels[ring]), rings[ring], [], ring)
        for ring in np.flatnonzero(areas > 0).tolist()
    }
    for ring in np.flatnonzero(areas < 0).tolist():
        found[int(owner[ring])].holes.append(rings[ring])
    return list(found.values())


def _simplified(regions: list[Region], tolerance: float) -> list[Region]:
    """All regions of a picture with fewer corners; those of one border are the same for both of its regions.

    Corners go one after the other, first the one whose triangle with its two neighbours is smallest, while that is
    smaller than `tolerance` squared (Visvalingam & Whyatt, "Line generalisation by repeated elimination of points",
    The Cartographic Journal 30, 1993) and no border would come to touch or cross another.  Where three regions meet
    and at the picture's rim corners stay, and so does every region and hole, with three corners at least.
    """
    import shapely  # which takes longer to load than most pictures to outline

    rings = [ring for region in regions for ring in (region.outer, *region.holes)]
    ring_N = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    region_R = np.repeat(np.arange(len(regions)), [1 + len(region.holes) for region in regions])
    exact = shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=ring_N), indices=region_R)
    simple = shapely.coverage_simplify(exact, tolerance, simplify_boundary=False)
    # It turns some outer rings round: back to where x to the right and y down are clockwise.
    rings, region_R = shapely.get_rings(shapely.orient_polygons(simple), return_index=True)  # the outer one first
    corners_N2, ring_N = shapely.get_coordinates(rings, return_index=True)
    closed = np.split(corners_N2.astype(np.int64), np.flatnonzero(np.diff(ring_N)) + 1)
    place_R = np.searchsorted(region_R, np.arange(len(regions) + 1)).tolist()
    found = []
    for region, begin, end in zip(regions, place_R, place_R[1:], strict=False):
        outer, *holes = (ring[:-1] for ring in closed[begin:end])
        found.append(region._replace(outer=outer, holes=holes))
    return found

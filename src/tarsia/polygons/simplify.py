"""Rings of pixel borders -> fewer corners, the border between two regions the same for both.

Rings are cut at joints, the corners where three or more regions meet; each piece between two joints is straightened by
itself after Douglas & Peucker ("Algorithms for the reduction of the number of points required to represent a digitized
line or its caricature", Cartographica 10, 1973): the corner farthest from the straight line is kept where it is more
than the tolerance away, and both halves go on alike.  A piece is worked on from the same end whichever of its two
regions asks, so both get the same corners: along a common border neither a gap nor an overlap opens.

Two pieces may come to cross each other where regions are narrower than the tolerance, and a ring may come to nothing.
"""

from __future__ import annotations

import numpy as np


def straightened(
    corners_N2: np.ndarray, starts: np.ndarray, joint_N: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (x, y) of rings that begin at `starts` -> those kept, where rings begin, twice each ring's signed area.

    A ring that comes to nothing has an area of 0 (and still one corner or more).
    """
    corners_N2, joint_N = _turned(corners_N2, starts, joint_N)
    stops = np.append(starts[1:], len(corners_N2))
    pieces = np.flatnonzero(joint_N)
    # A piece is its corners and the joint after it, which is the ring's first where the ring ends.
    lengths = np.diff(np.append(pieces, len(corners_N2)))
    ring = np.searchsorted(starts, pieces, "right") - 1
    after = np.where(pieces + lengths == stops[ring], starts[ring], pieces + lengths)
    place = np.repeat(pieces - np.cumsum(lengths + 1) + lengths + 1, lengths + 1) + np.arange(
        lengths.sum() + len(pieces)
    )
    ends = np.cumsum(lengths + 1) - 1
    place[ends] = after
    place = _one_way(place, ends - lengths, ends, corners_N2)
    kept_N = np.zeros(len(corners_N2), bool)
    kept_N[place[_kept(corners_N2[place].astype(np.float64), ends - lengths, ends, tolerance)]] = True
    counts = np.add.reduceat(kept_N.astype(np.int64), starts)
    left_N2 = corners_N2[kept_N]
    begins = np.cumsum(counts) - counts
    following = np.arange(1, len(left_N2) + 1)
    following[begins + counts - 1] = begins
    x, y = left_N2.T
    return left_N2, begins, np.add.reduceat(x * y[following] - x[following] * y, begins)


def _turned(corners_N2: np.ndarray, starts: np.ndarray, joint_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every ring begun at its first joint; one without any, at its upper left corner, which becomes a joint."""
    lengths = np.diff(np.append(starts, len(corners_N2)))
    ring_N = np.repeat(np.arange(len(starts)), lengths)
    reach = int(corners_N2.max()) + 1
    rank_N = np.where(joint_N, -1, corners_N2[:, 1] * reach + corners_N2[:, 0])
    first = np.flatnonzero(rank_N == np.minimum.reduceat(rank_N, starts)[ring_N])
    first = first[np.unique(ring_N[first], return_index=True)[1]]
    joint_N = joint_N.copy()
    joint_N[first] = True
    inside_N = np.arange(len(corners_N2)) - starts[ring_N]
    turned_N = starts[ring_N] + (inside_N + (first - starts)[ring_N]) % lengths[ring_N]
    return corners_N2[turned_N], joint_N[turned_N]


def _one_way(place: np.ndarray, begin: np.ndarray, end: np.ndarray, corners_N2: np.ndarray) -> np.ndarray:
    """Positions of the pieces' corners, turned round where the piece would else depend on whose border it is."""
    reach = int(corners_N2.max()) + 1
    rank = (corners_N2[:, 1] * reach + corners_N2[:, 0])[place]
    closed = rank[begin] == rank[end]
    # A closed piece is told from its reverse by its second corner and its last but one.
    back = np.where(closed, rank[begin + 1] > rank[end - 1], rank[begin] > rank[end])
    lengths = end - begin + 1
    piece = np.repeat(np.arange(len(begin)), lengths)
    inside = np.arange(len(place))
    return place[np.where(back[piece], begin[piece] + end[piece] - inside, inside)]


def _kept(points_P2: np.ndarray, begin: np.ndarray, end: np.ndarray, tolerance: float) -> np.ndarray:
    """Which corners stay; all pieces at once, one more corner between two kept ones in every round."""
    kept_P = np.zeros(len(points_P2), bool)
    kept_P[begin] = kept_P[end] = True
    while len(begin):
        # From here on only the stretches that got a corner in the last round; `P` counts the corners in them.
        lengths = end - begin + 1
        offset = np.cumsum(lengths) - lengths
        stretch = np.repeat(np.arange(len(begin)), lengths)
        place = np.arange(len(stretch)) - offset[stretch] + begin[stretch]
        away = _distances(points_P2[place], points_P2[begin][stretch], points_P2[end][stretch])
        far = np.maximum.reduceat(away, offset)
        hit = np.flatnonzero((away == far[stretch]) & (away > tolerance))
        split, first = np.unique(stretch[hit], return_index=True)
        middle = place[hit[first]]
        kept_P[middle] = True
        begin, end = np.concatenate([begin[split], middle]), np.concatenate([middle, end[split]])
    return kept_P


def _distances(points_P2: np.ndarray, start_P2: np.ndarray, end_P2: np.ndarray) -> np.ndarray:
    """Of points to the straight stretch between two others."""
    along_P2, from_P2 = end_P2 - start_P2, points_P2 - start_P2
    square_P = (along_P2**2).sum(1)
    share_P = np.clip((from_P2 * along_P2).sum(1) / np.maximum(square_P, 1), 0, 1)
    return np.hypot(*(from_P2 - share_P[:, None] * along_P2).T)

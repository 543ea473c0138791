"""The grain of what stands: leaves in crowns, stains and courses on walls, rooms behind lit windows."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Kind, Stuff
from tarsia.data._streets.triangles import picked


def texture(
    noise: np.ndarray, kind_N: np.ndarray, stuff_N: np.ndarray, normal_3N: np.ndarray, place: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of N points, on their albedo and on what they shine by themselves, from smooth noise of mean 0.

    `place`: s, y and z on the street in metres.
    """
    s, y, z = place
    gain, shine = np.ones_like(s), np.ones_like(s)
    side, flat = len(noise), noise.ravel()

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return picked(flat, (row.astype(np.int32) & (side - 1)) * side + (column.astype(np.int32) & (side - 1)))

    tree = np.flatnonzero(kind_N == Kind.TREE)
    if len(tree):
        up, ahead = picked(y, tree), picked(z, tree)
        # About four leaves a metre near by; further off they blur into their crown.
        gain[tree] += 0.8 * at(up * 40, (picked(s, tree) + ahead) * 40) * np.exp(-ahead / 40)
    wall = np.flatnonzero(kind_N == Kind.BUILDING)
    if len(wall):
        up, ahead = picked(y, wall), picked(z, wall)
        along = np.where(np.abs(picked(normal_3N[0], wall)) > 0.5, ahead, picked(s, wall))
        course = up * np.float32(1 / 0.3)
        layer = np.floor(course)
        brick = along * np.float32(1 / 0.6) + 0.5 * layer
        joints = ((course - layer < 0.17) | (brick - np.floor(brick) < 0.08)) * np.exp(-ahead / 14)
        plain = picked(stuff_N, wall) == Stuff.PLAIN
        gain[wall] += plain * (0.22 * at(up * 14, along * 14) - 0.13 * joints)
        # A room is brighter under its ceiling; curtains and furniture darken it here and there.
        storey = np.floor(up * np.float32(1 / 3))
        shine[wall] = np.clip(0.62 + 0.2 * (up - 3 * storey) + 0.9 * at(storey * 37, along * 42), 0.2, 1.6)
    return gain, shine

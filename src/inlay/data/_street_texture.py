"""The grain of what stands: leaves in crowns, stains and courses on walls, rooms behind lit windows."""

from __future__ import annotations

import numpy as np

from inlay.data._street_mesh import Kind, Stuff


def texture(
    noise: np.ndarray, kind_N: np.ndarray, stuff_N: np.ndarray, normal_3N: np.ndarray, place: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of N points, on their albedo and on what they shine by themselves, from smooth noise of mean 0.

    `place`: s, y and z on the street in metres.
    """
    s, y, z = place
    gain, shine = np.ones_like(s), np.ones_like(s)
    size = len(noise) - 1
    tree = np.flatnonzero(kind_N == Kind.TREE)
    if len(tree):
        # About four leaves a metre near by; further off they blur into their crown.
        row, column = (y[tree] * 40).astype(np.int32) & size, ((s[tree] + z[tree]) * 40).astype(np.int32) & size
        gain[tree] += 0.8 * noise[row, column] * np.exp(-z[tree] / 40)
    wall = np.flatnonzero(kind_N == Kind.BUILDING)
    if len(wall):
        along = np.where(np.abs(normal_3N[0, wall]) > 0.5, z[wall], s[wall])
        up = y[wall]
        row, column = (up * 14).astype(np.int32) & size, (along * 14).astype(np.int32) & size
        stain = noise[row, column]
        near = np.exp(-z[wall] / 14)
        plain = stuff_N[wall] == Stuff.PLAIN
        course = up * np.float32(1 / 0.3)
        layer = np.floor(course)
        brick = along * np.float32(1 / 0.6) + 0.5 * layer
        courses = ((course - layer < 0.17) | (brick - np.floor(brick) < 0.08)) * near
        gain[wall] += plain * (0.22 * stain - 0.13 * courses)
        # A room is brighter under its ceiling; curtains and furniture darken it here and there.
        column = (along * 42).astype(np.int32) & size
        storey = np.floor(up * np.float32(1 / 3))
        curtain = noise[storey.astype(np.int32) * 37 & size, column]
        shine[wall] = np.clip(0.62 + 0.2 * (up - 3 * storey) + 0.9 * curtain, 0.2, 1.6)
    return gain, shine

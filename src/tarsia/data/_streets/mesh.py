"""Flat faces in street coordinates (s, y, z in metres), gathered in drawing order, far to near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

Color = np.ndarray | Sequence[float]


class Kind(IntEnum):
    """The classes, in the order of the labels."""

    SKY = 0
    BUILDING = 1
    POLE = 2
    ROAD = 3
    PAVEMENT = 4
    TREE = 5
    SIGN = 6
    FENCE = 7
    CAR = 8
    PEDESTRIAN = 9
    BICYCLIST = 10
    MARKING = 11
    LIGHTS = 12


class Stuff(IntEnum):
    """What a face is made of, where a condition treats it unlike the rest."""

    PLAIN = 0
    GLASS = 1  # a window of a house
    SHOP = 2
    PAINT = 3  # of a car
    PANE = 4  # of a car
    LEAF = 5  # falls in winter
    NEEDLE = 6  # stays
    BRANCH = 7  # shows in winter alone
    GRASS = 8
    LEDGE = 9  # where snow lies on a wall
    PLATE = 10  # of a sign: sends light back to where it came from
    LAMP = 11
    HEAD = 12  # a car's front lamp
    TAIL = 13
    SIGNAL = 14
    WOODS = 15  # at the end of the view


@dataclass(frozen=True, slots=True)
class Mesh:
    """F faces in arrays, in drawing order: corners of all, P x 3, then per face where its corners begin, how many."""

    points_P3: np.ndarray
    starts_F: np.ndarray
    counts_F: np.ndarray
    colors_F3: np.ndarray
    kinds_F: np.ndarray
    inside_F3: np.ndarray
    gains_F: np.ndarray
    stuff_F: np.ndarray
    owner_F: np.ndarray


class Faces:
    """Polygons with an albedo and a class, each of some `Stuff` and of the thing whose number `owner` is when added.

    A face with an `inside` point is one side of a solid around that point: lit by its normal, left out where it
    turns its back.  A face with a `gain` is a card (a leaf, a limb): always drawn, its light given.
    """

    def __init__(self) -> None:
        self.owner = -1
        self._groups: list[tuple[np.ndarray, Color, int, Color, float | np.ndarray, int | np.ndarray, int]] = []

    def add(
        self,
        points_MN3: np.ndarray,
        color: Color,
        kind: int,
        inside: Color = (0.0, 0.0, 0.0),
        gain: float | np.ndarray = np.nan,
        stuff: int | np.ndarray = Stuff.PLAIN,
    ) -> None:
        """Append M polygons of N corners; `color`, `inside`, `gain` and `stuff` are one for all or one each."""
        self._groups.append((points_MN3, color, kind, inside, gain, stuff, self.owner))

    def mesh(self) -> Mesh:
        number = [len(group[0]) for group in self._groups]
        total, first = sum(number), 0
        # Filled by assignment: a thousand small groups cost less so than a thousand broadcasts.
        colors, inside, gains = np.empty((total, 3)), np.empty((total, 3)), np.empty(total)
        stuff = np.empty(total, np.uint8)
        for count, (_, color, _, middle, gain, made, _) in zip(number, self._groups, strict=True):
            last = first + count
            colors[first:last], inside[first:last], gains[first:last], stuff[first:last] = color, middle, gain, made
            first = last
        points = np.concatenate([group[0].reshape(-1, 3) for group in self._groups])
        counts = np.repeat([group[0].shape[1] for group in self._groups], number)
        kinds = np.repeat([int(group[2]) for group in self._groups], number)
        owners = np.repeat([group[6] for group in self._groups], number)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return Mesh(points, starts, counts, colors, kinds, inside, gains, stuff, owners)

    def take(self, part: Faces, frame: Frame) -> None:
        """Append all of `part`, an object in its own axes, placed by `frame`."""
        for points, color, kind, inside, gain, stuff, _ in part._groups:
            placed = frame.place(points), color, kind, frame.place(np.asarray(inside)), gain, stuff, self.owner
            self._groups.append(placed)


class Frame:
    """An object's own axes (w to its right, y up, z forward), turned by `heading` about (s, z) on the street."""

    def __init__(self, s: float, z: float, heading: float, y: float = 0.0) -> None:
        cos, sin = float(np.cos(heading)), float(np.sin(heading))
        self._turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        self._shift = np.array([s, y, z])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points ... x 3 of the object in street coordinates."""
        return points @ self._turn + self._shift


def box(w0: float, w1: float, y0: float, y1: float, z0: float, z1: float) -> np.ndarray:
    """The five visible quads of a box (no bottom), 5 x 4 x 3."""
    a, b, c, d = (w0, y0, z0), (w1, y0, z0), (w1, y0, z1), (w0, y0, z1)
    e, f, g, h = (w0, y1, z0), (w1, y1, z0), (w1, y1, z1), (w0, y1, z1)
    return np.array([(d, c, g, h), (a, d, h, e), (b, c, g, f), (a, b, f, e), (e, f, g, h)])


def limbs(start_M3: np.ndarray, end_M3: np.ndarray, thick0: Color | float, thick1: Color | float) -> np.ndarray:
    """Thick lines from start to end as quads that face the camera, M x 4 x 3; thickness in metres at either end."""
    line = end_M3 - start_M3
    across = np.zeros_like(line)
    length = np.maximum(np.hypot(line[:, 0], line[:, 1]), 1e-6)
    across[:, 0], across[:, 1] = -line[:, 1] / length / 2, line[:, 0] / length / 2
    quads = np.empty((len(line), 4, 3))
    a, b = (across.T * np.asarray(thick0)).T, (across.T * np.asarray(thick1)).T
    quads[:, 0], quads[:, 1], quads[:, 2], quads[:, 3] = start_M3 - a, start_M3 + a, end_M3 + b, end_M3 - b
    return quads


def limb(start: np.ndarray, end: np.ndarray, thick0: float, thick1: float | None = None) -> np.ndarray:
    """One thick line from start to end (3 each), 1 x 4 x 3."""
    return limbs(start[None], end[None], thick0, thick0 if thick1 is None else thick1)


def disc(centre: Color, radius: float, corners: int = 8, tall: float = 1.0) -> np.ndarray:
    """A round card facing the camera, 1 x corners x 3."""
    angle = np.arange(corners) * (2 * np.pi / corners) + np.pi / corners
    ring = np.zeros((1, corners, 3))
    ring[0, :, 0], ring[0, :, 1] = radius * np.cos(angle), radius * tall * np.sin(angle)
    return ring + centre


def panel(rects_M4: np.ndarray, origin: tuple[float, float], direction: tuple[float, float]) -> np.ndarray:
    """Rectangles (a0, a1, y0, y1) on an upright wall through `origin` (s, z) along `direction`, M x 4 x 3."""
    along = rects_M4[:, (0, 1, 1, 0)]
    quads = np.empty((len(rects_M4), 4, 3))
    quads[..., 0] = origin[0] + along * direction[0]
    quads[..., 1] = rects_M4[:, (2, 2, 3, 3)]
    quads[..., 2] = origin[1] + along * direction[1]
    return quads

"""What lines the street, in faces: buildings, trees, hedges and fences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tarsia.data._streets.mesh import Color, Faces, Kind, Stuff, box, limb, limbs, panel
from tarsia.data._streets.world import KERB, Thing


class Wall(NamedTuple):
    """A side of a house: the place (s, z) where it begins, which way it goes, and a point within the house."""

    origin: tuple[float, float]
    direction: tuple[float, float]
    length: float
    inside: tuple[float, float, float]

    def add(self, faces: Faces, rects_M4: np.ndarray, color: Color, stuff: int | np.ndarray = Stuff.PLAIN) -> None:
        """Rectangles (a0, a1, y0, y1) on the wall."""
        faces.add(panel(rects_M4, self.origin, self.direction), color, Kind.BUILDING, self.inside, stuff=stuff)


def add_building(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A house: front towards the road, one end towards the camera, windows, doors or shops, and a roof."""
    sign = 1 if thing.s > 0 else -1
    y, color = thing.height + KERB, np.array(thing.color)
    inside = (thing.s + sign * thing.width / 2, thing.height / 2, thing.z + thing.length / 2)
    front = Wall((thing.s, thing.z), (0.0, 1.0), thing.length, inside)
    end = Wall((thing.s, thing.z), (float(sign), 0.0), thing.width, inside)
    if thing.variant == 3 and int(thing.z * 7) % 3 == 0:
        _add_tank(faces, inside[0], y, thing.z + thing.length * 0.4)
    for wall in (end, front):
        wall.add(faces, np.array([[0.0, wall.length, 0.0, y]]), color)
        trim = np.array([[0.0, wall.length, 0.0, 0.5], [0.0, wall.length, y - 0.35, y]])
        wall.add(faces, trim, color * np.array([[0.78], [1.1]]))
        if wall is front or rng.random() < 0.7:
            _add_windows(faces, thing, wall, rng)
    if thing.variant == 2:
        _add_gable(faces, thing, sign, y)
    elif thing.variant in (1, 3):
        s0, s1 = sorted((thing.s - sign * 0.25, thing.s + sign * thing.width))
        _add_soffit(faces, thing, (thing.s - sign * 0.25, thing.s), y - 0.1, color)
        cornice = box(s0, s1, y - 0.1, y + 0.35, thing.z, thing.z + thing.length)
        faces.add(cornice, np.clip(color * 1.12, 0, 245), Kind.BUILDING, (inside[0], y, inside[2]))


def _add_tank(faces: Faces, s: float, y: float, z: float) -> None:
    """A water tank on legs, on a roof; drawn before the walls, which hide its foot."""
    legs = [limb(np.array([s + w, y, z]), np.array([s + w, y + 2.2, z]), 0.16) for w in (-1.1, 0.0, 1.1)]
    faces.add(np.concatenate(legs), (84, 80, 78), Kind.BUILDING, gain=0.8)
    for w0, w1, gain in ((-1.5, -0.6, 0.7), (-0.6, 0.5, 0.95), (0.5, 1.5, 0.8)):
        faces.add(
            panel(np.array([[w0, w1, y + 2.1, y + 5.0]]), (s, z), (1.0, 0.0)), (128, 96, 72), Kind.BUILDING, gain=gain
        )
    roof = np.array([[(s - 1.65, y + 5.0, z), (s + 1.65, y + 5.0, z), (s, y + 6.1, z)]])
    faces.add(roof, (92, 84, 82), Kind.BUILDING, gain=0.85)


def _add_soffit(faces: Faces, thing: Thing, span: tuple[float, float], y: float, color: np.ndarray) -> None:
    """The underside of what juts out over the wall: without it the sky would show between the two."""
    (s0, s1), z0, z1 = span, thing.z, thing.z + thing.length
    quad = np.array([[(s0, y, z0), (s0, y, z1), (s1, y, z1), (s1, y, z0)]])
    faces.add(quad, color, Kind.BUILDING, gain=0.55)


def _add_gable(faces: Faces, thing: Thing, sign: int, y: float) -> None:
    rise, over = thing.width * 0.32, 0.45
    z0, z1 = thing.z - 0.02, thing.z + thing.length + 0.02
    eave, ridge, back = thing.s - sign * over, thing.s + sign * thing.width / 2, thing.s + sign * (thing.width + over)
    low, top, roof = y - 0.15, y + rise, np.array(thing.accent)
    wall = np.array([[(eave, low, z0), (ridge, top, z0), (back, low, z0)]])
    faces.add(wall, thing.color, Kind.BUILDING, (ridge, low, z1))
    slope = [(eave, low, z0), (eave, low, z1), (ridge, top, z1), (ridge, top, z0)]
    rear = [(back, low, z0), (back, low, z1), (ridge, top, z1), (ridge, top, z0)]
    faces.add(np.array([rear, slope]), roof, Kind.BUILDING, (ridge, low - 1, (z0 + z1) / 2))
    gutter = [(eave, low, z0), (eave, low, z1), (eave, low - 0.18, z1), (eave, low - 0.18, z0)]
    faces.add(np.array([gutter]), roof * 0.6, Kind.BUILDING, gain=0.9)
    _add_soffit(faces, thing, (eave, thing.s), low - 0.18, roof)
    verge = np.array([slope[0], slope[3], rear[0]])
    faces.add(limbs(verge[(0, 1), :], verge[(1, 2), :], 0.22, 0.22), roof * 0.75, Kind.BUILDING, gain=0.9)
    if thing.z < 120:
        # It begins just below the ridge: lower down the gable would hide it.
        s0, z = ridge - 0.4, thing.z + thing.length * 0.3
        chimney = box(s0, s0 + 0.8, top - 0.15, top + 1.1, z, z + 0.8)
        faces.add(chimney, roof * 0.85, Kind.BUILDING, (ridge, top, z + 0.4))


def _add_windows(faces: Faces, thing: Thing, wall: Wall, rng: np.random.Generator) -> None:
    floors = max(int((thing.height - 0.5) / 3.0), 1)
    columns = max(int(wall.length / rng.uniform(2.2, 3.2)), 1)
    width, tall = rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.7)
    shop = thing.variant < 2 and rng.random() < 0.55
    a = (np.arange(columns) + 0.5) * (wall.length / columns)
    y = KERB + 1.0 + 3.0 * np.arange(1 if shop else 0, floors)
    a, y = (grid.ravel() for grid in np.meshgrid(a, y))
    glass = np.stack([a - width / 2, a + width / 2, y, y + tall], axis=-1)
    if thing.variant >= 3:
        glass = _storeys(thing, wall.length, columns, tall)
        shop = True
    if not shop and columns > 1:
        door = int(rng.integers(columns))
        glass[door, 2:] = (KERB, KERB + 2.2)
    light = np.array([108.0, 128.0, 146.0]) * rng.uniform(0.62, 1.2, size=(len(glass), 1))
    stuff = np.full(len(glass), Stuff.GLASS)
    if not shop and columns > 1:
        light[door], stuff[door] = rng.uniform(50, 150, size=3), Stuff.PLAIN
    if thing.z < 50 and len(glass):
        _add_frames(faces, thing, glass, wall, rng)
    if len(glass):
        wall.add(faces, glass, light, stuff)
    if thing.z < 32 and len(glass):
        # The upper half mirrors the sky; one bar down the middle.
        upper, bars = glass.copy(), glass.copy()
        upper[:, 2] = glass[:, 2] + 0.5 * (glass[:, 3] - glass[:, 2])
        wall.add(faces, upper, np.clip(light * 1.28, 0, 235), stuff)
        bars[:, :2] = (glass[:, :1] + glass[:, 1:2]) / 2 + (-0.04, 0.04)
        wall.add(faces, bars, (226, 222, 214))
    if shop:
        _add_shop(faces, wall, rng)


def _storeys(thing: Thing, length: float, columns: int, tall: float) -> np.ndarray:
    """Windows (a0, a1, y0, y1) above the shops of a tall house: single ones, or of a glass front all in all."""
    columns, share = (max(int(length / 2.1), 2), 0.90) if thing.variant == 4 else (columns, 0.46)
    a = (np.arange(columns) + 0.5) * (length / columns)
    y = KERB + 1.0 + 3.0 * np.arange(1, int((thing.height - 0.5) / 3.0))
    a, y = (grid.ravel() for grid in np.meshgrid(a, y))
    half = length / columns * share / 2
    return np.stack([a - half, a + half, y, y + (2.3 if thing.variant == 4 else tall + 0.2)], axis=-1)


def _add_frames(faces: Faces, thing: Thing, glass_M4: np.ndarray, wall: Wall, rng: np.random.Generator) -> None:
    """Around each window a frame, under it a sill with its shadow; on some houses a band at every floor."""
    color = np.array(thing.color)
    pale = np.clip(color * 1.22 + 8, 0, 240)
    length = float(glass_M4[:, 1].max()) + 0.6
    if rng.random() < 0.45:
        floors = np.arange(3.0, thing.height - 1, 3.0) + KERB
        bands = np.stack([0 * floors, 0 * floors + length, floors - 0.12, floors + 0.12], axis=-1)
        wall.add(faces, bands, pale * 0.97, Stuff.LEDGE)
    wall.add(faces, glass_M4 + (-0.13, 0.13, -0.13, 0.13), pale)
    wall.add(faces, glass_M4[:, (0, 1, 2, 2)] + (-0.2, 0.2, -0.3, -0.13), color * 0.72, Stuff.LEDGE)


def _add_shop(faces: Faces, wall: Wall, rng: np.random.Generator) -> None:
    count = max(int(wall.length / 3.4), 1)
    a = np.arange(count) * (wall.length / count)
    pane = np.stack([a + 0.3, a + wall.length / count - 0.3, np.full(count, 0.5), np.full(count, 2.6)], axis=-1)
    wall.add(faces, pane, (74, 88, 98), Stuff.SHOP)
    pane[:, 2] = 1.7
    wall.add(faces, pane, (112, 128, 138), Stuff.SHOP)
    wall.add(faces, np.array([[0.1, wall.length - 0.1, 2.7, 3.35]]), rng.uniform(40, 190, size=3))


def add_tree(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A trunk and a crown of leaf clusters, dark below and behind, light above: one class, tree."""
    top, radius = thing.height, thing.width / 2
    root = np.array([thing.s, 0.0, thing.z])
    fork = root + (rng.uniform(-0.15, 0.15), top - radius * 1.2, 0)
    faces.add(limb(root, fork, 0.05 * top, 0.032 * top), thing.accent, Kind.TREE, gain=0.8)
    faces.add(limb(root + (0.008 * top, 0, 0), fork, 0.02 * top), np.array(thing.accent) * 1.2, Kind.TREE, gain=0.95)
    count = 90 if thing.z < 16 else 46 if thing.z < 26 else 22 if thing.z < 60 else 12
    conifer = thing.variant == 1
    rise = rng.random(count)
    if conifer:
        reach = radius * 0.8 * (1.05 - rise) * rng.uniform(0.3, 1, count)
        angle = rng.uniform(0, 2 * np.pi, count)
        offset = np.stack([reach * np.cos(angle), top * (0.2 + 0.76 * rise), reach * np.sin(angle) * 0.5], axis=-1)
        size = radius * (0.34 - 0.2 * rise)
    else:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        offset = direction * radius * rng.uniform(0.25, 0.78, size=(count, 1)) * (1, 0.9, 0.6)
        offset[:, 1] += top - radius
        size = radius * rng.uniform(0.26, 0.44, count) * (0.78 if count > 50 else 1.0)
    order = np.argsort(offset[:, 1] * 0.8 - offset[:, 2])
    offset, size = offset[order], size[order]
    lift = (offset[:, 1] - offset[:, 1].min()) / max(np.ptp(offset[:, 1]), 0.1)
    cluster = _blobs(root + offset, size, rng)
    gain = 0.62 + 0.5 * lift + rng.uniform(-0.08, 0.08, count)
    tint = np.array(thing.color) * (1 + rng.uniform(-0.06, 0.06, size=(count, 3)))
    faces.add(cluster, tint, Kind.TREE, gain=gain, stuff=Stuff.NEEDLE if conifer else Stuff.LEAF)


def _blobs(centres_M3: np.ndarray, radius_M: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    corners = 9
    angle = np.arange(corners) * (2 * np.pi / corners) + rng.uniform(0, 1, size=(len(radius_M), 1))
    reach = radius_M[:, None] * rng.uniform(0.7, 1.2, size=(len(radius_M), corners))
    return centres_M3[:, None] + np.stack([reach * np.cos(angle), reach * np.sin(angle), 0 * angle], axis=-1)


def add_hedge(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A clipped hedge: a box with leaf clusters on its edges."""
    w, y, z0, z1 = thing.width / 2, thing.height, thing.z, thing.z + thing.length
    inside = (thing.s, y / 2, (z0 + z1) / 2)
    solid = box(thing.s - w, thing.s + w, 0, y, z0, z1)
    faces.add(solid, np.array(thing.color) * 0.92, Kind.TREE, inside, stuff=Stuff.NEEDLE)
    count = 22 if thing.z < 30 else 10
    near = thing.s - np.sign(thing.s) * w
    centres = np.stack([np.full(count, near), rng.uniform(0.2, 1.02, count) * y, rng.uniform(z0, z1, count)], axis=-1)
    centres = centres[np.argsort(-centres[:, 2])]
    lift = centres[:, 1] / y
    size = rng.uniform(0.1, 0.22, count)
    faces.add(_blobs(centres, size, rng), thing.color, Kind.TREE, gain=0.6 + 0.42 * lift, stuff=Stuff.NEEDLE)


def add_fence(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of fence: closed boards, or a railing or pickets that show what is behind them."""
    inside = (thing.s + np.sign(thing.s), 0.5, thing.z + thing.length / 2)
    origin, along, length, y = (thing.s, thing.z), (0.0, 1.0), thing.length, thing.height
    color = np.array(thing.color)
    if thing.variant == 0:
        a = np.arange(16) * (length / 16)
        top = y + 0.1 + rng.uniform(-0.03, 0.03, 16)
        boards = np.stack([a, a + length / 16, np.full(16, 0.1), top], axis=-1)
        shade = rng.uniform(0.84, 1.08, size=(16, 1))
        faces.add(panel(boards, origin, along), color * shade, Kind.FENCE, inside)
        return
    step, bar = (0.25, 0.11) if thing.variant == 1 else (0.5, 0.09)
    a = np.arange(0, length, step)
    posts = np.stack([a, a + bar, np.full_like(a, 0.1), np.full_like(a, y)], axis=-1)
    rails = np.array([[0, length, y - 0.12, y], [0, length, y * 0.5, y * 0.5 + 0.1], [0, length, 0.2, 0.3]])
    faces.add(panel(posts, origin, along), color, Kind.FENCE, inside)
    faces.add(panel(rails, origin, along), color * 1.1, Kind.FENCE, inside)

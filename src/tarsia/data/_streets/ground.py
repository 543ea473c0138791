"""The ground in faces: lawns, pavements, kerbs, the road and its paint; and the end of the view."""

from __future__ import annotations

import math

import numpy as np

from tarsia.data._streets.mesh import Faces, Kind, Stuff, panel
from tarsia.data._streets.world import FAR, KERB, Road, Scene, Side

WHITE = (232, 232, 226)
GRASS = (116, 146, 74)


def strip(s0: float, s1: float, z0: float, z1: float, y: float = 0.0) -> np.ndarray:
    """A band of ground along the street, 1 x N x 3, with enough corners to follow the road's bend."""
    steps = min(int(math.log(z1 / z0) * 7), 40) + 2
    z = z0 * (z1 / z0) ** (np.arange(steps) / (steps - 1))
    band = np.empty((1, 2 * steps, 3))
    band[0, :steps, 0], band[0, steps:, 0], band[0, :, 1] = s0, s1, y
    band[0, :steps, 2], band[0, steps:, 2] = z, z[::-1]
    return band


def add_ground(faces: Faces, scene: Scene, rng: np.random.Generator) -> None:
    """Lawns, pavements, kerbs, the road, its patches and its paint."""
    road = scene.road
    for side in (scene.left, scene.right):
        _add_side(faces, scene, side)
    asphalt = np.array([112.0, 112.0, 118.0]) * road.tint
    faces.add(strip(-road.half, road.half, 0.5, FAR), asphalt, Kind.ROAD, gain=1.0)
    if road.crossing == "junction":
        end = road.crossing_z + road.crossing_length
        faces.add(strip(-90, 90, road.crossing_z, end), asphalt, Kind.ROAD, gain=1.0)
    for _ in range(int(rng.integers(2, 7))):
        s, z = rng.uniform(-road.half, road.half - 1), rng.uniform(3, 30)
        size, shade = rng.uniform(0.6, 2.2), rng.uniform(0.86, 1.08)
        faces.add(strip(s, min(s + size, road.half), z, z + rng.uniform(0.8, 6)), asphalt * shade, Kind.ROAD, gain=1.0)
    for _ in range(int(rng.integers(0, 3))):
        angle = np.arange(12) * np.pi / 6
        s, z = rng.uniform(-2.5, 2.5), rng.uniform(4, 20)
        ring = np.stack([s + 0.33 * np.cos(angle), 0 * angle, z + 0.33 * np.sin(angle)], axis=-1)[None]
        faces.add(ring, asphalt * 0.68, Kind.ROAD, gain=1.0)
    # A darker gutter along each kerb seats the pavement on the road.
    for sign in (-1, 1):
        faces.add(strip(sign * (road.half - 0.3), sign * road.half, 0.5, 90), asphalt * 0.84, Kind.ROAD, gain=1.0)
    if road.crossing == "junction":
        faces.add(strip(-road.half, road.half, road.crossing_z, end), asphalt, Kind.ROAD, gain=1.0)
    if road.median:
        kind, stuff = (Kind.TREE, Stuff.GRASS) if road.grassy else (Kind.PAVEMENT, Stuff.PLAIN)
        color = GRASS if road.grassy else (164.0, 162.0, 156.0)
        faces.add(strip(-road.median / 2, road.median / 2, 0.5, FAR, 0.02), color, kind, gain=1.0, stuff=stuff)
    _add_paint(faces, scene, rng)


def _add_side(faces: Faces, scene: Scene, side: Side) -> None:
    half, edge = scene.road.half, scene.road.half + side.pavement
    tint = np.array(side.tint)
    ground, kind, stuff = (GRASS, Kind.TREE, Stuff.GRASS) if side.green else (tint * 0.93, Kind.PAVEMENT, Stuff.PLAIN)
    faces.add(strip(side.sign * edge, side.sign * 260, 0.5, FAR, KERB), ground, kind, gain=1.0, stuff=stuff)
    faces.add(strip(side.sign * half, side.sign * edge, 0.5, FAR, KERB), tint, Kind.PAVEMENT, gain=1.0)
    faces.add(strip(side.sign * half, side.sign * (half + 0.16), 0.5, 120, KERB), tint * 1.16, Kind.PAVEMENT, gain=1.0)
    z = np.geomspace(0.5, FAR, 30)
    wall = np.stack([np.full_like(z, side.sign * half), np.zeros_like(z), z], axis=-1)
    top = wall + (0, KERB, 0)
    faces.add(np.concatenate([wall, top[::-1]])[None], tint * 0.8, Kind.PAVEMENT, gain=1.0)


def _add_paint(faces: Faces, scene: Scene, rng: np.random.Generator) -> None:
    road = scene.road
    begin, end = road.crossing_z, road.crossing_z + road.crossing_length
    gap = (begin - 3.2, end + 2.5) if road.crossing != "none" else (0.0, 0.0)
    bands: list[tuple[float, float, float, float]] = []

    def along(s: float, width: float, z0: float, z1: float) -> None:
        for a, b in ((z0, min(z1, gap[0])), (max(z0, gap[1]), z1)) if gap[1] else ((z0, z1),):
            if b > a:
                bands.append((s - width / 2, s + width / 2, a, b))

    for z in np.arange(rng.uniform(0.6, 4), 130, road.dash * 2.2):
        for s in _dashed(road):
            along(s, 0.14, float(z), float(z) + road.dash)
    if road.lanes:
        for s in (-road.median / 2 - 0.3, road.median / 2 + 0.3) if road.median else (-0.12, 0.12):
            along(s, 0.12, 0.5, 150)
    for sign in (-1, 1):
        line = sign * (road.half - road.parking - 0.35)
        if road.median:
            line = sign * (max(road.lanes) + (max(road.lanes) - road.median / 2) / len(road.lanes))
        if road.parking:
            for z in np.arange(5, 60, 6.0):
                if not gap[0] < z < gap[1]:
                    bands.append((min(line, line + sign * 1.6), max(line, line + sign * 1.6), z, z + 0.1))
        if road.edges:
            along(line, 0.12, 0.5, 150)
    if road.crossing != "none":
        zebra = (begin, end) if road.crossing == "zebra" else (begin - 2.9, begin - 0.5)
        for s in np.arange(-road.half + 0.3, road.half - 0.4, 1.0):
            bands.append((s, s + 0.5, *zebra))
        own = 1 if scene.camera.lateral > 0 else -1
        inner, outer = sorted((own * 0.1, own * (road.half - road.parking - 0.4)))
        bands.append((inner, outer, zebra[0] - 1.5, zebra[0] - 1.1))
    for s0, s1, z0, z1 in bands:
        if s1 > s0:
            faces.add(strip(s0, s1, z0, z1), WHITE, Kind.MARKING, gain=1.0)


def _dashed(road: Road) -> list[float]:
    """Where dashed lines run: between the lanes of one way, or the ways of a road with one lane each."""
    if not road.lanes:
        return [0.0]
    return [(a + b) / 2 for a, b in zip(road.lanes, road.lanes[1:], strict=False) if a * b > 0]


def add_backdrop(faces: Faces, rng: np.random.Generator) -> None:
    """The end of the view: a hazy row of blocks and tree tops across the whole horizon."""
    for _ in range(34):
        s, width, tall = rng.uniform(-260, 260), rng.uniform(12, 34), rng.uniform(6, 24)
        z = FAR - rng.uniform(0, 8)
        rect = panel(np.array([[s, s + width, 0.0, tall]]), (0.0, z), (1.0, 0.0))
        faces.add(rect, rng.uniform(130, 190) * np.array([1.0, 0.95, 0.9]), Kind.BUILDING, gain=0.9)
    angle = np.linspace(0, np.pi, 9)
    for s in np.arange(-270, 270, 11.0):
        radius = rng.uniform(6, 13)
        hill = np.stack([s + radius * 1.3 * np.cos(angle), radius * np.sin(angle), 0 * angle + FAR - 9], axis=-1)
        leaves = np.array([92, 122, 66]) * rng.uniform(0.85, 1.1)
        faces.add(hill[None], leaves, Kind.TREE, gain=0.9, stuff=Stuff.WOODS)

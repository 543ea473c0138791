"""The street itself in faces: ground, paint on the road, buildings and greenery."""

from __future__ import annotations

import math

import numpy as np

from inlay.data._street_mesh import Faces, Kind, box, limb, panel
from inlay.data._street_scene import FAR, KERB, Scene, Side, Thing

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
    _add_paint(faces, scene, rng)


def _add_side(faces: Faces, scene: Scene, side: Side) -> None:
    half, edge = scene.road.half, scene.road.half + side.pavement
    tint = np.array(side.tint)
    ground, kind = (GRASS, Kind.TREE) if side.green else (tint * 0.93, Kind.PAVEMENT)
    faces.add(strip(side.sign * edge, side.sign * 260, 0.5, FAR, KERB), ground, kind, gain=1.0)
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
        along(0.0, 0.14, float(z), float(z) + road.dash)
    for sign in (-1, 1):
        line = sign * (road.half - road.parking - 0.35)
        if road.parking:
            for z in np.arange(5, 60, 6.0):
                bands.append(
                    (*sorted((line, line + sign * 1.6)), z, z + 0.1) if not gap[0] < z < gap[1] else (0, 0, 1, 2)
                )
        if road.edges:
            along(line, 0.12, 0.5, 150)
    if road.crossing != "none":
        zebra = (begin, end) if road.crossing == "zebra" else (begin - 2.9, begin - 0.5)
        for s in np.arange(-road.half + 0.3, road.half - 0.4, 1.0):
            bands.append((s, s + 0.5, *zebra))
        own = 1 if scene.camera.lateral > 0 else -1
        bands.append((*sorted((own * 0.1, own * (road.half - road.parking - 0.4))), zebra[0] - 1.5, zebra[0] - 1.1))
    for s0, s1, z0, z1 in bands:
        if s1 > s0:
            faces.add(strip(s0, s1, z0, z1), WHITE, Kind.MARKING, gain=1.0)


def add_backdrop(faces: Faces, scene: Scene, rng: np.random.Generator) -> None:
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
        faces.add(hill[None], np.array([92, 122, 66]) * rng.uniform(0.85, 1.1), Kind.TREE, gain=0.9)


def add_building(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A house: front towards the road, one end towards the camera, windows, doors or shops, and a roof."""
    sign = 1 if thing.s > 0 else -1
    y, color = thing.height + KERB, np.array(thing.color)
    inside = (thing.s + sign * thing.width / 2, thing.height / 2, thing.z + thing.length / 2)
    front = (thing.s, thing.z), (0.0, 1.0), thing.length
    end = (thing.s, thing.z), (float(sign), 0.0), thing.width
    for origin, direction, length in (end, front):
        wall = np.array([[0.0, length, 0.0, y]])
        faces.add(panel(wall, origin, direction), color, Kind.BUILDING, inside)
        trim = np.array([[0.0, length, 0.0, 0.5], [0.0, length, y - 0.35, y]])
        faces.add(panel(trim, origin, direction), color * np.array([[0.78], [1.1]]), Kind.BUILDING, inside)
        if direction[1] or rng.random() < 0.7:
            _add_windows(faces, thing, origin, direction, length, inside, rng)
    if thing.variant == 2:
        _add_gable(faces, thing, sign, y)
    elif thing.variant == 1:
        s0, s1 = sorted((thing.s - sign * 0.25, thing.s + sign * thing.width))
        cornice = box(s0, s1, y - 0.1, y + 0.35, thing.z, thing.z + thing.length)
        faces.add(cornice, np.clip(color * 1.12, 0, 245), Kind.BUILDING, (inside[0], y, inside[2]))


def _add_gable(faces: Faces, thing: Thing, sign: int, y: float) -> None:
    rise, over = thing.width * 0.32, 0.45
    z0, z1 = thing.z - 0.2, thing.z + thing.length + 0.2
    eave, ridge, back = thing.s - sign * over, thing.s + sign * thing.width / 2, thing.s + sign * (thing.width + over)
    low = y - 0.15
    wall = np.array(
        [[(thing.s, low, thing.z), (ridge, y + rise, thing.z), (thing.s + sign * thing.width, low, thing.z)]]
    )
    faces.add(wall, thing.color, Kind.BUILDING, (ridge, low, z1))
    slope = [(eave, low, z0), (eave, low, z1), (ridge, y + rise, z1), (ridge, y + rise, z0)]
    rear = [(back, low, z0), (back, low, z1), (ridge, y + rise, z1), (ridge, y + rise, z0)]
    faces.add(np.array([rear, slope]), thing.accent, Kind.BUILDING, (ridge, low - 1, (z0 + z1) / 2))
    roof = np.array(thing.accent)
    edge = [(eave, low, z0), (eave, low, z1), (eave, low - 0.18, z1), (eave, low - 0.18, z0)]
    faces.add(np.array([edge]), roof * 0.6, Kind.BUILDING, gain=0.9)
    faces.add(limb(np.array(slope[0]), np.array(slope[3]), 0.25), roof * 0.75, Kind.BUILDING, gain=0.9)
    if thing.z < 120:
        s0, z = ridge - 0.4, thing.z + thing.length * 0.3
        chimney = box(s0, s0 + 0.8, y + rise * 0.7, y + rise + 1.2, z, z + 0.8)
        faces.add(chimney, roof * 0.85, Kind.BUILDING, (ridge, y + rise, z + 0.4))


def _add_windows(
    faces: Faces,
    thing: Thing,
    origin: tuple[float, float],
    direction: tuple[float, float],
    length: float,
    inside: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    floors = max(int((thing.height - 0.5) / 3.0), 1)
    columns = max(int(length / rng.uniform(2.2, 3.2)), 1)
    width, tall = rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.7)
    shop = thing.variant < 2 and rng.random() < 0.55
    a = (np.arange(columns) + 0.5) * (length / columns)
    y = KERB + 1.0 + 3.0 * np.arange(1 if shop else 0, floors)
    a, y = (grid.ravel() for grid in np.meshgrid(a, y))
    glass = np.stack([a - width / 2, a + width / 2, y, y + tall], axis=-1)
    if not shop and columns > 1:
        door = int(rng.integers(columns))
        glass[door, 2:] = (KERB, KERB + 2.2)
    light = np.array([108.0, 128.0, 146.0]) * rng.uniform(0.62, 1.2, size=(len(glass), 1))
    if not shop and columns > 1:
        light[door] = rng.uniform(50, 150, size=3)
    near = thing.z < 50
    if near and len(glass):
        frame = glass + np.array([-0.13, 0.13, -0.13, 0.13])
        faces.add(
            panel(frame, origin, direction), np.clip(np.array(thing.color) * 1.22 + 8, 0, 240), Kind.BUILDING, inside
        )
    if len(glass):
        faces.add(panel(glass, origin, direction), light, Kind.BUILDING, inside, gain=np.nan)
    if near and thing.z < 40 and len(glass):
        upper = glass.copy()
        upper[:, 2] = glass[:, 2] + 0.55 * (glass[:, 3] - glass[:, 2])
        faces.add(panel(upper, origin, direction), np.clip(light * 1.28, 0, 235), Kind.BUILDING, inside)
        bars = glass.copy()
        bars[:, 0], bars[:, 1] = (glass[:, 0] + glass[:, 1]) / 2 - 0.04, (glass[:, 0] + glass[:, 1]) / 2 + 0.04
        faces.add(panel(bars, origin, direction), (226, 222, 214), Kind.BUILDING, inside)
    if shop:
        _add_shop(faces, origin, direction, length, inside, rng)


def _add_shop(
    faces: Faces,
    origin: tuple[float, float],
    direction: tuple[float, float],
    length: float,
    inside: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    count = max(int(length / 3.4), 1)
    a = np.arange(count) * (length / count)
    pane = np.stack([a + 0.3, a + length / count - 0.3, np.full(count, 0.5), np.full(count, 2.6)], axis=-1)
    color = rng.uniform(40, 190, size=3)
    board = np.array([[0.1, length - 0.1, 2.7, 3.35]])
    faces.add(panel(pane, origin, direction), (74, 88, 98), Kind.BUILDING, inside)
    shine = pane.copy()
    shine[:, 2] = 1.7
    faces.add(panel(shine, origin, direction), (112, 128, 138), Kind.BUILDING, inside)
    faces.add(panel(board, origin, direction), color, Kind.BUILDING, inside)


def add_tree(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A trunk and a crown of leaf clusters, dark below and behind, light above: one class, tree."""
    top, radius = thing.height, thing.width / 2
    root = np.array([thing.s, 0.0, thing.z])
    fork = root + (rng.uniform(-0.15, 0.15), top - radius * 1.2, 0)
    faces.add(limb(root, fork, 0.05 * top, 0.032 * top), thing.accent, Kind.TREE, gain=0.8)
    faces.add(limb(root + (0.008 * top, 0, 0), fork, 0.02 * top), np.array(thing.accent) * 1.2, Kind.TREE, gain=0.95)
    count = 46 if thing.z < 25 else 30 if thing.z < 60 else 16
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
        size = radius * rng.uniform(0.26, 0.44, count)
    order = np.argsort(offset[:, 1] * 0.8 - offset[:, 2])
    offset, size = offset[order], size[order]
    lift = (offset[:, 1] - offset[:, 1].min()) / max(np.ptp(offset[:, 1]), 0.1)
    cluster = _blobs(root + offset, size, rng)
    gain = 0.62 + 0.5 * lift + rng.uniform(-0.08, 0.08, count)
    tint = np.array(thing.color) * (1 + rng.uniform(-0.06, 0.06, size=(count, 3)))
    faces.add(cluster, tint, Kind.TREE, gain=gain)


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
    faces.add(solid, np.array(thing.color) * 0.92, Kind.TREE, inside)
    count = 22 if thing.z < 30 else 10
    near = thing.s - np.sign(thing.s) * w
    centres = np.stack([np.full(count, near), rng.uniform(0.2, 1.02, count) * y, rng.uniform(z0, z1, count)], axis=-1)
    centres = centres[np.argsort(-centres[:, 2])]
    lift = centres[:, 1] / y
    size = rng.uniform(0.1, 0.22, count)
    faces.add(_blobs(centres, size, rng), thing.color, Kind.TREE, gain=0.6 + 0.42 * lift)


def add_fence(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """Four metres of fence: closed boards, or a railing or pickets that show what is behind them."""
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

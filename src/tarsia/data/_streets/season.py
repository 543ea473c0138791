"""What a season does to surfaces: foliage, bare trees, snow where it lies, fallen leaves, wet asphalt."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.mesh import Kind, Mesh, Stuff
from tarsia.data._streets.stage import Stage
from tarsia.data._streets.triangles import Shapes, picked
from tarsia.data._streets.world import Scene

SNOW = np.array([226.0, 232.0, 240.0])
# One colour a tree; the second of a pair is that of some of its leaves.
PALETTES: dict[str, list[tuple[tuple[int, int, int], tuple[int, int, int]]]] = {
    "spring": [
        ((146, 186, 74), (172, 202, 96)), ((128, 176, 66), (160, 198, 88)), ((154, 190, 84), (186, 206, 110)),
        ((120, 164, 70), (150, 188, 90)), ((238, 196, 212), (248, 226, 232)), ((240, 236, 226), (214, 222, 190)),
    ],
    "deep": [
        ((70, 116, 44), (88, 132, 50)), ((60, 106, 46), (80, 124, 52)), ((84, 122, 48), (104, 138, 56)),
        ((56, 98, 50), (74, 114, 54)),
    ],
    "fall": [
        ((208, 118, 34), (226, 154, 52)), ((186, 70, 34), (214, 104, 44)), ((222, 170, 54), (232, 192, 88)),
        ((150, 56, 40), (192, 82, 46)), ((172, 126, 54), (200, 150, 66)), ((140, 132, 60), (190, 158, 66)),
        ((214, 136, 40), (190, 90, 36)),
    ],
}  # fmt: skip
LAWNS = {"spring": (118, 160, 66), "deep": (128, 140, 70), "fall": (132, 126, 66)}
WOODS = {"spring": (122, 158, 76), "deep": (74, 108, 54), "fall": (176, 112, 52), "bare": (112, 102, 98)}


def dressed(mesh: Mesh, shapes: Shapes, condition: Condition, rng: np.random.Generator) -> np.ndarray:
    """The albedo of every face, F x 3 of 0 .. 255, in the season of `condition`; cards have their gain in it."""
    card = ~shapes.solid_F
    colors = mesh.colors_F3 * np.where(card, np.nan_to_num(mesh.gains_F), 1.0)[:, None]
    luck = rng.random(4096)[np.maximum(mesh.owner_F, 0) % 4096]
    palette = PALETTES.get(condition.leaves)
    lift = np.nan_to_num(mesh.gains_F)[:, None]
    if palette is not None:
        leaf = np.flatnonzero(mesh.stuff_F == Stuff.LEAF)
        pair = np.array(palette, np.float64)[(luck[leaf] * len(palette)).astype(int)]
        first, second = pair[:, 0], pair[:, 1]
        colors[leaf] = (first + (second - first) * rng.random((len(leaf), 1)) ** 1.5) * lift[leaf]
    woods = np.flatnonzero(mesh.stuff_F == Stuff.WOODS)
    if condition.leaves in WOODS:
        colors[woods] = WOODS[condition.leaves] * rng.uniform(0.84, 1.12, (len(woods), 1))
    if condition.snow:
        share = condition.snow * _snowed(mesh, shapes)[:, None]
        colors += (SNOW * np.where(card, 0.9, 1.0)[:, None] - colors) * share
    return np.clip(colors, 0, 255)


def lawned(mesh: Mesh, condition: Condition) -> np.ndarray:
    """The albedo of every face of the ground, F x 3 of 0 .. 255: the grass has its season's green."""
    colors = mesh.colors_F3.copy()
    if condition.leaves in LAWNS:
        colors[mesh.stuff_F == Stuff.GRASS] = LAWNS[condition.leaves]
    return colors


def _snowed(mesh: Mesh, shapes: Shapes) -> np.ndarray:
    """How much of each standing face snow hides: all of a roof, half of a crown's top."""
    up = shapes.normal_F3[:, 1] * shapes.solid_F
    share = np.clip((up - 0.45) / 0.3, 0, 1)
    share[(mesh.stuff_F == Stuff.PANE)] *= 0.15
    share[mesh.kinds_F == Kind.SIGN] = 0
    share[mesh.stuff_F == Stuff.LEDGE] = 0.85
    needle = mesh.stuff_F == Stuff.NEEDLE
    leafy = needle & ~shapes.solid_F
    share[leafy] = np.clip((mesh.gains_F[leafy] - 0.62) * 1.5, 0.05, 0.75)
    share[mesh.stuff_F == Stuff.BRANCH] = 0.12
    share[mesh.stuff_F == Stuff.WOODS] = 0.3
    return share


def dressed_ground(
    stage: Stage, albedo_3RW: np.ndarray, kind_RW: np.ndarray, s_RW: np.ndarray, z_R1: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ground's albedo (linear) in a condition, and how wet it is, 0 .. 1: noise that lies on the street decides.

    `s`, `z`: where each pixel is on the street, in metres.
    """
    condition = stage.condition
    lawn = kind_RW == Kind.TREE
    albedo = albedo_3RW * (1 + 0.55 * lawn * (smooth(stage, s_RW, z_R1, 5.0, 9) + smooth(stage, s_RW, z_R1, 1.1, 33)))
    wet = np.zeros_like(s_RW)
    if condition.leaves == "spring":
        flower, kind = _scattered(stage, s_RW, z_R1, (0.16, 0.7), 0.16 * lawn * np.exp(-z_R1 / 25))
        petal = np.stack([0.8 + 0 * kind, 0.75 - 0.2 * kind, np.where(kind > 0.5, 0.08, 0.7)]).astype(np.float32)
        albedo = np.where(flower, petal, albedo)
    if condition.wet:
        puddles = np.clip(0.5 + 1.3 * smooth(stage, s_RW, z_R1, 24.0), 0.15, 1) * condition.wet
        wet = (puddles * ~lawn).astype(np.float32)
        albedo *= 1 - 0.45 * wet
    if condition.litter:
        albedo, wet = _litter(stage, albedo, kind_RW, s_RW, z_R1, wet)
    if condition.snow:
        albedo, wet = _snow(stage, albedo, kind_RW, s_RW, z_R1, wet)
    return albedo, wet


def smooth(stage: Stage, s_N: np.ndarray, z_N: np.ndarray, metres: float, turn: int = 0) -> np.ndarray:
    """The stage's smooth noise on the street, repeating after `metres`; another `turn` is another noise."""
    size = len(stage.noise)
    row, column = (z_N * (size / metres)).astype(np.int32), np.floor(s_N * np.float32(size / metres)).astype(np.int32)
    return picked(stage.noise.ravel(), ((row + turn) & (size - 1)) * size + ((column + 3 * turn) & (size - 1)))


def _scattered(
    stage: Stage, s_N: np.ndarray, z_N: np.ndarray, grid: tuple[float, float], share_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Small ovals at random in a grid of (metres, radians askew): where they are, and a number 0 .. 1 of each."""
    cell, askew = grid
    cos, sin, size = np.float32(np.cos(askew) / cell), np.float32(np.sin(askew) / cell), len(stage.speck) - 1
    a, b = cos * s_N + sin * z_N, cos * z_N - sin * s_N
    column, row = np.floor(a), np.floor(b)
    i, j = row.astype(np.int32) & size, column.astype(np.int32) & size
    kind = picked(stage.speck.ravel(), j * (size + 1) + i)
    away = ((a - column - 0.3 - 0.4 * kind) / 0.55) ** 2 + ((b - row - 0.5) / 0.36) ** 2
    return (picked(stage.speck.ravel(), i * (size + 1) + j) < share_N) & (away < 1), kind


def _litter(
    stage: Stage, albedo_3N: np.ndarray, kind_N: np.ndarray, s_N: np.ndarray, z_N: np.ndarray, wet_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fallen leaves: single ones near by, their mean colour where they are smaller than a pixel."""
    side = np.abs(s_N) - np.float32(stage.scene.road.half)
    base = np.zeros(16, np.float32)
    base[[Kind.TREE, Kind.PAVEMENT, Kind.ROAD, Kind.MARKING]] = 0.26, 0.08, 0.02, 0.015
    share = base[kind_N] + 0.2 * np.exp(-((side + 0.25) ** 2) * 6) + _lookup(_under_trees(stage.scene), s_N, z_N)
    share = np.clip(share * (1 + 1.6 * smooth(stage, s_N, z_N, 15.0, 40)), 0, 0.75) * stage.condition.litter
    single = np.exp(-((z_N / 16) ** 2))
    shown, color = np.zeros_like(s_N), np.zeros_like(albedo_3N)
    color += np.array([0.42, 0.17, 0.035], np.float32).reshape(3, 1, 1)
    for grid in ((0.085, 0.4), (0.115, 1.1), (0.10, 1.9)):
        here, kind = _scattered(stage, s_N, z_N, grid, 0.55 * share)
        leaf = np.stack([0.20 + 0.5 * kind, 0.05 + 0.30 * kind * kind, 0.02 + 0.03 * kind])
        color = np.where(here, leaf, color)
        shown = np.maximum(shown, here)
    share = (shown * single + share * (1 - single)).astype(np.float32)
    return albedo_3N + (color - albedo_3N) * share, wet_N * (1 - 0.8 * share)


def _snow(
    stage: Stage, albedo_3N: np.ndarray, kind_N: np.ndarray, s_N: np.ndarray, z_N: np.ndarray, wet_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Snow: whole on lawns, trodden on pavements, on the road between the wheels' tracks, thin on paint."""
    base = np.zeros(16, np.float32)
    base[[Kind.TREE, Kind.PAVEMENT, Kind.ROAD, Kind.MARKING]] = 1.4, 0.95, 0.72, 0.10
    side = np.abs(s_N) - np.float32(stage.scene.road.half)
    lying = base[kind_N] + 0.55 * np.exp(-((side + 0.15) ** 2) * 4) * (kind_N != Kind.MARKING)
    driven = side < 0
    # The tracks of a lane are two, each as far from its middle.
    road = stage.scene.road
    lane = (road.half - road.parking - 0.45) / 2
    nearest = np.min([np.abs(s_N - np.float32(middle)) for middle in road.lanes or (-lane, lane)], axis=0)
    lying -= 0.66 * driven * np.exp(-np.square(np.square((nearest - 0.78) / 0.42)))
    fine = smooth(stage, s_N, z_N, 1.6, 17) * np.exp(-z_N / 18)
    # Along the road what lies between the wheels goes on: patches are long.
    patchy = 0.26 * smooth(stage, s_N, 0.25 * z_N, 9.0) + 0.30 * fine
    share = (np.clip((lying - 0.45 + patchy) * 3.4, 0, 1) * stage.condition.snow).astype(np.float32)
    # Driven snow is grey; fresh snow has soft hollows, which are bluer.
    grey = np.clip(1 - np.abs(lying - 0.55) * 2.5, 0, 1) * driven * 0.42
    hollow = (0.22 * smooth(stage, s_N, z_N, 3.2, 5) + 0.16 * fine).astype(np.float32)
    for channel, (fresh, depth) in enumerate(((0.76, 1.15), (0.80, 1.0), (0.87, 0.8))):
        snow = fresh * (1 + depth * hollow) * (1 - grey)
        albedo_3N[channel] += (snow - albedo_3N[channel]) * share
    return albedo_3N, wet_N * (1 - share)


def _under_trees(scene: Scene) -> np.ndarray:
    """How many leaves lie on each square metre, for s from -48 and z from 0, 96 x 128."""
    s, z = np.arange(-48, 48)[:, None] + 0.5, np.arange(128)[None] + 0.5
    density = np.zeros((96, 128), np.float32)
    for tree in (thing for thing in scene.things if thing.kind == "tree" and thing.variant == 0):
        reach = 0.75 * tree.width
        density += 0.42 * np.exp(-((s - tree.s) ** 2 + (z - tree.z) ** 2) / reach**2)
    return np.minimum(density, 0.6)


def _lookup(map_SZ: np.ndarray, s_N: np.ndarray, z_N: np.ndarray) -> np.ndarray:
    row, column = np.clip(s_N + 48, 0, 95).astype(np.int32), np.clip(z_N, 0, 127).astype(np.int32)
    return picked(map_SZ.ravel(), row * map_SZ.shape[1] + column)

"""How light falls: on the ground, which is a plane, row by row; on what stands, pixel by pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from tarsia.data._streets.clear_day import ground_grain
from tarsia.data._streets.lamps import BRIGHTEST, light_of
from tarsia.data._streets.mesh import Kind, Mesh, Stuff
from tarsia.data._streets.season import dressed_ground
from tarsia.data._streets.shadow import shadows
from tarsia.data._streets.stage import LINEAR, Stage
from tarsia.data._streets.sun import Skyline
from tarsia.data._streets.triangles import Layer, Shapes, cover_of, mean_colors, picked
from tarsia.data._streets.world import FAR, View

MIRRORS = {Stuff.GLASS: 0.30, Stuff.SHOP: 0.16, Stuff.PANE: 0.30, Stuff.PAINT: 0.07}
ROUGH = {Kind.TREE: 0.05, Kind.BUILDING: 0.02}


class Lying(NamedTuple):
    """The ground, in the picture's rows from `first` on: light 3 x R x W, cover and wetness R x W, 0 .. 1."""

    first: int
    light_3RW: np.ndarray
    cover_RW: np.ndarray
    wet_RW: np.ndarray
    depth_R1: np.ndarray


def lit_ground(
    stage: Stage, mesh: Mesh, samples_HW: np.ndarray, table: np.ndarray, label_HW: np.ndarray, rng: np.random.Generator
) -> Lying:
    """The light of the ground whose faces `samples` (1 + number) shows, coloured by `table`."""
    view = stage.view
    over = samples_HW.shape[0] // view.height
    tile = rng.standard_normal((128, 128), dtype=np.float32)
    first = int(np.clip(np.ceil(view.horizon), 0, view.height - 1))
    samples = samples_HW[first * over :]
    depth_R1, s_RW = _places(view, np.arange(first, view.height) + 0.5, np.arange(view.width) + 0.5)
    kinds = np.concatenate([[Kind.ROAD], mesh.kinds_F]).astype(np.uint8)
    kind_RW = kinds[samples[over // 2 :: over, over // 2 :: over]]
    cover_RW = cover_of(samples, over)
    colors_RW4 = mean_colors(picked(table, samples), over)
    albedo = np.stack([picked(LINEAR, colors_RW4[..., channel]) for channel in range(3)])
    albedo *= 1 + ground_grain(label_HW, view, tile)[first:]
    albedo, wet_RW = dressed_ground(stage, albedo, kind_RW, s_RW, depth_R1)
    sun = stage.sunlight * np.float32(stage.sun[1])
    cast = shadows(stage.scene, stage.sun if sun.any() else None, view)
    dark, under = (np.asarray(part)[first:] / np.float32(255) for part in cast)
    open_sky = 1 - 0.5 * under
    light = stage.skylight[:, None, None] * (1 - 0.6 * under)
    if sun.any():
        light += sun[:, None, None] * ((1 - dark) * open_sky)
    if stage.lamps or stage.condition.heads:
        light += _lamplight(stage, first, kind_RW) * open_sky
    light *= albedo
    return Lying(first, stage.hazed(light, 0.0, depth_R1, stage.air_3W[:, None]), cover_RW, wet_RW, depth_R1)


def _places(view: View, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the ground is that rows and columns show: metres ahead, R x 1, and right of the road's middle, R x W."""
    scale = view.camera.focal * view.unit
    depth = np.minimum(view.camera.height * scale / np.maximum(rows - view.horizon, 1e-3), FAR)[:, None]
    s = (columns - view.width / 2) / scale * depth + (view.camera.lateral - view.camera.bend(depth))
    return depth.astype(np.float32), s.astype(np.float32)


def _lamplight(stage: Stage, first: int, kind_RW: np.ndarray) -> np.ndarray:
    """The lamps' light on the ground, 3 x R x W: smooth, so it is found for every other pixel."""
    view = stage.view
    height, width = kind_RW.shape
    rows, columns = np.arange(first + 1, first + 1 + height, 2), np.arange(1, 1 + width, 2)
    depth, s = _places(view, rows, columns)
    right = s - (view.camera.lateral - view.camera.bend(depth)).astype(np.float32)
    x, z = right.ravel()[::-1], np.broadcast_to(depth, s.shape).ravel()[::-1]
    y, zero = np.full_like(x, -view.camera.height), np.zeros_like(x)
    up = zero, np.ones_like(x), zero
    planes = []
    for lamps in (stage.lamps, (stage.own,)):
        light = light_of(lamps, view, (x, y, z), up, 0.0)[:, ::-1].reshape(3, *s.shape)
        # Twice as large, then cut: an odd row or column more than there is.
        full = [
            Image.fromarray(part).resize((2 * s.shape[1], 2 * s.shape[0]), Image.Resampling.BILINEAR) for part in light
        ]
        planes.append(np.stack([np.asarray(part)[:height, :width] for part in full]))
    # Paint has beads of glass in it, which send one's own light back.
    lit: np.ndarray = planes[0] + planes[1] * (1 + 2.0 * (kind_RW == Kind.MARKING)).astype(np.float32)
    return lit


def lit_uprights(stage: Stage, shapes: Shapes, standing: Layer, rng: np.random.Generator) -> np.ndarray:
    """The light that the pixels of `standing` send to the camera, 3 x N."""
    face, mesh, camera = standing.face_N, shapes.mesh, stage.scene.camera
    normal_F3, wrap_F = _normals(shapes)
    normal, wrap = picked(normal_F3.T, face), picked(wrap_F, face)
    point = x, y, z = standing.point_3N
    height = y + np.float32(camera.height)
    s = x + (camera.lateral - camera.bend(z)).astype(np.float32)
    sun, sky = stage.sunlight, stage.skylight
    from_ground = (sky + sun * stage.sun[1]) * (0.5 if stage.condition.snow else 0.16)
    up = normal_F3[:, 1]
    ambient_3F = sky[:, None] * (0.62 + 0.38 * up) + from_ground[:, None] * (0.5 - 0.5 * up)
    # Less of the sky is seen from near the ground.
    light = picked(ambient_3F.astype(np.float32), face) * (0.6 + 0.4 * np.minimum(height * np.float32(0.8), 1))
    if sun.any():
        facing = np.maximum((normal_F3 @ np.array(stage.sun, np.float32) + wrap_F) / (1 + wrap_F), 0)
        reached = picked(facing, face)
        reached *= Skyline(stage.scene, stage.sun).lit(s + 1.6 * normal[0], height, z + 1.6 * normal[2])
        light += sun[:, None] * reached
    light += light_of(stage.lamps, stage.view, point, normal, wrap)
    stuff = picked(mesh.stuff_F, face)
    if stage.condition.heads:
        # The film on signs sends one's own light back.
        plate = (1 + 14.0 * (stuff == Stuff.PLATE)).astype(np.float32)
        light += light_of((stage.own,), stage.view, point, normal, wrap) * plate
    kind = picked(mesh.kinds_F, face)
    grain, shine = _grain(stage.noise, kind, stuff, normal, (s, height, z))
    rough = np.zeros(16, np.float32)
    rough[list(ROUGH)] = list(ROUGH.values())
    grain += picked(rough, kind) * rng.standard_normal(len(face), dtype=np.float32)
    light *= grain
    code = standing.color_4N[3]
    light += np.float32(BRIGHTEST / 255**2) * (code * code) * shine
    for channel in range(3):
        light[channel] *= picked(LINEAR, np.minimum(standing.color_4N[channel], 255).astype(np.uint8))
    _mirror(stage, stuff, standing.point_3N, normal, light)
    return stage.hazed(light, height, z, picked(stage.air_3W, standing.at_N % stage.view.width))


def _normals(shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """The normal of each standing face, F x 3, and how softly light falls off over it."""
    mesh = shapes.mesh
    normal, wrap = shapes.normal_F3.astype(np.float32), np.zeros(len(mesh.kinds_F), np.float32)
    card = ~shapes.solid_F
    normal[card], wrap[card] = (0.0, 0.25, -0.97), 0.5
    leaf = np.flatnonzero(np.isin(mesh.stuff_F, (Stuff.LEAF, Stuff.NEEDLE)) & card)
    if len(leaf):
        # A crown is round: its leaves face away from its middle, and some of their light comes through.
        middle = shapes.points_P3[mesh.starts_F[leaf]]
        owner = mesh.owner_F[leaf]
        number = np.maximum(np.bincount(owner), 1)
        mean = np.stack([np.bincount(owner, middle[:, axis]) / number for axis in range(3)], axis=1)
        away = middle - mean[owner]
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        away += (0.0, 0.3, -0.3)
        normal[leaf] = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        wrap[leaf] = 0.4
    return normal, wrap


def _grain(
    noise: np.ndarray, kind_N: np.ndarray, stuff_N: np.ndarray, normal_3N: np.ndarray, place: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Leaves in crowns, stains and courses on walls, rooms behind lit windows: gains of N points, on their albedo and
    on what they shine by themselves.

    `noise` is smooth and of mean 0; `place`: s, y and z on the street in metres.
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


def _mirror(
    stage: Stage, stuff_N: np.ndarray, point_3N: np.ndarray, normal_3N: np.ndarray, light_3N: np.ndarray
) -> None:
    """Add to the light what glass and paint mirror of the sky."""
    share_F = np.zeros(32, np.float32)
    share_F[list(MIRRORS)] = list(MIRRORS.values())
    share = picked(share_F, stuff_N)
    which = np.flatnonzero(share)
    ray, normal = picked(point_3N, which), picked(normal_3N, which)
    ray = ray / np.sqrt((ray * ray).sum(axis=0))
    against = (ray * normal).sum(axis=0)
    ray = ray - 2 * against * normal
    condition = stage.condition
    zenith, horizon, glow = (
        np.array(color, np.float32)[:, None] for color in (condition.zenith, condition.horizon, condition.glow)
    )
    up, toward = ray[1], np.maximum(np.array(stage.sun, np.float32) @ ray, 0)
    light = zenith + (horizon - zenith) * np.exp(np.minimum(up, 0) - np.maximum(up, 0) * 5)
    eighth = np.square(np.square(np.square(toward)))  # far faster than a power of floats
    light += glow * (0.3 * eighth + 0.9 * eighth**3)
    light = np.where(up > -0.02, light, 0.25 * stage.skylight[:, None])
    light_3N[:, which] += light * (share[which] * (1 + 2 * np.square(np.square(1 - np.abs(against)))))

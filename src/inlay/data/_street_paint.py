"""From a street's layout to pixels: projection, light, shadows, haze, texture, and the label from the same polygons.

The label travels in the alpha channel of the picture being drawn, so that image and label cannot differ in geometry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from inlay.data import _street_posts as posts
from inlay.data import _street_town as town
from inlay.data._street_cars import add_car
from inlay.data._street_ground import add_backdrop, add_ground
from inlay.data._street_look import Look
from inlay.data._street_mesh import Faces, Kind
from inlay.data._street_people import add_person, add_rider
from inlay.data._street_shadow import cast
from inlay.data._street_world import NEAR, Scene, Thing, View

# Drawn at three times the size: an odd factor has a centre sample for the label.
OVER = 3


BUILDERS: dict[str, Callable[[Faces, Thing, np.random.Generator], None]] = {
    "building": town.add_building,
    "tree": town.add_tree,
    "hedge": town.add_hedge,
    "fence": town.add_fence,
    "railing": town.add_fence,
    "car": add_car,
    "person": add_person,
    "rider": add_rider,
    "lamp": posts.add_lamp,
    "bollard": posts.add_bollard,
    "sign": posts.add_sign,
    "lights": posts.add_lights,
}


def paint(scene: Scene, look: Look, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The picture H x W x 3 and its label H x W of `scene` under `look`, both uint8."""
    ground, upright = _built(scene, rng)
    height, width = size
    view = View(scene.camera, height * OVER, width * OVER)
    canvas = _sky(scene, look, view, rng)
    _draw(canvas, ground, scene, look, view)
    cast(canvas, scene, look, view, OVER)
    _draw(canvas, upright, scene, look, view)
    label = np.asarray(canvas.getchannel("A"))[OVER // 2 :: OVER, OVER // 2 :: OVER].copy()
    image = np.asarray(canvas.convert("RGB").reduce(OVER))
    return _texture(image, label, scene, look, rng), label


def _built(scene: Scene, rng: np.random.Generator) -> tuple[Faces, Faces]:
    """The scene in faces, what lies and what stands; of any look and any size."""
    ground, upright = Faces(), Faces()
    add_ground(ground, scene, rng)
    add_backdrop(upright, scene, rng)
    for thing in scene.things:
        BUILDERS[thing.kind](upright, thing, rng)
    return ground, upright


def _draw(canvas: Image.Image, faces: Faces, scene: Scene, look: Look, view: View) -> None:
    points, counts, colors, kinds, inside, gains = faces.arrays()
    points, inside = view.axes(points), view.axes(inside)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    corner = points[starts]
    normal = np.cross(points[starts + 1] - corner, points[starts + 2] - corner)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    outward = np.sign(np.einsum("ij,ij->i", normal, corner - inside))
    normal *= outward[:, None]
    solid = np.isnan(gains)
    facing = ~solid | (np.einsum("ij,ij->i", normal, corner) < 0)
    lit = np.maximum(normal @ np.array(scene.sun), 0)[:, None]
    shaded = np.array(look.ambient) + np.array(look.sunlight) * lit
    full = np.array(look.ambient) + np.array(look.sunlight) * 0.85
    light = np.where(solid[:, None], shaded, np.nan_to_num(gains)[:, None] * full)
    uv, depth = view.project(points)
    middle = np.add.reduceat(depth, starts) / counts
    clear = np.exp(-middle / look.haze_metres)[:, None]
    colors = colors * light * clear + np.array(look.horizon) * (1 - clear)
    nearest = np.maximum.reduceat(points[:, 2], starts)
    low, high = np.minimum.reduceat(uv, starts), np.maximum.reduceat(uv, starts)
    inside_picture = (high >= 0).all(axis=1) & (low <= (view.width, view.height)).all(axis=1)
    seen = facing & (nearest > NEAR) & inside_picture
    # Pillow rounds corners to whole samples; half a sample puts the samples' centres where the labels are read.
    flat = (uv - 0.5).ravel().tolist()
    rgb = np.clip(colors, 0, 255).astype(np.uint8)
    fills = np.concatenate([rgb, kinds[:, None].astype(np.uint8)], axis=1).tolist()
    begin, end = (2 * starts).tolist(), (2 * (starts + counts)).tolist()
    polygon = ImageDraw.Draw(canvas).polygon
    for index in np.flatnonzero(seen).tolist():
        polygon(flat[begin[index] : end[index]], fill=tuple(fills[index]))


def _sky(scene: Scene, look: Look, view: View, rng: np.random.Generator) -> Image.Image:
    """The canvas, filled with sky: a gradient, and clouds that flatten towards the horizon."""
    rows, columns = max(view.height // 8, 8), max(view.width // 8, 8)
    octaves = [rng.random((2 * n, n), dtype=np.float32) for n in (4, 9, 20, 44)]
    field = np.zeros((rows, columns), np.float32)
    for weight, octave in zip((0.5, 0.27, 0.15, 0.08), octaves, strict=True):
        field += weight * np.asarray(Image.fromarray(octave).resize((columns, rows), Image.Resampling.BICUBIC))
    up = np.clip(1 - np.arange(rows, dtype=np.float32) / (rows * view.horizon / view.height), 0, 1)[:, None]
    cloud = np.clip((field - (0.66 - 0.36 * scene.clouds)) * 6, 0, 1) * np.clip(up * 4, 0, 1) * 0.9
    blue = np.power(up, 0.75)[..., None] * (np.array(look.zenith) - look.horizon) + look.horizon
    shade = (0.9 + 0.1 * np.clip((field - 0.45) * 5, 0, 1))[..., None] * np.array(look.cloud)
    sky = blue + cloud[..., None] * (shade - blue)
    picture = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    picture = picture.resize((view.width // OVER, view.height // OVER), Image.Resampling.BILINEAR)
    picture = picture.resize((view.width, view.height), Image.Resampling.NEAREST)
    picture.putalpha(int(Kind.SKY))
    return picture


def _texture(image: np.ndarray, label: np.ndarray, scene: Scene, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Asphalt grain and slabs that lie on the ground, leaves, plaster, and the camera's own noise."""
    height, width = label.shape
    # The tile first: what lies on the ground is of the scene, the noise after it of the picture's size.
    tile = rng.standard_normal((128, 128), dtype=np.float32)
    noise = rng.standard_normal((height, width), dtype=np.float32)
    rough = np.zeros(16, np.float32)
    rough[[Kind.TREE, Kind.BUILDING, Kind.ROAD, Kind.PAVEMENT]] = 0.08, 0.012, 0.018, 0.018
    gain = 1 + rough[label] * noise
    gain += _ground_grain(label, View(scene.camera, height, width), tile)
    drawn = image * gain[..., None]
    drawn += (noise[::-1, ::-1] * look.grain)[..., None]
    return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def _ground_grain(label: np.ndarray, view: View, tile: np.ndarray) -> np.ndarray:
    grain = np.zeros(label.shape, np.float32)
    first = int(np.clip(np.ceil(view.horizon) + 1, 0, view.height))
    if first >= view.height:
        return grain
    scale = view.camera.focal * view.unit
    z = (view.camera.height * scale / (np.arange(first, view.height) + 0.5 - view.horizon)).astype(np.float32)
    across = ((np.arange(view.width) + 0.5 - view.width / 2) / scale).astype(np.float32)
    s = across * z[:, None] + (view.camera.lateral - view.camera.bend(z))[:, None].astype(np.float32)
    fade = np.exp(-z / 14)[:, None]
    for cell, weight in ((0.05, 0.055), (0.4, 0.012)):
        row = (z / cell).astype(np.int64) & 127
        column = np.floor(s / cell).astype(np.int64) & 127
        grain[first:] += weight * fade * tile[row[:, None], column]
    paved = np.zeros(16, bool)
    paved[[Kind.ROAD, Kind.PAVEMENT, Kind.MARKING]] = True
    ground = paved[label[first:]]
    joints = ((z % 0.9 < 0.06)[:, None] | (s % 0.9 < 0.05)) & (label[first:] == Kind.PAVEMENT)
    grain[first:] = grain[first:] * ground - 0.16 * np.exp(-z / 7)[:, None] * joints
    return grain

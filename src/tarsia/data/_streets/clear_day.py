"""From a street's layout to pixels: projection, light, shadows, haze, texture, and the label from the same polygons.

The label travels in the alpha channel of the picture being drawn, so that image and label cannot differ in geometry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from tarsia.data._streets import posts, rails, town
from tarsia.data._streets.branches import add_branches
from tarsia.data._streets.cars import add_car
from tarsia.data._streets.ground import add_backdrop, add_ground
from tarsia.data._streets.mesh import Faces, Kind, Mesh
from tarsia.data._streets.people import add_person, add_rider
from tarsia.data._streets.shadow import cast
from tarsia.data._streets.triangles import Shapes
from tarsia.data._streets.world import Scene, Thing, View

OVER = 3  # times the size that is drawn: an odd factor has a centre sample for the label
ZENITH, HORIZON, CLOUD = (np.array(color) for color in ((84, 142, 212), (206, 226, 240), (252, 250, 246)))
AMBIENT, SUNLIGHT = np.array((0.66, 0.69, 0.74)), np.array((0.46, 0.42, 0.34))  # gains
HAZE_METRES = 330.0  # away 63 % is haze
GRAIN = 2.2  # of the noise of a camera, grey levels

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
    "guard": rails.add_guard,
    "barrier": rails.add_barrier,
    "gantry": rails.add_gantry,
    "bridge": rails.add_bridge,
}


def paint(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The picture H x W x 3 and its label H x W of `scene` on a clear day, both uint8."""
    ground, upright = built(scene, rng)
    height, width = size
    view = View(scene.camera, height * OVER, width * OVER)
    canvas = _sky(scene, view, rng)
    _draw(canvas, ground.mesh(), scene, view)
    cast(canvas, scene, view, OVER)
    _draw(canvas, upright.mesh(), scene, view)
    label = np.asarray(canvas.getchannel("A"))[OVER // 2 :: OVER, OVER // 2 :: OVER].copy()
    image = np.asarray(canvas.convert("RGB").reduce(OVER))
    return _texture(image, label, scene, rng), label


def built(scene: Scene, rng: np.random.Generator, bare: np.random.Generator | None = None) -> tuple[Faces, Faces]:
    """The scene in faces, what lies and what stands; of any look and any size.

    `bare`: also the branches that show where leaves have fallen, from this generator.
    """
    ground, upright = Faces(), Faces()
    add_ground(ground, scene, rng)
    add_backdrop(upright, rng)
    for upright.owner, thing in enumerate(scene.things):
        BUILDERS[thing.kind](upright, thing, rng)
        if bare is not None and thing.kind == "tree":
            add_branches(upright, thing, bare)
    return ground, upright


def _draw(canvas: Image.Image, mesh: Mesh, scene: Scene, view: View) -> None:
    shapes = Shapes(mesh, view)
    lit = np.maximum(shapes.normal_F3 @ np.array(scene.sun), 0)[:, None]
    shaded = AMBIENT + SUNLIGHT * lit
    full = AMBIENT + SUNLIGHT * 0.85
    light = np.where(shapes.solid_F[:, None], shaded, np.nan_to_num(mesh.gains_F)[:, None] * full)
    middle = np.add.reduceat(shapes.depth_P, mesh.starts_F) / mesh.counts_F
    clear = np.exp(-middle / HAZE_METRES)[:, None]
    colors = mesh.colors_F3 * light * clear + HORIZON * (1 - clear)
    rgb = np.clip(colors, 0, 255).astype(np.uint8)
    fills = np.concatenate([rgb, mesh.kinds_F[:, None].astype(np.uint8)], axis=1).tolist()
    shapes.draw(canvas, [tuple(fill) for fill in fills])


def _sky(scene: Scene, view: View, rng: np.random.Generator) -> Image.Image:
    """The canvas, filled with sky: a gradient, and clouds that flatten towards the horizon."""
    rows, columns = max(view.height // 8, 8), max(view.width // 8, 8)
    octaves = [rng.random((2 * n, n), dtype=np.float32) for n in (4, 9, 20, 44)]
    field = np.zeros((rows, columns), np.float32)
    for weight, octave in zip((0.5, 0.27, 0.15, 0.08), octaves, strict=True):
        field += weight * np.asarray(Image.fromarray(octave).resize((columns, rows), Image.Resampling.BICUBIC))
    up = np.clip(1 - np.arange(rows, dtype=np.float32) / (rows * view.horizon / view.height), 0, 1)[:, None]
    cloud = np.clip((field - (0.66 - 0.36 * scene.clouds)) * 6, 0, 1) * np.clip(up * 4, 0, 1) * 0.9
    blue = np.power(up, 0.75)[..., None] * (ZENITH - HORIZON) + HORIZON
    shade = (0.9 + 0.1 * np.clip((field - 0.45) * 5, 0, 1))[..., None] * CLOUD
    sky = blue + cloud[..., None] * (shade - blue)
    picture = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    picture = picture.resize((view.width // OVER, view.height // OVER), Image.Resampling.BILINEAR)
    picture = picture.resize((view.width, view.height), Image.Resampling.NEAREST)
    picture.putalpha(int(Kind.SKY))
    return picture


def _texture(image: np.ndarray, label: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Asphalt grain and slabs that lie on the ground, leaves, plaster, and the camera's own noise."""
    height, width = label.shape
    # The tile first: what lies on the ground is of the scene, the noise after it of the picture's size.
    tile = rng.standard_normal((128, 128), dtype=np.float32)
    noise = rng.standard_normal((height, width), dtype=np.float32)
    rough = np.zeros(16, np.float32)
    rough[[Kind.TREE, Kind.BUILDING, Kind.ROAD, Kind.PAVEMENT]] = 0.08, 0.012, 0.018, 0.018
    gain = 1 + rough[label] * noise
    gain += ground_grain(label, View(scene.camera, height, width), tile)
    drawn = image * gain[..., None]
    drawn += (noise[::-1, ::-1] * GRAIN)[..., None]
    return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def ground_grain(label: np.ndarray, view: View, tile: np.ndarray) -> np.ndarray:
    """H x W of what asphalt and slabs add to a gain of 1, from noise (`tile`, 128 x 128) that lies on the street."""
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

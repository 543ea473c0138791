"""From a street's layout to pixels: projection, light, shadows, haze, texture, and the label from the same polygons.

The label travels in the alpha channel of the picture being drawn, so that image and label cannot differ in geometry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from inlay.data import _street_posts as posts
from inlay.data import _street_town as town
from inlay.data._street_cars import add_car
from inlay.data._street_mesh import Faces, Kind
from inlay.data._street_people import add_person, add_rider
from inlay.data._street_scene import FAR, Camera, Scene, Thing

# Drawn at three times the size: an odd factor has a centre sample for the label.
OVER = 3
NEAR = 0.45


@dataclass(frozen=True)
class Look:
    """Light, air and camera of one condition: all that a condition may change about a scene.

    Colours are RGB of 0 .. 255, lights are gains per channel, `haze_metres` is the distance at which 63 % is haze.
    """

    domain: str
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloud: tuple[float, float, float]
    ambient: tuple[float, float, float]
    sunlight: tuple[float, float, float]
    shade: tuple[float, float, float]
    haze_metres: float
    grain: float


DAY = Look(
    domain="day",
    zenith=(84, 142, 212),
    horizon=(206, 226, 240),
    cloud=(252, 250, 246),
    ambient=(0.66, 0.69, 0.74),
    sunlight=(0.46, 0.42, 0.34),
    shade=(0.60, 0.64, 0.72),
    haze_metres=330.0,
    grain=2.2,
)

BUILDERS: dict[str, Callable[[Faces, Thing, np.random.Generator], None]] = {
    "building": town.add_building,
    "tree": town.add_tree,
    "hedge": town.add_hedge,
    "fence": town.add_fence,
    "car": add_car,
    "person": add_person,
    "rider": add_rider,
    "lamp": posts.add_lamp,
    "bollard": posts.add_bollard,
    "sign": posts.add_sign,
    "lights": posts.add_lights,
}


@dataclass(frozen=True)
class View:
    """The camera on a raster of `height` x `width` samples."""

    camera: Camera
    height: int
    width: int

    @property
    def unit(self) -> float:
        # One "picture height" of a 4:3 picture of the same area: other shapes see more to the sides or above.
        return float(np.sqrt(self.height * self.width * 0.75))

    @property
    def horizon(self) -> float:
        return self.height * 0.5 + (self.camera.horizon - 0.5) * self.unit

    def project(self, points_P3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points in camera axes (x, y, z) to sample coordinates P x 2 and their depth P."""
        depth = np.maximum(points_P3[:, 2], NEAR)
        scale = self.camera.focal * self.unit / depth
        u = self.width * 0.5 + points_P3[:, 0] * scale
        v = self.horizon - points_P3[:, 1] * scale
        return np.stack([u, v], axis=-1), depth


def paint(scene: Scene, look: Look, size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The picture H x W x 3 and its label H x W of `scene` under `look`, both uint8."""
    ground, upright = Faces(), Faces()
    town.add_ground(ground, scene, rng)
    town.add_backdrop(upright, scene, rng)
    for thing in scene.things:
        BUILDERS[thing.kind](upright, thing, rng)
    height, width = size
    view = View(scene.camera, height * OVER, width * OVER)
    canvas = _sky(scene, look, view, rng)
    _draw(canvas, ground, scene, look, view)
    _cast(canvas, scene, look, view)
    _draw(canvas, upright, scene, look, view)
    label = np.asarray(canvas.getchannel("A"))[OVER // 2 :: OVER, OVER // 2 :: OVER].copy()
    image = np.asarray(canvas.convert("RGB").reduce(OVER))
    return _texture(image, label, scene, look, rng), label


def _camera_axes(points_P3: np.ndarray, camera: Camera) -> np.ndarray:
    x = points_P3[:, 0] + camera.bend(points_P3[:, 2]) - camera.lateral
    return np.stack([x, points_P3[:, 1] - camera.height, points_P3[:, 2]], axis=-1)


def _draw(canvas: Image.Image, faces: Faces, scene: Scene, look: Look, view: View) -> None:
    points, counts, colors, kinds, inside, gains = faces.arrays()
    points, inside = _camera_axes(points, scene.camera), _camera_axes(inside, scene.camera)
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
    rows, columns = max(view.height // 6, 8), max(view.width // 6, 8)
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


def _cast(canvas: Image.Image, scene: Scene, look: Look, view: View) -> None:
    """Lay shadows on the ground of the canvas: from the sun, and the soft dark under things."""
    small = View(scene.camera, view.height // OVER, view.width // OVER)
    slant = np.array([scene.sun[0], scene.sun[2]]) / -scene.sun[1]
    sun, under = (Image.new("L", (small.width, small.height)) for _ in range(2))
    for outlines, low, high in _blockers(scene):
        foot, top = outlines + slant * low[:, None, None], outlines + slant * high[:, None, None]
        sides = np.stack([foot, np.roll(foot, -1, 1), np.roll(top, -1, 1), top], axis=2)
        for swept in (foot, top, sides.reshape(-1, 4, 2)):
            _fill(sun, swept, small)
    _fill(under, _contacts(scene), small)
    blur = small.unit * 0.004
    sun, under = sun.filter(ImageFilter.BoxBlur(blur)), under.filter(ImageFilter.BoxBlur(blur * 2))
    top_row = int(np.clip(small.horizon, 0, small.height - 1))
    area = (0, top_row, small.width, small.height)
    sun, under = sun.crop(area), under.crop(area)
    soft = under.point([round(255 - 0.5 * value) for value in range(256)])
    bands = [
        ImageChops.multiply(soft, sun.point([round(255 - (1 - gain) * value) for value in range(256)]))
        for gain in look.shade
    ]
    # Multiplying by 255 keeps the class in the fourth channel as it is.
    gains = Image.merge("RGBA", [*bands, Image.new("L", soft.size, 255)])
    gains = gains.resize((view.width, gains.height * OVER), Image.Resampling.NEAREST)
    lit = canvas.crop((0, top_row * OVER, view.width, view.height))
    canvas.paste(ImageChops.multiply(lit, gains), (0, top_row * OVER))


def _fill(mask: Image.Image, outlines_MN2: np.ndarray, view: View) -> None:
    number, corners, _ = outlines_MN2.shape
    flat = np.zeros((number * corners, 3))
    flat[:, 0], flat[:, 2] = outlines_MN2[..., 0].ravel(), np.clip(outlines_MN2[..., 1].ravel(), NEAR, FAR)
    uv, _ = view.project(_camera_axes(flat, view.camera))
    polygon = ImageDraw.Draw(mask).polygon
    for corner_list in uv.reshape(number, 2 * corners).tolist():
        polygon(corner_list, fill=255)


def _rectangles(things: list[Thing], grow: float) -> np.ndarray:
    """Outlines on the ground, M x 4 x 2 (s, z), of things that stand on their middle."""
    rows = np.array([(t.s, t.z, t.width / 2 + grow, t.length / 2 + grow, t.heading) for t in things]).reshape(-1, 5)
    s, z, w, ahead, heading = rows.T[..., None]
    w, ahead = w * np.array([-1, 1, 1, -1]), ahead * np.array([-1, -1, 1, 1])
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([s + w * cos + ahead * sin, z - w * sin + ahead * cos], axis=-1)


def _circles(things: list[Thing], radius: np.ndarray | float) -> np.ndarray:
    rows = np.array([(t.s, t.z) for t in things]).reshape(-1, 2)
    angle = np.arange(8) * (np.pi / 4)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return rows[:, None] + ring * np.broadcast_to(radius, len(rows))[:, None, None]


def _blockers(scene: Scene) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What keeps sun from the ground: outlines M x N x 2 (s, z), from which heights to which (M each)."""
    houses = [t for t in scene.things if t.kind == "building"]
    close = [t for t in scene.things if t.z < 70]
    trees = [t for t in close if t.kind == "tree"]
    solid = [t for t in close if t.kind in ("car", "person", "rider")]
    thin = [t for t in close if t.kind in ("lamp", "sign", "lights", "bollard", "tree")]
    ground = np.array([(t.s, t.s + np.sign(t.s) * t.width, t.z, t.z + t.length) for t in houses])
    plots = np.stack([ground[:, (0, 1, 1, 0)], ground[:, (2, 2, 3, 3)]], axis=-1)

    def heights(things: list[Thing]) -> np.ndarray:
        return np.array([t.height for t in things])

    radius = np.array([t.width / 2 for t in trees])
    return [
        (plots, 0 * heights(houses), heights(houses)),
        (_circles(trees, radius * 0.85), heights(trees) - 1.6 * radius, heights(trees) - 0.4 * radius),
        (_rectangles(solid, -0.08), 0 * heights(solid), heights(solid) * 0.9),
        (_circles(thin, 0.07), 0 * heights(thin), heights(thin) * 0.9),
    ]


def _contacts(scene: Scene) -> np.ndarray:
    """Outlines M x 4 x 2 of the soft dark where things meet the ground."""
    close = [t for t in scene.things if t.z < 80]
    cars = _rectangles([t for t in close if t.kind == "car"], 0.14)
    people = _rectangles([t for t in close if t.kind in ("person", "rider")], -0.04)
    posts_ = _circles([t for t in close if t.kind in ("tree", "lights", "lamp", "sign", "bollard")], 0.22)
    return np.concatenate([cars, people, posts_[:, ::2]])


def _texture(image: np.ndarray, label: np.ndarray, scene: Scene, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Asphalt grain and slabs that lie on the ground, leaves, plaster, and the camera's own noise."""
    height, width = label.shape
    noise = rng.standard_normal((height, width), dtype=np.float32)
    rough = np.zeros(16, np.float32)
    rough[[Kind.TREE, Kind.BUILDING, Kind.ROAD, Kind.PAVEMENT]] = 0.09, 0.022, 0.02, 0.02
    gain = 1 + rough[label] * noise
    gain += _ground_grain(label, View(scene.camera, height, width), rng)
    drawn = image * gain[..., None]
    drawn += (noise[::-1, ::-1] * look.grain)[..., None]
    return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def _ground_grain(label: np.ndarray, view: View, rng: np.random.Generator) -> np.ndarray:
    grain = np.zeros(label.shape, np.float32)
    first = int(np.clip(np.ceil(view.horizon) + 1, 0, view.height))
    tile = rng.standard_normal((128, 128), dtype=np.float32)
    if first >= view.height:
        return grain
    scale = view.camera.focal * view.unit
    z = (view.camera.height * scale / (np.arange(first, view.height) + 0.5 - view.horizon)).astype(np.float32)
    across = ((np.arange(view.width) + 0.5 - view.width / 2) / scale).astype(np.float32)
    s = across * z[:, None] + (view.camera.lateral - view.camera.bend(z))[:, None].astype(np.float32)
    fade = np.exp(-z / 14)[:, None]
    for cell, weight in ((0.06, 0.05), (0.5, 0.025)):
        row = (z / cell).astype(np.int64) & 127
        column = np.floor(s / cell).astype(np.int64) & 127
        grain[first:] += weight * fade * tile[row[:, None], column]
    ground = np.isin(label[first:], (Kind.ROAD, Kind.PAVEMENT, Kind.MARKING))
    joints = ((z % 0.9 < 0.06)[:, None] | (s % 0.9 < 0.05)) & (label[first:] == Kind.PAVEMENT)
    grain[first:] = grain[first:] * ground - 0.16 * np.exp(-z / 7)[:, None] * joints
    return grain

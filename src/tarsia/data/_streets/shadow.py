"""Shadows on the ground: outlines swept along the light, drawn at the picture's size, softened, multiplied in."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tarsia.data._streets.world import FAR, NEAR, Scene, Thing, View

SHADE = (0.60, 0.64, 0.72)  # of the light, what is left in the shadow of a clear day's sun, per channel


def cast(canvas: Image.Image, scene: Scene, view: View, over: int) -> None:
    """Lay shadows on the ground of the canvas: from the sun, and the soft dark under things.

    The canvas is RGB and class, `over` times the picture's size; shadows are drawn at the picture's own.
    """
    small = View(scene.camera, view.height // over, view.width // over)
    sun, under = shadows(scene, scene.sun, small)
    top_row = int(np.clip(small.horizon, 0, small.height - 1))
    area = (0, top_row, small.width, small.height)
    sun, under = sun.crop(area), under.crop(area)
    soft = under.point([round(255 - 0.5 * value) for value in range(256)])
    bands = [
        ImageChops.multiply(soft, sun.point([round(255 - (1 - gain) * value) for value in range(256)]))
        for gain in SHADE
    ]
    # Multiplying by 255 keeps the class in the fourth channel as it is.
    gains = Image.merge("RGBA", [*bands, Image.new("L", soft.size, 255)])
    gains = gains.resize((view.width, gains.height * over), Image.Resampling.NEAREST)
    lit = canvas.crop((0, top_row * over, view.width, view.height))
    canvas.paste(ImageChops.multiply(lit, gains), (0, top_row * over))


def shadows(scene: Scene, sun: tuple[float, float, float] | None, view: View) -> tuple[Image.Image, Image.Image]:
    """Two pictures of `view`, 0 .. 255, for what lies on the ground: how much `sun` is kept off, and how much sky."""
    dark, under = (Image.new("L", (view.width, view.height)) for _ in range(2))
    slant = np.array([sun[0], sun[2]]) / -sun[1] if sun else np.zeros(2)
    for outlines, low, high in _blockers(scene) if sun else ():
        foot, top = outlines + slant * low[:, None, None], outlines + slant * high[:, None, None]
        sides = np.stack([foot, np.roll(foot, -1, 1), np.roll(top, -1, 1), top], axis=2)
        for swept in (foot, top, sides.reshape(-1, 4, 2)):
            _fill(dark, swept, view)
    _fill(under, _contacts(scene), view)
    blur = view.unit * 0.004
    return dark.filter(ImageFilter.BoxBlur(blur)), under.filter(ImageFilter.BoxBlur(blur * 2))


def _fill(mask: Image.Image, outlines_MN2: np.ndarray, view: View) -> None:
    number, corners, _ = outlines_MN2.shape
    flat = np.zeros((number * corners, 3))
    flat[:, 0], flat[:, 2] = outlines_MN2[..., 0].ravel(), np.clip(outlines_MN2[..., 1].ravel(), NEAR, FAR)
    uv, _ = view.project(view.axes(flat))
    polygon = ImageDraw.Draw(mask).polygon
    for corner_list in uv.reshape(number, 2 * corners).tolist():
        polygon(corner_list, fill=255)


def _rectangles(things: list[Thing], grow: float, ahead: bool = False) -> np.ndarray:
    """Outlines on the ground, M x 4 x 2 (s, z), of things whose place is their middle, or that lie `ahead` of it."""
    middles = [t.z + t.length / 2 * ahead for t in things]
    rows = np.array(
        [(t.s, z, t.width / 2 + grow, t.length / 2 + grow, t.heading) for t, z in zip(things, middles, strict=True)]
    ).reshape(-1, 5)
    s, z, w, on, heading = rows.T[..., None]
    w, on = w * np.array([-1, 1, 1, -1]), on * np.array([-1, -1, 1, 1])
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([s + w * cos + on * sin, z - w * sin + on * cos], axis=-1)


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
    rails = [t for t in close if t.kind in ("guard", "barrier")]
    bridges = [t for t in scene.things if t.kind == "bridge"]
    ground = np.array([(t.s, t.s + np.sign(t.s) * t.width, t.z, t.z + t.length) for t in houses]).reshape(-1, 4)
    plots = np.stack([ground[:, (0, 1, 1, 0)], ground[:, (2, 2, 3, 3)]], axis=-1)

    def heights(things: list[Thing]) -> np.ndarray:
        return np.array([t.height for t in things])

    radius = np.array([t.width / 2 for t in trees])
    return [
        (plots, 0 * heights(houses), heights(houses)),
        (_circles(trees, radius * 0.85), heights(trees) - 1.6 * radius, heights(trees) - 0.4 * radius),
        (_rectangles(solid, -0.08), 0 * heights(solid), heights(solid) * 0.9),
        (_circles(thin, 0.07), 0 * heights(thin), heights(thin) * 0.9),
        (_rectangles(rails, 0.0, ahead=True), 0 * heights(rails), heights(rails)),
        (_rectangles(bridges, 0.0, ahead=True), heights(bridges) - 1.5, heights(bridges)),
    ]


def _contacts(scene: Scene) -> np.ndarray:
    """Outlines M x 4 x 2 of the soft dark where things meet the ground."""
    close = [t for t in scene.things if t.z < 80]
    cars = _rectangles([t for t in close if t.kind == "car"], 0.14)
    people = _rectangles([t for t in close if t.kind in ("person", "rider")], -0.04)
    posts = _circles([t for t in close if t.kind in ("tree", "lights", "lamp", "sign", "bollard")], 0.22)
    return np.concatenate([cars, people, posts[:, ::2]])

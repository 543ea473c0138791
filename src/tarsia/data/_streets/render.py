"""From a street's layout to pixels in one of the nine conditions: every pixel's place is known, and lit there.

Faces are drawn by number, so that the label is the very one that paint.py draws; then light is added up in
linear units: sky, sun and its shadows, lamps, what shines by itself, haze, what a wet street mirrors.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from tarsia.data._streets.branches import see_through
from tarsia.data._streets.clear_day import OVER, built
from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.lamps import BRIGHTEST, driving, glare, lamps, own_beam, shining
from tarsia.data._streets.lens import developed, snowfall
from tarsia.data._streets.lighting import Lying, lit_ground, lit_uprights
from tarsia.data._streets.mesh import Kind, Stuff
from tarsia.data._streets.season import dressed, lawned
from tarsia.data._streets.sky import draw_sky, fractal
from tarsia.data._streets.stage import Stage
from tarsia.data._streets.sun import turned
from tarsia.data._streets.triangles import Layer, Shapes, layer, picked
from tarsia.data._streets.world import Scene, View


def render(
    scene: Scene, condition: Condition, size: tuple[int, int], rng: np.random.Generator, weather: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The picture H x W x 3 and its label H x W of `scene` in `condition`, both uint8.

    `rng` is the one that the scene's details come from in any condition, `weather` one for all the rest.
    """
    view, sun = View(scene.camera, *size), turned(scene, condition.sun_height, condition.sun_turn)
    noise, speck = fractal(weather), weather.random((256, 256), dtype=np.float32)
    branches = np.random.default_rng(weather.integers(2**32)) if condition.leaves == "bare" else None
    meshes = [faces.mesh() for faces in built(scene, rng, branches)]
    wide = View(scene.camera, view.height * OVER, view.width * OVER)
    ground, upright = (Shapes(mesh, wide) for mesh in meshes)
    lit = driving(scene, condition.heads, weather)
    stage = Stage(
        scene,
        condition,
        view,
        sun,
        lamps(scene, condition, lit, weather),
        own_beam(scene, condition),
        noise,
        speck,
        draw_sky(scene, condition, view, sun, noise, weather),
    )
    colors = dressed(upright.mesh, upright, condition, weather)
    glow = shining(upright.mesh, colors, condition, lit, weather)
    under, samples = _numbered(ground, upright, wide)
    kinds = np.concatenate([[Kind.SKY], *(mesh.kinds_F for mesh in meshes)]).astype(np.uint8)
    label = kinds[samples[OVER // 2 :: OVER, OVER // 2 :: OVER]]
    lying = lit_ground(stage, ground.mesh, under, _table(lawned(ground.mesh, condition)), label, weather)
    above = np.maximum(samples, len(ground.mesh.kinds_F)) - np.uint16(len(ground.mesh.kinds_F))
    standing = _standing(stage, upright, above, _table(colors, np.sqrt(glow / BRIGHTEST) * 255))
    light_3HW = _together(stage, lying, standing, lit_uprights(stage, upright, standing, weather), weather)
    return developed(light_3HW, condition, weather), label


def _numbered(ground: Shapes, upright: Shapes, wide: View) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the faces seen at each sample, from 1 on: of the ground alone, and of all, the ground's first."""
    # 16 bits hold the numbers of more faces than any street has; 0 is nothing.
    canvas = Image.new("I;16", (wide.width, wide.height))
    first, count = len(ground.mesh.kinds_F), len(upright.mesh.kinds_F)
    ground.draw(canvas, range(1, first + 1))
    under = np.array(canvas)
    upright.draw(canvas, range(first + 1, first + count + 1), upright.mesh.stuff_F != Stuff.BRANCH)
    return under, np.array(canvas)


def _standing(stage: Stage, upright: Shapes, samples: np.ndarray, table: np.ndarray) -> Layer:
    """The pixels of what stands; in winter with what shows in and through the bare crowns."""
    filled = (samples > 0).view(np.uint8) * np.uint8(255)
    painted = picked(table, samples)
    stuff = upright.mesh.stuff_F
    if stage.condition.leaves == "bare":
        crown = np.flatnonzero(picked(np.append(False, stuff == Stuff.LEAF), samples))
        canvas = Image.new("I;16", samples.shape[::-1])
        upright.draw(canvas, range(1, len(stuff) + 1), (stuff != Stuff.LEAF) & _near_crowns(upright))
        behind = np.array(canvas).ravel()[crown]
        see_through(painted, filled, crown, table[behind], stage.noise)
        samples.ravel()[crown] = np.where(behind > 0, behind, samples.ravel()[crown])
    return layer(filled, painted, samples, upright, stage.view)


def _near_crowns(upright: Shapes) -> np.ndarray:
    """Which faces may show through a crown: those whose box meets that of some crown."""
    near = np.zeros(len(upright.seen_F), bool)
    leaf = np.flatnonzero((upright.mesh.stuff_F == Stuff.LEAF) & upright.seen_F)
    owner = upright.mesh.owner_F[leaf]
    for number in np.unique(owner):
        crown = leaf[owner == number]
        low, high = upright.low_F2[crown].min(axis=0), upright.high_F2[crown].max(axis=0)
        near |= (upright.high_F2 >= low).all(axis=1) & (upright.low_F2 <= high).all(axis=1)
    return near


def _together(
    stage: Stage, lying: Lying, standing: Layer, upright_3N: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Sky, ground and what stands on it in one picture of light, 3 x H x W, with glare, mirrors and snowfall."""
    condition, view, first = stage.condition, stage.view, lying.first
    light = stage.sky_3HW.copy()
    light[:, first:] += (lying.light_3RW - light[:, first:]) * lying.cover_RW
    flat = light.reshape(3, -1)
    for channel in range(3):
        under = picked(flat[channel], standing.at_N)
        flat[channel, standing.at_N] = under + (upright_3N[channel] - under) * standing.cover_N
    solid = standing.cover_N > 0.5
    place, near = standing.at_N[solid], standing.point_3N[2][solid]
    depth = np.full((view.height, view.width), np.inf, np.float32)
    depth[first:] = lying.depth_R1
    depth.ravel()[place] = near
    glare(stage.lamps, view, depth, light, condition.haze_metres)
    if condition.wet:
        cover = np.zeros((view.height, view.width), np.float32)
        cover.ravel()[standing.at_N] = standing.cover_N
        image = mirrored(light, stage.sky_3HW, place, near, view, first)
        share = lying.wet_RW * _fresnel(view)[first:, None] * lying.cover_RW * (1 - cover[first:])
        light[:, first:] += (image - 0.5 * light[:, first:]) * share
    if condition.flakes:
        snowfall(light, depth, view.unit, condition.flakes, rng)
    return light


def mirrored(
    light_3HW: np.ndarray, sky_3HW: np.ndarray, at_N: np.ndarray, depth_N: np.ndarray, view: View, first: int
) -> np.ndarray:
    """3 x R x W: what a level mirror on the street shows at each pixel of the rows from `first` on.

    What stands at the pixels `at` (flat numbers), `depth` metres away, near ones first, mirrors as far below its foot
    as it is above it; elsewhere the sky mirrors about the horizon.
    """
    rows = np.arange(first, view.height)
    image = np.take(sky_3HW, np.clip((2 * view.horizon - rows).astype(int), 0, max(first - 1, 0)), axis=1)
    flat = image.reshape(3, -1)
    row, column = np.divmod(at_N, view.width)
    foot = np.float32(view.horizon) + np.float32(view.camera.height * view.camera.focal * view.unit) / depth_N
    target = (2 * foot - row.astype(np.float32) - 0.5).astype(np.int32)
    # Far things first: nearer ones stand before them in the mirror too.
    falls = np.flatnonzero((target >= first) & (target < view.height) & (row + 0.5 < foot))[::-1]
    goal = (target[falls] - first) * view.width + column[falls]
    for channel in range(3):
        flat[channel, goal] = light_3HW[channel].ravel()[at_N[falls]]
    return _smeared(image, max(round(view.unit * 0.028), 1))


def _smeared(image_3RW: np.ndarray, radius: int) -> np.ndarray:
    """Means along the columns, twice, so that lamps become streaks."""
    for _ in range(2):
        above, below = image_3RW[:, :1].repeat(radius + 1, 1), image_3RW[:, -1:].repeat(radius, 1)
        total = np.cumsum(np.concatenate([above, image_3RW, below], axis=1), axis=1, dtype=np.float32)
        image_3RW = (total[:, 2 * radius + 1 :] - total[:, : -2 * radius - 1]) / np.float32(2 * radius + 1)
    return image_3RW


def _fresnel(view: View) -> np.ndarray:
    """How much a level water's surface mirrors in each row of the picture, H (Schlick's approximation)."""
    y = (np.arange(view.height) + 0.5 - view.horizon) / (view.camera.focal * view.unit)
    cosine = np.clip(y, 0, None) / np.sqrt(1 + y * y)
    return (0.02 + 0.98 * (1 - cosine) ** 5).astype(np.float32)


def _table(colors_F3: np.ndarray, code_F: np.ndarray | float = 0.0) -> np.ndarray:
    """Colours and codes, a byte each in one number, 1 + F; the first is that of nothing."""
    table = np.zeros((len(colors_F3) + 1, 4), np.uint8)
    table[1:, :3] = np.clip(colors_F3 + 0.5, 0, 255)
    table[1:, 3] = np.clip(code_F, 0, 255)
    packed: np.ndarray = table.view(np.uint32).ravel()
    return packed

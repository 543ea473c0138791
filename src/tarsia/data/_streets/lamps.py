"""Light sources of a street: lamps, headlights, rear lights, windows and shops; what shines and what is lit by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.mesh import Mesh, Stuff
from tarsia.data._streets.world import KERB, RGB, Scene, Thing, View

BRIGHTEST = 30.0  # of what shines by itself; white paper in the open is 1
LIT_METRES = {"down": 28.0, "round": 28.0, "back": 14.0, "low": 60.0, "high": 90.0}  # nothing further is lit
MOST = {"down": 7, "round": 4, "back": 4, "low": 4}  # lamps of a kind that light something: the nearest
WARM, NEUTRAL, HEAD, TAIL = (1.0, 0.60, 0.27), (1.0, 0.84, 0.62), (1.0, 0.93, 0.80), (1.0, 0.05, 0.03)
ROOMS = np.array([(1.0, 0.66, 0.32), (1.0, 0.78, 0.48), (1.0, 0.88, 0.68), (0.95, 0.55, 0.25), (0.62, 0.76, 1.0)])


class Lamp(NamedTuple):
    """A source at `place` (s, y, z): `light` at one metre, its glare seen from the camera, and how it throws light.

    `throw`: down (a street lamp), round (a lantern), back (rear lights), low or high (a headlight's beam along
    `heading`, of another car and one's own).
    """

    place: tuple[float, float, float]
    light: RGB
    glare: RGB
    throw: str
    heading: float = 0.0
    width: float = 0.0

    @property
    def beam(self) -> bool:
        return self.throw in ("low", "high")


def lamps(scene: Scene, condition: Condition, lit_owners: np.ndarray, rng: np.random.Generator) -> tuple[Lamp, ...]:
    """The sources that light something or glare, nearest first."""
    found: list[Lamp] = []
    warm = WARM if rng.random() < 0.6 else NEUTRAL
    for number, thing in enumerate(scene.things):
        if thing.kind == "lamp" and condition.lamps:
            found += _street_lamp(thing, _times(warm, condition.lamps))
        elif thing.kind == "car" and lit_owners[number]:
            found += _car_lamps(thing)
    if condition.lamps:
        found += _behind(found)
    found.sort(key=lambda lamp: lamp.place[2])
    left = dict(MOST)
    for number, lamp in enumerate(found):
        left[lamp.throw] -= 1
        if left[lamp.throw] < 0:
            found[number] = lamp._replace(light=(0.0, 0.0, 0.0))
    return tuple(found)


def own_beam(scene: Scene, condition: Condition) -> Lamp:
    """The headlights below the camera; dark where no car has its lamps lit."""
    light = _times(HEAD, 2.3 * condition.heads)
    return Lamp((scene.camera.lateral, 0.7, 0.2), light, (0.0, 0.0, 0.0), "high")


def _times(color: RGB, gain: float) -> RGB:
    # Rounded, so that lamps of one hue have the very same.
    return round(color[0] * gain, 6), round(color[1] * gain, 6), round(color[2] * gain, 6)


def _street_lamp(thing: Thing, color: RGB) -> list[Lamp]:
    if thing.variant:
        s = thing.s - float(np.sign(thing.s)) * (thing.length + 0.3)
        return [Lamp((s, thing.height + 0.25, thing.z), _times(color, 64), _times(color, 22), "down")]
    return [Lamp((thing.s, thing.height + 0.25, thing.z), _times(color, 34), _times(color, 16), "round")]


def _behind(found: list[Lamp]) -> list[Lamp]:
    """The row of lamps goes on behind the camera: its light, not itself, is seen."""
    rows: dict[float, list[Lamp]] = {}
    for lamp in found:
        if lamp.throw in ("down", "round"):
            rows.setdefault(lamp.place[0], []).append(lamp)
    more = []
    for row in rows.values():
        row.sort(key=lambda lamp: lamp.place[2])
        step = row[1].place[2] - row[0].place[2] if len(row) > 1 else 25.0
        s, y, z = row[0].place
        more.append(row[0]._replace(place=(s, y, z - step), glare=(0.0, 0.0, 0.0)))
    return more


def _car_lamps(thing: Thing) -> list[Lamp]:
    """Both headlights as one beam, the two rear lights as one red pool; the glare of those that face the camera."""
    forward = np.array([np.sin(thing.heading), 0.0, np.cos(thing.heading)])
    nose = np.array([thing.s, 0.65, thing.z]) + forward * (thing.length / 2 + 0.1)
    tail = np.array([thing.s, 0.75, thing.z]) - forward * (thing.length / 2 + 0.1)
    met = float(np.clip(-forward[2], 0, 1))
    apart = thing.width * 0.72 * abs(float(forward[2]))
    return [
        Lamp(tuple(nose), _times(HEAD, 1.0), _times(HEAD, 22 * met**2), "low", thing.heading, apart),
        Lamp(tuple(tail), _times(TAIL, 0.5), _times(TAIL, 2.5 * float(np.clip(forward[2], 0, 1))), "back", 0.0, apart),
    ]


def driving(scene: Scene, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which things are cars with their lamps lit: of those on the road, not parked beside it, a share."""
    luck = rng.random(len(scene.things))
    road = scene.road
    kerb = road.half - road.parking - 0.2 if road.parking else np.inf
    return np.array([
        thing.kind == "car" and abs(thing.s) < kerb and lucky < share
        for thing, lucky in zip(scene.things, luck, strict=True)
    ], bool)  # fmt: skip


def shining(
    mesh: Mesh, colors_F3: np.ndarray, condition: Condition, lit_owners: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """How bright each face shines by itself, F, in units of its own colour; `colors_F3` of what is lit is changed."""
    glow = np.zeros(len(mesh.stuff_F))
    stuff, lit = mesh.stuff_F, lit_owners[mesh.owner_F] & (mesh.owner_F >= 0)
    glow[stuff == Stuff.SIGNAL] = 3.0 + 9.0 * condition.lamps
    glow[(stuff == Stuff.HEAD) & lit], glow[(stuff == Stuff.TAIL) & lit] = 20.0, 3.0
    if condition.lamps:
        bulb = stuff == Stuff.LAMP
        glow[bulb], colors_F3[bulb] = BRIGHTEST * condition.lamps, (255, 226, 178)
    if condition.windows:
        corner = mesh.points_P3[mesh.starts_F]
        # Both halves of a window have the same corner below them, and so the same luck.
        storey = np.floor((corner[:, 1] - KERB) / 3.0)
        seed = corner[:, 0] * 12.9898 + corner[:, 2] * 78.233 + storey * 37.719 + 91.7 * rng.random()
        luck = np.sin(seed) * 43758.5453 % 1
        shop = stuff == Stuff.SHOP
        window = ((stuff == Stuff.GLASS) & (luck < condition.windows)) | (shop & (luck < 2.2 * condition.windows))
        spread = luck * 997 % 1
        colors_F3[window] = 255 * ROOMS[(spread[window] * len(ROOMS) * 0.999).astype(int)] ** (1 / 2.2)
        glow[window] = 0.25 + 0.9 * (spread[window] * 31 % 1) ** 2
        glow[window & shop] += 0.15
    return glow


Points = tuple[np.ndarray, np.ndarray, np.ndarray] | np.ndarray  # x, y and z of N points, each an array


def light_of(found: Sequence[Lamp], view: View, point: Points, normal: Points, wrap: np.ndarray | float) -> np.ndarray:
    """The light that reaches N points (in the camera's axes, near ones first), 3 x N.

    `wrap` softens the side that is turned away, for N points or all.
    """
    x, y, z = point
    by_color: dict[RGB, np.ndarray] = {}
    for lamp in found:
        if max(lamp.light) == 0:
            continue
        (place,) = view.axes(np.array([lamp.place])).astype(np.float32)
        reach = LIT_METRES[lamp.throw]
        near = slice(*np.searchsorted(z, (place[2] - reach, place[2] + reach)).tolist())
        dx, dy, dz = place[0] - x[near], place[1] - y[near], place[2] - z[near]
        square = dx * dx
        square += dy * dy
        square += dz * dz
        square += np.float32(4.0)  # a lamp is no point
        inverse = 1 / np.sqrt(square)
        # A beam is bundled to light a road that it only grazes.
        soft = (wrap[near] if isinstance(wrap, np.ndarray) else np.float32(wrap)) + np.float32(0.6 * lamp.beam)
        strength = normal[0][near] * dx
        strength += normal[1][near] * dy
        strength += normal[2][near] * dz
        strength *= inverse
        strength += soft
        strength /= 1 + soft
        np.maximum(strength, 0, out=strength)
        strength *= _fallen(lamp, square)
        if lamp.throw == "down":
            strength *= np.clip(dy * inverse * np.float32(1.5) - np.float32(0.12), 0, 1)
        elif lamp.beam:
            strength *= _beam(lamp, dx, dy, dz)
        most = max(lamp.light)
        strength *= np.float32(most)
        color = _times(lamp.light, 1 / most)
        by_color.setdefault(color, np.zeros(len(x), np.float32))[near] += strength
    total = np.zeros((3, len(x)), np.float32)
    for color, strength in by_color.items():
        total += np.array(color, np.float32)[:, None] * strength
    return total


def _fallen(lamp: Lamp, square_N: np.ndarray) -> np.ndarray:
    """How much of a lamp's light is left after a distance, from its square; none where it no longer reaches.

    A bulb's light falls with the square; optics send more to the far end of a beam.
    """
    limit = LIT_METRES[lamp.throw] ** 2
    if lamp.beam:
        left = 1 / (1 + np.float32(0.006) * square_N) - np.float32(1 / (1 + 0.006 * limit))
    else:
        left = 1 / square_N - np.float32(1 / limit)
    fallen: np.ndarray = np.maximum(left, 0)
    return fallen


def _beam(lamp: Lamp, dx: np.ndarray, dy: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """A dipped beam, 0 .. 1, the other way of (dx, dy, dz): wide, flat, cut off just below its own height."""
    sin, cos = np.float32(np.sin(lamp.heading)), np.float32(np.cos(lamp.heading))
    ahead = np.maximum(-(dx * sin + dz * cos), np.float32(0.05))
    aside = (dz * sin - dx * cos) / ahead
    rise = -dy / ahead
    # Some of it strays upwards: signs show up.
    upwards = np.clip(0.5 - rise * 26, 0.035, 1) * np.exp(-((rise / 0.32) ** 2))
    beam: np.ndarray = np.exp(-((aside / 0.36) ** 2)) * upwards
    return beam


def glare(found: Sequence[Lamp], view: View, depth_HW: np.ndarray, light_3HW: np.ndarray, haze_metres: float) -> None:
    """Add to the picture the sources that are seen, each a small bright disc, with a halo where there is haze."""
    for lamp in found:
        if max(lamp.glare) == 0 or lamp.place[2] < 1:
            continue
        for offset in (-lamp.width / 2, lamp.width / 2) if lamp.width else (0.0,):
            s, y, z = lamp.place
            uv, depths = view.project(view.axes(np.array([[s + offset, y, z]])))
            (u, v), depth = uv[0].tolist(), float(depths[0])
            column, row = int(u), int(v)
            if not (0 <= u < view.width and 0 <= v < view.height) or depth_HW[row, column] < depth - 1.5:
                continue
            color = np.array(lamp.glare) * np.exp(-depth / haze_metres)
            _disc(light_3HW, u, v, 0.10 * view.camera.focal * view.unit / depth, color)
            if haze_metres < 200:
                halo = 0.06 * view.unit * np.sqrt(depth / (depth + haze_metres))
                _disc(light_3HW, u, v, halo, color * (0.9 / haze_metres))


def _disc(light_3HW: np.ndarray, u: float, v: float, radius: float, color: np.ndarray) -> None:
    """A soft disc; one smaller than a pixel is as much dimmer as it is smaller."""
    shown = max(radius, 0.6)
    reach = int(np.ceil(shown * 2.2)) + 1
    row, column = int(v), int(u)
    top, left = max(row - reach, 0), max(column - reach, 0)
    part = light_3HW[:, top : row + reach + 1, left : column + reach + 1]
    y = np.arange(part.shape[1])[:, None] + top + 0.5 - v
    x = np.arange(part.shape[2])[None] + left + 0.5 - u
    fall = np.exp(-(x * x + y * y) / (shown * shown)) * min((radius / shown) ** 1.2, 1.0)
    part += color[:, None, None] * fall

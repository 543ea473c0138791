"""Cars, vans and buses in faces, in the car's own axes: w to its right, y up, z from tail to nose."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Color, Faces, Frame, Kind, Stuff, box
from tarsia.data._streets.world import Thing

GLASS = (66, 84, 100)
SHINE = (130, 152, 170)
LORRY = 5  # as a variant; below it the PROFILES
TYRE = (34, 34, 38)
LIT = {(208, 32, 34): Stuff.TAIL, (248, 246, 232): Stuff.HEAD}  # lamps by colour

# Side profiles as (z / length, y / height) from the nose's foot over the top to the tail's foot; then the cabin as
# (z of its foot at front and back, z of its roof at front and back, y of its foot), all shares.  Of no maker's car.
Profile = tuple[list[tuple[float, float]], tuple[float, float, float, float, float] | None]
PROFILES: tuple[Profile, ...] = (
    ([(0.49, 0.16), (0.5, 0.4), (0.46, 0.5), (0.25, 0.63), (-0.47, 0.66), (-0.5, 0.5), (-0.49, 0.16)],
     (0.29, -0.47, 0.06, -0.36, 0.6)),
    ([(0.49, 0.16), (0.5, 0.4), (0.47, 0.5), (0.22, 0.62), (-0.3, 0.66), (-0.48, 0.62), (-0.5, 0.5), (-0.49, 0.16)],
     (0.25, -0.4, 0.05, -0.22, 0.62)),
    ([(0.49, 0.18), (0.5, 0.46), (0.47, 0.54), (0.27, 0.6), (-0.48, 0.62), (-0.5, 0.5), (-0.49, 0.18)],
     (0.3, -0.49, 0.13, -0.43, 0.58)),
    ([(0.49, 0.14), (0.5, 0.38), (0.42, 0.5), (0.3, 0.96), (0.24, 1.0), (-0.48, 1.0), (-0.5, 0.9), (-0.5, 0.14)], None),
    ([(0.5, 0.12), (0.5, 0.3), (0.48, 0.96), (0.45, 1.0), (-0.49, 1.0), (-0.5, 0.95), (-0.5, 0.12)], None),
)  # fmt: skip


def add_car(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A car, van or bus at any heading, class car from tyres to roof."""
    if thing.variant == LORRY:
        _add_lorry(faces, thing)
        return
    part = Faces()
    outline, cabin = PROFILES[thing.variant]
    paint, half, height, length = np.array(thing.color), thing.width / 2, thing.height, thing.length
    profile = np.array(outline) * (length, height)
    middle = (0.0, height * 0.4, 0.0)
    under = box(-half * 0.92, half * 0.92, 0.12, 0.4, -length * 0.47, length * 0.47)
    part.add(under, (24, 24, 28), Kind.CAR, gain=0.8)
    tyres = [
        box(min(a, b), max(a, b), 0.0, 0.5, z - 0.27, z + 0.27)
        for a, b in ((half * 0.68, half * 0.97), (-half * 0.68, -half * 0.97))
        for z in (length * 0.3, -length * 0.31)
    ]
    part.add(np.concatenate(tyres), TYRE, Kind.CAR, gain=0.75)
    _add_body(part, profile, half, paint, middle)
    _add_wheels(part, half, length, middle)
    if cabin:
        _add_cabin(part, cabin, thing, paint)
    else:
        _add_panes(part, thing, middle)
    if thing.z < 70:
        _add_ends(part, thing, height * (0.5 if cabin else 0.36), middle)
    faces.take(part, Frame(thing.s, thing.z, thing.heading))


def _add_lorry(faces: Faces, thing: Thing) -> None:
    """A box on wheels behind a cab; `accent` is the cab's colour."""
    part, half, y, end, nose = Faces(), thing.width / 2, thing.height, -thing.length / 2, thing.length / 2
    load, cab = np.array(thing.color), np.array(thing.accent)
    frame = box(-half * 0.9, half * 0.9, 0.35, 1.0, end + 0.3, nose - 0.3)
    part.add(frame, (34, 34, 38), Kind.CAR, gain=0.7)
    body, cabin = (
        box(-half, half, 0.95, y, end, nose - 2.3),
        box(-half * 0.96, half * 0.96, 0.5, y * 0.78, nose - 2.1, nose),
    )
    for solid, paint, z in ((body, load, end / 2), (cabin, cab, nose - 1)):
        # The nearer of the two is drawn last: the cab of one that is met.
        part.add(solid, paint, Kind.CAR, (0.0, 1.5, z), stuff=Stuff.PAINT)
    ribs = np.array([[(w, 0.95, z), (w, 0.95, z + 0.06), (w, y, z + 0.06), (w, y, z)]
                     for w in (-half - 0.01, half + 0.01) for z in np.arange(end + 1.2, nose - 2.6, 1.2)])  # fmt: skip
    part.add(ribs, load * 0.9, Kind.CAR, (0.0, 1.5, 0.0), stuff=Stuff.PAINT)
    door = np.array([[(w, 1.05, end - 0.01), (w + 0.05, 1.05, end - 0.01), (w + 0.05, y - 0.1, end - 0.01),
                      (w, y - 0.1, end - 0.01)] for w in (-half * 0.5, -0.03, half * 0.5)])  # fmt: skip
    part.add(door, load * 0.72, Kind.CAR, (0.0, 1.5, 0.0))
    front, w = nose + 0.01, half * 0.86
    screen = [(-w, 1.65, front), (w, 1.65, front), (w, y * 0.74, front), (-w, y * 0.74, front)]
    sides = [[(v, 1.65, nose - 1.3), (v, 1.65, nose - 0.3), (v, y * 0.72, nose - 0.4), (v, y * 0.72, nose - 1.3)]
             for v in (-half * 0.97 - 0.01, half * 0.97 + 0.01)]  # fmt: skip
    part.add(np.array([screen, *sides]), GLASS, Kind.CAR, (0.0, 1.5, nose - 1), stuff=Stuff.PANE)
    _add_wheels(part, half, thing.length, (0.0, 0.5, 0.0))
    if thing.z < 70:
        _add_ends(part, thing, 0.95, (0.0, 1.0, 0.0))
    faces.take(part, Frame(thing.s, thing.z, thing.heading))


def _add_body(part: Faces, profile: np.ndarray, half: float, paint: np.ndarray, middle: Color) -> None:
    sides = np.empty((2, len(profile), 3))
    sides[0, :, 0], sides[1, :, 0] = -half, half
    sides[:, :, 1], sides[:, :, 2] = profile[:, 1], profile[:, 0]
    part.add(sides, paint, Kind.CAR, middle, stuff=Stuff.PAINT)
    # A lighter band under the windows and a dark sill give the flat side a body.
    low, high = profile[:, 1].min(), profile[:, 1].max()
    z0, z1 = profile[:, 0].min() * 0.985, profile[:, 0].max() * 0.985
    bands = np.empty((4, 4, 3))
    for row, (w, y0, y1) in enumerate(
        (w, *y) for w in (-half - 0.01, half + 0.01) for y in ((low, low + 0.12), (low + 0.4, low + 0.46))
    ):
        bands[row] = [(w, y0, z0), (w, y0, z1), (w, y1, z1), (w, y1, z0)]
    if high < 1.3:
        shade = np.array([[0.5], [1.14], [0.5], [1.14]])
        part.add(bands, np.clip(paint * shade, 0, 245), Kind.CAR, middle, stuff=Stuff.PAINT)
    strips = np.empty((len(profile) - 1, 4, 3))
    strips[:, (0, 3), 0], strips[:, (1, 2), 0] = -half, half
    strips[:, 0, 1:] = strips[:, 1, 1:] = profile[:-1, ::-1]
    strips[:, 2, 1:] = strips[:, 3, 1:] = profile[1:, ::-1]
    part.add(strips, paint, Kind.CAR, middle, stuff=Stuff.PAINT)


def _add_wheels(part: Faces, half: float, length: float, middle: Color) -> None:
    angle = np.arange(12) * np.pi / 6
    for radius, color, out in ((0.4, (26, 26, 30), 0.015), (0.33, TYRE, 0.02), (0.2, (176, 180, 186), 0.03)):
        wheels = np.empty((4, 12, 3))
        wheels[:2, :, 0], wheels[2:, :, 0] = half + out, -half - out
        wheels[:, :, 1] = 0.33 + radius * np.sin(angle)
        wheels[(0, 2), :, 2] = length * 0.3 + radius * np.cos(angle)
        wheels[(1, 3), :, 2] = -length * 0.31 + radius * np.cos(angle)
        part.add(wheels, color, Kind.CAR, middle)


def _add_cabin(part: Faces, cabin: tuple[float, ...], thing: Thing, paint: np.ndarray) -> None:
    front, back, roof_front, roof_back = (share * thing.length for share in cabin[:4])
    y0, y1, half, top = cabin[4] * thing.height, thing.height, thing.width * 0.485, thing.width * 0.385
    foot = [(-half, y0, back), (half, y0, back), (half, y0, front), (-half, y0, front)]
    roof = [(-top, y1, roof_back), (top, y1, roof_back), (top, y1, roof_front), (-top, y1, roof_front)]
    inside = (0.0, (y0 + y1) / 2, (front + back) / 2)
    walls = np.array([[foot[i], foot[(i + 1) % 4], roof[(i + 1) % 4], roof[i]] for i in range(4)])
    part.add(walls, paint, Kind.CAR, inside, stuff=Stuff.PAINT)
    # Glass is each wall drawn in towards its middle.
    centre = walls.mean(axis=1, keepdims=True)
    glass = centre + (walls - centre) * (0.86, 0.8, 0.86)
    _add_glass(part, glass, inside)
    post = (roof_front + roof_back) / 2
    posts = np.array([[(w, y0, post - 0.06), (w, y0, post + 0.06), (t, y1, post + 0.04), (t, y1, post - 0.06)]
                      for w, t in ((-half, -top), (half, top))])  # fmt: skip
    part.add(posts, paint * 0.9, Kind.CAR, inside, stuff=Stuff.PAINT)
    part.add(np.array([roof]), np.clip(paint * 1.05, 0, 245), Kind.CAR, inside, stuff=Stuff.PAINT)


def _add_panes(part: Faces, thing: Thing, middle: Color) -> None:
    half, y, length, bus = thing.width / 2 + 0.015, thing.height, thing.length, thing.variant == 4
    spans = [(x, x + 0.1) for x in np.arange(-0.48, 0.4, 0.12)] if bus else [(0.17, 0.32)]
    y0, y1, lean = (0.48 * y, 0.84 * y, 0.0) if bus else (0.55 * y, 0.88 * y, 0.05)
    panes = [
        [(w, y0, a * length), (w, y0, b * length), (w, y1, (b - lean) * length), (w, y1, a * length)]
        for w in (-half, half)
        for a, b in spans
    ]
    tail = -length / 2 - 0.01
    for w in (-half * 0.86, half * 0.06):
        right = w + half * 0.8
        panes.append([(w, 0.55 * y, tail), (right, 0.55 * y, tail), (right, 0.86 * y, tail), (w, 0.86 * y, tail)])
    (z0, h0), (z1, h1) = ((0.5, 0.36), (0.482, 0.92)) if bus else ((0.41, 0.55), (0.312, 0.93))
    z0, z1 = z0 * length + 0.02, z1 * length + 0.02
    w, v = half * 0.9, half * 0.82
    panes.append([(-w, h0 * y, z0), (w, h0 * y, z0), (v, h1 * y, z1), (-v, h1 * y, z1)])
    _add_glass(part, np.array(panes), middle)


def _add_glass(part: Faces, glass_M43: np.ndarray, middle: Color) -> None:
    """Panes whose lower half mirrors the street, the upper the sky."""
    part.add(glass_M43, GLASS, Kind.CAR, middle, stuff=Stuff.PANE)
    upper = glass_M43.copy()
    upper[:, :2] += 0.5 * (glass_M43[:, (3, 2)] - glass_M43[:, :2])
    part.add(upper, SHINE, Kind.CAR, middle, stuff=Stuff.PANE)


def _add_ends(part: Faces, thing: Thing, y: float, middle: Color) -> None:
    half, lamp = thing.width / 2, thing.width * 0.19
    tail, nose = -thing.length / 2 - 0.02, thing.length / 2 + 0.02
    left, right = (-half * 0.97, -half + lamp), (half - lamp, half * 0.97)
    (red, white), dark = LIT, (40, 42, 48)
    bumper, low = (58, 60, 66), y - 0.2
    plates = [
        (tail, -half, half, 0.22, 0.38, bumper), (nose, -half, half, 0.22, 0.38, bumper),
        (nose, -half * 0.52, half * 0.52, low, y - 0.04, dark),
        (tail, *left, y - 0.12, y + 0.1, red), (tail, *right, y - 0.12, y + 0.1, red),
        (nose, *left, low, y, white), (nose, *right, low, y, white),
        (tail, -0.27, 0.27, y - 0.18, y - 0.06, (236, 214, 96)), (nose, -0.27, 0.27, 0.26, 0.37, (240, 240, 236)),
    ]  # fmt: skip
    quads = np.array([[(a, c, z), (b, c, z), (b, d, z), (a, d, z)] for z, a, b, c, d, _ in plates])
    stuff = np.array([LIT.get(plate[-1], Stuff.PLAIN) for plate in plates])
    part.add(quads, np.array([plate[-1] for plate in plates], np.float64), Kind.CAR, middle, stuff=stuff)

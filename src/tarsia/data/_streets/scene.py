"""The layout of a street: what stands where, at random but never by the picture's size, light or weather."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tarsia.data._streets.world import FAR, RGB, Camera, Road, Scene, Side, Thing

FACADES = [
    (176, 106, 84), (196, 142, 108), (222, 200, 164), (232, 222, 204), (188, 182, 174), (208, 176, 132),
    (164, 92, 76), (214, 186, 176), (190, 196, 196), (226, 210, 150), (150, 118, 100), (204, 154, 136),
]  # fmt: skip
ROOFS = [(150, 84, 66), (104, 88, 84), (92, 96, 106), (168, 104, 78), (124, 110, 100)]
CAR_PAINT = [
    (196, 40, 44), (238, 238, 236), (40, 42, 48), (146, 152, 160), (44, 84, 152), (96, 106, 116),
    (226, 180, 62), (52, 110, 92), (204, 208, 212), (116, 34, 46), (108, 150, 190), (224, 116, 50),
]  # fmt: skip
CLOTHES = [
    (196, 54, 58), (46, 66, 120), (232, 200, 80), (60, 62, 70), (232, 232, 228), (70, 130, 110),
    (150, 90, 150), (224, 128, 70), (96, 140, 190), (120, 100, 84),
]  # fmt: skip
LEAVES = [(96, 138, 58), (78, 124, 56), (116, 148, 64), (72, 112, 66), (132, 150, 62)]
BACKDROP = ("building", "tree", "hedge", "bridge")  # stands as far as the street goes
FENCES = [(150, 112, 78), (92, 98, 104), (226, 222, 212), (60, 78, 70)]


def compose(rng: np.random.Generator, reach: float) -> Scene:
    """A random street; the same generator state gives the same street, its small things up to `reach` metres ahead."""
    far = min(reach, FAR)
    lane = rng.uniform(2.8, 3.4)
    parking = 2.1 if rng.random() < 0.5 else 0.0
    keep = 1 if rng.random() < 0.5 else -1
    crossing = str(rng.choice(["junction", "zebra", "none"], p=[0.5, 0.32, 0.18]))
    road = Road(
        half=lane + parking + rng.uniform(0.2, 0.7),
        parking=parking,
        tint=rng.uniform(0.86, 1.12),
        edges=rng.random() < 0.7,
        dash=rng.uniform(2.0, 4.0),
        crossing=crossing,
        crossing_z=rng.uniform(11, min(34, far)),
        crossing_length=rng.uniform(7, 10) if crossing == "junction" else rng.uniform(2.6, 3.6),
    )
    camera = Camera(
        height=rng.uniform(1.35, 2.2),
        focal=rng.uniform(0.88, 1.15),
        horizon=rng.uniform(0.42, 0.53),
        lateral=keep * lane * 0.5 + rng.uniform(-0.4, 0.4),
        yaw=rng.uniform(-0.05, 0.05),
        curve=rng.choice([-1, 1]) * rng.uniform(0, 0.0022),
    )
    suburb = rng.random() < 0.4
    left, right = (make_side(rng, sign, suburb) for sign in (-1, 1))
    sun = make_sun(rng)
    things: list[Thing] = []
    for side in (left, right):
        things += _buildings(rng, road, side, suburb)
        things += _greenery(rng, road, side, suburb)
        things += kerbside(rng, road, side, keep, far)
        things += walkers(rng, road, side, far)
    things += _traffic(rng, road, lane, keep, far)
    things += at_crossing(rng, road, keep)
    return Scene(camera, road, left, right, sun, rng.uniform(0.25, 0.6), arranged(things, camera, far))


def make_sun(rng: np.random.Generator) -> tuple[float, float, float]:
    """The direction to the sun by day, high up."""
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
    return np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)


def arranged(things: list[Thing], camera: Camera, far: float) -> tuple[Thing, ...]:
    """What stands within `far` metres, and what closes the view, in drawing order."""
    near = (thing for thing in things if thing.kind in BACKDROP or thing.z <= far)
    return tuple(sorted(near, key=lambda thing: -drawing_order(thing, camera)))


def drawing_order(thing: Thing, camera: Camera) -> float:
    """How far away a thing counts as: those of greater numbers are drawn before."""
    # Things further from the camera's own lane lie behind those nearer to it at the same z: a parked car hides the
    # pavement beside it.  What has the street's life in front of it (facades, fences) counts from its far end, what
    # has it behind (railings at the kerb, cars, riders) from its near end.
    shift = 0.0
    if thing.kind in ("building", "fence", "hedge"):
        shift = thing.length
    elif thing.kind == "rider":
        shift = -1.3
    elif thing.kind == "car":
        shift = -0.5 * thing.length * abs(float(np.cos(thing.heading)))
    return thing.z + shift + abs(thing.s - camera.lateral)


def pick(rng: np.random.Generator, colors: list[tuple[int, int, int]], jitter: float = 10) -> RGB:
    """One of `colors`, a little lighter or darker."""
    base = colors[int(rng.integers(len(colors)))]
    shift = rng.uniform(-jitter, jitter)
    red, green, blue = (min(max(value + shift, 8.0), 245.0) for value in base)
    return red, green, blue


def make_side(rng: np.random.Generator, sign: int, suburb: bool) -> Side:
    """A side of a street; in a suburb its houses stand back."""
    tint = float(rng.uniform(150, 190))
    return Side(
        sign=sign,
        pavement=rng.uniform(2.4, 5.0),
        setback=rng.uniform(2.5, 6) if suburb else rng.uniform(0, 0.6),
        green=suburb or rng.random() < 0.25,
        tint=(tint + 6, tint, tint - float(rng.uniform(2, 14))),
    )


def blocked(road: Road, z0: float, z1: float, margin: float) -> bool:
    """Whether [z0, z1] runs into the side street of a junction."""
    end = road.crossing_z + road.crossing_length
    return road.crossing == "junction" and z1 > road.crossing_z - margin and z0 < end + margin


def _buildings(rng: np.random.Generator, road: Road, side: Side, suburb: bool) -> list[Thing]:
    things, z = [], 0.7
    line = road.half + side.pavement + side.setback
    while z < 170:
        length = rng.uniform(8, 13) if suburb else rng.uniform(9, 20)
        length *= 1.6 if z > 80 else 1.0
        if blocked(road, z, z + length, 2.5):
            start = road.crossing_z - 2.5
            if start - z > 5:
                length = start - z
            else:
                z = road.crossing_z + road.crossing_length + rng.uniform(2.5, 4)
        floors = int(rng.integers(1, 3)) if suburb else int(rng.integers(2, 7))
        color, roof = pick(rng, FACADES), pick(rng, ROOFS)
        variant = 2 if suburb or (floors < 4 and rng.random() < 0.5) else int(rng.random() < 0.6)
        depth = rng.uniform(9, 14)
        height = 3.0 * floors + 0.8
        setback = line + rng.uniform(0, 0.5 if suburb else 0.15)
        things.append(Thing("building", side.sign * setback, z, depth, height, length, color, roof, variant=variant))
        z += length
        if rng.random() < (0.85 if suburb else 0.22):
            gap = rng.uniform(3, 6) if suburb else rng.uniform(5, 12)
            for _ in range(int(gap / 3)):
                s = side.sign * (line + rng.uniform(2, 8))
                things.append(make_tree(rng, s, z + rng.uniform(0, gap), rng.uniform(5, 9)))
            z += gap
    return things


def make_tree(rng: np.random.Generator, s: float, z: float, height: float) -> Thing:
    """A tree, of seven a conifer."""
    width, variant = height * rng.uniform(0.45, 0.72), int(rng.random() < 0.15)
    return Thing("tree", s, z, width, height, 0.3, pick(rng, LEAVES, 14), (96, 74, 58), variant=variant)


def _greenery(rng: np.random.Generator, road: Road, side: Side, suburb: bool) -> list[Thing]:
    things = []
    if rng.random() < 0.75:
        spacing, s = rng.uniform(9, 18), side.sign * (road.half + rng.uniform(0.7, 1.0))
        for z in np.arange(rng.uniform(6, 16), 130, spacing):
            if rng.random() < 0.8 and not blocked(road, z, z, 2.5):
                things.append(make_tree(rng, s, z + rng.uniform(-1, 1), rng.uniform(4.2, 7.5)))
    kind = rng.choice(["fence", "hedge", "both"], p=[0.45, 0.25, 0.3]) if suburb or rng.random() < 0.45 else ""
    if not kind:
        return things
    railing = not suburb and rng.random() < 0.5
    color, style, height = pick(rng, FENCES), int(rng.integers(0, 3)), rng.uniform(0.8, 1.5)
    if railing:
        s = side.sign * (road.half + 0.25)
        for z in np.arange(rng.uniform(2, 5), rng.uniform(25, 60), 2.0):
            if not blocked(road, z, z + 2, 1.5):
                things.append(Thing("railing", s, z, 0.06, min(height, 1.1), 2.0, color, variant=1 + style % 2))
        return things
    s = side.sign * (road.half + side.pavement - 0.05)
    for z in np.arange(rng.uniform(2, 5), 110.0, 4.0):
        if blocked(road, z, z + 4, 1.5) or rng.random() < 0.15:
            continue
        piece = kind if kind != "both" else str(rng.choice(["fence", "hedge"]))
        if piece == "fence":
            things.append(Thing("fence", s, z, 0.06, height, 4.0, color, variant=style))
        else:
            leaves = pick(rng, LEAVES)
            things.append(Thing("hedge", s + side.sign * 0.5, z, 0.8, rng.uniform(0.9, 1.5), 4.0, leaves))
    return things


def kerbside(rng: np.random.Generator, road: Road, side: Side, keep: int, far: float) -> list[Thing]:
    """Lamps, signs and bollards along one kerb."""
    things, s = [], side.sign * (road.half + 0.45)
    grey = pick(rng, [(96, 104, 106), (70, 84, 80), (140, 140, 136)])
    if side.sign == keep or rng.random() < 0.5:
        height, arm = rng.uniform(5.5, 8), int(rng.random() < 0.75)
        for z in np.arange(rng.uniform(8, min(18, far)), 150, rng.uniform(20, 30)):
            things.append(Thing("lamp", s, z, 0.13, height, 1.6, grey, variant=arm))
    for z in rng.uniform(6, min(60, far), size=int(rng.integers(1, 4))):
        if not blocked(road, z, z, 0.5):
            turn = rng.uniform(-0.25, 0.25)
            style, plate, pole = int(rng.integers(0, 7)), rng.uniform(0.55, 0.85), rng.uniform(2.1, 2.7)
            things.append(Thing("sign", s, float(z), plate, pole, 0.07, grey, heading=turn, variant=style))
    if rng.random() < 0.3:
        start = rng.uniform(5, 25)
        for z in np.arange(start, start + rng.uniform(6, 16), 2.0):
            if not blocked(road, z, z, 0.5):
                things.append(Thing("bollard", s - side.sign * 0.1, z, 0.13, 0.95, 0.13, (58, 60, 64)))
    return things


def walkers(rng: np.random.Generator, road: Road, side: Side, far: float) -> list[Thing]:
    """People on one pavement."""
    things = []
    for _ in range(int(rng.integers(1, 7))):
        s = side.sign * (road.half + rng.uniform(1.0, side.pavement - 0.4))
        things.append(
            make_person(rng, s, float(5 + (min(60, far) - 5) * rng.random() ** 1.3), rng.choice([0.0, np.pi]))
        )
    return things


def make_person(rng: np.random.Generator, s: float, z: float, heading: float) -> Thing:
    height = rng.uniform(1.55, 1.88) if rng.random() < 0.88 else rng.uniform(1.05, 1.4)
    heading += rng.uniform(-0.5, 0.5)
    top, legs = pick(rng, CLOTHES), pick(rng, [(52, 60, 92), (58, 54, 56), (120, 110, 96), (38, 40, 48)])
    return Thing("person", s, z, 0.5, height, 0.3, top, legs, heading, int(rng.integers(0, 1000)))


def make_car(rng: np.random.Generator, s: float, z: float, heading: float) -> Thing:
    """A car of any make, a van or a bus."""
    kind = int(rng.choice(5, p=[0.34, 0.28, 0.2, 0.12, 0.06]))
    width, height, length = [(1.75, 1.45, 4.0), (1.8, 1.42, 4.6), (1.88, 1.68, 4.5), (1.98, 2.1, 5.2), (2.5, 3.0, 9)][
        kind
    ]
    paint = pick(rng, CAR_PAINT)
    return Thing("car", s, z, width, height * rng.uniform(0.97, 1.04), length, paint, heading=heading, variant=kind)


def _traffic(rng: np.random.Generator, road: Road, lane: float, keep: int, far: float) -> list[Thing]:
    things, end = [], road.crossing_z + road.crossing_length
    for sign in (-1, 1):
        heading = 0.0 if sign == keep else np.pi
        fill = rng.uniform(0.3, 0.85)
        z = rng.uniform(4, 10)
        while road.parking and z < 90:
            clear = road.crossing != "none" and z + 5 > road.crossing_z - 4 and z < end + 6
            if not clear and rng.random() < fill:
                car = make_car(rng, 0.0, z + 2.5, heading if rng.random() < 0.9 else heading + np.pi)
                things.append(replace(car, s=sign * (road.half - car.width / 2 - 0.15)))
                z += max(car.length - 4.5, 0)
            z += rng.uniform(5.2, 6.5)
        z = rng.uniform(9, 30) if sign == keep else rng.uniform(8, 22)
        while z < 110:
            if rng.random() < 0.7 and not (road.crossing != "none" and road.crossing_z - 6 < z < end + 3):
                things.append(make_car(rng, sign * lane * 0.5 + rng.uniform(-0.2, 0.2), z, heading))
            z += rng.uniform(12, 35)
        for z in rng.uniform(7, min(45, far), size=int(rng.integers(1, 3)) if rng.random() < 0.42 else 0):
            s = sign * (road.half - road.parking - rng.uniform(0.3, 0.6))
            near = [t for t in things if t.kind == "car" and abs(t.z - z) < 4 and abs(t.s - s) < 1.8]
            if not near:
                things.append(make_rider(rng, s, float(z), heading))
    return things


def make_rider(rng: np.random.Generator, s: float, z: float, heading: float) -> Thing:
    frame = pick(rng, CAR_PAINT)
    return Thing("rider", s, z, 0.55, 1.7, 1.75, pick(rng, CLOTHES), frame, heading, int(rng.integers(0, 1000)))


def at_crossing(rng: np.random.Generator, road: Road, keep: int) -> list[Thing]:
    """People, cross traffic and lights at the crossing, and often lights further down the street."""
    things: list[Thing] = []
    places = [road.crossing_z - 1.2] if road.crossing != "none" and rng.random() < 0.75 else []
    if rng.random() < 0.6:
        places.append(rng.uniform(48, 90))
    for z in places:
        for sign in (keep, -keep):
            over = int(sign == keep and rng.random() < 0.4)
            if sign == keep or rng.random() < 0.6:
                s = sign * (road.half + 0.5)
                state = int(rng.integers(0, 3)) + 3 * over
                things.append(Thing("lights", s, z, 0.36, 5.6 if over else 3.5, 3.2, (66, 70, 70), variant=state))
    if road.crossing != "none":
        z = road.crossing_z + (1.5 if road.crossing == "zebra" else -1.8)
        for s in rng.uniform(-road.half, road.half, size=int(rng.integers(0, 4))):
            things.append(make_person(rng, float(s), z + rng.uniform(-0.8, 0.8), rng.choice([0.5, -0.5]) * np.pi))
    if road.crossing == "junction":
        for sign in (-1, 1):
            z = road.crossing_z + road.crossing_length * (0.5 + 0.22 * sign * keep)
            if rng.random() < 0.55:
                things.append(make_car(rng, sign * rng.uniform(2, 14), z, sign * np.pi / 2))
            elif rng.random() < 0.3:
                things.append(make_rider(rng, sign * rng.uniform(1, 9), z, sign * np.pi / 2))
    return things

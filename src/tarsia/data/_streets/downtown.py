"""The layout of a dense town: tall houses wall to wall, shops, taxis, crowds, lights at every crossing.

The second of the two places of Song et al. (see conditions.py), which SYNTHIA calls New York.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tarsia.data._streets.scene import (
    FENCES,
    arranged,
    at_crossing,
    blocked,
    kerbside,
    make_car,
    make_person,
    make_rider,
    make_sun,
    make_tree,
    pick,
)
from tarsia.data._streets.world import FAR, Camera, Road, Scene, Side, Thing

BRICKS = [
    (150, 84, 66), (132, 76, 62), (172, 112, 84), (120, 92, 80), (196, 176, 146), (206, 198, 182),
    (164, 152, 140), (108, 82, 76), (184, 140, 108), (92, 88, 90),
]  # fmt: skip
CURTAIN = [(120, 138, 152), (96, 116, 132), (138, 150, 156), (104, 110, 120)]
HOARDINGS = [(70, 110, 150), (170, 150, 120), (90, 130, 100), (190, 186, 176)]
TAXI = (236, 182, 40)


def compose_town(rng: np.random.Generator, reach: float) -> Scene:
    """A random street of a city; the same generator state gives the same one, its small things up to `reach` metres."""
    far = min(reach, FAR)
    count, lane = int(rng.integers(1, 3)), rng.uniform(2.9, 3.3)
    parking = 2.1 if rng.random() < 0.7 else 0.0
    keep = 1 if rng.random() < 0.5 else -1
    crossing = str(rng.choice(["junction", "zebra", "none"], p=[0.62, 0.28, 0.1]))
    middles = [lane * (number + 0.5) for number in range(count)]
    road = Road(
        half=lane * count + parking + rng.uniform(0.3, 0.6),
        parking=parking,
        tint=rng.uniform(0.82, 1.02),
        edges=rng.random() < 0.6,
        dash=rng.uniform(2.0, 3.5),
        crossing=crossing,
        crossing_z=rng.uniform(11, min(32, far)),
        crossing_length=rng.uniform(9, 13) if crossing == "junction" else rng.uniform(3.0, 4.0),
        lanes=tuple(sorted(sign * middle for sign in (-1, 1) for middle in middles)),
    )
    camera = Camera(
        height=rng.uniform(1.4, 2.1),
        focal=rng.uniform(0.85, 1.1),
        horizon=rng.uniform(0.46, 0.57),
        lateral=keep * middles[int(rng.integers(count))] + rng.uniform(-0.3, 0.3),
        yaw=rng.uniform(-0.04, 0.04),
        curve=rng.choice([-1, 1]) * rng.uniform(0, 0.0008),
    )
    left, right = (_pavement(rng, sign) for sign in (-1, 1))
    sun = make_sun(rng)
    things: list[Thing] = []
    for side in (left, right):
        things += _blocks(rng, road, side)
        # Lamps on both sides, whichever way one drives.
        things += kerbside(rng, road, side, side.sign, far)
        things += _street_trees(rng, road, side)
        things += _fences(rng, road, side)
        things += _crowd(rng, road, side, far)
    things += _traffic(rng, road, middles, keep, far)
    things += at_crossing(rng, road, keep)
    return Scene(camera, road, left, right, sun, rng.uniform(0.25, 0.6), arranged(things, camera, far))


def _pavement(rng: np.random.Generator, sign: int) -> Side:
    tint = float(rng.uniform(148, 182))
    return Side(sign, rng.uniform(3.4, 5.6), 0.0, False, (tint + 3, tint, tint - 4))


def _blocks(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    """Houses of 4 to 16 storeys without a gap, but for side streets."""
    things, z, line = [], 0.7, road.half + side.pavement
    while z < 180:
        length = rng.uniform(9, 20) * (1.5 if z > 80 else 1.0)
        if blocked(road, z, z + length, 3.5):
            start = road.crossing_z - 3.5
            if start - z > 5:
                length = start - z
            else:
                z = road.crossing_z + road.crossing_length + 3.5
        modern = rng.random() < 0.22
        storeys = int(rng.integers(8, 17)) if modern else int(rng.integers(4, 10))
        color = pick(rng, CURTAIN if modern else BRICKS)
        trim = pick(rng, BRICKS)
        s, depth = side.sign * (line + rng.uniform(0, 0.12)), rng.uniform(12, 18)
        variant = 4 if modern else 3
        things.append(Thing("building", s, z, depth, 3.0 * storeys + 1.2, length, color, trim, variant=variant))
        z += length
        if z > 60 and rng.random() < 0.2:
            z += rng.uniform(9, 13)
    return things


def _street_trees(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    if rng.random() < 0.45:
        return []
    s = side.sign * (road.half + 0.9)
    places = np.arange(rng.uniform(7, 15), 120, rng.uniform(10, 17))
    return [
        make_tree(rng, s, float(z) + rng.uniform(-1, 1), rng.uniform(4.0, 6.2))
        for z in places
        if rng.random() < 0.75 and not blocked(road, z, z, 3.0)
    ]


def _fences(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    """Railings along the kerb, mostly before a crossing, and hoardings where something is built."""
    things = []
    if rng.random() < 0.55:
        end = road.crossing_z - 4.5 if road.crossing != "none" else rng.uniform(20, 40)
        color, style = pick(rng, FENCES), 1 + int(rng.integers(2))
        for z in np.arange(max(end - rng.uniform(8, 20), 3.0), end, 2.0):
            things.append(
                Thing("railing", side.sign * (road.half + 0.25), float(z), 0.06, 1.05, 2.0, color, variant=style)
            )
    if rng.random() < 0.25:
        start, color = rng.uniform(8, 50), pick(rng, HOARDINGS)
        for z in np.arange(start, start + rng.uniform(8, 18), 4.0):
            if not blocked(road, z, z + 4, 3.5):
                s = side.sign * (road.half + side.pavement - 0.3)
                things.append(Thing("fence", s, float(z), 0.06, 2.0, 4.0, color, variant=0))
    return things


def _crowd(rng: np.random.Generator, road: Road, side: Side, far: float) -> list[Thing]:
    things = []
    for _ in range(int(rng.integers(5, 15))):
        s = side.sign * (road.half + rng.uniform(0.9, side.pavement - 0.4))
        z = 5 + (min(70, far) - 5) * rng.random() ** 1.3
        things.append(make_person(rng, s, float(z), rng.choice([0.0, np.pi])))
    return things


def _traffic(rng: np.random.Generator, road: Road, middles: list[float], keep: int, far: float) -> list[Thing]:
    things: list[Thing] = []
    end = road.crossing_z + road.crossing_length
    for sign in (-1, 1):
        heading = 0.0 if sign == keep else np.pi
        fill, z = rng.uniform(0.5, 0.95), rng.uniform(4, 9)
        while road.parking and z < 100:
            clear = road.crossing != "none" and z + 5 > road.crossing_z - 4 and z < end + 6
            if not clear and rng.random() < fill:
                car = _car(rng, 0.0, z + 2.5, heading)
                things.append(replace(car, s=sign * (road.half - car.width / 2 - 0.15)))
                z += max(car.length - 4.5, 0)
            z += rng.uniform(5.2, 6.2)
        for middle in middles:
            z = rng.uniform(10, 26) if sign == keep else rng.uniform(7, 20)
            while z < 120:
                free = road.crossing == "none" or not road.crossing_z - 6 < z < end + 3
                if free and rng.random() < 0.75:
                    things.append(_car(rng, sign * middle + rng.uniform(-0.2, 0.2), z, heading))
                z += rng.uniform(9, 24)
        if rng.random() < 0.5:
            s, z = sign * (road.half - road.parking - 0.35), rng.uniform(7, min(40, far))
            if not any(abs(thing.z - z) < 4 and abs(thing.s - s) < 1.8 for thing in things):
                things.append(make_rider(rng, s, z, heading))
    return things


def _car(rng: np.random.Generator, s: float, z: float, heading: float) -> Thing:
    """A car, one in four a taxi."""
    car = make_car(rng, s, z, heading)
    return replace(car, color=TAXI) if car.variant < 3 and rng.random() < 0.25 else car

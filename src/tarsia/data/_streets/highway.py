"""The layout of a highway: several lanes each way, guard rails, gantries, woods, hardly a house.

The first of the two places of Song et al. (see conditions.py), named after SYNTHIA's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tarsia.data._streets.scene import (
    FACADES,
    ROOFS,
    arranged,
    make_car,
    make_person,
    make_rider,
    make_sun,
    make_tree,
    pick,
)
from tarsia.data._streets.world import FAR, Camera, Road, Scene, Side, Thing

LANE = 3.6
STEEL = (168, 174, 178)
LORRY_PAINT = [(236, 236, 232), (210, 60, 50), (52, 96, 160), (226, 190, 80), (70, 120, 96), (150, 156, 162)]


def compose_highway(rng: np.random.Generator, reach: float) -> Scene:
    """A random highway; the same generator state gives the same one, its small things up to `reach` metres ahead."""
    far = min(reach, FAR)
    count, keep = int(rng.integers(2, 4)), 1 if rng.random() < 0.5 else -1
    grassy = rng.random() < 0.6
    median = rng.uniform(2.4, 4.5) if grassy else rng.uniform(0.9, 1.4)
    middles = [median / 2 + 0.5 + LANE * (lane + 0.5) for lane in range(count)]
    road = Road(
        half=middles[-1] + LANE / 2 + rng.uniform(1.6, 3.0),
        parking=0.0,
        tint=rng.uniform(0.9, 1.1),
        edges=True,
        dash=rng.uniform(3.0, 5.0),
        crossing="none",
        crossing_z=30.0,
        crossing_length=3.0,
        lanes=tuple(sorted(sign * middle for sign in (-1, 1) for middle in middles)),
        median=median,
        grassy=grassy,
    )
    camera = Camera(
        height=rng.uniform(1.4, 2.4),
        focal=rng.uniform(0.88, 1.15),
        horizon=rng.uniform(0.40, 0.50),
        lateral=keep * middles[int(rng.integers(count))] + rng.uniform(-0.3, 0.3),
        yaw=rng.uniform(-0.03, 0.03),
        curve=rng.choice([-1, 1]) * rng.uniform(0, 0.0016),
    )
    left, right = (_verge(rng, sign) for sign in (-1, 1))
    sun = make_sun(rng)
    things: list[Thing] = []
    for side in (left, right):
        things += _rails(rng, side.sign * (road.half + 0.35), 150)
        things += _woods(rng, road, side)
        things += _roadside(rng, road, side, keep, far)
    for s in (-0.5 * median + 0.3, 0.5 * median - 0.3) if grassy else (0.0,):
        things += _rails(rng, s, 110) if grassy else _wall(s)
    things += _vehicles(rng, middles, keep, camera)
    things += _structures(rng, road, keep)
    return Scene(camera, road, left, right, sun, rng.uniform(0.25, 0.6), arranged(things, camera, far))


def _verge(rng: np.random.Generator, sign: int) -> Side:
    tint = float(rng.uniform(140, 172))
    return Side(sign, rng.uniform(0.9, 2.2), 0.0, True, (tint + 4, tint, tint - 6))


def _rails(rng: np.random.Generator, s: float, end: float) -> list[Thing]:
    """A guard rail in pieces of four metres."""
    tone = pick(rng, [STEEL])
    return [Thing("guard", s, float(z), 0.12, 0.78, 4.0, tone) for z in np.arange(1.0, end, 4.0)]


def _wall(s: float) -> list[Thing]:
    """A concrete barrier between the ways."""
    return [Thing("barrier", s, float(z), 0.5, 0.85, 6.0, (176, 174, 168)) for z in np.arange(1.0, 110, 6.0)]


def _woods(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    """Trees, single and in clumps, and now and then a house behind them."""
    things, edge = [], road.half + side.pavement
    z, dense = rng.uniform(4, 14), rng.uniform(0.35, 1.0)
    while z < 150:
        for _ in range(int(rng.integers(1, 4))):
            s = side.sign * (edge + 2.5 + rng.uniform(0, 1) ** 1.5 * 16)
            things.append(make_tree(rng, s, z + rng.uniform(-3, 3), rng.uniform(5, 11)))
        z += rng.uniform(6, 15) / dense * (1.0 if z < 60 else 1.6)
    for _ in range(int(rng.integers(1, 4))):
        s, z = side.sign * (edge + rng.uniform(16, 40)), rng.uniform(30, 150)
        height, length = 3.0 * int(rng.integers(1, 4)) + 0.8, rng.uniform(10, 20)
        variant = 2 if height < 8 else int(rng.random() < 0.6)
        house = Thing("building", s, z, rng.uniform(9, 13), height, length, pick(rng, FACADES), pick(rng, ROOFS))
        things.append(replace(house, variant=variant))
    return things


def _roadside(rng: np.random.Generator, road: Road, side: Side, keep: int, far: float) -> list[Thing]:
    """Lamps, signs, posts that mark the edge, and now and then somebody on the path behind the rail."""
    things, s = [], side.sign * (road.half + 0.7)
    grey = pick(rng, [(96, 104, 106), (140, 140, 136), (112, 116, 120)])
    if rng.random() < 0.8:
        height, arm = rng.uniform(8, 10.5), rng.uniform(2.2, 3.0)
        for z in np.arange(rng.uniform(8, min(20, far)), 160, rng.uniform(28, 40)):
            things.append(Thing("lamp", s, float(z), 0.17, height, arm, grey, variant=1))
    for z in rng.uniform(
        8, min(80, far), size=int(rng.integers(1, 4)) if side.sign == keep else int(rng.random() < 0.4)
    ):
        style, plate, turn = int(rng.integers(0, 7)), rng.uniform(0.8, 1.2), rng.uniform(-0.15, 0.15)
        things.append(Thing("sign", s, float(z), plate, rng.uniform(2.2, 2.8), 0.09, grey, heading=turn, variant=style))
    for z in np.arange(rng.uniform(3, 14), 100, 25.0):
        things.append(Thing("bollard", s - side.sign * 0.1, float(z), 0.13, 1.05, 0.13, (226, 226, 220)))
    path = side.sign * (road.half + max(side.pavement - 0.35, 0.7))
    if rng.random() < 0.6:
        for z in rng.uniform(7, min(40, far), size=int(rng.integers(1, 4))):
            things.append(make_person(rng, path, float(z), rng.choice([0.0, np.pi])))
    if rng.random() < 0.35:
        things.append(make_rider(rng, path, rng.uniform(7, min(40, far)), rng.choice([0.0, np.pi])))
    return things


def _vehicles(rng: np.random.Generator, middles: list[float], keep: int, camera: Camera) -> list[Thing]:
    things = []
    for sign in (-1, 1):
        heading = 0.0 if sign == keep else np.pi
        for number, middle in enumerate(middles):
            own = sign == keep and abs(middle - abs(camera.lateral)) < LANE / 2
            z = rng.uniform(12, 32) if own else rng.uniform(5, 22)
            slow = number == len(middles) - 1
            while z < 140:
                s = sign * middle + rng.uniform(-0.35, 0.35)
                vehicle = _lorry(rng, s, z + 4, heading) if rng.random() < 0.32 * slow else make_car(rng, s, z, heading)
                if rng.random() < 0.85:
                    things.append(vehicle)
                z += vehicle.length + rng.uniform(5, 24)
    return things


def _lorry(rng: np.random.Generator, s: float, z: float, heading: float) -> Thing:
    length, height = rng.uniform(8.5, 13), rng.uniform(3.4, 4.0)
    cab, load = pick(rng, LORRY_PAINT), pick(rng, LORRY_PAINT)
    return Thing("car", s, z, 2.5, height, length, load, cab, heading=heading, variant=5)


def _structures(rng: np.random.Generator, road: Road, keep: int) -> list[Thing]:
    """A gantry with boards over the own way, or with signals over its lanes; sometimes a bridge over all."""
    things = []
    for z in (rng.uniform(16, 40), rng.uniform(60, 110)):
        if rng.random() < 0.7:
            style = int(rng.choice(3, p=[0.3, 0.25, 0.45]))
            width = road.half + 0.8 - road.median / 2
            height = rng.uniform(5.8, 6.4)
            things.append(
                Thing("gantry", keep * (road.half + 0.8), z, width, height, 0.3, (134, 140, 144), variant=style)
            )
    if rng.random() < 0.3:
        tone = pick(rng, [(176, 172, 164), (156, 154, 150)])
        things.append(Thing("bridge", 0.0, rng.uniform(75, 130), 2 * road.half + 9, 7.4, 8.0, tone))
    return things

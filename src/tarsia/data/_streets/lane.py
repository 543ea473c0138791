"""The layout of a lane in a village: one way wide, and all that stands in it near and large.

The easiest of the places: what a small network can learn in a minute or two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tarsia.data._streets.scene import (
    FACADES,
    FENCES,
    ROOFS,
    arranged,
    make_car,
    make_person,
    make_rider,
    make_sun,
    make_tree,
    pick,
)
from tarsia.data._streets.world import Camera, Road, Scene, Side, Thing

POSTS = [(96, 104, 106), (70, 84, 80), (140, 140, 136)]
END = 10.0  # metres to which anything but houses stands


def compose_lane(rng: np.random.Generator, reach: float) -> Scene:
    """A random lane; the same generator state gives the same one, its small things up to `reach` metres ahead."""
    far = min(reach, END)
    zebra = rng.random() < 0.55
    road = Road(
        half=rng.uniform(1.9, 2.3),
        parking=0.0,
        tint=rng.uniform(0.86, 1.1),
        edges=False,
        dash=rng.uniform(2.0, 3.0),
        crossing="zebra" if zebra else "none",
        crossing_z=rng.uniform(4.5, 6.5),
        crossing_length=rng.uniform(2.6, 3.4),
    )
    camera = Camera(
        height=rng.uniform(1.5, 2.0),
        focal=rng.uniform(0.95, 1.15),
        horizon=rng.uniform(0.42, 0.5),
        lateral=rng.uniform(-0.5, 0.5),
        yaw=rng.uniform(-0.04, 0.04),
        curve=0.0,
    )
    left, right = (_side(rng, sign) for sign in (-1, 1))
    sun = make_sun(rng)
    things: list[Thing] = []
    for side in (left, right):
        things += _houses(rng, road, side)
        things += _garden(rng, road, side)
        things += _posts(rng, road, side, far)
        things += _people(rng, road, side, far)
    things += _traffic(rng, road, far)
    return Scene(camera, road, left, right, sun, rng.uniform(0.25, 0.6), arranged(things, camera, far))


def _side(rng: np.random.Generator, sign: int) -> Side:
    tint = float(rng.uniform(165, 190))
    return Side(sign, rng.uniform(1.6, 2.0), 1.2, False, (tint + 6, tint, tint - 8))


def _houses(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    """Low houses wall to wall."""
    things, z, line = [], 0.7, road.half + side.pavement + side.setback
    while z < 170:
        length = rng.uniform(9, 16) * (2 if z > 40 else 1)
        floors, color, roof = int(rng.integers(2, 4)), pick(rng, FACADES), pick(rng, ROOFS)
        s, depth = side.sign * (line + rng.uniform(0, 0.15)), rng.uniform(9, 14)
        things.append(Thing("building", s, z, depth, 3.0 * floors + 0.8, length, color, roof, variant=2))
        z += length
    return things


def _garden(rng: np.random.Generator, road: Road, side: Side) -> list[Thing]:
    """Before the houses a fence, or a tree or two."""
    line, things = road.half + side.pavement, []
    if rng.random() < 0.6:
        color, height, start = pick(rng, FENCES), rng.uniform(1.2, 1.7), rng.uniform(3, 6)
        for z in np.arange(start, start + rng.uniform(6, 12), 4.0):
            things.append(Thing("fence", side.sign * line, float(z), 0.06, height, 4.0, color, variant=0))
    if rng.random() < 0.7:
        for z in rng.uniform(6, 14, size=int(rng.integers(1, 3))):
            things.append(make_tree(rng, side.sign * (line - 0.5), float(z), rng.uniform(4.0, 6.0)))
    return things


def _posts(rng: np.random.Generator, road: Road, side: Side, far: float) -> list[Thing]:
    """A lamp, a sign and traffic lights at the kerb, each with a stout post."""
    things, s, color = [], side.sign * (road.half + 0.3), pick(rng, POSTS)
    places = rng.permutation(np.linspace(5.5, far - 1, 3)) + rng.uniform(-0.6, 0.6, 3)
    if rng.random() < 0.75:
        arm = int(rng.random() < 0.5)
        things.append(Thing("lamp", s, float(places[0]), 0.22, rng.uniform(4.0, 5.5), 1.0, color, variant=arm))
    if rng.random() < 0.6:
        turn, style = rng.uniform(-0.2, 0.2), int(rng.integers(0, 6))
        plate, pole = rng.uniform(0.8, 1.0), rng.uniform(1.9, 2.3)
        things.append(Thing("sign", s, float(places[1]), plate, pole, 0.16, color, heading=turn, variant=style))
    if rng.random() < 0.55:
        things.append(Thing("lights", s, float(places[2]), 0.55, 3.4, 1.6, color, variant=int(rng.integers(0, 3))))
    return things


def _people(rng: np.random.Generator, road: Road, side: Side, far: float) -> list[Thing]:
    """Who walks on one pavement, a few metres apart."""
    things = []
    for z in rng.choice(np.arange(3.8, far - 3.5, 1.2), size=int(rng.integers(0, 3)), replace=False):
        s = side.sign * (road.half + rng.uniform(0.7, side.pavement - 0.5))
        things.append(make_person(rng, s, float(z), rng.choice([0.0, np.pi])))
    return things


def _traffic(rng: np.random.Generator, road: Road, far: float) -> list[Thing]:
    """A car ahead, somebody on a bicycle, or both; nobody walks in the road, so that a place tells who is who."""
    what = str(rng.choice(["car", "rider", "both"], p=[0.35, 0.35, 0.3]))
    sign = 1 if rng.random() < 0.5 else -1
    heading = float(rng.choice([0.0, np.pi]))
    things = []
    if what != "rider":
        car = make_car(rng, 0.0, float(rng.uniform(7.3, far - 1)), heading)
        things.append(replace(car, s=sign * (road.half - car.width / 2 - 0.2)))
    if what != "car":
        things.append(make_rider(rng, -sign * rng.uniform(0.7, 1.3), float(rng.uniform(3.6, 5.5)), heading))
    return things

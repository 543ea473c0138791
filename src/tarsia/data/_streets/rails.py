"""What lines and spans a highway, in faces: guard rails, barriers, gantries and bridges."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Faces, Kind, Stuff, box, limb, panel
from tarsia.data._streets.posts import LAMPS
from tarsia.data._streets.world import Thing

BOARDS = [(28, 92, 170), (24, 112, 76), (30, 96, 172)]


def add_guard(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of guard rail: posts, and a beam that is folded, so light above and dark below; class fence."""
    origin, along, length, y = (thing.s, thing.z), (0.0, 1.0), thing.length, thing.height
    inside = (thing.s + np.sign(thing.s or 1.0), 0.5, thing.z + length / 2)
    color = np.array(thing.color)
    a = np.array([0.0, 2.0])
    posts = np.stack([a, a + 0.12, np.zeros(2), np.full(2, y - 0.05)], axis=-1)
    beam = np.array([[0, length, y - 0.33, y - 0.17], [0, length, y - 0.17, y]])
    line = np.array([[0, length, y - 0.19, y - 0.15]])
    # Rails in the middle show both faces: as cards they are lit from either side.
    for rects, shade in ((posts, 0.62), (beam[:1], 0.84), (beam[1:], 1.04), (line, 0.6)):
        if abs(thing.s) > 4:
            faces.add(panel(rects, origin, along), color * shade, Kind.FENCE, inside)
        else:
            faces.add(panel(rects, origin, along), color * shade, Kind.FENCE, gain=0.9)


def add_barrier(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A piece of concrete barrier, wide at its foot; class fence."""
    w, t, y, z0, z1 = thing.width / 2, thing.width / 5, thing.height, thing.z, thing.z + thing.length
    inside = (thing.s, y * 0.3, (z0 + z1) / 2)
    for sign in (-1, 1):
        side = [(sign * w, 0, z0), (sign * w, 0, z1), (sign * t, y, z1), (sign * t, y, z0)]
        faces.add(np.array([side]) + (thing.s, 0, 0), thing.color, Kind.FENCE, inside)
    top = [(-t, y, z0), (t, y, z0), (t, y, z1), (-t, y, z1)]
    end = [(-w, 0, z0), (w, 0, z0), (t, y, z0), (-t, y, z0)]
    faces.add(np.array([top, end]) + (thing.s, 0, 0), np.array(thing.color) * 1.06, Kind.FENCE, inside)


def add_gantry(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """Two posts and a beam over one way, class pole, with boards (sign) or signals over the lanes (traffic_light)."""
    sign, y, z, color = float(np.sign(thing.s)), thing.height, thing.z, np.array(thing.color)
    outer, inner = np.array([thing.s, 0.0, z]), np.array([thing.s - sign * thing.width, 0.0, z])
    for foot in (outer, inner):
        faces.add(limb(foot, foot + (0, y + 0.9, 0), 0.30), color, Kind.POLE, gain=0.85)
        faces.add(limb(foot + (0.07, 0, 0), foot + (0.07, y + 0.9, 0), 0.08), color * 1.2, Kind.POLE, gain=0.95)
    for height, thick in ((y, 0.18), (y + 0.9, 0.18)):
        faces.add(limb(outer + (0, height, 0), inner + (0, height, 0), thick), color, Kind.POLE, gain=0.9)
    for k in range(8):
        a, b = ((outer + (inner - outer) * ((k + shift) / 8)) for shift in (0, 1))
        brace = limb(a + (0, y + 0.9 * (k % 2), 0), b + (0, y + 0.9 - 0.9 * (k % 2), 0), 0.09)
        faces.add(brace, color * 0.9, Kind.POLE, gain=0.85)
    lanes = max(round(thing.width / 4.6), 2)
    for lane in range(lanes):
        s = thing.s - sign * thing.width * (0.18 + 0.72 * (lane + 0.5) / lanes)
        if thing.variant == 2:
            _add_signal(faces, s, y - 0.2, z - 0.3, open_lane=(lane + int(thing.z)) % 4 != 0)
        elif lane % 2 == thing.variant or lanes == 2:
            _add_board(faces, s, y + 0.45, z - 0.3, thing.width / lanes * 0.46, BOARDS[int(thing.z) % 3])


def _add_board(faces: Faces, s: float, y: float, z: float, half: float, color: tuple[int, int, int]) -> None:
    edge = np.array([[-half, half, -0.95, 0.95], [-half + 0.08, half - 0.08, -0.87, 0.87]])
    for rect, tone in zip(edge, ((240, 242, 240), color), strict=True):
        faces.add(panel(rect[None] + (0, 0, y, y), (s, z), (1.0, 0.0)), tone, Kind.SIGN, gain=1.0, stuff=Stuff.PLATE)
    text = np.array([
        [-0.78, 0.1, 0.42, 0.58], [-0.78, -0.2, 0.08, 0.24], [-0.78, 0.3, -0.34, -0.18], [0.5, 0.58, -0.6, 0.5],
        [0.4, 0.68, 0.4, 0.52],
    ])  # fmt: skip
    marks = text * (half, half, 1, 1) + (0, 0, y, y)
    faces.add(panel(marks, (s, z - 0.01), (1.0, 0.0)), (240, 242, 240), Kind.SIGN, gain=1.0, stuff=Stuff.PLATE)


def _add_signal(faces: Faces, s: float, y: float, z: float, open_lane: bool) -> None:
    board = np.array([[-0.42, 0.42, y - 0.42, y + 0.42]])
    faces.add(panel(board, (s, z), (1.0, 0.0)), (26, 28, 30), Kind.LIGHTS, gain=0.9)
    color = LAMPS[2] if open_lane else LAMPS[0]
    if open_lane:
        head = [(-0.26, 0.06, 0), (0.0, -0.3, 0), (0.26, 0.06, 0)]
        arrow = np.array([*head, (0.1, 0.06, 0), (0.1, 0.3, 0), (-0.1, 0.3, 0), (-0.1, 0.06, 0)])
        faces.add((arrow + (s, y, z - 0.03))[None], color, Kind.LIGHTS, gain=1.05, stuff=Stuff.SIGNAL)
        return
    for lean in (-0.26, 0.26):
        bar = limb(np.array([s - lean, y - 0.26, z - 0.03]), np.array([s + lean, y + 0.26, z - 0.03]), 0.1)
        faces.add(bar, color, Kind.LIGHTS, gain=1.05, stuff=Stuff.SIGNAL)


def add_bridge(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A road over the road: abutments, deck and parapet; class building."""
    half, y, z0, z1 = thing.width / 2, thing.height, thing.z, thing.z + thing.length
    color = np.array(thing.color)
    for sign in (-1, 1):
        s0, s1 = sorted((sign * half, sign * (half + 60)))
        bank = box(s0, s1, 0, y - 1.0, z0, z1)
        faces.add(bank, color * 0.9, Kind.BUILDING, ((s0 + s1) / 2, y / 2, (z0 + z1) / 2))
    under = np.array([[(-half, y - 1.5, z0), (half, y - 1.5, z0), (half, y - 1.5, z1), (-half, y - 1.5, z1)]])
    faces.add(under, color * 0.4, Kind.BUILDING, gain=0.6)
    deck = box(-half - 60, half + 60, y - 1.5, y, z0, z1)
    faces.add(deck, color, Kind.BUILDING, (0.0, y - 0.7, (z0 + z1) / 2))
    shadow = panel(np.array([[-half - 60, half + 60, y - 1.5, y - 1.15]]), (0.0, z0 - 0.02), (1.0, 0.0))
    faces.add(shadow, color * 0.75, Kind.BUILDING, gain=0.8)

"""What stands at the kerb, in faces: lamp posts, bollards, signs and traffic lights."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Color, Faces, Frame, Kind, Stuff, box, disc, limb
from tarsia.data._streets.world import Thing

LAMPS = [(236, 44, 40), (248, 180, 44), (62, 220, 110)]


def _post(faces: Faces, thing: Thing, height: float, thick: float) -> None:
    points = np.array([[thing.s, 0.0, thing.z], [thing.s, height, thing.z]])
    color = np.array(thing.color)
    faces.add(limb(points[0], points[1], thick, thick * 0.85), color, Kind.POLE, gain=0.82)
    # A lighter line down one side makes the flat card round.
    points[:, 0] += thick * 0.22
    faces.add(limb(points[0], points[1], thick * 0.35), color * 1.25, Kind.POLE, gain=0.95)


def add_lamp(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A lamp post, with an arm over the road or a lantern on top; all of it is pole."""
    _post(faces, thing, thing.height, thing.width)
    _post(faces, thing, 0.9, thing.width * 1.6)
    head, inwards = np.array([thing.s, thing.height, thing.z]), -np.sign(thing.s)
    if thing.variant:
        tip = head + (inwards * thing.length, 0.35, 0)
        faces.add(limb(head, tip, 0.09), thing.color, Kind.POLE, gain=0.85)
        bulb = limb(tip, tip + (inwards * 0.6, 0, 0), 0.16)
        faces.add(bulb, np.array(thing.color) * 1.1, Kind.POLE, gain=0.9, stuff=Stuff.LAMP)
    else:
        faces.add(disc(head + (0, 0.25, 0), 0.24, 8, 1.2), (232, 228, 206), Kind.POLE, gain=1.0, stuff=Stuff.LAMP)
        faces.add(limb(head + (-0.22, 0.5, 0), head + (0.22, 0.5, 0), 0.1), thing.color, Kind.POLE, gain=0.9)


def add_bollard(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A hip-high post at the kerb, class pole."""
    _post(faces, thing, thing.height, thing.width)
    ring = np.array([thing.s, thing.height - 0.14, thing.z])
    faces.add(limb(ring, ring + (0, 0.08, 0), thing.width * 0.9), (230, 228, 220), Kind.POLE, gain=1.0)


def _ring(corners: int, turn: float) -> np.ndarray:
    angle = np.pi / 2 + (np.arange(corners) + turn) * (2 * np.pi / corners)
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)


def _bar(half_width: float, half_height: float) -> np.ndarray:
    w, y = half_width, half_height
    return np.array([(-w, -y, 0.0), (w, -y, 0.0), (w, y, 0.0), (-w, y, 0.0)])


ARROW = [(-2.2, -0.55, 0), (1.8, -0.55, 0), (2.3, 0, 0), (1.8, 0.55, 0), (-2.2, 0.55, 0)]


def _plate(variant: int) -> tuple[np.ndarray, float, np.ndarray, tuple[Color, Color, Color]]:
    """Outline of radius 1, how much of it the face fills, the mark, and colours of rim, face and mark."""
    red, white, dark, blue = (206, 32, 38), (244, 244, 240), (40, 40, 44), (30, 92, 180)
    plates: list[tuple[np.ndarray, float, np.ndarray, tuple[Color, Color, Color]]] = [
        (_ring(16, 0), 0.74, _bar(0.45, 0.12), (red, white, dark)),
        (_ring(3, 0) * 1.2, 0.7, _bar(0.1, 0.3), (red, (246, 240, 220), dark)),
        (_ring(8, 0.5) * 1.05, 0.9, _bar(0.6, 0.18), (white, (204, 30, 36), white)),
        (_ring(16, 0), 0.88, _bar(0.16, 0.5), (white, blue, white)),
        (_ring(4, 0.5) * 1.2, 0.9, _bar(0.3, 0.5), (white, blue, white)),
        (_ring(4, 0) * 1.15, 0.72, _bar(0.1, 0.1), (white, (246, 202, 50), (246, 202, 50))),
        (np.array(ARROW), 0.9, _bar(1.4, 0.14), (white, (28, 112, 78), white)),
    ]
    return plates[variant]


def add_sign(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A plate on a post: prohibition, warning, stop, order, information, priority or direction."""
    radius = thing.width / 2
    ring, fill, mark, colors = _plate(thing.variant)
    _post(faces, thing, thing.height + radius, thing.length)
    frame = Frame(thing.s, thing.z - 0.05, thing.heading, thing.height + radius)
    for outline, color, gain in zip((ring, ring * fill, mark), colors, (0.96, 1.0, 1.0), strict=True):
        faces.add(frame.place(outline * radius)[None], color, Kind.SIGN, gain=gain, stuff=Stuff.PLATE)


def add_lights(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """Traffic lights on a pole, some also on an arm over the road; the pole is pole, the heads are traffic_light."""
    arm, state = thing.variant >= 3, thing.variant % 3
    _post(faces, thing, thing.height, 0.14 if arm else 0.11)
    heads = [(thing.s, 2.5)]
    if arm:
        start = np.array([thing.s, thing.height, thing.z])
        tip = start + (-np.sign(thing.s) * thing.length, 0.15, 0)
        faces.add(limb(start, tip, 0.13, 0.1), thing.color, Kind.POLE, gain=0.85)
        heads.append((float(tip[0]), thing.height - 0.75))
    w, front = thing.width / 2, thing.z - 0.1
    for s, y in heads:
        middle = (s, y + 0.5, thing.z + 0.1)
        board = box(s - w - 0.04, s + w + 0.04, y - 0.04, y + 1.06, front, front + 0.3)
        faces.add(board, (26, 28, 30), Kind.LIGHTS, middle)
        spots = np.concatenate([disc((s, y + 0.84 - 0.32 * row, front - 0.04), 0.135, 10) for row in range(3)])
        lit = np.arange(3) == state
        glow = np.array(LAMPS, np.float64) * np.where(lit, 1.0, 0.28)[:, None]
        faces.add(spots, glow, Kind.LIGHTS, gain=np.where(lit, 1.05, 0.8), stuff=Stuff.SIGNAL)

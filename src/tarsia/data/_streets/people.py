"""People on foot and on bicycles, in faces: cards that face the camera, in the figure's own axes."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.mesh import Color, Faces, Frame, Kind, disc, limbs
from tarsia.data._streets.world import Thing

SKIN = [(226, 180, 150), (150, 104, 78), (198, 148, 114)]
HAIR = [(60, 44, 36), (30, 28, 30), (150, 112, 66), (120, 118, 116)]
HELMETS = [(226, 70, 50), (240, 240, 236), (40, 44, 60)]

# Start, end (w, y, z), thickness at either, which colour, gain.
Limb = tuple[tuple[float, float, float], tuple[float, float, float], float, float, str, float]


def _add_limbs(
    faces: Faces, parts: list[Limb], colors: dict[str, Color], frame: Frame, scale: float, kind: int
) -> None:
    ends = frame.place(np.array([(part[0], part[1]) for part in parts]) * scale)
    thick = np.array([(part[2], part[3]) for part in parts]) * scale
    quads = limbs(ends[:, 0], ends[:, 1], thick[:, 0], thick[:, 1])
    gain = np.array([part[5] for part in parts])
    faces.add(quads, np.array([colors[part[4]] for part in parts], np.float64), kind, gain=gain)


def add_person(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A walking figure: legs, coat, arms, head, hair, sometimes a bag; all shares of its height."""
    frame, h, kind = Frame(thing.s, thing.z, thing.heading), thing.height, Kind.PEDESTRIAN
    step = 0.14 * np.sin(thing.variant)
    parts: list[Limb] = [
        ((-0.05, 0.5, 0), (-0.06, 0.04, step), 0.11, 0.065, "legs", 0.84),
        ((0.05, 0.5, 0), (0.06, 0.04, -step), 0.11, 0.065, "legs", 1.0),
        ((-0.1, 0.02, step + 0.02), (-0.02, 0.02, step), 0.04, 0.04, "shoe", 0.9),
        ((0.02, 0.02, -step + 0.02), (0.1, 0.02, -step), 0.04, 0.04, "shoe", 0.9),
        ((-0.12, 0.8, 0), (-0.15, 0.47, -step), 0.07, 0.05, "top", 0.8),
        ((0, 0.44, 0), (0, 0.66, 0), 0.2, 0.19, "top", 0.92),
        ((0, 0.65, 0), (0, 0.84, 0), 0.19, 0.25, "top", 0.96),
        ((0, 0.84, 0), (0, 0.862, 0), 0.25, 0.12, "top", 0.96),
        ((0.055, 0.45, 0), (0.065, 0.83, 0), 0.08, 0.09, "top", 1.08),
        ((0.12, 0.8, 0), (0.15, 0.47, step), 0.07, 0.05, "top", 0.98),
        ((0, 0.83, 0), (0, 0.92, 0), 0.065, 0.065, "skin", 0.85),
    ]
    if thing.variant % 5 == 0:
        parts.append(((0.15, 0.3, step), (0.15, 0.46, step), 0.13, 0.11, "bag", 1.0))
    colors: dict[str, Color] = {
        "legs": thing.accent, "top": thing.color, "shoe": (44, 40, 40), "skin": SKIN[thing.variant % 3],
        "bag": (124, 72, 50),
    }  # fmt: skip
    _add_limbs(faces, parts, colors, frame, h, kind)
    hands = frame.place(np.array([(-0.15, 0.45, -step), (0.15, 0.45, step), (0, 0.925, 0)]) * h)
    faces.add(np.concatenate([disc(hand, 0.027 * h, 6) for hand in hands[:2]]), colors["skin"], kind, gain=0.98)
    faces.add(disc(hands[2] + (0, 0.012 * h, 0), 0.066 * h, 9, 1.15), HAIR[thing.variant % 4], kind, gain=1.0)
    if abs(thing.heading) > 1.0:
        faces.add(disc(hands[2] - (0, 0.012 * h, 0), 0.056 * h, 9, 1.1), colors["skin"], kind, gain=1.0)


def add_rider(faces: Faces, thing: Thing, rng: np.random.Generator) -> None:
    """A bicycle and its rider at any heading; both are the class bicyclist."""
    frame, kind = Frame(thing.s, thing.z, thing.heading), Kind.BICYCLIST
    angle = np.arange(14) * (np.pi / 7)
    wheels = np.zeros((4, 14, 3))
    for row, (z, radius) in enumerate(((-0.52, 0.34), (-0.52, 0.28), (0.52, 0.34), (0.52, 0.28))):
        wheels[row, :, 1], wheels[row, :, 2] = 0.34 + radius * np.sin(angle), z + radius * np.cos(angle)
    faces.add(frame.place(wheels), np.array([(36, 36, 40), (156, 158, 160)] * 2, np.float64), kind, gain=0.98)
    push = 0.1 if thing.variant % 2 else -0.1
    colors: dict[str, Color] = {
        "tyre": (36, 36, 40), "frame": thing.accent, "legs": (54, 60, 84), "top": thing.color,
        "skin": SKIN[thing.variant % 3],
    }  # fmt: skip
    parts: list[Limb] = [
        ((0, 0.02, -0.52), (0, 0.66, -0.52), 0.06, 0.06, "tyre", 1.0),
        ((0, 0.02, 0.52), (0, 0.66, 0.52), 0.06, 0.06, "tyre", 1.0),
        ((0, 0.34, -0.52), (0, 0.85, -0.2), 0.05, 0.05, "frame", 0.9),
        ((0, 0.34, -0.52), (0, 0.3, 0), 0.05, 0.05, "frame", 0.9),
        ((0, 0.9, -0.22), (0, 0.3, 0), 0.06, 0.06, "frame", 1.0),
        ((0, 0.3, 0), (0, 0.82, 0.38), 0.06, 0.06, "frame", 1.0),
        ((0, 0.8, -0.18), (0, 0.82, 0.38), 0.06, 0.06, "frame", 1.0),
        ((0, 0.34, 0.52), (0, 1.02, 0.36), 0.06, 0.06, "frame", 1.0),
        ((-0.27, 1.02, 0.34), (0.27, 1.02, 0.34), 0.05, 0.05, "tyre", 1.0),
        ((-0.1, 0.92, -0.18), (-0.1, 0.64 + push, 0.14), 0.17, 0.13, "legs", 0.85),
        ((-0.1, 0.64 + push, 0.14), (-0.1, 0.24 + push, 0), 0.13, 0.09, "legs", 0.85),
        ((0.1, 0.92, -0.18), (0.1, 0.64 - push, 0.14), 0.17, 0.13, "legs", 1.0),
        ((0.1, 0.64 - push, 0.14), (0.1, 0.24 - push, 0), 0.13, 0.09, "legs", 1.0),
        ((0, 0.86, -0.22), (0, 1.42, 0.1), 0.3, 0.4, "top", 0.95),
        ((0, 1.42, 0.1), (0, 1.48, 0.12), 0.4, 0.16, "top", 0.95),
        ((0.08, 0.9, -0.2), (0.1, 1.4, 0.1), 0.12, 0.14, "top", 1.08),
        ((-0.2, 1.36, 0.1), (-0.26, 1.04, 0.34), 0.1, 0.07, "top", 0.84),
        ((0.2, 1.36, 0.1), (0.26, 1.04, 0.34), 0.1, 0.07, "top", 0.98),
        ((0, 1.45, 0.12), (0, 1.56, 0.15), 0.1, 0.1, "skin", 0.85),
    ]
    _add_limbs(faces, parts, colors, frame, 1.0, kind)
    head = frame.place(np.array([0, 1.59, 0.16]))
    faces.add(disc(head, 0.105, 8, 1.2), colors["skin"], kind, gain=0.98)
    faces.add(disc(head + (0, 0.06, 0), 0.125, 8, 0.8), HELMETS[thing.variant % 3], kind, gain=1.0)

"""Where the sun reaches: the height up to which the houses' shadow stands over every place of a street."""

from __future__ import annotations

import numpy as np

from tarsia.data._streets.triangles import picked
from tarsia.data._streets.world import Scene

CELL = 0.75  # metres
ACROSS, AHEAD, BEHIND = 128, 256, 16  # cells


def turned(scene: Scene, height: float, turn: float) -> tuple[float, float, float]:
    """The direction to a sun `height` radians high, `turn` radians round from the scene's own."""
    azimuth = float(np.arctan2(scene.sun[0], scene.sun[2])) + turn
    return float(np.cos(height) * np.sin(azimuth)), float(np.sin(height)), float(np.cos(height) * np.cos(azimuth))


class Skyline:
    """The shadow of a street's houses for one sun."""

    def __init__(self, scene: Scene, sun: tuple[float, float, float]) -> None:
        tall = np.zeros((ACROSS, AHEAD), np.float32)
        for thing in scene.things:
            if thing.kind == "building":
                near, far = thing.s, thing.s + np.sign(thing.s) * thing.width
                rows = slice(*(max(round(s / CELL) + ACROSS // 2, 0) for s in sorted((near, far))))
                columns = slice(*(round(z / CELL) + BEHIND for z in (thing.z, thing.z + thing.length)))
                roof = 0.16 * thing.width if thing.variant == 2 else 0.0
                tall[rows, columns] = np.maximum(tall[rows, columns], thing.height + roof)
        across = abs(sun[0]) > abs(sun[2])
        # The sun's way, cell by cell along the axis it is nearer to: a place is as dark as the next one towards the
        # sun, or its house, is high, less what the light falls on the way.
        along, aside = (sun[0], sun[2]) if across else (sun[2], sun[0])
        field = tall if across else tall.T
        if along < 0:
            field = field[::-1]
        fall = CELL * sun[1] / max(abs(along), 1e-3)
        shift = aside / max(abs(along), 1e-3)
        place = np.arange(field.shape[1], dtype=np.float32)
        shadow = np.zeros_like(field)
        for row in range(len(field) - 2, -1, -1):
            above = np.maximum(shadow[row + 1], field[row + 1])
            shadow[row] = np.maximum(np.interp(place + shift, place, above) - fall, 0)
        shadow = shadow[::-1] if along < 0 else shadow
        self._height = np.ascontiguousarray(shadow if across else shadow.T)

    def lit(self, s_N: np.ndarray, y_N: np.ndarray, z_N: np.ndarray) -> np.ndarray:
        """How much of the sun reaches the points, 0 .. 1."""
        row = np.clip(s_N / CELL + ACROSS / 2, 0, ACROSS - 1).astype(np.int32)
        column = np.clip(z_N / CELL + BEHIND, 0, AHEAD - 1).astype(np.int32)
        height = picked(self._height.ravel(), row * AHEAD + column)
        reached: np.ndarray = np.clip((y_N - height) * 1.2 + 0.5, 0, 1)
        return reached

"""The words a street is described in, all in metres.  Nothing here knows pixels, light or weather.

Street coordinates: `s` metres to the right of the road's centre line, `y` metres above the road, `z` metres ahead of
the camera along the road.  The road's bend is applied on projection, so the layout is always a straight street.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAR = 230.0
KERB = 0.12
NEAR = 0.45
RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera behind a windscreen; focal length and horizon in picture heights (of a 4:3 picture)."""

    height: float
    focal: float
    horizon: float
    lateral: float
    yaw: float
    curve: float

    def bend(self, z: np.ndarray) -> np.ndarray:
        """How far right the road's centre line lies at `z` metres ahead, in metres."""
        return self.yaw * z + 0.5 * self.curve * z * z


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the road, from kerb to facades."""

    sign: int
    pavement: float
    setback: float
    green: bool
    tint: RGB


@dataclass(frozen=True, slots=True)
class Road:
    """Half its width, its paint and its crossing: `crossing` is none, zebra or junction, beginning at `crossing_z`.

    `lanes`: the middles of its lanes (metres right of its own), where it has more than one each way; between those of
    one way is a dashed line, between the ways a strip `median` metres wide, of grass or (not `grassy`) paved.
    """

    half: float
    parking: float
    tint: float
    edges: bool
    dash: float
    crossing: str
    crossing_z: float
    crossing_length: float
    lanes: tuple[float, ...] = ()
    median: float = 0.0
    grassy: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: kind, place, heading (0 = faces away from the camera), size, albedo colours, variant."""

    kind: str
    s: float
    z: float
    width: float
    height: float
    length: float
    color: RGB
    accent: RGB = (200.0, 200.0, 200.0)
    heading: float = 0.0
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole street.  `sun` points to the sun; `clouds` is the covered share of the sky."""

    camera: Camera
    road: Road
    left: Side
    right: Side
    sun: tuple[float, float, float]
    clouds: float
    things: tuple[Thing, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The camera on a raster of `height` x `width` samples."""

    camera: Camera
    height: int
    width: int

    @property
    def unit(self) -> float:
        # One "picture height" of a 4:3 picture of the same area: other shapes see more to the sides or above.
        return float(np.sqrt(self.height * self.width * 0.75))

    @property
    def horizon(self) -> float:
        return self.height * 0.5 + (self.camera.horizon - 0.5) * self.unit

    def axes(self, points_P3: np.ndarray) -> np.ndarray:
        """Street coordinates P x 3 to the camera's own: right, up and ahead of it, in metres."""
        turned = points_P3 - (self.camera.lateral, self.camera.height, 0.0)
        turned[:, 0] += self.camera.bend(points_P3[:, 2])
        return turned

    def project(self, points_P3: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points P x 3 in the camera's axes to sample coordinates P x 2 and their depth P."""
        depth = np.maximum(points_P3[:, 2], NEAR)
        scale = self.camera.focal * self.unit / depth
        u = self.width * 0.5 + points_P3[:, 0] * scale
        v = self.horizon - points_P3[:, 1] * scale
        return np.stack([u, v], axis=-1), depth

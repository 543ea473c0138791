"""How a street looks on a clear day, the condition that is drawn unless another is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Light, air and camera of a clear day, as paint.py applies them face by face.

    Colours are RGB of 0 .. 255, lights are gains per channel, `haze_metres` is the distance at which 63 % is haze.
    """

    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloud: tuple[float, float, float]
    ambient: tuple[float, float, float]
    sunlight: tuple[float, float, float]
    shade: tuple[float, float, float]
    haze_metres: float
    grain: float


CLEAR = Look(
    zenith=(84, 142, 212),
    horizon=(206, 226, 240),
    cloud=(252, 250, 246),
    ambient=(0.66, 0.69, 0.74),
    sunlight=(0.46, 0.42, 0.34),
    shade=(0.60, 0.64, 0.72),
    haze_metres=330.0,
    grain=2.2,
)

"""The nine conditions in numbers: the sun, the sky, the air, the season, the lamps and the camera of each.

Song, Zhang & Park, "Semantic segmentation based on Improved Pyramid Scene Parsing Network", 2021, names them, after
SYNTHIA's sequences; the numbers are Tarsia's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tarsia.data._streets.world import RGB


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition makes of any street.  Light and colours are linear RGB: 1 is white under a white sky.

    - the sun stands `sun_height` radians high, `sun_turn` radians from where the scene has it;
    - `zenith` and `horizon` colour the sky, `glow` what is near the sun, `cloud_light` and `cloud_dark` the clouds;
    - `haze_metres` away 63 % is haze, and of haze that lies low, `haze_height` metres up 63 % of it is below;
    - `leaves` names a palette of season.py; `snow`, `litter` (of fallen leaves) and `wet` are shares;
    - `lamps`, `heads` (of cars) and `windows` are shares of what is lit;
    - `grain` is the deviation of the camera's noise, in steps of 255, `flakes` how densely it snows.
    """

    sun_height: float
    sunlight: RGB
    skylight: RGB
    zenith: RGB
    horizon: RGB
    glow: RGB
    cloud_light: RGB
    cloud_dark: RGB
    clouds: float
    haze_metres: float
    exposure: float
    sun_turn: float = 0.0
    haze_height: float = 0.0
    leaves: str = "summer"
    snow: float = 0.0
    litter: float = 0.0
    wet: float = 0.0
    lamps: float = 0.0
    heads: float = 0.0
    windows: float = 0.0
    stars: float = 0.0
    flakes: float = 0.0
    saturation: float = 1.0
    grain: float = 1.5


CONDITIONS: dict[str, Condition] = {
    "dawn": Condition(
        sun_height=0.11, sunlight=(2.2, 1.15, 0.70), skylight=(0.24, 0.31, 0.46),
        zenith=(0.10, 0.19, 0.42), horizon=(0.92, 0.60, 0.50), glow=(1.9, 0.95, 0.50),
        cloud_light=(1.25, 0.58, 0.46), cloud_dark=(0.24, 0.24, 0.36), clouds=0.40,
        haze_metres=150, haze_height=5.0, exposure=0.55, lamps=0.4, heads=0.8, windows=0.14, wet=0.15, grain=2.0,
    ),
    "fall": Condition(
        sun_height=0.50, sunlight=(2.7, 2.05, 1.35), skylight=(0.56, 0.60, 0.68),
        zenith=(0.20, 0.33, 0.58), horizon=(0.86, 0.80, 0.70), glow=(0.8, 0.6, 0.35),
        cloud_light=(1.15, 1.05, 0.95), cloud_dark=(0.46, 0.48, 0.54), clouds=0.62,
        haze_metres=260, exposure=0.52, leaves="fall", litter=1.0, wet=0.35,
    ),
    "fog": Condition(
        sun_height=0.6, sunlight=(0.0, 0.0, 0.0), skylight=(0.92, 0.95, 1.0),
        zenith=(0.86, 0.89, 0.93), horizon=(0.78, 0.81, 0.84), glow=(0.0, 0.0, 0.0),
        cloud_light=(0.9, 0.92, 0.95), cloud_dark=(0.82, 0.84, 0.88), clouds=0.4,
        haze_metres=34, exposure=0.66, wet=0.3, lamps=0.35, heads=1.0, windows=0.1, saturation=0.85, grain=1.6,
    ),
    "night": Condition(
        sun_height=0.7, sunlight=(0.0, 0.0, 0.0), skylight=(0.018, 0.023, 0.042),
        zenith=(0.004, 0.008, 0.024), horizon=(0.085, 0.058, 0.050), glow=(0.012, 0.014, 0.02),
        cloud_light=(0.030, 0.026, 0.032), cloud_dark=(0.012, 0.012, 0.018), clouds=0.25,
        haze_metres=420, exposure=0.9, wet=1.0, lamps=1.0, heads=1.0, windows=0.36, stars=1.0, grain=3.6,
    ),
    "spring": Condition(
        sun_height=0.78, sunlight=(2.5, 2.35, 2.0), skylight=(0.66, 0.78, 0.95),
        zenith=(0.20, 0.42, 0.86), horizon=(0.80, 0.92, 1.05), glow=(0.5, 0.45, 0.3),
        cloud_light=(1.7, 1.7, 1.68), cloud_dark=(0.72, 0.78, 0.88), clouds=0.5,
        haze_metres=380, exposure=0.43, leaves="spring",
    ),
    "summer": Condition(
        sun_height=1.08, sunlight=(3.5, 3.2, 2.6), skylight=(0.52, 0.66, 0.90),
        zenith=(0.07, 0.22, 0.66), horizon=(0.55, 0.76, 1.0), glow=(0.5, 0.45, 0.3),
        cloud_light=(1.7, 1.68, 1.6), cloud_dark=(0.8, 0.84, 0.9), clouds=0.18,
        haze_metres=550, exposure=0.40, leaves="deep",
    ),
    "sunset": Condition(
        sun_height=0.10, sun_turn=3.1416, sunlight=(3.6, 1.55, 0.45), skylight=(0.33, 0.28, 0.30),
        zenith=(0.11, 0.19, 0.40), horizon=(1.30, 0.58, 0.20), glow=(3.4, 1.35, 0.32),
        cloud_light=(1.75, 0.60, 0.25), cloud_dark=(0.22, 0.17, 0.23), clouds=0.42,
        haze_metres=300, exposure=0.66, lamps=0.25, heads=0.6, windows=0.24, wet=0.2, grain=1.8,
    ),
    "winter_night": Condition(
        sun_height=0.7, sunlight=(0.0, 0.0, 0.0), skylight=(0.034, 0.042, 0.066),
        zenith=(0.014, 0.020, 0.042), horizon=(0.085, 0.068, 0.066), glow=(0.0, 0.0, 0.0),
        cloud_light=(0.060, 0.052, 0.055), cloud_dark=(0.026, 0.027, 0.038), clouds=0.7,
        haze_metres=150, exposure=0.78, leaves="bare", snow=1.0, wet=0.3,
        lamps=1.0, heads=1.0, windows=0.42, flakes=1.0, grain=3.4,
    ),
    "winter": Condition(
        sun_height=0.30, sunlight=(1.75, 1.50, 1.20), skylight=(0.66, 0.78, 1.0),
        zenith=(0.27, 0.43, 0.74), horizon=(0.82, 0.87, 0.95), glow=(0.9, 0.75, 0.55),
        cloud_light=(1.15, 1.12, 1.1), cloud_dark=(0.58, 0.64, 0.74), clouds=0.6,
        haze_metres=240, exposure=0.50, leaves="bare", snow=1.0,
    ),
}  # fmt: skip

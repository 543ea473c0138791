"""What all of a picture in one condition shares: the view, the sun, the lamps, the air and the noise it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tarsia.data._streets.conditions import Condition
from tarsia.data._streets.lamps import Lamp
from tarsia.data._streets.world import Scene, View

LINEAR = (np.arange(256) / 255.0).astype(np.float32) ** np.float32(2.2)  # of a colour's byte


@dataclass(frozen=True, slots=True)
class Stage:
    """A scene in a condition.  `noise` is smooth, of mean 0, and repeats; `speck` is even, 0 .. 1, each 256 x 256."""

    scene: Scene
    condition: Condition
    view: View
    sun: tuple[float, float, float]
    lamps: tuple[Lamp, ...]
    own: Lamp
    noise: np.ndarray
    speck: np.ndarray
    sky_3HW: np.ndarray

    @property
    def sunlight(self) -> np.ndarray:
        return np.array(self.condition.sunlight, np.float32)

    @property
    def skylight(self) -> np.ndarray:
        return np.array(self.condition.skylight, np.float32)

    def hazed(
        self, light_3: np.ndarray, height: np.ndarray | float, depth: np.ndarray, air_3: np.ndarray
    ) -> np.ndarray:
        """Light after `depth` metres of haze, from `height` metres up, which adds the light of the `air`."""
        way = depth / np.float32(self.condition.haze_metres)
        if self.condition.haze_height:
            up = np.maximum(height, np.float32(0.05)) / np.float32(self.condition.haze_height)
            way = way * ((1 - np.exp(-up)) / up)
        clear = np.exp(-way)
        hazed: np.ndarray = air_3 + (light_3 - air_3) * clear
        return hazed

    @property
    def air_3W(self) -> np.ndarray:
        """The light of far haze in each column: the sky's above the horizon."""
        row = int(np.clip(self.view.horizon - 1, 0, self.view.height - 1))
        air: np.ndarray = self.sky_3HW[:, row]
        return air

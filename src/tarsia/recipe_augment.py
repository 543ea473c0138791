"""The section `augment` of a recipe: how training pictures are changed, a node for each change that has settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from tarsia.yaml_tree import Node

Probability = Annotated[float, Field(ge=0, le=1)]
Size = tuple[Annotated[int, Field(ge=1, le=65_536)], Annotated[int, Field(ge=1, le=65_536)]]  # (height, width)


class Scale(Node):
    """Random scale between `min` and `max`, log-uniform."""

    probability: Probability = 1.0
    min: Annotated[float, Field(ge=0.1, le=10)] = 0.5
    max: Annotated[float, Field(ge=0.1, le=10)] = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> Scale:
        if self.min > self.max:
            raise ValueError("min is larger than max")
        return self


class Rotation(Node):
    """Rotation by up to `degrees` either way; corners become the ignored value."""

    probability: Probability = 0.5
    degrees: Annotated[float, Field(gt=0, le=180)] = 10.0


class ColorJitter(Node):
    """Brightness, contrast, saturation: factors 1 +- value; hue: +- value of the full circle."""

    probability: Probability = 0.8
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.3
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.3
    saturation: Annotated[float, Field(ge=0, le=1)] = 0.3
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02


class Blur(Node):
    """Gaussian blur with a deviation of up to `sigma` pixels."""

    probability: Probability = 0.2
    sigma: Annotated[float, Field(gt=0, le=20)] = 1.5


class Noise(Node):
    """Gaussian noise with a deviation of up to `std` grey levels (of 255)."""

    probability: Probability = 0.2
    std: Annotated[float, Field(gt=0, le=100)] = 10.0


class CutMix(Node):
    """A box of another sample, pasted with its label; its share of the area is drawn from Beta(alpha, alpha)."""

    probability: Probability = 0.5
    alpha: Annotated[float, Field(ge=0.01, le=100)] = 1.0


class Rain(Node):
    """Rain of up to `strength` (1: a downpour) that falls up to `angle` degrees off the vertical."""

    probability: Probability = 0.2
    strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    angle: Annotated[float, Field(ge=0, le=60)] = 20.0


class Snow(Node):
    """Falling snow of up to `strength`."""

    probability: Probability = 0.2
    strength: Annotated[float, Field(gt=0, le=1)] = 1.0


class Fog(Node):
    """Fog of up to `strength`, denser towards the horizon (depth is taken to be the same along a row)."""

    probability: Probability = 0.2
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8


class MotionBlur(Node):
    """Blur along a line of up to `length` picture heights, up to `angle` degrees off the horizontal."""

    probability: Probability = 0.2
    length: Annotated[float, Field(gt=0, le=0.1)] = 0.02
    angle: Annotated[float, Field(ge=0, le=90)] = 20.0


class Shadow(Node):
    """One to `count` soft-edged polygons, in which up to `strength` of the light is missing."""

    probability: Probability = 0.2
    strength: Annotated[float, Field(gt=0, le=1)] = 0.7
    count: Annotated[int, Field(ge=1, le=3)] = 3


class Darkening(Node):
    """Towards night by up to `strength`: darker, cooler, less saturated, noisy."""

    probability: Probability = 0.2
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8


class AugmentRecipe(Node):
    """Changes of training pictures, drawn from (seed, epoch, sample): the same whatever the workers."""

    threefold: bool = Field(False, description="original, horizontal and vertical flip of each picture (SIS-CNN)")
    horizontal_flip: Probability = 0.0
    vertical_flip: Probability = 0.0
    scale: Scale | None = None
    rotation: Rotation | None = None
    crop: Size | None = Field(None, description="random crop (height, width); the ignored value beyond the border")
    class_balanced: Probability = Field(
        0.0, description="crops that show a class drawn evenly from those in the picture"
    )
    cutmix: CutMix | None = None
    shadow: Shadow | None = None
    darkening: Darkening | None = None
    fog: Fog | None = None
    rain: Rain | None = None
    snow: Snow | None = None
    motion_blur: MotionBlur | None = None
    color_jitter: ColorJitter | None = None
    blur: Blur | None = None
    noise: Noise | None = None
    extra: str | None = Field(
        None,
        description="code of your own, after all else: FILE.py[:NAME], package.module:NAME or an installed package's "
        "name; docs/own-parts.md",
    )

    @model_validator(mode="after")
    def _balanced_crops(self) -> AugmentRecipe:
        if self.class_balanced and self.crop is None:
            raise ValueError("class_balanced places crops: give crop (height, width) too, or leave it out")
        return self

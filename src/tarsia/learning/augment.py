"""Augmentation: changes of a training picture and its label, every one drawn from the generator that is handed in.

By hand: torchvision's take no generator, and albumentations lives on only as a fork for another project.
"""

from __future__ import annotations

import contextlib
import math
import random as python_random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from tarsia import own_parts
from tarsia.card import IGNORED
from tarsia.errors import RecipeError, TrainingError
from tarsia.learning import weather
from tarsia.learning.window import Pair, Window, between, by_bands, cut, flip, showing_a_class
from tarsia.recipe import AUGMENTATION
from tarsia.recipe_augment import AugmentRecipe, ColorJitter, CutMix

Extra = Callable[..., dict[str, Any]]

VARIANTS = 3  # of the threefold set: original, horizontal flip, vertical flip
AUGMENT, CUTMIX = 1, 2  # what a sample's generators are for; 0 is the order of the samples

# Whether an operation is on moves no other operation's numbers: one number per decision, all drawn at once, and for
# each of the newer operations a generator of its own, whose seed is the place in the list (so new ones go to its end).
_DRAWS = (
    *("horizontal", "vertical", "scale_on", "scale", "rotation_on", "rotation", "top", "left"),
    *("jitter_on", "brightness", "contrast", "saturation", "hue"),
    *("blur_on", "blur", "noise_on", "noise", "extra"),
)
_WEATHER = ("shadow", "darkening", "fog", "rain", "snow", "motion_blur")  # in weather.py; one after the other, so
_OWN_GENERATORS = ("class_balanced", *_WEATHER)
COLORED = (*_WEATHER, "color_jitter")  # of red, green and blue; all others are of any bands
# NTSC: grey, and two axes of colour.
_YIQ = np.array([weather.LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@dataclass(frozen=True)
class Augment:
    """What a recipe asks for, as one function of (picture, label, generator).

    `extra` is called last as `extra(image=H x W x 3, mask=H x W)` and returns a dict with both, as a Compose of
    albumentations does; it must keep the size and bring no label values but 255 (its `fill_mask`).
    """

    recipe: AugmentRecipe
    extra: Extra | None = None

    def __post_init__(self) -> None:
        """RecipeError where the recipe's own code is no augmentation, or there are two."""
        if self.recipe.extra is None:
            return
        if self.extra is not None:
            raise RecipeError("augment.extra: an augmentation was handed in too (`augment`): give one of them")
        found = own_parts.accept(self.recipe.extra, AUGMENTATION).found
        object.__setattr__(self, "extra", found() if isinstance(found, type) else found)

    def __call__(
        self, image_HW3: np.ndarray, label_HW: np.ndarray, random: np.random.Generator, variant: int = 0
    ) -> Pair:
        """Picture (uint8, or float32 of 0 .. 255) and label -> both, of the size `crop` or else that they came in.

        `variant` of the threefold set: 0 as it is, 1 flipped horizontally, 2 vertically.  Label values stay, and 255
        marks what lies beyond the picture.  Arrays handed in are never written to; where nothing applies they are
        returned as they are.  Raises TrainingError where `extra` breaks its promises.
        """
        recipe = self.recipe
        draw = dict(zip(_DRAWS, random.random(len(_DRAWS)).tolist(), strict=True))
        horizontal = (variant == 1) != (draw["horizontal"] < recipe.horizontal_flip)
        vertical = (variant == 2) != (draw["vertical"] < recipe.vertical_flip)
        own = dict(zip(_OWN_GENERATORS, random.spawn(len(_OWN_GENERATORS)), strict=True))
        image, label = flip(image_HW3, label_HW, horizontal, vertical)
        window = self._window(label.shape, draw)
        if window is not None:
            if own["class_balanced"].random() < recipe.class_balanced:
                window = showing_a_class(label, window, own["class_balanced"])
            image, label = cut(image, label, window)
        for name in _WEATHER:
            settings = getattr(recipe, name)
            if settings and own[name].random() < settings.probability:  # its other settings are its parameters
                image = getattr(weather, name)(image, random=own[name], **settings.model_dump(exclude={"probability"}))
        if recipe.color_jitter and draw["jitter_on"] < recipe.color_jitter.probability:
            image = _jitter(image, recipe.color_jitter, draw)
        if recipe.blur and draw["blur_on"] < recipe.blur.probability:
            sigma = recipe.blur.sigma * (1 - draw["blur"])
            image = by_bands(lambda part: cv2.GaussianBlur(part, (0, 0), sigma), image)
        if recipe.noise and draw["noise_on"] < recipe.noise.probability:
            image = weather.add_noise(image, recipe.noise.std * draw["noise"], random)
        if self.extra is not None:
            image, label = _call(self.extra, image, label, int(draw["extra"] * 2**32))
        if image.dtype != np.uint8 and image is not image_HW3:
            image = np.clip(image, 0, 255)
        return image, label

    def _window(self, size: tuple[int, ...], draw: dict[str, float]) -> Window | None:
        """The window on a picture of `size` that scale, rotation and crop ask for; None where they ask for nothing."""
        recipe, scale, angle = self.recipe, 1.0, 0.0
        if recipe.scale and draw["scale_on"] < recipe.scale.probability:
            low, high = math.log(recipe.scale.min), math.log(recipe.scale.max)
            scale = math.exp(low + (high - low) * draw["scale"])
        if recipe.rotation and draw["rotation_on"] < recipe.rotation.probability:
            angle = recipe.rotation.degrees * (2 * draw["rotation"] - 1)
        out = recipe.crop or (size[0], size[1])
        if scale == 1.0 and angle == 0.0 and out == size:
            return None
        # Whole pixels of the picture, so that only the window is resampled; the two scales differ by its rounding.
        height, width = (max(1, round(side / scale)) for side in out)
        fractions = (draw["top"], draw["left"]) if recipe.crop else (0.5, 0.5)
        top, left = (
            between(side - part, fraction)
            for side, part, fraction in zip(size, (height, width), fractions, strict=True)
        )
        return Window(top, left, height, width, angle, out)


def generator(
    seed: int, epoch: int, index: int, variant: int = 0, again: int = 0, purpose: int = AUGMENT
) -> np.random.Generator:
    """The generator of one sample in one epoch, whoever reads it.

    `again` counts how often the epoch has come back to the sample, which happens where an epoch has more steps than
    the data set fills.  `purpose` is AUGMENT, or CUTMIX for the choice of another sample and for its augmentation.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, epoch, index, variant, again)))


def cutmix(pair: Pair, other: Pair, settings: CutMix, random: np.random.Generator) -> Pair:
    """`pair` with a box of `other`, picture and label, pasted at the place that it has there.

    CutMix (Yun et al., ICCV 2019, section 3.1): the box has the proportions of the picture and 1 - lambda of its area,
    lambda ~ Beta(alpha, alpha).  Unlike there the box lies wholly inside, so that its share is the one drawn.  Where
    the sizes differ, "the picture" is the part at the top left that both have.  Neither pair is written to.
    """
    height, width = (min(sides) for sides in zip(pair[1].shape, other[1].shape, strict=True))
    share = math.sqrt(1 - random.beta(settings.alpha, settings.alpha))
    rows, columns = round(share * height), round(share * width)
    top, left = random.integers((height - rows + 1, width - columns + 1))
    box = slice(top, top + rows), slice(left, left + columns)
    image, label = pair[0].copy(), pair[1].copy()
    image[box], label[box] = other[0][box], other[1][box]
    return image, label


def _jitter(image: np.ndarray, jitter: ColorJitter, draw: dict[str, float]) -> np.ndarray:
    """Saturation, hue, contrast about the mean grey, then brightness: all linear, so one 3 x 4 matrix, rounded once."""

    def between(value: float, name: str) -> float:
        return value * (2 * draw[name] - 1)

    brightness, contrast = 1 + between(jitter.brightness, "brightness"), 1 + between(jitter.contrast, "contrast")
    saturation, angle = 1 + between(jitter.saturation, "saturation"), math.tau * between(jitter.hue, "hue")
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    color = np.linalg.inv(_YIQ) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    grey = float(weather.LUMA @ cv2.mean(image)[:3])  # neither saturation nor hue changes it
    offset = np.full((3, 1), brightness * (1 - contrast) * grey)
    return cv2.transform(image, np.hstack([brightness * contrast * color, offset]))


def _call(extra: Extra, image: np.ndarray, label: np.ndarray, seed: int) -> Pair:
    """`extra`'s image and label, checked; TrainingError says which promise it broke."""
    with _seeded(extra, seed):
        result = extra(image=image.copy(), mask=label.copy())
    try:
        new_image, new_label = np.asarray(result["image"]), np.asarray(result["mask"])
    except (KeyError, TypeError, IndexError) as error:
        raise TrainingError(f'extra augmentation: returned no dict with "image" and "mask" ({error!r})') from error
    for what, new, old in (("image", new_image, image), ("mask", new_label, label)):
        if new.dtype != old.dtype or new.shape != old.shape:
            raise TrainingError(
                f"extra augmentation: {what} came back as {new.dtype} {new.shape}, expected {old.dtype} {old.shape}; "
                "leave cropping, normalising and tensors to Tarsia"
            )
    before, after = (np.bincount(array.ravel(), minlength=256) > 0 for array in (label, new_label))
    strange = np.flatnonzero(after[:IGNORED] & ~before[:IGNORED])
    if len(strange):
        raise TrainingError(
            f"extra augmentation: label value {strange[0]} was not in the picture before; labels need nearest "
            f"neighbour, and {IGNORED} where there is no picture (albumentations: fill_mask={IGNORED})"
        )
    return new_image, new_label


@contextlib.contextmanager
def _seeded(extra: Extra, seed: int) -> Iterator[None]:
    """Make `extra` repeatable: through its own seed where it has one, else through the global generators, restored."""
    if hasattr(extra, "set_random_seed"):  # albumentations
        extra.set_random_seed(seed)
    states = python_random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    python_random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        python_random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])

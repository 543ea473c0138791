"""Augmentation: changes of a training picture and its label, every one drawn from the generator that is handed in."""

from __future__ import annotations

import contextlib
import math
import random as python_random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from inlay.card import IGNORED
from inlay.errors import TrainingError
from inlay.learning import weather
from inlay.recipe import AugmentRecipe, ColorJitter, CutMix

Extra = Callable[..., dict[str, Any]]
Pair = tuple[np.ndarray, np.ndarray]  # image H x W x 3, label H x W

BORDER_COLOR = (124, 116, 104)  # beyond the picture: ImageNet's mean, close to zero once the network has normalised
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
_LUMA = np.array([0.299, 0.587, 0.114])  # grey value of RGB, ITU-R BT.601
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC: grey, and two axes of colour


class Augment:
    """What a recipe asks for, as one function of (picture, label, generator).

    `extra` is called last as `extra(image=H x W x 3, mask=H x W)` and returns a dict with both, as a Compose of
    albumentations does; it must keep the size and bring no label values but 255 (its `fill_mask`).
    """

    def __init__(self, recipe: AugmentRecipe, extra: Extra | None = None) -> None:
        self.recipe = recipe
        self.extra = extra

    def __call__(
        self, image_HW3: np.ndarray, label_HW: np.ndarray, random: np.random.Generator, variant: int = 0
    ) -> Pair:
        """uint8 picture and label -> uint8 picture and label, of the size `crop` or else of the size they came in.

        `variant` of the threefold set: 0 as it is, 1 flipped horizontally, 2 vertically.  Label values stay, and 255
        marks what lies beyond the picture.  Arrays handed in are never written to; where nothing applies they are
        returned as they are.  Raises TrainingError where `extra` breaks its promises.
        """
        recipe = self.recipe
        draw = dict(zip(_DRAWS, random.random(len(_DRAWS)).tolist(), strict=True))
        horizontal = (variant == 1) != (draw["horizontal"] < recipe.horizontal_flip)
        vertical = (variant == 2) != (draw["vertical"] < recipe.vertical_flip)
        own = dict(zip(_OWN_GENERATORS, random.spawn(len(_OWN_GENERATORS)), strict=True))
        image, label = _flip(image_HW3, label_HW, horizontal, vertical)
        window = self._window(label.shape, draw)
        if window is not None:
            if own["class_balanced"].random() < recipe.class_balanced:
                window = _showing_a_class(label, window, own["class_balanced"])
            image, label = _cut(image, label, window)
        for name in _WEATHER:
            settings = getattr(recipe, name)
            if settings and own[name].random() < settings.probability:  # its other settings are its parameters
                image = getattr(weather, name)(image, random=own[name], **settings.model_dump(exclude={"probability"}))
        if recipe.color_jitter and draw["jitter_on"] < recipe.color_jitter.probability:
            image = _jitter(image, recipe.color_jitter, draw)
        if recipe.blur and draw["blur_on"] < recipe.blur.probability:
            image = cv2.GaussianBlur(image, (0, 0), recipe.blur.sigma * (1 - draw["blur"]))
        if recipe.noise and draw["noise_on"] < recipe.noise.probability:
            image = weather.add_noise(image, recipe.noise.std * draw["noise"], random)
        if self.extra is not None:
            image, label = _call(self.extra, image, label, int(draw["extra"] * 2**32))
        return image, label

    def _window(self, size: tuple[int, ...], draw: dict[str, float]) -> _Window | None:
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
            _between(side - part, fraction)
            for side, part, fraction in zip(size, (height, width), fractions, strict=True)
        )
        return _Window(top, left, height, width, angle, out)


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


class _Window(NamedTuple):
    """A rectangle of the picture, or larger, turned by `angle` degrees about its centre and shown at size `out`."""

    top: int
    left: int
    height: int
    width: int
    angle: float
    out: tuple[int, int]


def _between(slack: int, fraction: float) -> int:
    """A whole number between 0 and `slack` (which may be negative), all alike for a uniform `fraction` in [0, 1)."""
    offset = int(fraction * (abs(slack) + 1))
    return offset if slack >= 0 else -offset


def _showing_a_class(label: np.ndarray, window: _Window, random: np.random.Generator) -> _Window:
    """The window moved to show a pixel of a class, drawn evenly from those in the picture: first the class, then one
    of its pixels, then one of the places that show it.

    A place is one that a plain crop could have too, but for a pixel so near the picture's corner that only a turned
    window further out shows it.  A picture that is ignored everywhere leaves the window where it is.
    """
    counts = np.bincount(label.ravel(), minlength=IGNORED + 1)[:IGNORED]
    if not counts.any():
        return window
    chosen = random.choice(np.flatnonzero(counts))
    pixel = divmod(int(random.choice(np.flatnonzero(label.ravel() == chosen))), label.shape[1])
    # Within an upright rectangle this much smaller than the window, a pixel is seen however the window is turned.
    cos, sin = (abs(part(math.radians(window.angle))) for part in (math.cos, math.sin))
    height, width = window.height, window.width
    shrink = 1 / max(cos + sin * height / width, cos + sin * width / height)
    starts = []
    for at, side, length in zip(pixel, label.shape, (height, width), strict=True):
        margin = min(math.ceil((1 - shrink) * length / 2), (length - 1) // 2)
        first, last = at - length + 1 + margin, at - margin  # where the window may start to show the pixel
        least, most = min(0, side - length), max(0, side - length)  # where a plain crop starts
        starts.append(int(random.integers(min(max(first, least), last), max(min(last, most), first) + 1)))
    return window._replace(top=starts[0], left=starts[1])


def _flip(image: np.ndarray, label: np.ndarray, horizontal: bool, vertical: bool) -> Pair:
    if not horizontal and not vertical:
        return image, label
    code = -1 if horizontal and vertical else 1 if horizontal else 0
    return cv2.flip(image, code), cv2.flip(label, code)


def _cut(image: np.ndarray, label: np.ndarray, window: _Window) -> Pair:
    return _cut_turned(image, label, window) if window.angle else _cut_upright(image, label, window)


def _cut_upright(image: np.ndarray, label: np.ndarray, window: _Window) -> Pair:
    """The window by slicing and one resize of the part that lies within the picture."""
    rows, out_rows = _inside(label.shape[0], window.top, window.height, window.out[0])
    columns, out_columns = _inside(label.shape[1], window.left, window.width, window.out[1])
    size = (out_columns.stop - out_columns.start, out_rows.stop - out_rows.start)  # (width, height), as OpenCV has it
    part, part_label = image[rows, columns], label[rows, columns]
    if part_label.shape != size[::-1]:
        shrinks = size[0] * size[1] < part_label.size
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        part_label = cv2.resize(part_label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    if size[::-1] == window.out:
        return np.ascontiguousarray(part), np.ascontiguousarray(part_label)
    new_image = np.empty((*window.out, 3), np.uint8)
    new_image[:] = np.array(BORDER_COLOR, np.uint8)
    new_label = np.full(window.out, IGNORED, np.uint8)
    new_image[out_rows, out_columns] = part
    new_label[out_rows, out_columns] = part_label
    return new_image, new_label


def _inside(side: int, start: int, length: int, out: int) -> tuple[slice, slice]:
    """Along one axis: the pixels of the picture within the window, and where in the output they go."""
    first, last = max(start, 0), min(start + length, side)
    ratio = out / length
    begin, end = round((first - start) * ratio), round((last - start) * ratio)
    begin = min(begin, out - 1)
    return slice(first, last), slice(begin, max(end, begin + 1))


def _cut_turned(image: np.ndarray, label: np.ndarray, window: _Window) -> Pair:
    """The window by one affine resampling; strong shrinking is averaged first, which linear alone would not see."""
    (out_height, out_width), (height, width) = window.out, label.shape
    vertical, horizontal = window.height / out_height, window.width / out_width
    cos, sin = math.cos(math.radians(window.angle)), math.sin(math.radians(window.angle))
    turn = np.array([[cos, -sin], [sin, cos]]) * (horizontal, vertical)  # output (x, y) -> picture (x, y)
    # Pixel centres lie at halves: the output's centre goes to the window's centre.
    centre = np.array([window.left + window.width / 2, window.top + window.height / 2])
    shift = centre - turn @ (out_width / 2, out_height / 2)
    label = _warp(label, turn, shift, window.out, cv2.INTER_NEAREST, IGNORED)
    if min(vertical, horizontal) > 2:  # linear interpolation sees 2 x 2 pixels
        size = (max(1, round(width / horizontal)), max(1, round(height / vertical)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        ratio = np.array([size[0] / width, size[1] / height])
        turn, shift = turn * ratio[:, None], shift * ratio
    return _warp(image, turn, shift, window.out, cv2.INTER_LINEAR, BORDER_COLOR), label


def _warp(
    array: np.ndarray, turn: np.ndarray, shift: np.ndarray, out: tuple[int, int], how: int, border: Any
) -> np.ndarray:
    """Resample by the map from output to input, given for centres at halves; OpenCV's lie at whole numbers."""
    matrix = np.column_stack([turn, turn @ (0.5, 0.5) + shift - 0.5])
    flags = how | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(array, matrix, out[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border)


def _jitter(image: np.ndarray, jitter: ColorJitter, draw: dict[str, float]) -> np.ndarray:
    """Saturation, hue, contrast about the mean grey, then brightness: all linear, so one 3 x 4 matrix, rounded once."""

    def between(value: float, name: str) -> float:
        return value * (2 * draw[name] - 1)

    brightness, contrast = 1 + between(jitter.brightness, "brightness"), 1 + between(jitter.contrast, "contrast")
    saturation, angle = 1 + between(jitter.saturation, "saturation"), math.tau * between(jitter.hue, "hue")
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    color = np.linalg.inv(_YIQ) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    grey = float(_LUMA @ cv2.mean(image)[:3])  # neither saturation nor hue changes it
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
        if new.dtype != np.uint8 or new.shape != old.shape:
            raise TrainingError(
                f"extra augmentation: {what} came back as {new.dtype} {new.shape}, expected uint8 {old.shape}; "
                "leave cropping, normalising and tensors to Inlay"
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

"""Weather changes pictures as its name says, at any size, repeatably, and hardly where hardly any is asked for."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tarsia import data
from tarsia.learning import weather
from tarsia.recipe_augment import Darkening, Fog, MotionBlur, Rain, Shadow, Snow

NODES = {
    "rain": Rain(),
    "snow": Snow(),
    "fog": Fog(),
    "motion_blur": MotionBlur(),
    "shadow": Shadow(),
    "darkening": Darkening(),
}
LUMA = np.array([0.299, 0.587, 0.114])
EVERY = pytest.mark.parametrize("name", NODES)


def applied(name: str, image: np.ndarray, seed: int = 0, **settings: Any) -> np.ndarray:
    parameters = NODES[name].model_dump(exclude={"probability"}) | settings
    return getattr(weather, name)(image, random=np.random.default_rng(seed), **parameters)


def scene(size: tuple[int, int] = (180, 240), index: int = 0) -> np.ndarray:
    return data.open("streets", count=index + 1, size=size)[index].image


STREET = scene()


def saturation(image: np.ndarray) -> float:
    return float((image.max(-1).astype(int) - image.min(-1)).mean())


@EVERY
def test_it_changes_the_picture_repeatably_and_keeps_its_type_and_size(name: str) -> None:
    STREET.flags.writeable = False
    results = [applied(name, STREET, seed) for seed in range(4)]
    for seed, result in enumerate(results):
        assert result.dtype == np.uint8 and result.shape == STREET.shape and result.flags.c_contiguous
        assert np.array_equal(result, applied(name, STREET, seed))
        assert np.abs(result.astype(int) - STREET).mean() > 0.1
        assert all(not np.array_equal(result, other) for other in results[:seed])


@EVERY
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (1, 7), (7, 1), (2, 3), (1, 5000), (5000, 1), (3, 900), (900, 1500)], ids=str
)
def test_any_size(name: str, size: tuple[int, int]) -> None:
    images = [np.resize(STREET, (*size, 3)), np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)]
    for seed, image in enumerate(images if max(size) < 100 else images[:1]):
        result = applied(name, image, seed)
        assert result.dtype == np.uint8 and result.shape == image.shape


@EVERY
def test_a_view_of_a_picture_is_as_good_as_a_copy(name: str) -> None:
    view = STREET[10:90:2, 100:20:-1]
    assert np.array_equal(applied(name, view), applied(name, view.copy()))


@EVERY
def test_next_to_nothing_asked_is_next_to_nothing_done(name: str) -> None:
    least = {"length": 1e-9} if name == "motion_blur" else {"strength": 1e-9}
    for seed in range(5):
        assert np.abs(applied(name, STREET, seed, **least).astype(int) - STREET).max() <= 1


@EVERY
def test_more_asked_is_more_done(name: str) -> None:
    def change(share: float) -> float:
        key = "length" if name == "motion_blur" else "strength"
        settings = {key: share * getattr(NODES[name], key)}
        results = [applied(name, STREET, seed, **settings) for seed in range(4)]
        return float(np.mean([np.abs(result.astype(int) - STREET).mean() for result in results]))

    assert 2 * change(0.02) < change(0.2) < change(0.5) < change(1)


@EVERY
def test_it_looks_alike_at_every_size(name: str) -> None:
    """The same numbers at twice the size, shrunk, against those at the small size."""
    large = scene((360, 480))
    small = cv2.resize(large, (240, 180), interpolation=cv2.INTER_AREA)
    for seed in range(3):
        shrunk = cv2.resize(applied(name, large, seed), (240, 180), interpolation=cv2.INTER_AREA)
        found = applied(name, small, seed)
        blurred = [cv2.blur(picture, (9, 9)).astype(float) for picture in (shrunk, found, small)]
        change = np.abs(blurred[1] - blurred[2]).mean()
        assert np.abs(blurred[0] - blurred[1]).mean() < max(0.25 * change, 0.5)


def test_grey_pictures_stay_grey_but_for_the_light() -> None:
    grey = np.repeat(cv2.cvtColor(STREET, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    for name in ("rain", "snow", "fog", "motion_blur"):
        assert np.ptp(applied(name, grey).astype(int), axis=2).max() <= 1
    for name in ("shadow", "darkening"):
        red, _, blue = applied(name, grey).reshape(-1, 3).mean(0)
        assert blue > red  # shadows and nights are blue


def test_rain_darkens_and_lowers_contrast_and_colour() -> None:
    for index in range(3):
        street = scene(index=index)
        for seed in range(4):
            rainy = applied("rain", street, seed)
            assert rainy.mean() < street.mean() - 2
            assert saturation(rainy) < 0.95 * saturation(street)


def test_rain_falls_along_its_angle() -> None:
    """The streaks' gradients are across them: upright rain changes along rows, not along columns."""
    plain = np.full((200, 260, 3), 60, np.uint8)
    plain[:20] = 240  # a bright sky, for the streaks' colour
    upright, slanted = (applied("rain", plain, 1, angle=angle)[30:, :, 0].astype(int) for angle in (0.0, 60.0))
    across, along = np.abs(np.diff(upright, axis=1)).mean(), np.abs(np.diff(upright, axis=0)).mean()
    assert across > 3 * along
    assert np.abs(np.diff(slanted, axis=0)).mean() > 1.5 * along


def test_snow_brightens_dark_places_with_flakes_of_several_sizes() -> None:
    plain = np.full((240, 320, 3), 50, np.uint8)
    plain[:20] = 230
    flakes = applied("snow", plain, 3)[30:, :, 0]
    ground = float(np.median(flakes))
    assert 50 < ground < 130
    _, _, found, _ = cv2.connectedComponentsWithStats((flakes > ground + 40).astype(np.uint8))
    areas = found[1:, cv2.CC_STAT_AREA]
    assert len(areas) > 60 and np.quantile(areas, 0.25) <= 3 and areas.max() >= 20
    assert saturation(applied("snow", STREET)) < saturation(STREET) and applied("snow", STREET).mean() > STREET.mean()


def test_fog_lowers_contrast_more_towards_the_horizon() -> None:
    checks = np.kron(np.indices((24, 32)).sum(0) % 2, np.ones((10, 10)))[..., None].repeat(3, 2).astype(np.uint8) * 200
    for seed in range(6):
        foggy = applied("fog", checks, seed).astype(float)
        contrast = np.array([foggy[row : row + 20].std() for row in range(0, 240, 20)]) / checks.std()
        assert (contrast < 1).all()
        assert contrast[:4].mean() < contrast[8:].mean() - 0.05
        assert foggy.mean() > checks.mean()  # the haze is as bright as the brightest
    assert saturation(applied("fog", STREET)) < 0.9 * saturation(STREET)


def test_fog_of_a_dark_picture_is_dark() -> None:
    assert applied("fog", STREET // 8).max() <= STREET.max() // 8 + 1


def test_motion_blur_against_the_slow_way() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3)).astype(np.uint8)

    class Fixed:
        """Draws 1 for the share of the length, then the angle asked for."""

        def __init__(self, angle: float) -> None:
            self.values = iter((1.0, angle))

        def uniform(self, low: float, high: float) -> float:
            return next(self.values)

    for angle, axis in ((0.0, 1), (90.0, 0)):
        found = weather.motion_blur(image, 0.08, 90.0, Fixed(angle))  # type: ignore[arg-type]  # a path of 8 pixels
        steps = np.linspace(-4, 4, 33)
        expected = np.zeros(image.shape)
        for step in steps:
            whole, part = int(np.floor(step)), step - np.floor(step)
            expected += (1 - part) * np.roll(image, -whole, axis) + part * np.roll(image, -whole - 1, axis)
        inner = (slice(6, -6), slice(6, -6))
        assert np.abs(found[inner] - (expected / len(steps))[inner]).max() <= 1


def test_motion_blur_keeps_the_brightness_and_goes_one_way() -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    blurred = applied("motion_blur", image, angle=0.0, length=0.2)
    assert abs(blurred.mean() - image.mean()) < 1
    steps = [np.abs(np.diff(blurred.astype(int), axis=axis)).mean() for axis in (0, 1)]
    assert steps[1] < 0.4 * steps[0]


def test_shadows_are_polygons_that_darken_and_nothing_else() -> None:
    plain = np.full((180, 240, 3), 200, np.uint8)
    touched = []
    for seed in range(30):
        shaded = applied("shadow", plain, seed, strength=0.5)
        assert (shaded <= plain).all() and shaded.min() >= 99
        lost = 200 - shaded[..., 0].astype(int)
        edge = np.abs(np.diff(lost, axis=1)).max()
        assert edge < 40  # soft
        touched.append(float((lost > 0).mean()))
        pieces = cv2.connectedComponents((lost > 5).astype(np.uint8))[0] - 1
        assert 1 <= pieces <= 3
        assert (lost[-60:] > 0).mean() > (lost[:60] > 0).mean()
    assert 0.03 < np.mean(touched) < 0.6 and min(touched) > 0


def test_shadows_that_meet_are_not_darker() -> None:
    plain = np.full((180, 240, 3), 200, np.uint8)
    for seed in range(20):
        lost = 200 - applied("shadow", plain, seed, strength=0.5, count=3)[..., 0].astype(int)
        inside = lost[lost > 0.9 * lost.max()]
        assert np.ptp(inside) <= 0.1 * lost.max() + 1


def test_darkening_is_darker_cooler_less_colourful_and_noisy() -> None:
    for seed in range(4):
        dark = applied("darkening", STREET, seed)
        assert dark.mean() < 0.85 * STREET.mean()
        assert saturation(cv2.blur(dark, (5, 5))) < saturation(STREET)
        assert dark[..., 2].mean() / dark[..., 0].mean() > STREET[..., 2].mean() / STREET[..., 0].mean()
    flat = applied("darkening", np.full((100, 100, 3), 120, np.uint8), 5, strength=1.0)
    assert 0.5 < flat[..., 0].std() < 7


def test_noise_on_nothing_is_nothing() -> None:
    assert np.array_equal(weather.add_noise(STREET, 0.0, np.random.default_rng(0)), STREET)

"""Recolouring without learning: histograms and Fourier amplitudes, against the slow formulas."""

from __future__ import annotations

import cmath

import numpy as np
import pytest

from tarsia.adaptation.recolor import match_histogram, swap_amplitudes


def noise(seed: int, size: tuple[int, int] = (24, 32), low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (*size, 3), np.uint8)


def slow_match(image_HW: np.ndarray, reference_HW: np.ndarray) -> np.ndarray:
    """Value by value: the smallest reference value with as large a share at or below it."""
    out = np.empty_like(image_HW)
    values = sorted(set(reference_HW.ravel().tolist()))
    for position, value in np.ndenumerate(image_HW):
        share = (image_HW <= value).mean()
        out[position] = next(one for one in values if (reference_HW <= one).mean() >= share - 1e-9)
    return out


def test_histogram_is_the_slow_formula() -> None:
    image, reference = noise(0, (9, 11), 40, 200), noise(1, (7, 13), 0, 90)
    found = match_histogram(image, reference)
    for channel in range(3):
        assert (found[..., channel] == slow_match(image[..., channel], reference[..., channel])).all()


def test_histogram_has_the_references_statistics_and_keeps_the_order_of_values() -> None:
    image, reference = noise(0, (64, 64), 100, 180), noise(1, (48, 80), 0, 60)
    found = match_histogram(image, reference)
    for channel in range(3):
        here, there = found[..., channel].astype(float), reference[..., channel].astype(float)
        assert abs(here.mean() - there.mean()) < 1 and abs(here.std() - there.std()) < 1
        order = np.argsort(image[..., channel], axis=None, kind="stable")
        assert (np.diff(found[..., channel].ravel()[order].astype(int)) >= 0).all()


def test_histogram_of_itself_changes_nothing() -> None:
    image = noise(3)
    assert (match_histogram(image, image) == image).all()


def slow_swap(image_HW: np.ndarray, reference_HW: np.ndarray, reach: int, strength: float) -> np.ndarray:
    """The discrete Fourier transform written out."""
    height, width = image_HW.shape

    def transform(values_HW: np.ndarray, sign: int) -> np.ndarray:
        out = np.zeros((height, width), complex)
        for u in range(height):
            for v in range(width):
                for y in range(height):
                    for x in range(width):
                        angle = sign * 2j * cmath.pi * (u * y / height + v * x / width)
                        out[u, v] += values_HW[y, x] * cmath.exp(angle)
        return out

    here, there = transform(image_HW.astype(float), -1), transform(reference_HW.astype(float), -1)
    for u in range(height):
        for v in range(width):
            if min(u, height - u) <= reach and min(v, width - v) <= reach:
                amplitude = (1 - strength) * abs(here[u, v]) + strength * abs(there[u, v])
                here[u, v] = cmath.rect(amplitude, cmath.phase(here[u, v]))
    return (transform(here, 1).real / (height * width)).round().clip(0, 255)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_fourier_is_the_slow_formula(strength: float) -> None:
    image, reference = noise(0, (7, 10), 60, 200), noise(1, (7, 10), 20, 120)
    found = swap_amplitudes(image, reference, strength, beta=0.2)
    for channel in range(3):
        wanted = slow_swap(image[..., channel], reference[..., channel], 1, strength)
        assert np.abs(found[..., channel] - wanted).max() <= 1e-9


def test_fourier_takes_the_references_mean() -> None:
    image, reference = noise(0, (32, 40), 100, 160), noise(1, (32, 40), 60, 100)
    means = [one.mean((0, 1)) for one in (swap_amplitudes(image, reference, beta=0.01), reference)]
    assert np.abs(means[0] - means[1]).max() < 0.5


@pytest.mark.parametrize("recolor", [match_histogram, swap_amplitudes])
def test_strength_runs_from_the_picture_to_the_reference(recolor: object) -> None:
    image, reference = noise(0, (24, 32), 120, 200), noise(1, (24, 32), 0, 80)
    assert (recolor(image, reference, 0.0) == image).all()  # type: ignore[operator]
    means = [recolor(image, reference, strength).mean() for strength in (0, 0.5, 1)]  # type: ignore[operator]
    assert means[0] > means[1] + 10 > means[2] + 20


@pytest.mark.parametrize("recolor", [match_histogram, swap_amplitudes])
@pytest.mark.parametrize("kinds", [(0, 1), (1, 0), (0, 0)], ids=["constant picture", "constant reference", "both"])
def test_constant_pictures_have_a_result(recolor: object, kinds: tuple[int, int]) -> None:
    given = [noise(5) if kind else np.full((24, 32, 3), 90, np.uint8) for kind in kinds]
    before = [one.copy() for one in given]
    found = recolor(*given)  # type: ignore[operator]
    assert found.shape == given[0].shape and found.dtype == np.uint8
    assert all((one == other).all() for one, other in zip(given, before, strict=True))
    if kinds == (1, 0) and recolor is match_histogram:
        assert (found == 90).all()


def test_fourier_wants_one_size() -> None:
    with pytest.raises(ValueError, match="one size"):
        swap_amplitudes(noise(0), noise(0, (24, 31)))

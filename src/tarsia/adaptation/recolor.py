"""Recolouring a picture after another one, without learning: the baselines that a style network has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np

FOURIER_BETA = 0.01  # share of each side; Yang and Soatto 2020, section 4.3 use 0.01 to 0.09


def match_histogram(image_HW3: np.ndarray, reference_HW3: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """uint8 picture with each channel's distribution of values brought to the reference's -> uint8, same size.

    A value v becomes the smallest value whose share of reference pixels at or below it reaches v's share in the
    picture (Gonzalez and Woods, Digital Image Processing, section 3.3); `strength` 0 .. 1 mixes linearly between v and
    that.  A constant reference gives its colour everywhere.
    """
    out = np.empty_like(image_HW3)
    for channel in range(3):
        here, there = (_shares(one[..., channel]) for one in (image_HW3, reference_HW3))
        # The last rounding of a sum of shares must not lift a value beyond what the reference holds.
        table = np.searchsorted(there, np.minimum(here, there[-1]) - 1e-12)
        mixed = (1 - strength) * np.arange(256) + strength * table
        out[..., channel] = mixed.round().astype(np.uint8)[image_HW3[..., channel]]
    return out


def swap_amplitudes(
    image_HW3: np.ndarray, reference_HW3: np.ndarray, strength: float = 1.0, beta: float = FOURIER_BETA
) -> np.ndarray:
    """uint8 picture with the lowest frequencies' amplitudes of the reference -> uint8, same size.

    Fourier domain adaptation (Yang and Soatto, CVPR 2020, eq. 1 to 3): of each channel's spectrum the amplitudes of
    frequencies up to `beta` times the side (at least the mean) are the reference's, the phases stay.  `strength` mixes
    the amplitudes.  Both pictures have one size; ValueError where they have not.
    """
    if image_HW3.shape != reference_HW3.shape:
        raise ValueError(f"pictures of {image_HW3.shape} and {reference_HW3.shape}: bring them to one size first")
    height, width = image_HW3.shape[:2]
    here, there = (np.fft.fft2(one.astype(np.float64), axes=(0, 1)) for one in (image_HW3, reference_HW3))
    low_HW = np.ix_(
        *(np.abs(np.fft.fftfreq(side) * side) <= int(beta * min(height, width)) for side in (height, width))
    )
    old, new = np.abs(here[low_HW]), np.abs(there[low_HW])
    here[low_HW] = ((1 - strength) * old + strength * new) * np.exp(1j * np.angle(here[low_HW]))
    return np.fft.ifft2(here, axes=(0, 1)).real.round().clip(0, 255).astype(np.uint8)


def _shares(values_HW: np.ndarray) -> Any:
    """uint8 values -> 256 shares of pixels at or below each value."""
    return np.bincount(values_HW.ravel(), minlength=256).cumsum() / max(values_HW.size, 1)

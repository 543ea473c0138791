"""Test-time adaptation: what brings a picture to the style that a model knows, as a stage of its predictor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tarsia.adaptation.recolor import match_histogram
from tarsia.card import Card
from tarsia.data._unlabelled import Unlabelled, open_unlabelled
from tarsia.errors import MissingExtraError, RecipeError
from tarsia.plain_text import number
from tarsia.prediction.style import Style

Restyle = Callable[[np.ndarray], np.ndarray]  # B x H x W x 3 uint8 RGB -> the same, in the style of the training set
HISTOGRAM = "histogram"
_REFERENCES, _PIXELS = 64, 16_384  # pictures that a histogram is taken from, and how many pixels of each


def open_style(card: Card, style: str | None, reference: str | None, device: str = "auto", fuse: bool = True) -> Style:
    """The stage of a predictor (prediction/style.py) that brings pictures to the style of `reference`.

    `style`: a style file, or `histogram`, which needs no torch.  `reference`: pictures like those the model of `card`
    was trained on, a folder or NAME[:ROOT][,key=value...].  Raises RecipeError for one without the other,
    ModelFileError and DatasetError for what cannot be used.
    """
    if card.bands != 3:
        raise RecipeError(
            "`style` restyles red, green and blue, and this model takes pictures of "
            f"{number(card.bands, 'band')}: leave `style` and `reference` out"
        )
    if style is None or reference is None:
        raise RecipeError("`style` and `reference` go together: a style file, and pictures to look like")
    if style == HISTOGRAM:
        restyle = _by_histogram(open_unlabelled(reference))
    else:
        try:
            from tarsia.adaptation.style import open_restyler
        except ImportError as error:
            raise MissingExtraError(f"style={str(style)!r}", "train") from error
        restyle = open_restyler(style, reference, device=device)
    how = "fused with" if fuse else "in place of"
    return Style(restyle, fuse, f"{Path(style).name} to {reference}, {how} the picture as it is")


def _by_histogram(reference: Unlabelled) -> Restyle:
    """Restyling to the values of all reference pictures together."""
    pixels = []
    for image_HW3 in reference.spread(_REFERENCES):
        flat_N3 = image_HW3.reshape(-1, 3)
        pixels.append(flat_N3[np.linspace(0, len(flat_N3) - 1, _PIXELS).astype(int)])
    pixels_N13 = np.concatenate(pixels)[:, None]
    return lambda images_BHW3: np.stack([match_histogram(image, pixels_N13) for image in images_BHW3])

"""Test-time adaptation: what brings a picture to the style that a model knows, as a stage of its predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tarsia.adaptation.recolor import match_histogram
from tarsia.data._unlabelled import Unlabelled, open_unlabelled
from tarsia.engines.engine import Engine
from tarsia.errors import MissingExtraError, RecipeError
from tarsia.plain_text import number
from tarsia.prediction.style import Refine, Style

Restyle = Callable[[np.ndarray], np.ndarray]  # B x H x W x 3 uint8 RGB -> the same, in the style of the training set
HISTOGRAM = "histogram"
_REFERENCES, _PIXELS = 64, 16_384  # pictures that a histogram is taken from, and how many pixels of each


@dataclass(frozen=True)
class Steps:
    """The refinement's: how many for each picture, 0 for none, and their learning rate."""

    count: int = 0
    learning_rate: float = 1e-4


NO_STEPS = Steps()


def open_style(
    engine: Engine,
    style: str | None,
    reference: str | None,
    device: str = "auto",
    fuse: bool = True,
    steps: Steps = NO_STEPS,
) -> Style:
    """The stage of a predictor (prediction/style.py) that brings pictures to the style of `reference`.

    `style`: a style file, or `histogram`, which needs no torch.  `reference`: pictures like those the model of `engine`
    was trained on, a folder or NAME[:ROOT][,key=value...].  `steps` that bring the segmentations of a picture as it is
    and restyled closer, before they are fused, are for an engine of torch (adaptation/refinement.py).  Raises
    RecipeError for one without the other, ModelFileError and DatasetError for what cannot be used.
    """
    card = engine.card
    if card.bands != 3:
        raise RecipeError(
            "`style` restyles red, green and blue, and this model takes pictures of "
            f"{number(card.bands, 'band')}: leave `style` and `reference` out"
        )
    if style is None or reference is None:
        raise RecipeError("`style` and `reference` go together: a style file, and pictures to look like")
    refine = _refinement(engine, steps) if steps.count else None
    if style == HISTOGRAM:
        restyle = _by_histogram(open_unlabelled(reference))
    else:
        try:
            from tarsia.adaptation.style import open_restyler
        except ImportError as error:
            raise MissingExtraError(f"style={str(style)!r}", "train") from error
        restyle = open_restyler(style, reference, device=device)
    how = "fused with" if fuse else "in place of"
    described = f"{Path(style).name} to {reference}, {how} the picture as it is"
    if refine is not None:
        described += f", after {steps.count} steps at {steps.learning_rate:g} on their KL (scale and shift of norms)"
    return Style(restyle, fuse, described, refine)


def _refinement(engine: Engine, steps: Steps) -> Refine:
    engine.network()  # refused here by an engine that has none, whether or not torch is installed
    from tarsia.adaptation.refinement import Refinement

    return Refinement(engine, steps.count, steps.learning_rate)


def _by_histogram(reference: Unlabelled) -> Restyle:
    """Restyling to the values of all reference pictures together."""
    pixels = []
    for image_HW3 in reference.spread(_REFERENCES):
        flat_N3 = image_HW3.reshape(-1, 3)
        pixels.append(flat_N3[np.linspace(0, len(flat_N3) - 1, _PIXELS).astype(int)])
    pixels_N13 = np.concatenate(pixels)[:, None]
    return lambda images_BHW3: np.stack([match_histogram(image, pixels_N13) for image in images_BHW3])

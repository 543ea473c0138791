"""Prediction with test-time adaptation: a picture is brought to the style the model knows, and segmented in both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tarsia.adaptation.recolor import match_histogram
from tarsia.data._unlabelled import Unlabelled, open_unlabelled
from tarsia.errors import MissingExtraError, RecipeError
from tarsia.pictures.files import bands_in_words
from tarsia.prediction.fusion import fuse
from tarsia.prediction.predictor import Predictor

Restyle = Callable[[np.ndarray], np.ndarray]  # B x H x W x 3 uint8 RGB -> the same, in the style of the training set
HISTOGRAM = "histogram"
_REFERENCES, _PIXELS = 64, 16_384  # pictures that a histogram is taken from, and how many pixels of each


class StyledPredictor(Predictor):
    """A Predictor that sees each picture as it is and restyled, and fuses the two (Song et al. 2021, test-time use).

    Labels come from the distribution that minimises the summed KL to both (`fusion.fuse`); without `fuse` from the
    restyled picture alone.  The network runs twice a picture (once without `fuse`), and `restyle` once.  Views of
    test-time augmentation are averaged within each of the two; a CRF refines the fused probabilities and sees the
    picture as it is, as attention maps do.  `described`: the style in words, for a report's protocol.

    It takes whole pictures: a style's mean and deviation, or its histogram, are those of the whole picture, and a tile
    would be restyled by its own.
    """

    def __init__(self, predictor: Predictor, restyle: Restyle, fuse: bool = True, described: str = "restyled") -> None:
        super().__init__(predictor.engine, predictor.tta, predictor.crf)
        self.temperature = predictor.temperature
        self.restyle = restyle
        self.fuse = fuse
        self.style = described

    def check_tiles(self) -> None:
        """RecipeError: see above."""
        raise RecipeError(
            "--style takes whole pictures, and tiles would each be restyled by their own colours: leave out --style "
            "and --reference, or the tiles (a picture too large for memory can be made smaller)"
        )

    @property
    def needs_probabilities(self) -> bool:
        return True

    def _averaged(self, images_BHW3: np.ndarray, temperatures: set[float]) -> dict[float, np.ndarray]:
        restyled = super()._averaged(self.restyle(images_BHW3), temperatures)
        if not self.fuse:
            return restyled
        plain = super()._averaged(images_BHW3, temperatures)
        return {temperature: fuse(plain[temperature], restyled[temperature]) for temperature in temperatures}


def styled(
    predictor: Predictor, style: str | None, reference: str | None, device: str = "auto", fuse: bool = True
) -> Predictor:
    """`predictor` with pictures brought to the style of `reference`; itself where no style is asked for.

    `style`: a style file, or `histogram`, which needs no torch.  `reference`: pictures like those the model was
    trained on, a folder or NAME[:ROOT][,key=value...].  Raises RecipeError for one without the other, ModelFileError
    and DatasetError for what cannot be used.
    """
    if style is None and reference is None:
        return predictor
    if predictor.card.bands != 3:
        raise RecipeError(
            "--style restyles red, green and blue, and this model takes pictures of "
            f"{bands_in_words(predictor.card.bands)}: leave --style and --reference out"
        )
    if style is None or reference is None:
        raise RecipeError("--style STYLE and --reference PICTURES go together: a style file, and pictures to look like")
    if style == HISTOGRAM:
        restyle = _by_histogram(open_unlabelled(reference))
    else:
        try:
            from tarsia.adaptation.style import open_restyler
        except ImportError as error:
            raise MissingExtraError(f"--style {style}", "train") from error
        restyle = open_restyler(style, reference, device=device)
    how = "fused with" if fuse else "in place of"
    return StyledPredictor(predictor, restyle, fuse, f"{Path(style).name} to {reference}, {how} the picture as it is")


def _by_histogram(reference: Unlabelled) -> Restyle:
    """Restyling to the values of all reference pictures together."""
    pixels = []
    for image_HW3 in reference.spread(_REFERENCES):
        flat_N3 = image_HW3.reshape(-1, 3)
        pixels.append(flat_N3[np.linspace(0, len(flat_N3) - 1, _PIXELS).astype(int)])
    pixels_N13 = np.concatenate(pixels)[:, None]
    return lambda images_BHW3: np.stack([match_histogram(image, pixels_N13) for image in images_BHW3])

"""The one inference path: training's validation, evaluate, predict and serve all go through `Predictor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inlay.card import Card, Classes, Input
from inlay.errors import ImageError
from inlay.runtime import image as pictures
from inlay.runtime.engine import Engine, open_engine
from inlay.runtime.image import ImageLike

_LONGEST = 64  # sides' ratio: a 1 x 5000 strip brought to a short side of 224 would be 250 million pixels


@dataclass(frozen=True)
class Prediction:
    """What a model sees in one picture.

    `label_HW`: uint8 class indices at the picture's own size.  `confidence_HW`: float32 probability of the chosen
    class, None unless asked for.
    """

    label_HW: np.ndarray
    classes: Classes
    confidence_HW: np.ndarray | None = None

    def shares(self) -> dict[str, float]:
        """Each class's share of the pixels, 0 .. 1, in class order."""
        counts = np.bincount(self.label_HW.ravel(), minlength=len(self.classes))
        return {name: float(counts[k] / self.label_HW.size) for k, name in enumerate(self.classes.names)}

    def save(self, path: str | Path) -> None:
        """Write the label map as an index PNG with the classes' palette."""
        from inlay.runtime import paint

        paint.save_label(Path(path), self.label_HW, self.classes)


@dataclass(frozen=True)
class TestTimeAugmentation:
    """Average the probabilities over scales of the picture, each also mirrored where `flip`."""

    __test__ = False  # not a test class, whatever pytest thinks of the name
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)


class Predictor:
    """A model ready for pictures: `Predictor(image) -> Prediction`, at the picture's own size."""

    def __init__(self, engine: Engine, tta: TestTimeAugmentation | None = None) -> None:
        self.engine = engine
        self.tta = tta

    @property
    def card(self) -> Card:
        return self.engine.card

    @property
    def classes(self) -> Classes:
        return self.engine.card.classes

    def __call__(self, image: ImageLike, confidence: bool = False) -> Prediction:
        """Segment one picture: a path, file content, a PIL image, or an H x W x 3 uint8 RGB array.

        Raises ImageError for what cannot be read as a picture, or is too narrow for the model's short side.
        """
        image_HW3 = pictures.as_rgb(image)
        if confidence or self.tta:
            probabilities_KHW = self.probabilities(image_HW3[None])[0]
            label_HW = probabilities_KHW.argmax(0).astype(np.uint8)
            return Prediction(label_HW, self.classes, probabilities_KHW.max(0) if confidence else None)
        return Prediction(self.labels(image_HW3[None])[0], self.classes)

    def labels(self, images_BHW3: np.ndarray) -> np.ndarray:
        """Pictures of one size -> B x H x W uint8 class indices."""
        if self.tta:
            return self.probabilities(images_BHW3).argmax(1).astype(np.uint8)
        return self.engine.labels(self.scores(images_BHW3), images_BHW3.shape[1:3])

    def scores(self, images_BHW3: np.ndarray, scale: float = 1.0) -> Any:
        """Pictures of one size -> the engine's scores at the size the network saw, padding cropped away."""
        height, width = images_BHW3.shape[1:3]
        if self.card.input.short_side and max(height, width) > _LONGEST * min(height, width):
            raise ImageError(
                f"picture of {height}x{width} (height x width) is too narrow for this model, which brings the short "
                f"side to {self.card.input.short_side}: cut it into pieces at most {_LONGEST} times as long as wide"
            )
        size = network_size((height, width), self.card.input, scale)
        resized = np.stack([pictures.resize(image, size) for image in images_BHW3])
        padded = pictures.pad_to_multiple(resized, self.card.input.stride)
        return self.engine.scores(padded)[:, :, : size[0], : size[1]]

    def probabilities(self, images_BHW3: np.ndarray) -> np.ndarray:
        """Pictures of one size -> B x K x H x W float32 probabilities, averaged over the test-time augmentation."""
        tta = self.tta or TestTimeAugmentation(flip=False)
        size = images_BHW3.shape[1:3]
        total: np.ndarray | None = None
        for scale in tta.scales:
            for mirrored in (False, True) if tta.flip else (False,):
                seen = images_BHW3[:, :, ::-1] if mirrored else images_BHW3
                part = self.engine.probabilities(self.scores(np.ascontiguousarray(seen), scale), size)
                part = part[..., ::-1] if mirrored else part
                total = part if total is None else total + part
        assert total is not None
        return total / (len(tta.scales) * (2 if tta.flip else 1))


def network_size(size: tuple[int, int], settings: Input, scale: float = 1.0) -> tuple[int, int]:
    """The (height, width) a picture of `size` is resized to before padding: `size` or `short_side` times `scale`."""
    height, width = size
    if settings.size:
        height, width = settings.size
    elif settings.short_side:
        factor = settings.short_side / min(height, width)
        height, width = round(height * factor), round(width * factor)
    return max(1, round(height * scale)), max(1, round(width * scale))


def load(path: str | Path, device: str = "auto", tta: TestTimeAugmentation | None = None) -> Predictor:
    """A model file or run folder -> a predictor.  `device`: auto, cpu, cuda or cuda:N."""
    return Predictor(open_engine(Path(path), device), tta)

"""Two collections of unlabelled pictures -> a style network between them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import torch
from torch import Tensor

from tarsia import console
from tarsia.adaptation.style import Norm, Statistics, StyleNetwork, distance, statistics, style_loss
from tarsia.card import CARD_KEY, Card, read_header
from tarsia.data._unlabelled import Unlabelled
from tarsia.engines import weights
from tarsia.engines.model_file import find_model_file, read_card
from tarsia.errors import ModelFileError, RecipeError, TrainingError

_LARGEST_CROP = 256
_LOOKED_AT = 32  # pictures of each collection that the crop's size is taken from
_WARM_UP = 50

# Song et al.: a generator symmetrical to the encoder, fed by the code alone, which learns eq. 2 alone.
PUBLISHED: dict[str, Any] = {
    "generator": "mirrored",
    "skips": "none",
    "stages_weight": 0.0,
    "identity_weight": 0.0,
    "norm": "l2",
}


class StyleTraining:
    """How a generator learns: Adam, random pairs within and across the two collections, square crops.

    The loss is Song et al.'s eq. 2 at the code, in `norm` (style.style_loss), and two terms beside it, which their
    weights of 0 leave out, as published:

    - `stages_weight` times the distances of mean and deviation at every finer map and at the picture itself: the style
      loss over several stages of Huang and Belongie (eq. 13), where Song et al. have one.
    - `identity_weight` times the mean absolute difference between a picture, normalised, and what the generator makes
      of its own code: an identity loss, as in Park and Lee, "Arbitrary Style Transfer with Style-Attentional
      Networks", CVPR 2019, here in L1.
    """

    def __init__(
        self,
        network: StyleNetwork,
        collections: tuple[Unlabelled, Unlabelled],
        *,
        batch: int = 8,
        learning_rate: float = 1e-3,
        stages_weight: float = 1.0,
        identity_weight: float = 1.0,
        norm: Norm = "rms",
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        """Raises RecipeError for a weight below 0 and a norm that there is not."""
        for name, weight in (("stages_weight", stages_weight), ("identity_weight", identity_weight)):
            if not 0 <= weight < math.inf:
                raise RecipeError(f"{name}={weight}: expected 0, which leaves the term out, or more")
        if norm not in get_args(Norm):
            raise RecipeError(f"{norm=}: expected {' or '.join(get_args(Norm))}")
        self.network = network.to(device).train()
        self.collections, self.batch, self.device = collections, batch, device
        self.learning_rate, self.seed = learning_rate, seed
        self.stages_weight, self.identity_weight, self.norm = stages_weight, identity_weight, norm
        self.random = np.random.default_rng(np.random.SeedSequence(seed))
        self.crop = _crop(collections, network.stride)
        self.optimizer = torch.optim.Adam(network.generator.parameters(), lr=learning_rate)

    def settings(self) -> dict[str, Any]:
        """All that was chosen, for the card."""
        names = ("batch", "learning_rate", "stages_weight", "identity_weight", "norm", "seed")
        return {name: getattr(self, name) for name in names}

    def run(self, steps: int) -> list[float]:
        """Train for `steps` -> the loss of each; TrainingError where it is not finite."""
        losses = []
        for step in console.track(range(steps), steps, "style network"):
            rate = min(1.0, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate * rate
            loss = self.loss(*self._pairs())
            if not math.isfinite(float(loss.detach())):
                raise TrainingError(
                    f"style network: the loss is not finite in step {step + 1}: lower the learning rate"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(float(loss.detach()))
        self.network.eval()
        return losses

    def loss(self, content_B3HW: Tensor, style_B3HW: Tensor) -> Tensor:
        """uint8 pictures and as many to take the style of -> the loss."""
        network = self.network
        with torch.no_grad():
            maps, theirs = network.maps(content_B3HW), network.maps(style_B3HW)
            style: Statistics = [statistics(one) for one in theirs]
            wanted = network.mixed(maps, style)
        found = network.maps(network.generated(wanted))
        total = style_loss(found[-1], wanted[-1], style[-1], self.norm)
        if self.stages_weight:
            for one, its in zip(found[:-1], style[:-1], strict=True):
                parts = zip(statistics(one), its, strict=True)
                total = total + self.stages_weight * sum(distance(*pair, self.norm) for pair in parts)
        if self.identity_weight:
            total = total + self.identity_weight * (network.generator(maps) - maps[0]).abs().mean()
        return total

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Contents and styles of all four directions."""
        sides = [(k // 2 % 2, k % 2) for k in self.random.permutation(self.batch)]
        return self._crops([one for one, _ in sides]), self._crops([other for _, other in sides])

    def _crops(self, sides: list[int]) -> Tensor:
        crops = []
        for side in sides:
            pictures = self.collections[side]
            crops.append(self._cropped(pictures[int(self.random.integers(len(pictures)))]))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(self.device)

    def _cropped(self, image_HW3: np.ndarray) -> np.ndarray:
        """A square of the picture, scaled so that its short side is 1 to 1.5 times the square's; mirrored or not."""
        scale = self.crop * self.random.uniform(1, 1.5) / min(image_HW3.shape[:2])
        size = [max(self.crop, round(side * scale)) for side in image_HW3.shape[1::-1]]
        image_HW3 = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        top, left = (int(self.random.integers(side - self.crop + 1)) for side in image_HW3.shape[:2])
        part = image_HW3[top : top + self.crop, left : left + self.crop]
        return np.ascontiguousarray(part[:, ::-1] if self.random.random() < 0.5 else part)


def take_encoder(network: StyleNetwork, path: Path) -> None:
    """Give the network the encoder of Tarsia model `path`, which must be of the same kind; ModelFileError if not."""
    tensors = weights.read_weights(path)
    wanted = network.encoder.state_dict()
    found = {key.removeprefix("encoder."): value for key, value in tensors.items() if key.startswith("encoder.")}
    faults = weights.misfits(wanted, {key: value for key, value in found.items() if key in wanted})
    if faults:
        raise ModelFileError(f"{path}: its encoder does not fit the style network's: {'; '.join(faults[:5])}")
    network.encoder.load_state_dict({key: found[key] for key in wanted})


def encoder_of(path: Path) -> tuple[Path, dict[str, Any]]:
    """A Tarsia model file or run folder -> the file, and what a StyleCard says of its encoder."""
    file = find_model_file(path)
    card: Card = read_card(file)
    if "encoder" not in card.model:
        raise ModelFileError(f"{file}: a {card.architecture} has no timm encoder to take: give another model")
    keys = ("encoder", "encoder_options", "mean", "std")
    given = {key: card.model[key] for key in keys if card.model.get(key) is not None}
    options = {key: value for key, value in given.get("encoder_options", {}).items() if key != "out_indices"}
    return file, given | {"encoder_options": options}


def is_model(path: Path) -> bool:
    """Whether `path` is a run folder or a whole Tarsia model file."""
    return path.is_dir() or (path.is_file() and path.suffix == ".safetensors" and CARD_KEY in read_header(path))


def _crop(collections: tuple[Unlabelled, Unlabelled], stride: int) -> int:
    """The side of the crops: at most 256, no larger than the smallest side seen, a multiple of the stride."""
    smallest = min(min(image.shape[:2]) for one in collections for image in one.spread(_LOOKED_AT))
    return max(2 * stride, min(_LARGEST_CROP, smallest) // stride * stride)

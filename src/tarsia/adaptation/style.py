"""The style network: a picture in the light and colours of another, by adaptive instance normalisation.

Song, Zhang & Park 2021, style transfer, after Huang and Belongie, "Arbitrary Style Transfer in Real-time with
Adaptive Instance Normalization", ICCV 2017.  A frozen encoder gives the code of a picture at 1/8 of its size, AdaIN
gives the code the mean and deviation of another picture's code (eq. 1), and a generator makes a picture of it.

As published, the generator is symmetrical to the encoder (`mirrored`) and is fed by the code alone (`skips: none`).

What else there is, and why.  A code at 1/8 alone cannot hold kerbs, poles and far cars, and a restyled picture whose
objects have moved or melted teaches the wrong labels.  So `skips` brings the generator more, normalised in the same
way: `maps`, the encoder's finer maps at their size, or `picture`, these and the picture itself, to which the generator
then only adds.  On drawn streets `picture` is sharp from the first step and comes down to a transfer of each colour's
mean and deviation: the generator adds less than a hundredth of a deviation.  `maps` changes contrast and haze from
place to place, and is blurred until it has learned for long.  With them a `plain` generator will do: the encoder's
levels and widths, two convolutions each.

Pictures are padded by reflection before the encoder: no frame of other colours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from tarsia.adaptation.style_generators import Form, Skips, generator
from tarsia.card import CARD_KEY, STYLE_KEY, read_header
from tarsia.data._unlabelled import open_unlabelled
from tarsia.engines.torch_engine import pick_device
from tarsia.engines.weights import misfits, read_weights, write_tensors
from tarsia.errors import ModelFileError, RecipeError
from tarsia.files import writing
from tarsia.models._encoders import Encoder
from tarsia.plain_text import command

_LEAST_DEVIATION = 1e-5  # a constant channel has none: it stays constant, at the other picture's mean
_REFERENCES = 64  # pictures that a style is the average of
_MARGIN = 1  # codes' positions that pictures are padded by
_MADE = f"`{command('adapt', '--train-style')}` makes one"

Norm = Literal["rms", "l2"]
Statistics = list[tuple[Tensor, Tensor]]  # mean and deviation of each map, B x C x 1 x 1


class StyleCard(BaseModel):
    """What a style file says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    encoder: str = "resnet50"  # Song et al.
    encoder_options: dict[str, Any] = {}
    mean: tuple[float, float, float] | None = None  # of RGB / 255; the encoder's own by default
    std: tuple[float, float, float] | None = None
    stride: int = Field(8, ge=2, le=32, description="of the code; Song et al.: 8")
    generator: Form = "plain"  # what every file is that does not say it
    skips: Skips = "picture"
    provenance: dict[str, Any] = {}


class StyleNetwork(nn.Module):
    """uint8 pictures and references -> the pictures in the references' style.  Only the generator learns."""

    mean: Tensor
    std: Tensor

    def __init__(self, card: StyleCard, weights: str = "none", seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
            self.encoder = _encoder(card, weights).requires_grad_(False)
            self.generator = generator(card.generator, self.encoder, card.skips)
        self.stride = self.encoder.stride
        for name, given, own in (("mean", card.mean, self.encoder.mean), ("std", card.std, self.encoder.std)):
            self.register_buffer(name, torch.tensor(given or own).view(1, 3, 1, 1) * 255, persistent=False)

    def train(self, mode: bool = True) -> StyleNetwork:
        """The encoder's batch normalisation always uses the statistics it came with."""
        super().train(mode)
        self.encoder.eval()
        return self

    def maps(self, image_B3HW: Tensor) -> list[Tensor]:
        """Pictures of 0 .. 255, sides multiples of the stride -> the picture, normalised, and the encoder's maps.

        From fine to coarse: the last is the code.
        """
        normalised = (image_B3HW.float() - self.mean) / self.std
        return [normalised, *self.encoder(normalised)]

    def restyle(self, image_B3HW: Tensor, reference_B3HW: Tensor, strength: float = 1.0) -> Tensor:
        """uint8 pictures of any size, references (one for each, or one for all) -> uint8 pictures.

        `strength` 0 .. 1: from the generator's picture of the unchanged code to that of the reference's statistics.
        """
        return self.toward(image_B3HW, self.statistics(reference_B3HW), strength)

    @torch.no_grad()
    def statistics(self, reference_B3HW: Tensor) -> Statistics:
        """uint8 references of any size -> the statistics of their maps."""
        padded, _ = self._padded(reference_B3HW)
        return [statistics(one) for one in self.maps(padded)]

    @torch.no_grad()
    def toward(self, image_B3HW: Tensor, style: Statistics, strength: float = 1.0) -> Tensor:
        """uint8 pictures, statistics -> uint8 pictures in that style."""
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is {strength}, expected 0 to 1")
        height, width = image_B3HW.shape[-2:]
        padded, (top, left) = self._padded(image_B3HW)
        found = self.generated(self.mixed(self.maps(padded), style, strength))
        return found[..., top : top + height, left : left + width].round().clamp(0, 255).to(torch.uint8)

    def mixed(self, maps: list[Tensor], style: Statistics, strength: float = 1.0) -> list[Tensor]:
        """Maps -> maps with `strength` of the style in them (eq. 1; Huang and Belongie eq. 14)."""
        pairs = zip(maps, style, strict=True)
        return [one + strength * (adain(one, *its) - one) for one, its in pairs]

    def generated(self, maps: list[Tensor]) -> Tensor:
        """Maps -> pictures of about 0 .. 255."""
        return self.generator(maps) * self.std + self.mean

    def _padded(self, image_B3HW: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Pictures with a margin, sides multiples of the stride; and where the picture begins in them."""
        height, width = image_B3HW.shape[-2:]
        margin = _MARGIN * self.stride
        bottom, right = margin + -height % self.stride, margin + -width % self.stride
        # A picture smaller than the margin cannot be mirrored that far: its border is repeated.
        mode = "reflect" if min(height, width) > max(bottom, right) else "replicate"
        padded = functional.pad(image_B3HW.float(), (margin, right, margin, bottom), mode=mode)
        return padded, (margin, margin)


def statistics(map_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """A map -> mean and standard deviation of each channel over space, B x C x 1 x 1."""
    variance, mean = torch.var_mean(map_BCHW, (2, 3), correction=0, keepdim=True)
    return mean, (variance + _LEAST_DEVIATION**2).sqrt()


def adain(map_BCHW: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """sigma(Z_i) (Z_0 - mu(Z_0)) / sigma(Z_0) + mu(Z_i) (Song et al. eq. 1, its names of mean and deviation put right).

    A channel without deviation becomes `mean` everywhere.
    """
    own_mean, own_deviation = statistics(map_BCHW)
    return deviation * (map_BCHW - own_mean) / own_deviation + mean


def style_loss(code: Tensor, wanted: Tensor, style: tuple[Tensor, Tensor], norm: Norm = "rms") -> Tensor:
    """|| E(g(Z^)) - Z^ || + || mu(.) - mu(Z_i) || + || sigma(.) - sigma(Z_i) || (eq. 2), `code` being E(g(Z^)).

    `norm` l2 is the published one: the root of the sum of squares, of each picture.  A code of H x W positions then
    weighs about the root of H x W times as much as the two statistics.  rms is the root of their mean, in which the
    three terms weigh the same whatever the size.
    """
    mean, deviation = statistics(code)
    apart = distance(mean, style[0], norm) + distance(deviation, style[1], norm)
    return distance(code, wanted, norm) + apart


def distance(found_B: Tensor, wanted_B: Tensor, norm: Norm) -> Tensor:
    """Two arrays of one value or more a picture -> how far they are apart: by `norm`, the mean over the pictures."""
    squares = (found_B - wanted_B).square()
    if norm == "rms":
        return (squares.mean() + 1e-12).sqrt()
    return (squares.flatten(1).sum(1) + 1e-12).sqrt().mean()


def save_style(path: Path, network: StyleNetwork, card: StyleCard) -> None:
    """Write network, encoder included, and card as one file, atomically."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with writing(Path(path)) as part:
        write_tensors(part, tensors, STYLE_KEY, card.model_dump_json())


def load_style(path: str | Path) -> tuple[StyleNetwork, StyleCard]:
    """A style file -> the network, ready to use, and its card; ModelFileError where it is not a sound one."""
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such style file; {_MADE}")
    if not is_style(path):
        what = "a segmentation model, give it as MODEL" if CARD_KEY in read_header(path) else "not written by Tarsia"
        raise ModelFileError(f"{path}: no style file ({what}); {_MADE}")
    tensors = read_weights(path, STYLE_KEY)
    try:
        card = StyleCard.model_validate_json(read_header(path)[STYLE_KEY])
        network = StyleNetwork(card)
    except (ValidationError, RecipeError) as error:
        raise ModelFileError(f"{path}: this Tarsia cannot build the style network of its card ({error})") from error
    faults = misfits(network.state_dict(), tensors)
    if faults:
        raise ModelFileError(f"{path}: its weights do not fit its card: {'; '.join(faults[:5])}")
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False), card


def open_restyler(path: str | Path, reference: str | Path, device: str = "auto") -> Callable[[np.ndarray], np.ndarray]:
    """A style file and pictures to look like (a folder, or a data set) -> B x H x W x 3 uint8 -> the same, restyled.

    The style is the average of the statistics of up to 64 reference pictures, the same for every picture restyled.
    """
    where = pick_device(device)
    network = load_style(path)[0].to(where)
    seen = open_unlabelled(reference).spread(_REFERENCES)
    levels = zip(*(network.statistics(_tensor(image_HW3[None], where)) for image_HW3 in seen), strict=True)
    style = [(_mean([one for one, _ in level]), _mean([one for _, one in level])) for level in levels]

    def restyle(images_BHW3: np.ndarray) -> np.ndarray:
        return network.toward(_tensor(images_BHW3, where), style).permute(0, 2, 3, 1).cpu().numpy()

    return restyle


def is_style(path: Path) -> bool:
    """Whether a .safetensors file holds a style network."""
    return path.suffix.lower() != ".onnx" and STYLE_KEY in read_header(path)


def _tensor(images_BHW3: np.ndarray, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images_BHW3)).permute(0, 3, 1, 2).to(device)


def _mean(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).mean(0)


def _encoder(card: StyleCard, weights: str) -> Encoder:
    """The encoder up to the code's stride: later stages are not built."""
    with torch.device("meta"):
        reductions = Encoder(card.encoder, options=card.encoder_options).reductions
    wanted = tuple(index for index, reduction in enumerate(reductions) if reduction <= card.stride)
    if wanted and reductions[wanted[-1]] == card.stride:
        encoder = Encoder(card.encoder, weights, options=card.encoder_options | {"out_indices": wanted})
        if encoder.stride == card.stride:  # a plain ViT's maps are all of one size, whichever are asked for
            return encoder
    raise RecipeError(
        f"encoder={card.encoder!r}: its maps lie at 1/{', 1/'.join(map(str, reductions))} of a picture, and the "
        f"style's code is wanted at 1/{card.stride}: choose a convolutional encoder that has it, as resnet50"
    )

"""What every network is: uint8 RGB in, scores at the picture's size out.

RGB, and the 3 of shapes, stand for a picture's bands, however many `bands` says there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn import functional

from tarsia.card import MAX_BANDS
from tarsia.models._attention import Attention, Attentive, attention_of
from tarsia.models._encoded import Layout
from tarsia.models._encoders import Encoder
from tarsia.plain_text import some
from tarsia.yaml_tree import Node

# How the four axes of a picture, and of all that is computed from it, lie in memory: B K H W, or B H W K.
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
Criterion = Callable[[Tensor, Tensor], Tensor]  # scores_BKHW, label_BHW (uint8, 255 ignored) -> scalar
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB / 255
_MEAN, _STD = 0.5, 0.25  # of bands / 255 that no pretrained network has seen
Deviation = Annotated[float, Field(gt=0)]
# Set by Tarsia itself, or able to read files: a model file must not be able to name any.
_KEPT_OPTIONS = {"features_only", "output_stride", "in_chans", "feature_cfg", "checkpoint_path", "cache_dir"}


class ModelConfig(Node):
    """What every architecture is configured by; all fields go into the card."""

    publication: ClassVar[str] = ""  # `tarsia models` shows it
    smallest: ClassVar[dict[str, Any]] = {}  # the options of the smallest network of this kind, which tests run on
    bands: Annotated[int, Field(ge=1, le=MAX_BANDS)] = Field(3, description="of the pictures; 3: red, green and blue")

    def normalisation(
        self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and deviation of each band / 255: what is handed in for red, green and blue, else 0.5 and 0.25."""
        return (mean, std) if self.bands == 3 else ((_MEAN,) * self.bands, (_STD,) * self.bands)


class EncoderConfig(ModelConfig):
    """The configuration of networks on a timm encoder."""

    smallest: ClassVar[dict[str, Any]] = {"encoder": "test_resnet"}
    encoder: str = Field("resnet18", description="any name of timm.list_models()")
    encoder_options: dict[str, Any] = Field({}, description="passed to timm.create_model, as {pad_type: same}")
    mean: tuple[float, ...] | None = Field(
        None, description="of each band / 255; default: what the encoder was trained with, other than 3 bands: 0.5"
    )
    std: tuple[Deviation, ...] | None = Field(None, description="likewise; other than 3 bands: 0.25")

    @field_validator("encoder_options")
    @classmethod
    def _only_of_the_network(cls, options: dict[str, Any]) -> dict[str, Any]:
        kept = [key for key in options if key in _KEPT_OPTIONS or key.startswith("pretrained")]
        if kept:
            raise ValueError(f"{some(kept, 5)} cannot be given here: Tarsia sets it")
        return options

    @field_validator("mean", "std")
    @classmethod
    def _one_a_band(cls, values: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        bands = info.data.get("bands", 3)
        if values is not None and len(values) != bands:
            raise ValueError(f"{len(values)} values, expected {bands}: one for each band")
        return values

    def normalisation(
        self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
    ) -> tuple[Sequence[float], Sequence[float]]:
        """As for every network, unless the recipe gives them."""
        mean, std = super().normalisation(mean, std)
        return self.mean or mean, self.std or std


class Segmenter(nn.Module, ABC):
    """A network.  Subclasses set `stride` and give `segment`; normalising and upsampling are done here."""

    stride: int
    mean: Tensor
    std: Tensor
    memory_format: str | None = None  # None: each picture is computed as it comes

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        """`mean` and `std`, of each band / 255, say how many bands there are (ModelConfig.normalisation)."""
        super().__init__()
        self.bands = len(mean)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255, persistent=False)

    def arrange(self, memory_format: str) -> None:
        """Lay the weights, and every picture to come, `contiguous` or `channels_last`."""
        self.to(memory_format=MEMORY_FORMATS[memory_format])
        self.memory_format = memory_format

    @abstractmethod
    def segment(self, image_B3HW: Tensor) -> Tensor:
        """Normalised float picture -> B x K x h x w scores at any resolution."""

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """uint8 RGB, H and W multiples of `stride` -> B x K x H x W scores."""
        size = image_B3HW.shape[-2:]
        if size[0] % self.stride or size[1] % self.stride:
            raise ValueError(f"picture of {tuple(size)} is no multiple of the stride {self.stride}: pad it first")
        if image_B3HW.shape[1] != self.bands:  # one band would be taken for all
            raise ValueError(f"picture of {image_B3HW.shape[1]} bands, the network takes {self.bands}")
        return at_size(self.segment(self.normalised(image_B3HW)), size)

    def normalised(self, image_B3HW: Tensor) -> Tensor:
        """uint8 RGB -> what `segment` takes."""
        if self.memory_format is not None:
            image_B3HW = image_B3HW.contiguous(memory_format=MEMORY_FORMATS[self.memory_format])
        return (image_B3HW.to(self.mean.dtype) - self.mean) / self.std

    def loss(self, image_B3HW: Tensor, label_BHW: Tensor, criterion: Criterion) -> tuple[dict[str, Tensor], Tensor]:
        """Named terms that sum to the loss, and the scores they were computed from."""
        scores = self(image_B3HW)
        return {"loss": criterion(scores, label_BHW)}, scores

    def attention(self, image_B3HW: Tensor, at: tuple[float, float] | None = None) -> list[tuple[str, Attention]]:
        """uint8 RGB as for `forward` -> the name of each attention module and what it does, in working order.

        `at`: the position whose attention is asked for, as shares of the height and width given.
        """
        found: list[tuple[str, Attention]] = []

        def listen(name: str, part: Attentive) -> Callable[..., None]:
            return lambda _, given, output: found.append((name, attention_of(part.attended(*given), output, at)))

        parts: list[tuple[str, Any]] = [one for one in self.named_modules() if isinstance(one[1], Attentive)]
        listening = [part.register_forward_hook(listen(name, part)) for name, part in parts]
        try:
            self(image_B3HW)
        finally:
            for handle in listening:
                handle.remove()
        return found

    def parameter_groups(
        self, learning_rate: float, weight_decay: float, encoder_multiplier: float = 1.0
    ) -> list[dict[str, Any]]:
        """Trainable parameters for an optimizer; biases and norms are not decayed, the encoder may learn slower."""
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                key = (name.startswith("encoder."), parameter.ndim > 1)
                groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": learning_rate * (encoder_multiplier if of_encoder else 1.0),
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (of_encoder, decays), parameters in groups.items()
        ]


def at_size(scores_BKHW: Tensor, size: tuple[int, ...]) -> Tensor:
    """Scores resized bilinearly to H x W `size`."""
    if scores_BKHW.shape[-2:] == size:
        return scores_BKHW
    return functional.interpolate(scores_BKHW, size=size, mode="bilinear", align_corners=False)


class EncoderSegmenter(Segmenter):
    """A network on a timm encoder.  Subclasses give `decode`, or `segment` where that sees more than the maps."""

    encoded: Layout | None = None  # of the encoder's maps that `forward` takes in place of pictures: rows, B x L

    def __init__(self, config: EncoderConfig, weights: str, output_stride: int | None = None) -> None:
        encoder = Encoder(config.encoder, weights, output_stride, config.encoder_options, config.bands)
        super().__init__(*config.normalisation(encoder.mean, encoder.std))
        self.encoder = encoder
        self.stride = encoder.stride

    @classmethod
    def is_cut(cls) -> bool:
        """Whether all that comes after the encoder is `decode`."""
        return cls.decode is not EncoderSegmenter.decode and cls.segment is EncoderSegmenter.segment

    def decode(self, maps: list[Tensor]) -> Tensor:
        """The encoder's maps, fine to coarse -> B x K x h x w scores at any resolution."""
        raise NotImplementedError("a network on an encoder gives `decode`, or `segment`")

    def encode(self, image_B3HW: Tensor) -> list[Tensor]:
        """uint8 RGB as for `forward` -> the encoder's maps."""
        maps: list[Tensor] = self.encoder(self.normalised(image_B3HW))
        return maps

    def segment(self, image_B3HW: Tensor) -> Tensor:
        if image_B3HW.ndim == 4:
            return self.decode(self.encoder(image_B3HW))
        assert self.encoded is not None, "what the rows hold was said"
        return self.decode(self.encoded.maps(image_B3HW, MEMORY_FORMATS[self.memory_format or "contiguous"]))

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """As of every network; or B x L, rows as `encoded` says, -> the scores of their pictures."""
        if image_B3HW.ndim == 4 or self.encoded is None:
            return super().forward(image_B3HW)
        return at_size(self.segment(image_B3HW), self.encoded.size)

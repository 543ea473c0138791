"""SegNet: the encoder mirrored, maps brought up by the positions that its poolings chose; no skip connections.

Badrinarayanan, Kendall & Cipolla, "SegNet", TPAMI 2017, section 3: VGG16's thirteen convolutions with batch
normalisation and 2x2 max-pooling that stores where each maximum was.  The decoder puts values back at the stored
positions, zeros around them, and passes them through the same convolutions mirrored, 3-3-3-2-2; the last of its
thirteen gives the classes, without normalisation.  About 29.4 M parameters.  `batch_norm: false` has VGG16 as it was
published in 2014 for the encoder, so that its weights can be taken; the decoder keeps its normalisation.

Saraceno, "Image Semantic Segmentation", 2022, puts MobileNet V1 in VGG16's place (`encoder: mobilenetv1_100`),
which has no poolings.  That form serves every timm encoder: its last map goes through levels of 512, 256, 128 and 64
channels, each an interpolation to twice the size and a 3x3 convolution, so from 1/32 to 1/2, where a 3x3 convolution
gives the classes.  Saraceno does not say which interpolation: here it is bilinear, as in SegNet's table 1.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn import functional

from tarsia.errors import RecipeError
from tarsia.models._blocks import Classifier, ConvNormReLU, kaiming
from tarsia.models._encoders import Encoder
from tarsia.models._segmenter import EncoderConfig, Segmenter
from tarsia.models._vgg import Vgg16

_POOLED = "vgg16_bn"  # the encoder whose poolings are at hand
_CHANNELS = (512, 256, 128, 64)  # Saraceno's decoder


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Badrinarayanan, Kendall & Cipolla, SegNet, TPAMI 2017; on MobileNet as in Saraceno, 2022"
    smallest: ClassVar[dict[str, Any]] = {"width": 0.25}
    encoder: str = Field(
        _POOLED, description=f"{_POOLED}: unpools by stored positions; any other of timm.list_models(): interpolates"
    )
    width: Annotated[float, Field(gt=0, le=4)] = Field(1.0, description=f"times {_POOLED}'s channels")
    batch_norm: bool = Field(True, description="after VGG16's convolutions; false: vgg16's, with a bias")
    channels: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, min_length=1, description=f"of the levels that interpolate, coarse to fine; default: {_CHANNELS}"
    )

    @field_validator("encoder_options", "width", "batch_norm", "channels")
    @classmethod
    def _of_this_encoder(cls, value: Any, info: ValidationInfo) -> Any:
        encoder, field = info.data.get("encoder"), str(info.field_name)
        default = {"encoder_options": {}, "width": 1.0, "batch_norm": True, "channels": None}[field]
        of_pooled = field in ("width", "batch_norm")
        if value != default and (encoder == _POOLED) != of_pooled:
            other = f"only {_POOLED} can be given it" if of_pooled else f"{_POOLED} is mirrored as it is"
            raise ValueError(f"encoder {encoder} takes no {field}, {other}: leave {field} out")
        return value


class Model(Segmenter):
    """Picture -> scores, at full size with stored positions, at 1/2 with interpolation from 1/32."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        if config.encoder == _POOLED:
            pooled = Vgg16(config.width, weights, config.bands, config.batch_norm)
            super().__init__(*config.normalisation())
            self.encoder: Vgg16 | Encoder = pooled
            self.stride = 2 ** len(pooled.stages)
            levels = _mirrored(pooled)
        else:
            encoder = Encoder(config.encoder, weights, options=config.encoder_options, bands=config.bands)
            super().__init__(*config.normalisation(encoder.mean, encoder.std))
            self.encoder = encoder
            self.stride = encoder.stride
            levels = _narrowing(encoder, config.channels or _CHANNELS)
        self.decoder = nn.ModuleList(nn.Sequential(*(ConvNormReLU(a, b) for a, b in level)) for level in levels)
        self.classifier = Classifier(levels[-1][-1][1], class_count, 3, padding=1)
        kaiming(self.decoder)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        if isinstance(self.encoder, Encoder):
            x = self.encoder(image_B3HW)[-1]
            for level in self.decoder:
                x = level(functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
            return self.classifier(x)
        x, stored = image_B3HW, []
        for stage in self.encoder.stages:
            x = stage(x)
            size = (x.shape[2], x.shape[3])
            x, positions = functional.max_pool2d(x, 2, return_indices=True)
            stored.append((positions, size))
        for level in self.decoder:
            x = level(_unpool(x, *stored.pop()))
        return self.classifier(x)


def _unpool(x: Tensor, positions: Tensor, size: tuple[int, int]) -> Tensor:
    """`x`, B x C x h x w, at the flat `positions` (int64, B x C x h x w) of a B x C x `size` map of zeros.

    What nn.MaxUnpool2d does, in operations that exporters know; a slice of sizes they would take for fixed.
    """
    batch, channels, (height, width) = x.shape[0], x.shape[1], size
    zeros = x.new_zeros(batch, channels, height * width)
    return zeros.scatter(2, positions.flatten(2), x.flatten(2)).view(batch, channels, height, width)


def _mirrored(encoder: Vgg16) -> list[list[tuple[int, int]]]:
    """(inputs, outputs) of each level's convolutions: the stages backwards, but for the one that gives the classes."""
    convolutions = [[part for part in stage.modules() if isinstance(part, nn.Conv2d)] for stage in encoder.stages]
    levels = [[(part.out_channels, part.in_channels) for part in reversed(stage)] for stage in reversed(convolutions)]
    levels[-1].pop()
    return levels


def _narrowing(encoder: Encoder, channels: tuple[int, ...]) -> list[list[tuple[int, int]]]:
    """(inputs, outputs) of each level's one convolution."""
    if 2 ** len(channels) > encoder.stride:
        raise RecipeError(
            f"model.channels: {len(channels)} levels double the size {len(channels)} times, the encoder's last map is "
            f"at 1/{encoder.stride}: leave some out"
        )
    inputs = [encoder.channels[-1], *channels[:-1]]
    return [[pair] for pair in zip(inputs, channels, strict=True)]

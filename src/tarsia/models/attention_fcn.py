"""Attention FCN: VGG16 with strided convolutions for pooling, a skip at every level, channel attention after each.

Shen & Sun, "A Deep Learning-Based Image Semantic Segmentation Algorithm", 2022.  Encoder: VGG16's five stages,
each max-pooling replaced by an added 3x3 convolution of stride 2, so that the last map is at 1/32.  Context: atrous
spatial pyramid pooling with a branch of the map's mean.  Decoder: five transposed convolutions of 2x2, each x2; at
every level the encoder's map of that size is projected by 1x1 and added, and a squeeze-and-excitation block follows
(eq. 1 to 3); then a 1x1 classifier.  Each ablation is a switch: `down`, `skips`, `attention`, `context`.

`down: max` is the 2x2 max-pooling that the strided convolutions replace.  The five convolutions go with their batch
normalisation and ReLU: the network is five layers shallower and has 344,032 of 1,625,119 parameters less, so that a
difference may be owed to these as much as to the way of halving.

What the publication leaves open: its 1.58 M parameters without skips and 1.63 M with them are no full VGG16, a quarter
of VGG16's width meets them (1,586,239 and 1,625,119 for 19 classes), with batch normalisation after each convolution
in place of a bias, biases in the squeeze-and-excitation, and pyramid branches of a quarter of their input's channels.
That is the default.  `width: 1` takes VGG16's weights into the thirteen convolutions, those of vgg16_bn, or with
`batch_norm: false` of vgg16, the network of 2014; the strided ones stay new.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from tarsia.models._blocks import Classifier, ConvNormReLU, Norm, SpatialPyramid, SqueezeExcitation, kaiming
from tarsia.models._segmenter import ModelConfig, Segmenter
from tarsia.models._vgg import Vgg16


class Config(ModelConfig):
    """The network's numbers."""

    publication = "Shen & Sun, A Deep Learning-Based Image Semantic Segmentation Algorithm, 2022"
    smallest: ClassVar[dict[str, Any]] = {"width": 0.125}
    width: Annotated[float, Field(gt=0, le=4)] = Field(
        0.25, description="times VGG16's 64, 128, 256, 512, 512 channels; 0.25 meets the published 1.63 M parameters"
    )
    down: Literal["strided", "max"] = Field(
        "strided", description="how maps are halved: by a 3x3 convolution of stride 2 (published), or by max-pooling"
    )
    batch_norm: bool = Field(True, description="after VGG16's convolutions, in place of their bias; all others have it")
    skips: bool = Field(True, description="published: 1.58 M parameters without, 1.63 M with")
    attention: bool = Field(True, description="squeeze-and-excitation each fusion; published: 42 ms without, 47 with")
    context: bool = Field(True, description="atrous spatial pyramid pooling on the last map")
    rates: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (2, 4, 6), min_length=1, description="dilations of the pyramid; the last map is 7x7 at 224x224"
    )
    reduction: Annotated[int, Field(ge=1)] = Field(16, description="r of eq. 2; the bottleneck is at least 4 wide")


def _shrink(channels: int, down: str) -> nn.Module:
    """A map to half its size."""
    return ConvNormReLU(channels, channels, stride=2) if down == "strided" else nn.MaxPool2d(2)


class _Up(nn.Module):
    """One level: twice the size, plus the encoder's map of that size, ReLU, attention."""

    def __init__(self, inputs: int, outputs: int, config: Config) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False), Norm(outputs))
        # The encoder's map of this size has as many channels as the level.
        projection = nn.Sequential(nn.Conv2d(outputs, outputs, 1, bias=False), Norm(outputs))
        self.skip = projection if config.skips else None
        self.attention = SqueezeExcitation(outputs, config.reduction) if config.attention else nn.Identity()

    def forward(self, x: Tensor, of_encoder: Tensor) -> Tensor:
        x = self.up(x)
        if self.skip is not None:
            x = x + self.skip(of_encoder)
        return self.attention(x.relu())


class Model(Segmenter):
    """Picture -> scores at full size."""

    stride = 32

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(*config.normalisation())
        self.encoder = Vgg16(config.width, weights, config.bands, config.batch_norm)
        channels = self.encoder.channels
        self.shrinks = nn.ModuleList(_shrink(width, config.down) for width in channels)
        last = channels[-1]
        branch = max(1, last // 4)
        self.context = SpatialPyramid(last, branch, config.rates, last) if config.context else nn.Identity()
        widths = [last, *reversed(channels)]  # 128-128-128-64-32-16 at width 1/4
        self.decoder = nn.ModuleList(_Up(a, b, config) for a, b in zip(widths, widths[1:], strict=False))
        self.classifier = Classifier(widths[-1], class_count, 1)
        for part in (self.shrinks, self.context, self.decoder):
            kaiming(part)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        x, maps = image_B3HW, []
        for stage, shrink in zip(self.encoder.stages, self.shrinks, strict=True):
            maps.append(stage(x))
            x = shrink(maps[-1])
        x = self.context(x)
        for up, of_encoder in zip(self.decoder, reversed(maps), strict=True):
            x = up(x, of_encoder)
        return self.classifier(x)

"""FPN: a light feature pyramid; coarse maps are brought up level by level and added to fine ones.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, figure 3 (1x1 lateral convolutions, upsample,
add, 3x3 convolution), as a semantic head like Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019.  What
differs, to be fast on CPUs: the 3x3 convolutions are depthwise separable (Howard et al., "MobileNets", 2017), the
pyramid reaches up to the encoder's finest map instead of 1/4, and the coarsest level is given the whole picture's
mean as context (Liu et al., "ParseNet", 2016, section 3.1).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._blocks import Classifier, ConvNormReLU, kaiming, resize_as
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Lin et al., Feature Pyramid Networks, CVPR 2017"
    channels: Annotated[int, Field(ge=1)] = Field(96, description="of every level; Lin et al.: 256")
    finest: Annotated[int, Field(ge=1, le=32)] = Field(2, description="1 / resolution of the finest level")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of channels, before the classifier")


class _Separable(nn.Sequential):
    """3x3 depthwise, 1x1 pointwise, each normalised; ReLU after both."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            ConvNormReLU(channels, channels, kernel=3, groups=channels), ConvNormReLU(channels, channels, kernel=1)
        )


class Model(EncoderSegmenter):
    """Picture -> scores at 1 / finest, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(config, weights)
        coarse = self.encoder.reductions[-1]
        self.kept = [
            index for index, level in enumerate(self.encoder.reductions) if level >= min(config.finest, coarse)
        ]
        channels = config.channels
        self.laterals = nn.ModuleList(
            ConvNormReLU(self.encoder.channels[index], channels, kernel=1) for index in self.kept
        )
        self.context = ConvNormReLU(self.encoder.channels[-1], channels, kernel=1)
        self.smooth = nn.ModuleList(_Separable(channels) for _ in self.kept)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = Classifier(channels, class_count, 1)
        for part in (self.laterals, self.context, self.smooth):
            kaiming(part)

    def decode(self, maps: list[Tensor]) -> Tensor:
        x = self.context(functional.adaptive_avg_pool2d(maps[-1], 1))
        for index, lateral, smooth in zip(
            reversed(self.kept), reversed(self.laterals), reversed(self.smooth), strict=True
        ):
            side = lateral(maps[index])
            x = smooth(side + resize_as(x, side))
        return self.classifier(self.dropout(x))

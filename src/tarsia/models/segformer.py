"""SegFormer: a transformer encoder with four levels, and a decoder of linear layers alone.

Xie et al., "SegFormer", NeurIPS 2021, section 3.2, eq. 4: each of the encoder's maps at 1/4, 1/8, 1/16 and 1/32 is
brought to C channels by a linear layer and upsampled to 1/4; concatenated, a linear layer makes C of 4 C channels, and
another one the classes.  As in its authors' code the fusing layer has batch normalisation and ReLU, and dropout is 0.1.
C is 256 for B0 and B1, 768 for B2 to B5 (section 4.2).

What differs: timm has no MiT, the publication's encoder.  In its place stands PVT v2 B0, its nearest relative: four
levels of the same channels (32, 64, 160, 256), overlapping patches, attention over shortened keys, 3.4 M parameters.
Any other encoder of timm serves too, by its last four maps.  The fusing layer comes before the upsampling, map by map,
which gives the same sums (both are linear, and upsampling treats all channels alike) for a third of the work.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._blocks import Classifier, Norm, kaiming, resize_as
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter

_LEVELS = 4


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Xie et al., SegFormer, NeurIPS 2021, on PVT v2 (Wang et al., 2022)"
    encoder: str = Field("pvt_v2_b0", description="any name of timm.list_models()")
    channels: Annotated[int, Field(ge=1)] = Field(256, description="C of eq. 4 (section 4.2: 256, or 768 from B2 on)")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="of whole channels before the classifier")


class Model(EncoderSegmenter):
    """Picture -> scores at the size of the finest of the encoder's last four maps, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(config, weights)
        widths = self.encoder.channels[-_LEVELS:]
        self.linear = nn.ModuleList(nn.Conv2d(width, config.channels, 1) for width in widths)
        self.fusion = nn.Conv2d(config.channels * len(widths), config.channels, 1, bias=False)
        self.norm = Norm(config.channels)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = Classifier(config.channels, class_count, 1)
        for part in (self.linear, self.fusion):
            kaiming(part)

    def decode(self, maps: list[Tensor]) -> Tensor:
        maps = maps[-_LEVELS:]
        weights = self.fusion.weight.chunk(len(maps), 1)  # of each map's channels, fine to coarse
        parts = [
            functional.conv2d(linear(one), weight)
            for linear, one, weight in zip(self.linear, maps, weights, strict=True)
        ]
        x = parts[0]
        for part in parts[1:]:
            x = x + resize_as(part, parts[0])
        return self.classifier(self.dropout(self.norm(x).relu()))

"""PSPNet: the whole picture's context, pooled at several scales, beside each position.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, figure 3, in the form of Tahir, Shaker & Xiao, "SIS-CNN",
eq. 4 to 6: the encoder's map x is average-pooled into bins of 1, 2, 3 and 6, each pooled map passes a 1x1 convolution
without bias, BN and ReLU (eq. 4), is upsampled and concatenated with x (eq. 5); a 1x1 convolution, BN and ReLU follow,
then the classifier (eq. 6).  Zhao et al. fuse with 3x3 (`fusion_kernel: 3`) and dilate the encoder to 1/8, which is
done here for every encoder that can be dilated.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from inlay.models._blocks import ConvNormReLU, kaiming, resize_as
from inlay.models._encoders import output_stride_near
from inlay.models._segmenter import EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Zhao et al., Pyramid Scene Parsing Network, CVPR 2017, as in Tahir, Shaker & Xiao, SIS-CNN"
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="of the encoder; default 8 (Zhao et al.) where it can be dilated, else its own"
    )
    bins: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field((1, 2, 3, 6), min_length=1, description="S2 section 3")
    branch_channels: Annotated[int, Field(ge=1)] | None = Field(
        None, description="of each pooled map; default: the encoder's channels / number of bins (Zhao et al.)"
    )
    fusion_channels: Annotated[int, Field(ge=1)] = Field(512, description="Zhao et al.")
    fusion_kernel: Literal[1, 3] = Field(1, description="S2 eq. 6: 1; Zhao et al.: 3")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="before the classifier; Zhao et al.: 0.1")


class _Pyramid(nn.Module):
    """x -> x with its pooled contexts concatenated (eq. 4, 5)."""

    def __init__(self, channels: int, branch_channels: int, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList(ConvNormReLU(channels, branch_channels, kernel=1) for _ in bins)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [
            resize_as(branch(functional.adaptive_avg_pool2d(x, bins)), x)
            for bins, branch in zip(self.bins, self.branches, strict=True)
        ]
        return torch.cat([x, *pooled], 1)


class Model(EncoderSegmenter):
    """Picture -> scores at the encoder's output stride, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        output_stride = config.output_stride or output_stride_near(config.encoder, 8, config.encoder_options)
        super().__init__(config, weights, output_stride)
        channels = self.encoder.channels[-1]
        branch_channels = config.branch_channels or max(1, channels // len(config.bins))
        self.pyramid = _Pyramid(channels, branch_channels, config.bins)
        fused = channels + branch_channels * len(config.bins)
        self.fusion = ConvNormReLU(fused, config.fusion_channels, kernel=config.fusion_kernel)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = nn.Conv2d(config.fusion_channels, class_count, 1)
        for part in (self.pyramid, self.fusion, self.classifier):
            kaiming(part)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        x = self.encoder(image_B3HW)[-1]
        return self.classifier(self.dropout(self.fusion(self.pyramid(x))))

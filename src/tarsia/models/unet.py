"""U-Net: an encoder's maps brought back to the picture's size, one skip connection a level.

Ronneberger, Fischer & Brox, "U-Net", MICCAI 2015, figure 1, in the form of Tahir, Shaker & Xiao, "SIS-CNN" (its
segmentation model): upsample by a transposed convolution, concatenate the encoder's map, convolve, normalise, ReLU,
up to the input's size.  What differs from Ronneberger: a pretrained classification network is the encoder, padded
convolutions keep the size, and batch normalisation follows each.  Where the encoder has no map at a level (above its
first), the level has no skip.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._blocks import Classifier, ConvNormReLU, convolve_upsampled, kaiming
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Ronneberger, Fischer & Brox, U-Net, MICCAI 2015, as in Tahir, Shaker & Xiao, SIS-CNN"
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (256, 128, 64, 32, 16), min_length=1, description="of the decoder's levels, coarse to fine"
    )
    convolutions: Annotated[int, Field(ge=1, le=4)] = Field(1, description="a level; SIS-CNN has 1, Ronneberger 2")
    upsampling: Literal["transposed", "nearest"] = Field("transposed", description="SIS-CNN: transposed convolution")


class _Up(nn.Module):
    """One level: twice the size, the encoder's map beside it, convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int, config: Config) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2) if config.upsampling == "transposed" else None
        inputs = (outputs if self.up else inputs) + skip
        widths = [inputs, *[outputs] * config.convolutions]
        self.convolutions = nn.Sequential(*(ConvNormReLU(a, b) for a, b in zip(widths, widths[1:], strict=False)))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if self.up is None and self.training:
            block: Any = self.convolutions[0]  # any: mypy cannot tell what a Sequential holds
            convolution, norm, activation = block
            first = activation(norm(convolve_upsampled(x, skip, convolution.weight)))
            return self.convolutions[1:](first)
        x = self.up(x) if self.up else functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.convolutions(x if skip is None else torch.cat([x, skip], 1))


class Model(EncoderSegmenter):
    """Picture -> scores at full size; `stride` is the encoder's coarsest reduction."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(config, weights)
        channels_at = dict(zip(self.encoder.reductions, self.encoder.channels, strict=True))
        self.levels = [self.stride >> step for step in range(1, self.stride.bit_length())]  # 16, 8, 4, 2, 1
        widths = [config.channels[-1]] * max(0, len(self.levels) - len(config.channels))
        widths = [*config.channels, *widths][-len(self.levels) :]
        inputs = [self.encoder.channels[-1], *widths]
        self.decoder = nn.ModuleList(
            _Up(inputs[step], channels_at.get(level, 0), widths[step], config) for step, level in enumerate(self.levels)
        )
        self.classifier = Classifier(widths[-1], class_count, 3, padding=1)
        kaiming(self.decoder)

    def decode(self, maps: list[Tensor]) -> Tensor:
        skips = dict(zip(self.encoder.reductions, maps, strict=True))
        x = maps[-1]
        for level, up in zip(self.levels, self.decoder, strict=True):
            x = up(x, skips.get(level))
        return self.classifier(x)

"""Original U-Net: two convolutions a level, down to 1/16 and up again, each level's map copied across.

Ronneberger, Fischer & Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, figure 1
and section 2: 64 to 1024 channels, two 3x3 convolutions with ReLU a level, 2x2 max-pooling down; up by a 2x2
up-convolution that halves the channels, the contracting path's map concatenated, two 3x3 convolutions; a 1x1
classifier; dropout at the end of the contracting path; Gaussian weights of deviation sqrt(2 / N), where N values come
into one (the classifier's are `head_start`'s).  About 31.0 M parameters.

What differs: the convolutions are padded, so that maps need no cropping and the scores are as large as the picture,
and pictures are coloured.  The published network has no normalisation (`batch_norm: false`) and relied on a momentum
of 0.99 over single pictures of one microscope; here each 3x3 convolution is normalised by default, because otherwise
no usual learning rate trains it from scratch on photographs.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._blocks import Classifier, ConvNormReLU, ConvReLU, convolutions
from tarsia.models._segmenter import ModelConfig, Segmenter
from tarsia.models._weights import refuse_weights


class Config(ModelConfig):
    """The network's numbers."""

    publication = "Ronneberger, Fischer & Brox, U-Net, MICCAI 2015"
    smallest: ClassVar[dict[str, Any]] = {"channels": (8, 16, 16, 32)}
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (64, 128, 256, 512, 1024), min_length=1, max_length=8, description="of the levels, fine to coarse (figure 1)"
    )
    batch_norm: bool = Field(True, description="after each 3x3 convolution, in place of its bias; published: false")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="on the two coarsest maps of the contracting path (section 3.1; rate: the authors' network)"
    )


class _Pair(nn.Sequential):
    """Two 3x3 convolutions, each with ReLU."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool) -> None:
        block = ConvNormReLU if batch_norm else ConvReLU
        super().__init__(block(inputs, outputs), block(outputs, outputs))


class _Up(nn.Module):
    """One level of the expansive path: twice the size, the contracting path's map in front, two convolutions."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.pair = _Pair(2 * outputs, outputs, batch_norm)

    def forward(self, x: Tensor, copied: Tensor) -> Tensor:
        return self.pair(torch.cat([copied, self.up(x)], 1))


class Model(Segmenter):
    """Picture -> scores at full size."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        refuse_weights("unet_original", weights)
        super().__init__(*config.normalisation())
        channels, norm = config.channels, config.batch_norm
        self.stride = 2 ** (len(channels) - 1)
        inputs = [config.bands, *channels[:-1]]
        self.contracting = nn.ModuleList(_Pair(a, b, norm) for a, b in zip(inputs, channels, strict=True))
        up = list(reversed(channels))
        self.expansive = nn.ModuleList(_Up(a, b, norm) for a, b in zip(up, up[1:], strict=False))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = Classifier(channels[0], class_count, 1)
        _gaussian(self)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        maps: list[Tensor] = []
        coarsest = len(self.contracting) - 1
        for level, pair in enumerate(self.contracting):
            x = pair(functional.max_pool2d(maps[-1], 2) if maps else image_B3HW)
            maps.append(self.dropout(x) if level >= coarsest - 1 else x)
        x = maps.pop()
        for up in self.expansive:
            x = up(x, maps.pop())
        return self.classifier(x)


def _gaussian(module: nn.Module) -> None:
    """Weights of deviation sqrt(2 / N) (section 3), zero biases; an up-convolution's window meets one position."""
    for part in convolutions(module):
        window = part.kernel_size[0] * part.kernel_size[1] // (part.stride[0] * part.stride[1])
        nn.init.normal_(part.weight, std=(2 / (part.in_channels * window)) ** 0.5)
        if part.bias is not None:
            nn.init.zeros_(part.bias)

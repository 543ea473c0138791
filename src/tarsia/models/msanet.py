"""MSANet: encoder and decoder, and attention between all positions at two of the decoder's resolutions.

Guo, Jiang & Jiang, "Multi-level spatial attention network for image data segmentation", International Journal of
Embedded Systems 14(3), 2021: tables 1 (encoder), 2 (decoder) and 3 (the modules MSAM-56 and MSAM-112), equations 1
and 2.  The decoder unpools to the positions that the encoder's max-pooling of the same size recorded.  Every
convolution has batch normalisation and ReLU and no bias, except A, B, C, D (1x1 with bias: ReLU there would make every
score of eq. 1 non-negative) and the last one.  19,558,293 parameters for 21 classes, 16,352,917 without attention.

What the publication leaves open: table 1's third convolution of block 2 is read as 128 channels at 112x112, table 3's
1x1 rows as stride 1 without padding (printed swapped); section 1 speaks of dilated convolutions where table 3 has
strided ones, which are built; section 3.2 multiplies C by the transpose of S, eq. 2 by S, which is done.  "Zero-mean
Gaussian" initialisation has no published deviation: 0.01 is Krizhevsky et al.'s (2012).  Before a batch normalisation
the deviation does not change what the network computes; for A and B it does, as eq. 1 has no scaling: with 0.01 all
positions are attended about equally at first, with He's deviation one position would get everything.  The scores start
so by `head_start: 0.01`.  What differs: `width` for smaller networks, `init: kaiming` for all but A and B, and
`scale: sqrt`, which divides A_i . B_j by the square root of their channels (Vaswani et al., "Attention Is All You
Need", 2017, section 3.2.1): no parameter more, and a choice among positions that more channels do not harden.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._attention import Attended, attend
from tarsia.models._blocks import Classifier, ConvNormReLU, Norm, convolutions, kaiming
from tarsia.models._segmenter import ModelConfig, Segmenter
from tarsia.models._weights import refuse_weights

_CHANNELS = (64, 128, 256, 512)  # of the encoder's blocks (table 1)
_WIDEST = 1024  # the decoder's first convolution (table 2)
_DEVIATION = 0.01


class Config(ModelConfig):
    """The network's numbers."""

    publication = "Guo, Jiang & Jiang, Multi-level spatial attention network, IJES 14(3) 2021"
    smallest: ClassVar[dict[str, Any]] = {"width": 0.125, "init": "kaiming"}
    attention: bool = Field(True, description="the modules MSAM-56 and MSAM-112 (table 3)")
    width: Annotated[float, Field(gt=0, le=4)] = Field(1.0, description="times the published channels, in eights")
    scale: Literal["none", "sqrt"] = Field(
        "none", description="what eq. 1 divides A_i . B_j by: none (published), or the square root of their channels"
    )
    init: Literal["gaussian", "kaiming"] = Field("gaussian", description="published: zero-mean Gaussian")

    def channels(self, published: int) -> int:
        """`published` channels at this width: a multiple of 8, which the fused attention kernels need."""
        return max(8, 8 * round(self.width * published / 8))


class _Projection(nn.Sequential):
    """A map of `reduction` times the size -> the module's size (table 3: 3x3 s1 p1, 6x6 s2 p2, 12x12 s4 p4)."""

    def __init__(self, inputs: int, outputs: int, reduction: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3 * reduction, stride=reduction, padding=reduction, bias=False),
            Norm(outputs),
            nn.ReLU(inplace=True),
        )


class SpatialAttention(nn.Module):
    """MSAM: the encoder's maps, brought to the size of the last, attend to themselves (table 3, figure 3).

    With A, B, C, D the 1x1 convolutions of x, the concatenated maps: s_ij = exp(A_i . B_j) / sum_i exp(A_i . B_j)
    (eq. 1), E_j = sum_i C_i s_ij + D_j (eq. 2), i and j over all positions: j pays attention, i gets it.  A's bias
    cancels in the softmax.  `scale: sqrt` divides A_i . B_j by the square root of their channels.
    """

    def __init__(self, inputs: list[int], outputs: list[int], scale: str = "none") -> None:
        super().__init__()
        finest = 2 ** (len(inputs) - 1)
        self.projections = nn.ModuleList(
            _Projection(given, made, finest >> level)
            for level, (given, made) in enumerate(zip(inputs, outputs, strict=True))
        )
        self.channels = sum(outputs)
        self.divisor = math.sqrt(self.channels) if scale == "sqrt" else 1.0
        self.a, self.b, self.c, self.d = (nn.Conv2d(self.channels, self.channels, 1) for _ in "abcd")

    def forward(self, *maps: Tensor) -> Tensor:
        x = self._concatenated(maps)
        attended_BNC = attend(_positions(self._query(x)), _positions(self.a(x)), _positions(self.c(x)))
        return _map(attended_BNC, *x.shape[-2:]) + self.d(x)

    def attended(self, *maps: Tensor) -> Attended:
        """B and A: s_ij is how much of the attention of j is paid to i."""
        x = self._concatenated(maps)
        return Attended(query_BCHW=self._query(x), key_BCHW=self.a(x))

    def _query(self, x: Tensor) -> Tensor:
        return self.b(x) if self.divisor == 1 else self.b(x) / self.divisor

    def _concatenated(self, maps: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([project(one) for project, one in zip(self.projections, maps, strict=True)], 1)


class _Decode(nn.Sequential):
    """3x3, 1x1, 3x3: a row of table 2."""

    def __init__(self, inputs: int, outputs: tuple[int, int, int]) -> None:
        first, second, third = outputs
        super().__init__(
            ConvNormReLU(inputs, first), ConvNormReLU(first, second, kernel=1), ConvNormReLU(second, third)
        )


class Model(Segmenter):
    """Picture -> scores at full size."""

    stride = 8

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(*config.normalisation())
        refuse_weights("msanet", weights)
        fine, half, quarter, eighth = channels = [config.channels(published) for published in _CHANNELS]
        self.encoder_blocks = nn.ModuleList(
            nn.Sequential(ConvNormReLU(inputs, outputs), *(ConvNormReLU(outputs, outputs) for _ in range(2)))
            for inputs, outputs in zip([config.bands, *channels], channels, strict=False)
        )
        self.attention_56 = self.attention_112 = None
        if config.attention:
            self.attention_56 = SpatialAttention([fine, half, quarter], [fine, fine, half], config.scale)
            self.attention_112 = SpatialAttention([fine, half], [fine, fine], config.scale)
        beside_56 = self.attention_56.channels if self.attention_56 else 0
        beside_112 = self.attention_112.channels if self.attention_112 else 0
        self.decode_28 = _Decode(eighth, (config.channels(_WIDEST), eighth, quarter))
        self.decode_56 = _Decode(quarter + beside_56, (eighth, quarter, half))
        self.decode_112 = _Decode(half + beside_112, (quarter, half, fine))
        self.decode_224 = nn.Sequential(
            ConvNormReLU(fine, half), ConvNormReLU(half, fine, kernel=1), Classifier(fine, class_count, 3, padding=1)
        )
        self._initialise(config.init)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        x, maps, positions = image_B3HW, [], []
        for block in list(self.encoder_blocks)[:-1]:
            maps.append(block(x))
            x, position = functional.max_pool2d(maps[-1], 2, return_indices=True)
            positions.append(position)
        x = functional.max_pool2d(self.encoder_blocks[-1](x), 3, stride=1, padding=1)
        x = unpool(self.decode_28(x), positions[2])
        x = unpool(self.decode_56(_beside(x, self.attention_56, maps)), positions[1])
        x = unpool(self.decode_112(_beside(x, self.attention_112, maps[:2])), positions[0])
        return self.decode_224(x)

    def _initialise(self, init: str) -> None:
        if init == "kaiming":
            kaiming(self)
        modules = [one for one in self.modules() if isinstance(one, SpatialAttention)]
        scored = [part for one in modules for part in (one.a, one.b)]
        for part in convolutions(self) if init == "gaussian" else scored:
            nn.init.normal_(part.weight, std=_DEVIATION)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def unpool(x_BCHW: Tensor, position_BCHW: Tensor) -> Tensor:
    """Each value to the position its 2x2 max-pooling recorded, in a map of twice the size that is zero elsewhere.

    As a scatter, which an exported graph can hold; with the channels last, 2.5 times as fast as with them first.
    """
    batch, channels, height, width = x_BCHW.shape
    values_BNC, position_BNC = (_positions(one).contiguous() for one in (x_BCHW, position_BCHW))
    filled = x_BCHW.new_zeros(batch, 4 * height * width, channels).scatter(1, position_BNC, values_BNC)
    return _map(filled, 2 * height, 2 * width)


def _beside(x: Tensor, attention: SpatialAttention | None, maps: list[Tensor]) -> Tensor:
    """The decoder's map with the module's E beside it (table 2)."""
    return x if attention is None else torch.cat([x, attention(*maps)], 1)


def _positions(x_BCHW: Tensor) -> Tensor:
    """B x C x H x W -> B x N x C."""
    return x_BCHW.permute(0, 2, 3, 1).flatten(1, 2)


def _map(x_BNC: Tensor, height: int, width: int) -> Tensor:
    """B x N x C -> B x C x H x W."""
    return x_BNC.unflatten(1, (height, width)).permute(0, 3, 1, 2)

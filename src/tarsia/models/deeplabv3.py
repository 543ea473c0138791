"""DeepLabv3: a dilated ResNet and atrous spatial pyramid pooling with the whole picture's mean.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017, section 3.3 and figure 5: the
encoder is kept at 1/16 (or 1/8) by dilation; the 3x3 convolutions of its last stage's three bottlenecks are dilated by
the stage's own rate times `multi_grid` 1, 2, 4 (section 3.2.1), so by 2, 4, 8 at 1/16.  On its map stand a 1x1 and
three 3x3 convolutions with rates 6, 12, 18 (doubled at 1/8) and the map's mean, 256 channels each; concatenated, 1x1 to
256, and 1x1 to the classes.  Each convolution but the last has batch normalisation.  The scores are upsampled, the
labels left at full size (section 4.1).

What differs: the network has one output stride; the publication's 8 for evaluation after training at 16 would be a
second training (`output_stride: 8` and `train.start_from`).  The cascade of section 3.2, which the publication found
no better (section 4), is left out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from tarsia.errors import RecipeError
from tarsia.models._blocks import Classifier, SpatialPyramid, kaiming
from tarsia.models._encoders import Encoder, output_stride_near
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter

_GRID = (1, 2, 4)  # section 4, table 5
_Rate = Annotated[int, Field(ge=1, le=64)]


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Chen et al., Rethinking Atrous Convolution (DeepLabv3), 2017"
    encoder: str = Field("resnet50", description="any name of timm.list_models()")
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="of the encoder; default 16 (section 4.1) where it can be dilated, else its own"
    )
    multi_grid: tuple[_Rate, ...] | None = Field(
        None,
        min_length=1,
        description="dilations of the last stage's bottlenecks, times its own; default (1, 2, 4) where there are "
        "three, else the encoder as it is",
    )
    rates: tuple[_Rate, ...] = Field(
        (6, 12, 18), min_length=1, description="of the pyramid at 1/16; doubled at 1/8, halved at 1/32 (section 3.3)"
    )
    channels: Annotated[int, Field(ge=1)] = Field(256, description="of the pyramid (section 3.3)")


class Model(EncoderSegmenter):
    """Picture -> scores at the encoder's output stride, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        output_stride = config.output_stride or output_stride_near(config.encoder, 16, config.encoder_options)
        super().__init__(config, weights, output_stride)
        _set_grid(self.encoder, config)
        rates = tuple(max(1, rate * 16 // self.stride) for rate in config.rates)
        self.pyramid = SpatialPyramid(self.encoder.channels[-1], config.channels, rates, config.channels)
        self.classifier = Classifier(config.channels, class_count, 1)
        kaiming(self.pyramid)

    def decode(self, maps: list[Tensor]) -> Tensor:
        return self.classifier(self.pyramid(maps[-1]))


def _set_grid(encoder: Encoder, config: Config) -> None:
    """Dilate the bottlenecks of the encoder's last stage by `multi_grid` times what the output stride asks for."""
    convolutions = _bottlenecks(encoder)
    grid = config.multi_grid or (_GRID if len(convolutions) == len(_GRID) else None)
    if grid is None or (not convolutions and set(grid) == {1}):
        return
    if len(grid) != len(convolutions):
        raise RecipeError(
            f"model.multi_grid: {config.encoder} has {len(convolutions)} bottlenecks in its last stage, multi_grid "
            f"{list(grid)} is for {len(grid)}: "
            + (f"give {len(convolutions)} numbers" if convolutions else "leave it out, or choose a ResNet-50 or deeper")
        )
    for convolution, times in zip(convolutions, grid, strict=True):
        rate = times * 32 // encoder.stride
        convolution.dilation = convolution.padding = (rate, rate)


def _bottlenecks(encoder: Encoder) -> list[nn.Conv2d]:
    """The 3x3 convolution of each bottleneck in a ResNet's last stage; none where the stage is made of other blocks."""
    stage = getattr(encoder.freezable(), "layer4", None)
    blocks = list(stage.children()) if stage is not None else []
    convolutions = [getattr(block, "conv2", None) for block in blocks if hasattr(block, "conv3")]
    fitting = [one for one in convolutions if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)]
    return fitting if len(fitting) == len(blocks) else []

"""DeepLabv1: VGG16 kept at 1/8 by dilation, and a dilated convolution in fc6's place that sees far (LargeFOV).

Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015: the last
two max-poolings no longer shrink the map and the convolutions between them are dilated by 2 (section 3.1); fc6 is 3x3
with dilation 12 and 1024 channels, fc7 1x1 with 1024 (section 3.2; table 2, the row of 20.5 M parameters), then 1x1 to
the classes.  Table 2's other rows are `kernel`, `dilation` and `channels`; MSc of table 1 is `multi_scale`.

What differs: by default VGG16 has batch normalisation (`encoder: vgg16` is the publication's), any encoder can take its
place, the loss is taken at the picture's size, not on labels at 1/8, and for MSc the encoder's maps are used as they
are before their max-pooling.  Its dense CRF works on the scores of any network and is no part of this one.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tarsia.models._blocks import Classifier, kaiming
from tarsia.models._encoders import output_stride_near
from tarsia.models._fully_connected import FullyConnected, is_vgg
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter

_BESIDE = 128  # channels of each map that MSc adds (section 4.3)


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Chen et al., DeepLab (LargeFOV), ICLR 2015"
    smallest: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "channels": 32, "dilation": 2}
    encoder: str = Field("vgg16_bn", description="any name of timm.list_models(); published: vgg16")
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="of the encoder; default 8 (section 3.1) where it can be dilated, else its own"
    )
    kernel: Literal[3, 4, 7] = Field(3, description="of fc6 (table 2)")
    dilation: Annotated[int, Field(ge=1, le=64)] = Field(12, description="of fc6 (table 2: input stride, 4 to 12)")
    channels: Annotated[int, Field(ge=1)] = Field(1024, description="of fc6 and fc7 (table 2: 1024, or 4096)")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="after fc6 and after fc7 (VGG's own)")
    multi_scale: bool = Field(False, description="128 channels each of the picture and four finer maps (section 4.3)")


class _Beside(nn.Sequential):
    """A finer map, or the picture, -> 128 channels at the size of the last (section 4.3: 3x3, then 1x1)."""

    def __init__(self, inputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, _BESIDE, 3, stride, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(_BESIDE, _BESIDE, 1),
            nn.ReLU(inplace=True),
        )


class Model(EncoderSegmenter):
    """Picture -> scores at the encoder's output stride, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        output_stride = config.output_stride or output_stride_near(config.encoder, 8, config.encoder_options)
        super().__init__(config, weights, output_stride)
        self.field = FullyConnected(
            self.encoder.channels[-1], config.channels, config.kernel, config.dilation, config.dropout
        )
        if is_vgg(config.encoder) and weights != "none":
            self.field.take(config.encoder, weights, config.encoder_options)
        channels = (config.bands, *self.encoder.channels[:-1])
        finer = list(zip(channels, (1, *self.encoder.reductions[:-1]), strict=True))[:5]
        self.beside = nn.ModuleList(
            _Beside(inputs, self.stride // reduction) for inputs, reduction in finer if config.multi_scale
        )
        self.classifier = Classifier(config.channels + _BESIDE * len(self.beside), class_count, 1)
        kaiming(self.beside)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        maps = [image_B3HW, *self.encoder(image_B3HW)]
        beside = [part(one) for part, one in zip(self.beside, maps, strict=False)]
        return self.classifier(torch.cat([self.field(maps[-1]), *beside], 1))

"""FCN: class scores at several depths of the encoder, summed from coarse to fine.

Long, Shelhamer & Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, figure 3: VGG16 with its
fully connected layers fc6 (7x7, 4096) and fc7 (1x1, 4096) as convolutions, dropout 0.5 after each.  `finest: 32` scores
fc7's map alone (FCN-32s), 16 adds the scores of pool4 (FCN-16s), 8 those of pool3 (FCN-8s).  About 134 M parameters.

What differs: by default VGG16 has batch normalisation, which it can be trained with from scratch (`encoder: vgg16` is
the publication's); padding keeps the size, in place of the 100 pixels around the picture; the x2 and x8 upsampling are
fixed bilinear ones, as the publication initialises them and as its authors' own code later fixed them.  Its classifiers
start at zero (section 4.3): `head_start: 0`.  On encoders other than VGG the encoder's maps at 1/32, 1/16 and 1/8 are
scored, without fc6 and fc7 unless they are asked for.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.errors import RecipeError
from tarsia.models._blocks import Classifier, resize_as
from tarsia.models._fully_connected import FullyConnected, is_vgg
from tarsia.models._segmenter import EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015"
    smallest: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "fully_connected": 32}
    encoder: str = Field("vgg16_bn", description="any name of timm.list_models(); published: vgg16")
    finest: Literal[32, 16, 8] = Field(8, description="FCN-32s, FCN-16s or FCN-8s (figure 3)")
    fully_connected: Annotated[int, Field(ge=0)] | None = Field(
        None, description="channels of fc6 and fc7, 0: without them; default: 4096 (VGG's own) on a VGG, else 0"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="after fc6 and after fc7 (VGG's own)")


class Model(EncoderSegmenter):
    """Picture -> scores at 1 / finest, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(config, weights)
        self.levels = [level for level in (32, 16, 8) if level >= config.finest]
        # timm's VGG has its maps before their max-pooling: pool4, at 1/16, comes of the map at 1/8.
        self.sources = [level // 2 if is_vgg(config.encoder) and level < 32 else level for level in self.levels]
        channels_at = dict(zip(self.encoder.reductions, self.encoder.channels, strict=True))
        missing = [source for source in self.sources if source not in channels_at]
        if missing:
            raise RecipeError(
                f"model.encoder: {config.encoder} has maps at 1/{self.encoder.reductions}, "
                f"FCN-{config.finest}s needs 1/{missing}: choose another encoder or finest"
            )
        channels = [channels_at[source] for source in self.sources]
        width = config.fully_connected
        if width is None:
            width = 4096 if is_vgg(config.encoder) else 0
        self.fully_connected = FullyConnected(channels[0], width, dropout=config.dropout) if width else None
        if self.fully_connected and is_vgg(config.encoder) and weights != "none":
            self.fully_connected.take(config.encoder, weights, config.encoder_options)
        inputs = (width or channels[0], *channels[1:])
        self.classifiers = nn.ModuleList(Classifier(each, class_count, 1) for each in inputs)

    def decode(self, maps: list[Tensor]) -> Tensor:
        map_at = dict(zip(self.encoder.reductions, maps, strict=True))
        x = map_at[32] if self.fully_connected is None else self.fully_connected(map_at[32])
        scores = self.classifiers[0](x)
        for level, source, classifier in zip(self.levels[1:], self.sources[1:], self.classifiers[1:], strict=True):
            x = map_at[source] if source == level else functional.max_pool2d(map_at[source], 2)
            finer = classifier(x)
            scores = finer + resize_as(scores, finer)
        return scores

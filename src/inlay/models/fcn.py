"""FCN: class scores at several depths of the encoder, summed from coarse to fine.

Long, Shelhamer & Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, figure 3: `finest: 32`
scores the coarsest map alone (FCN-32s), 16 adds the scores of the map at 1/16 (FCN-16s), 8 those at 1/8 (FCN-8s).
What differs: any encoder instead of VGG16 with its fully connected layers as convolutions, and the x2 and x8
upsampling are fixed bilinear ones, as the publication initialises them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from inlay.errors import RecipeError
from inlay.models._blocks import resize_as
from inlay.models._segmenter import EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Long, Shelhamer & Darrell, Fully Convolutional Networks, CVPR 2015"
    finest: Literal[32, 16, 8] = Field(8, description="FCN-32s, FCN-16s or FCN-8s (figure 3)")


class Model(EncoderSegmenter):
    """Picture -> scores at 1 / finest, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        super().__init__(config, weights)
        channels_at = dict(zip(self.encoder.reductions, self.encoder.channels, strict=True))
        missing = [level for level in (32, 16, 8) if level >= config.finest and level not in channels_at]
        if missing:
            raise RecipeError(
                f"model.encoder: {config.encoder} has maps at 1/{self.encoder.reductions}, "
                f"FCN-{config.finest}s needs 1/{missing}: choose another encoder or finest"
            )
        self.levels = [level for level in (32, 16, 8) if level >= config.finest]
        classifiers = [nn.Conv2d(channels_at[level], class_count, 1) for level in self.levels]
        for classifier in classifiers:
            # "We zero-initialize the class scoring layer" (section 4.3).
            nn.init.zeros_(classifier.weight)
            nn.init.zeros_(classifier.bias)  # type: ignore[arg-type]
        self.classifiers = nn.ModuleList(classifiers)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        maps = dict(zip(self.encoder.reductions, self.encoder(image_B3HW), strict=True))
        scores = self.classifiers[0](maps[self.levels[0]])
        for level, classifier in zip(self.levels[1:], list(self.classifiers)[1:], strict=True):
            finer = classifier(maps[level])
            scores = finer + resize_as(scores, finer)
        return scores

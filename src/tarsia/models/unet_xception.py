"""Xception U-Net: separable convolutions down and transposed ones up, a strided residual beside each stage.

Saraceno, "Image Semantic Segmentation", 2022, without pretrained weights.  Entry: 3x3 convolution of stride 2, 32
channels, BN, ReLU.  Down, 64, 128 and 256 channels: twice (ReLU, separable 3x3, BN), max-pooling 3x3 of stride 2, plus
the stage's input through a 1x1 convolution of stride 2.  Up, 256, 128, 64 and 32: twice (ReLU, transposed 3x3, BN),
upsampling x2, plus the stage's input, upsampled, through a 1x1 convolution.  The one more stage upwards takes back the
entry's stride; a 3x3 classifier follows.  No skips between the halves.  Depthwise convolutions (Chollet, "Xception",
CVPR 2017) have no bias, all others have one: 2,055,203 trainable parameters for 3 classes.

Weights start as Glorot & Bengio's (AISTATS 2010, eq. 16), the default of Keras, where this form comes from: nothing
normalises the residuals, and by He's they would double at every stage upwards.  The classifier's are `head_start`'s.

What differs, without any effect on the answers: upsampling by repetition and a 1x1 convolution can change places, so
an up stage adds its residual before it upsamples, at a quarter of the work.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tarsia.models._blocks import Classifier, Norm, convolutions
from tarsia.models._segmenter import ModelConfig, Segmenter
from tarsia.models._weights import refuse_weights


class Config(ModelConfig):
    """The network's numbers."""

    publication = "Saraceno, Image Semantic Segmentation (U-Net, Xception style), 2022"
    smallest: ClassVar[dict[str, Any]] = {"channels": (8, 16, 32)}
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (32, 64, 128, 256), min_length=2, max_length=7, description="of the entry and the stages down; up: reversed"
    )


class _Separable(nn.Sequential):
    """3x3 a channel, then 1x1 across channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1)
        )


class _Down(nn.Module):
    """Half the size: two separable convolutions and a pooling, beside a strided 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            # Not in place: the residual needs the input as it is.
            *(nn.ReLU(), _Separable(inputs, outputs), Norm(outputs)),
            *(nn.ReLU(), _Separable(outputs, outputs), Norm(outputs)),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.residual = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.residual(x)


class _Up(nn.Module):
    """Twice the size: two transposed convolutions beside a 1x1, then every value repeated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *(nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 3, padding=1), Norm(outputs)),
            *(nn.ReLU(), nn.ConvTranspose2d(outputs, outputs, 3, padding=1), Norm(outputs)),
        )
        self.residual = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(self.main(x) + self.residual(x), scale_factor=2.0, mode="nearest")


class Model(Segmenter):
    """Picture -> scores at full size."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        refuse_weights("unet_xception", weights)
        super().__init__(*config.normalisation())
        channels = config.channels
        self.stride = 2 ** len(channels)
        first = nn.Conv2d(config.bands, channels[0], 3, stride=2, padding=1)
        self.entry = nn.Sequential(first, Norm(channels[0]), nn.ReLU())
        self.down = nn.Sequential(*(_Down(a, b) for a, b in zip(channels, channels[1:], strict=False)))
        up = [channels[-1], *reversed(channels)]
        self.up = nn.Sequential(*(_Up(a, b) for a, b in zip(up, up[1:], strict=False)))
        self.classifier = Classifier(channels[0], class_count, 3, padding=1)
        _glorot(self)

    def segment(self, image_B3HW: Tensor) -> Tensor:
        return self.classifier(self.up(self.down(self.entry(image_B3HW))))


def _glorot(module: nn.Module) -> None:
    for part in convolutions(module):
        nn.init.xavier_uniform_(part.weight)
        if part.bias is not None:
            nn.init.zeros_(part.bias)

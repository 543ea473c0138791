"""PSPNet: the whole picture's context, pooled at several scales, beside each position.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, figure 3, in the form of Tahir, Shaker & Xiao, "SIS-CNN",
eq. 4 to 6: the encoder's map x is average-pooled into bins of 1, 2, 3 and 6, each pooled map passes a 1x1 convolution
without bias, BN and ReLU (eq. 4), is upsampled and concatenated with x (eq. 5); a 1x1 convolution, BN and ReLU follow,
then the classifier (eq. 6).  Zhao et al.'s own head is `fusion_kernel: 3`, `dropout: 0.1` and `auxiliary: 0.4`, the
loss of a second classifier on the encoder's stage before last (section 3.3).  They dilate the encoder to 1/8, which is
done here for every encoder that can be dilated.

Song, Zhang & Park, "Improved Pyramid Scene Parsing Network", 2021, is `squeeze_excitation: true` and `refine: true`
with `encoder: resnet50` and `bins: [1, 2, 3, 4]` (section 4.1): each level has 512 channels, the 1x1 fusion gives 512,
squeeze-and-excitation with ratio 16 weighs them (eq. 3 to 5), x is concatenated once more (table 2, Conv11), and a 3x3
convolution to 512, BN and ReLU precede the classifier: `refine`, 11,797,504 parameters against the 33,312 that weigh.
The stem of three 3x3 convolutions in its table 1 is `stem: deep`.  Its tables contradict its text in dilations and
kernels; the text's network is built.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import timm
import torch
from pydantic import Field, model_validator
from timm.models.resnet import ResNet
from torch import Tensor, nn

from tarsia import formerly
from tarsia.errors import ModelFileError, RecipeError
from tarsia.models._blocks import Classifier, ConvNormReLU, SqueezeExcitation, kaiming, resize_as
from tarsia.models._encoders import output_stride_near
from tarsia.models._segmenter import Criterion, EncoderConfig, EncoderSegmenter


class Config(EncoderConfig):
    """The network's numbers."""

    publication = "Zhao et al., Pyramid Scene Parsing Network, CVPR 2017, as in Tahir, Shaker & Xiao, SIS-CNN"
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="of the encoder; default 8 (Zhao et al.) where it can be dilated, else its own"
    )
    stem: Literal["plain", "deep"] | None = Field(
        None,
        description="of a timm ResNet: one 7x7 convolution, or three 3x3 of 32, 32, 64 (Song et al.); default: its own",
    )
    bins: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (1, 2, 3, 6), min_length=1, description="SIS-CNN section 3; Song et al. section 4.1: 1, 2, 3, 4"
    )
    branch_channels: Annotated[int, Field(ge=1)] | None = Field(
        None, description="of each pooled map; default: the encoder's channels / number of bins (Zhao et al.)"
    )
    fusion_channels: Annotated[int, Field(ge=1)] = Field(512, description="Zhao et al.")
    fusion_kernel: Literal[1, 3] = Field(1, description="SIS-CNN eq. 6: 1; Zhao et al.: 3")
    squeeze_excitation: bool = Field(
        False, description="weigh the fused channels (Song, eq. 3 to 5); true brings `refine` too unless that is given"
    )
    refine: bool = Field(
        False, description="after it see x once more, and a 3x3 convolution, BN, ReLU (Song, table 2: Conv11)"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="before the classifier; Zhao et al.: 0.1")
    auxiliary: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0, description="weight of the loss on the encoder's stage before last, 0: none; Zhao et al.: 0.4"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, options: Any) -> Any:
        return formerly.refining(options)


class _Pyramid(nn.Module):
    """x -> x with its pooled contexts concatenated (eq. 4, 5)."""

    def __init__(self, channels: int, branch_channels: int, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList(ConvNormReLU(channels, branch_channels, kernel=1) for _ in bins)

    def forward(self, x: Tensor) -> Tensor:
        means = zip(self.branches, bin_means(x, self.bins), strict=True)
        return torch.cat([x, *(resize_as(branch(one), x) for branch, one in means)], 1)


def bin_means(x: Tensor, bins: tuple[int, ...]) -> list[Tensor]:
    """B x C x H x W -> its means over b x b cells, B x C x b x b, for each b of `bins`: adaptive average pooling.

    As one product with a matrix of zeros and ones that tell which cells a position lies in.  It can be exported for
    any H and W, and torch's own pooling takes 1 to 3 times as long, 12 to 40 times for the gradient (CPUs, 4 bins).
    """
    cells_MN = torch.cat([_cells(one, x) for one in bins])
    sums_BMC = cells_MN.to(x.dtype) @ x.flatten(2).transpose(1, 2)  # zeros and ones are exact in bfloat16, 1/N is not
    means_BCM = (sums_BMC / cells_MN.sum(1, keepdim=True)).to(x.dtype).transpose(1, 2)
    parts = means_BCM.split([one * one for one in bins], 2)
    return [part.unflatten(2, (one, one)) for one, part in zip(bins, parts, strict=True)]


def _cells(bins: int, x: Tensor) -> Tensor:
    """bins^2 x H*W, float32: 1 where a position lies in a cell.  Cell i of a side of N positions is i N / bins, rounded
    down, up to (i + 1) N / bins, rounded up: cells overlap by a position where `bins` does not divide N.
    """
    step = torch.arange(bins, device=x.device)[:, None]
    inside = []
    for side in x.shape[-2:]:
        scaled = torch.arange(side, device=x.device) * bins
        inside.append((scaled + bins > step * side) & (scaled < (step + 1) * side))
    down, along = inside
    return (down[:, None, :, None] & along[None, :, None, :]).flatten(2).flatten(0, 1).float()


class _Excitation(nn.Module):
    """Fused map and x -> map of the fused one's channels (Song et al. eq. 3 to 5, table 2: Conv11)."""

    def __init__(self, fused: int, channels: int, config: Config) -> None:
        super().__init__()
        self.weigh = SqueezeExcitation(fused) if config.squeeze_excitation else nn.Identity()
        self.merge = ConvNormReLU(fused + channels, fused) if config.refine else None

    def forward(self, fused: Tensor, x: Tensor) -> Tensor:
        fused = self.weigh(fused)
        return fused if self.merge is None else self.merge(torch.cat([fused, x], 1))


class Model(EncoderSegmenter):
    """Picture -> scores at the encoder's output stride, upsampled bilinearly."""

    def __init__(self, config: Config, class_count: int, weights: str = "none") -> None:
        config = _with_stem(config, weights)
        output_stride = config.output_stride or output_stride_near(config.encoder, 8, config.encoder_options)
        super().__init__(config, weights, output_stride)
        channels = self.encoder.channels[-1]
        branch_channels = config.branch_channels or max(1, channels // len(config.bins))
        self.pyramid = _Pyramid(channels, branch_channels, config.bins)
        fused = channels + branch_channels * len(config.bins)
        self.fusion = ConvNormReLU(fused, config.fusion_channels, kernel=config.fusion_kernel)
        self.excitation = _Excitation(config.fusion_channels, channels, config)
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = Classifier(config.fusion_channels, class_count, 1)
        self.auxiliary = _auxiliary(self.encoder.channels, class_count) if config.auxiliary else None
        self.auxiliary_weight = config.auxiliary
        for part in (self.pyramid, self.fusion, self.excitation, self.auxiliary):
            if part is not None:
                kaiming(part)

    def decode(self, maps: list[Tensor]) -> Tensor:
        """In training the auxiliary scores, where there are any, follow the others."""
        x = self.excitation(self.fusion(self.pyramid(maps[-1])), maps[-1])
        scores = self.classifier(self.dropout(x))
        if self.auxiliary is None or not self.training:
            return scores
        return torch.cat([scores, resize_as(self.auxiliary(maps[-2]), scores)], 1)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        scores = super().forward(image_B3HW)
        return scores[:, : self.classifier.out_channels] if self.auxiliary is not None and self.training else scores

    def loss(self, image_B3HW: Tensor, label_BHW: Tensor, criterion: Criterion) -> tuple[dict[str, Tensor], Tensor]:
        """The criterion on the scores and, in training, `auxiliary` times the criterion on those of the second head."""
        if self.auxiliary is None or not self.training:
            return super().loss(image_B3HW, label_BHW, criterion)
        scores, beside = super().forward(image_B3HW).chunk(2, 1)
        auxiliary = self.auxiliary_weight * criterion(beside, label_BHW)
        return {"loss": criterion(scores, label_BHW), "auxiliary": auxiliary}, scores


def _auxiliary(channels: list[int], class_count: int) -> nn.Module:
    """The encoder's map before last -> scores (Zhao et al. section 3.3; its 3x3 to a quarter of the map's channels)."""
    if len(channels) < 2:
        raise RecipeError("model.auxiliary: the encoder has one map only, it needs the one before it: leave it out")
    hidden = max(1, channels[-2] // 4)
    return nn.Sequential(ConvNormReLU(channels[-2], hidden), nn.Dropout2d(0.1), Classifier(hidden, class_count, 1))


def _with_stem(config: Config, weights: str) -> Config:
    """The configuration with `stem` among the encoder's options, where that is not the encoder's own stem."""
    if config.stem is None or not timm.is_model(config.encoder):
        return config
    with torch.device("meta"):
        net = timm.create_model(config.encoder, **config.encoder_options)
    if not isinstance(net, ResNet):
        raise RecipeError(f"model.stem: {config.encoder} has no choice of stem, timm's ResNets have: leave stem out")
    if isinstance(net.conv1, nn.Sequential) == (config.stem == "deep"):
        return config
    if weights == "imagenet":
        raise ModelFileError(
            f"model.stem: the imagenet weights of {config.encoder} are for the stem it has, not a {config.stem} one: "
            "leave stem out, or choose an encoder that has it (resnet50 has a plain stem, resnet50d a deep one)"
        )
    options = {"stem_type": "deep", "stem_width": 32} if config.stem == "deep" else {"stem_type": "", "stem_width": 64}
    return config.model_copy(update={"encoder_options": config.encoder_options | options})

"""VGG16's thirteen convolutions, stage by stage, for networks that need to stand between them."""

from __future__ import annotations

from timm.models import adapt_input_conv
from torch import Tensor, nn

from tarsia.errors import ModelFileError
from tarsia.models._blocks import ConvNormReLU, ConvReLU, Freezable, kaiming
from tarsia.models._weights import encoder_weights

# Simonyan & Zisserman, "Very Deep Convolutional Networks", ICLR 2015, table 1, column D: convolutions and width.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class Vgg16(Freezable):
    """Five `stages` of 3x3 convolutions, each with batch normalisation and ReLU; what pools between is the caller's.

    Without `batch_norm`, as it was published, each has a bias in its place.  `width` multiplies the published 64, 128,
    256, 512, 512 `channels`; `weights` (see encoder_weights) are those of timm's vgg16_bn, or vgg16, and need width 1;
    for `bands` other than 3 its first convolution is adapted as timm does.  Raises ModelFileError where they cannot be
    had or do not fit.
    """

    def __init__(self, width: float = 1.0, weights: str = "none", bands: int = 3, batch_norm: bool = True) -> None:
        super().__init__()
        block = ConvNormReLU if batch_norm else ConvReLU
        self.channels = [max(1, round(width * channels)) for _, channels in _STAGES]
        inputs = [bands, *self.channels[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(*(block(first if step == 0 else outputs, outputs) for step in range(count)))
            for (count, _), first, outputs in zip(_STAGES, inputs, self.channels, strict=True)
        )
        if weights == "none":
            kaiming(self)
            return
        if width != 1:
            raise ModelFileError(f"model.weights: VGG16's weights need width 1, not {width}: leave weights out")
        self._take(encoder_weights("vgg16_bn" if batch_norm else "vgg16", weights, {}), bands)

    def _take(self, tensors: dict[str, Tensor], bands: int) -> None:
        """timm's: convolutions, all with a bias, and norms if there are any, in the same order, at features.N."""
        own = [block for block in self.modules() if isinstance(block, ConvNormReLU | ConvReLU)]
        places = iter(sorted({int(key.split(".")[1]) for key in tensors if key.startswith("features.")}))
        for block in own:
            convolution = f"features.{next(places)}"
            weight, bias = tensors[f"{convolution}.weight"], tensors[f"{convolution}.bias"]
            if block is own[0]:
                weight = adapt_input_conv(bands, weight)
            if isinstance(block, ConvReLU):
                block[0].load_state_dict({"weight": weight, "bias": bias})
                continue
            block[0].load_state_dict({"weight": weight})
            norm, kept = f"features.{next(places)}", ("weight", "bias", "running_mean", "running_var")
            state = {key: tensors[f"{norm}.{key}"] for key in kept}
            # Ours has no bias: what it adds before the normalisation is taken from the mean that is subtracted there.
            state["running_mean"] = state["running_mean"] - bias
            block[1].load_state_dict(state | {"num_batches_tracked": block[1].num_batches_tracked})

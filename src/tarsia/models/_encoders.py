"""Encoders: any timm network as a pyramid of feature maps (their weights: see _weights)."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import Any

import timm
import torch
from timm.layers import BatchNormAct2d
from timm.models import PretrainedCfg
from torch import Tensor, nn
from torch.nn import functional

from tarsia.errors import RecipeError, nearest
from tarsia.models._blocks import Freezable, Norm, NormAct
from tarsia.models._weights import encoder_weights
from tarsia.plain_text import first_line

# What ViT, Swin and everything else must be told to take pictures of any size.
_SIZE_FREEDOM: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
# What timm raises for options it cannot build; torch's own RuntimeErrors come of options that contradict each other.
_REFUSALS = (TypeError, ValueError, AssertionError, RuntimeError, LookupError, AttributeError)


class Encoder(Freezable):
    """A timm network: normalised picture -> maps from fine to coarse.

    `channels` and `reductions` describe the maps; `stride` is the largest reduction; `mean` and `std` (of RGB / 255)
    are those the network was trained with.  A plain ViT's maps, all of one size, are resampled to 1/4 .. 1/32, or left
    at 1/16 where `output_stride` is 16.  For `bands` other than 3 timm adapts the first convolution, pretrained weights
    by repeating those of red, green and blue.  Raises RecipeError for a network that is unknown or cannot do this.
    """

    def __init__(
        self,
        name: str,
        weights: str = "none",
        output_stride: int | None = None,
        options: dict[str, Any] | None = None,
        bands: int = 3,
    ) -> None:
        super().__init__()
        self.bands = bands
        net = _build(name, weights, output_stride, dict(options or {}), bands)
        _tame_batch_norm(net)
        self.net = net
        self.channels: list[int] = list(net.feature_info.channels())
        reductions: list[int] = list(net.feature_info.reduction())
        self.channels_last = str(getattr(net, "output_fmt", "NCHW")).endswith("NHWC")
        self.shrink = 1.0
        if _is_plain(reductions) and 32 % reductions[0]:
            # Patches of 14 pixels do not tile the picture: it is seen at 14/16 of its size, where they do.
            self.shrink = reductions[0] / 16
            reductions = [16] * len(reductions)
        if output_stride:
            reductions = [min(reduction, output_stride) for reduction in reductions]
        self.resample = _is_plain(reductions) and not output_stride
        if self.resample:
            reductions = [32 >> step for step in reversed(range(len(reductions)))]
        self.reductions = reductions
        self.stride = max(reductions)
        config = timm.get_pretrained_cfg(name) or PretrainedCfg()
        self.mean: tuple[float, ...] = tuple(config.mean)
        self.std: tuple[float, ...] = tuple(config.std)
        self._try_out(name)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        height, width = image_B3HW.shape[-2:]
        if self.shrink != 1:
            size = (round(height * self.shrink), round(width * self.shrink))
            image_B3HW = functional.interpolate(image_B3HW, size=size, mode="bilinear", align_corners=False)
        maps = list(self.net(image_B3HW))
        if self.channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        if self.resample:
            sizes = [(math.ceil(height / step), math.ceil(width / step)) for step in self.reductions]
            maps = [
                functional.interpolate(one, size=size, mode="bilinear", align_corners=False)
                for one, size in zip(maps, sizes, strict=True)
            ]
        return maps

    def freezable(self) -> nn.Module:
        return getattr(self.net, "model", self.net)  # timm wraps a ViT in a part called model

    def _try_out(self, name: str) -> None:
        """Raise RecipeError where the maps of a small picture are not what timm's description promises."""
        if next(self.net.parameters()).is_meta:
            return
        height, width = 2 * self.stride, 3 * self.stride
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                found = [tuple(one.shape[1:]) for one in self(torch.zeros(1, self.bands, height, width))]
        except _REFUSALS as error:
            raise RecipeError(
                f"model.encoder: {name} cannot see pictures of any multiple of {self.stride}, as {height}x{width} "
                f"({first_line(error)}): choose another encoder"
            ) from error
        finally:
            self.train(was_training)
        promised = zip(self.channels, self.reductions, strict=True)
        expected = [(channels, height // reduction, width // reduction) for channels, reduction in promised]
        if found != expected:
            raise RecipeError(
                f"model.encoder: {name} gives maps of {found} for a picture of {height}x{width}, a decoder needs "
                f"{expected}: choose another encoder"
            )


def output_stride_near(name: str, wanted: int, options: dict[str, Any] | None = None) -> int | None:
    """`wanted` where encoder `name` can keep its maps at 1 / wanted, a plain ViT's own stride, None for all else."""
    with torch.device("meta"):
        try:
            _create(name, options or {}, wanted)
        except RecipeError:
            reductions = _create(name, options or {}, None).feature_info.reduction()
            return (reductions[0] if 32 % reductions[0] == 0 else 16) if _is_plain(reductions) else None
    return wanted


def _build(name: str, weights: str, output_stride: int | None, options: dict[str, Any], bands: int) -> Any:
    with torch.device("meta"):  # cheap, and says what is wrong before any weights are read
        described = _create(name, options, output_stride).feature_info
        reductions, depth = described.reduction(), len(described)
    if _is_plain(reductions) and not output_stride and "out_indices" not in options and depth >= 4:
        # A plain ViT: four maps from evenly spaced depths serve a decoder better than its last three.
        options = options | {"out_indices": [depth * (step + 1) // 4 - 1 for step in range(4)]}
    given: dict[str, Any] = {} if bands == 3 else {"in_chans": bands}
    if weights == "none":
        return _create(name, options | given, output_stride)
    tensors = encoder_weights(name, weights, options)
    given |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
    net = _create(name, options | given, output_stride)
    for module in net.modules():
        if isinstance(getattr(module, "pretrained_cfg", None), dict):
            module.pretrained_cfg.pop("state_dict", None)  # else the file's tensors stay in memory with the network
    return net


def _create(name: str, options: dict[str, Any], output_stride: int | None) -> Any:
    """timm's network of feature maps, dilated to `output_stride` where that is finer than its own."""
    if not output_stride:
        return _ask_timm(name, options)
    try:
        return _ask_timm(name, options | {"output_stride": output_stride})
    except RecipeError:
        net = _ask_timm(name, options)
        if max(net.feature_info.reduction()) > output_stride:
            _dilate(name, net, output_stride)
        return net


def _ask_timm(name: str, options: dict[str, Any]) -> Any:
    if not timm.is_model(name):
        near = nearest(name, timm.list_models())
        raise RecipeError(
            f"model.encoder: unknown encoder {name}"
            + (near if near.startswith(", did") else ": any name of timm.list_models() is one")
        )
    for freedom in _SIZE_FREEDOM:
        try:
            with _quiet_timm() as warned:  # of unused keys, too, which encoder_weights has looked at
                net = timm.create_model(name, features_only=True, **freedom, **options)
        except _REFUSALS as error:
            if isinstance(error, TypeError) and freedom:
                continue  # this family does not know the argument
            shown = {key: value for key, value in options.items() if not key.startswith("pretrained")}
            raise RecipeError(f"model.encoder: timm cannot build {name} with {shown}: {error}") from error
        if any("random init" in warning for warning in warned):
            raise RecipeError(
                f"model.bands: timm cannot adapt the first convolution of pretrained {name} to "
                f"{options.get('in_chans')} bands: choose another encoder, or weights: none"
            )
        return net
    raise AssertionError("unreachable")


class _Listener(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextlib.contextmanager
def _quiet_timm() -> Iterator[list[str]]:
    """timm's warnings as a list, and nowhere else."""
    logger, listener = logging.getLogger("timm"), _Listener()
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _is_plain(reductions: list[int]) -> bool:
    """Whether all maps are of one size, as a plain ViT's are."""
    return len(reductions) > 1 and len(set(reductions)) == 1


def _dilate(name: str, net: nn.Module, output_stride: int) -> None:
    """Keep a plain convolutional chain (VGG) at `output_stride`: its later max-pools become 3x3 of stride 1 and the
    convolutions after them are dilated (Chen et al. 2015, section 3.1).  timm does this itself for most families.
    """
    stride, dilation = 1, 1
    for module in net.modules():
        if isinstance(module, nn.MaxPool2d):
            if stride == output_stride:
                module.kernel_size, module.stride, module.padding = 3, 1, 1
                dilation *= 2
            else:
                stride *= 2
        elif isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            dilation = 1
            break  # strided convolutions mean side branches, where the order of modules is not the order of work
        elif isinstance(module, nn.Conv2d) and dilation > 1 and module.kernel_size == (3, 3):
            module.dilation = module.padding = (dilation, dilation)
    if dilation == 1:
        own = max(net.feature_info.reduction())  # type: ignore[operator, union-attr]
        raise RecipeError(
            f"model.output_stride: encoder {name} cannot be dilated to {output_stride}: leave output_stride out or "
            f"set it to {own}"
        )


def _tame_batch_norm(net: nn.Module) -> None:
    """Give batch normalisation the answer for a single value per channel (see Norm)."""
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = Norm
        elif type(module) is BatchNormAct2d:
            module.__class__ = NormAct

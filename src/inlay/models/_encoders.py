"""Encoders: any timm network as a pyramid of feature maps, with weights from nowhere, a hub, or a file."""

from __future__ import annotations

import contextlib
import logging
import math
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from inlay.card import read_header
from inlay.errors import ModelFileError, RecipeError, nearest
from inlay.models._blocks import Norm

_REACH_SECONDS = 3.0
_SIZE_FREEDOM = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})  # ViT, Swin, everything else


class Encoder(nn.Module):
    """A timm network: normalised picture -> maps from fine to coarse.

    `channels` and `reductions` describe the maps; `stride` is the largest reduction; `mean` and `std` (of RGB / 255)
    are those the network was trained with.  A plain ViT's maps, all at 1/16, are resampled to 1/4 .. 1/32.
    """

    def __init__(
        self, name: str, weights: str = "none", output_stride: int | None = None, options: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise RecipeError(f"model.encoder: unknown encoder {name}{nearest(name, timm.list_models())}")
        net = _build(name, weights, output_stride, dict(options or {}))
        _tame_batch_norm(net)
        self.net = net
        self.channels: list[int] = list(net.feature_info.channels())
        reductions: list[int] = list(net.feature_info.reduction())
        if output_stride:
            reductions = [min(reduction, output_stride) for reduction in reductions]
        self.resample = len(reductions) > 1 and len(set(reductions)) == 1 and not output_stride
        if self.resample:
            reductions = [32 >> step for step in reversed(range(len(reductions)))]
        self.reductions = reductions
        self.stride = max(reductions)
        config = net.pretrained_cfg if hasattr(net, "pretrained_cfg") else timm.get_pretrained_cfg(name).to_dict()
        self.mean: tuple[float, float, float] = tuple(config["mean"])
        self.std: tuple[float, float, float] = tuple(config["std"])
        self._frozen: list[nn.Module] = []

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        maps = self.net(image_B3HW)
        if maps[0].shape[1] != self.channels[0] and maps[0].shape[-1] == self.channels[0]:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        if self.resample:
            height, width = image_B3HW.shape[-2:]
            sizes = [(math.ceil(height / step), math.ceil(width / step)) for step in self.reductions]
            maps = [
                nn.functional.interpolate(one, size=size, mode="bilinear", align_corners=False)
                for one, size in zip(maps, sizes, strict=True)
            ]
        return list(maps)

    def freeze(self, parts: tuple[str, ...]) -> None:
        """Keep the named parts (prefixes of module names; `all`) as they are, their statistics included."""
        known = [name for name, _ in self.net.named_children()]
        for part in parts:
            if part == "all":
                self._frozen.append(self.net)
                continue
            found = [module for name, module in self.net.named_modules() if name == part]
            if not found:
                raise RecipeError(f"model.freeze: the encoder has no part {part}{nearest(part, known)}")
            self._frozen += found
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Encoder:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def _build(name: str, weights: str, output_stride: int | None, options: dict[str, Any]) -> Any:
    arguments: dict[str, Any] = {"features_only": True, **options}
    if weights != "none":
        file = _weights_file(name, weights)
        arguments |= {"pretrained": True}
        if file is not None:
            _check_fits(name, file, options)
            arguments["pretrained_cfg_overlay"] = {"file": str(file)}
    with _quiet_timm():  # it warns of unused keys; _check_fits has looked at them
        net = _create(name, arguments, output_stride)
    reductions = net.feature_info.reduction()
    if len(reductions) > 1 and len(set(reductions)) == 1 and not output_stride:
        # A plain ViT: four maps from evenly spaced depths serve a decoder better than its last three.
        depth = len(net.feature_info)
        net = _create(name, arguments | {"out_indices": [depth * (step + 1) // 4 - 1 for step in range(4)]}, None)
    return net


@contextlib.contextmanager
def _quiet_timm() -> Iterator[None]:
    logger = logging.getLogger("timm")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _create(name: str, arguments: dict[str, Any], output_stride: int | None) -> Any:
    if output_stride:
        try:
            return _create(name, arguments | {"output_stride": output_stride}, None)
        except (AssertionError, TypeError, NotImplementedError, ValueError, RuntimeError):
            net = _create(name, arguments, None)
            _dilate(name, net, output_stride)
            return net
    for index, freedom in enumerate(_SIZE_FREEDOM):
        try:
            return timm.create_model(name, **freedom, **arguments)
        except TypeError as error:  # this family does not know the argument
            if index == len(_SIZE_FREEDOM) - 1:
                raise RecipeError(f"model.encoder: timm cannot build {name} with {arguments}: {error}") from error
    raise AssertionError("unreachable")


def can_dilate(name: str, output_stride: int, options: dict[str, Any] | None = None) -> bool:
    """Whether encoder `name` can keep its maps at 1 / output_stride."""
    try:
        with torch.device("meta"):
            _create(name, {"features_only": True, **(options or {})}, output_stride)
    except RecipeError:
        return False
    return True


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


def _weights_file(name: str, weights: str) -> Path | None:
    """A local file for `weights`, or None where the hub is to be asked and can be."""
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise ModelFileError(f"model.weights: {weights}: no such file; known words: none, imagenet")
        return path
    import huggingface_hub
    from huggingface_hub import constants

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise ModelFileError(f"model.weights: timm has no imagenet weights for {name}: choose none or give a FILE")
    if config.hf_hub_id:
        cached = huggingface_hub.try_to_load_from_cache(config.hf_hub_id, "model.safetensors")
        if isinstance(cached, str):
            return Path(cached)
    advice = f"give model.weights: FILE with a timm state dict of {name} in .safetensors, or none to start from scratch"
    if constants.HF_HUB_OFFLINE:
        raise ModelFileError(
            f"model.weights: imagenet weights of {name} are not on this machine and --offline is on; {advice}"
        )
    try:
        with urllib.request.urlopen(constants.ENDPOINT, timeout=_REACH_SECONDS):
            return None
    except urllib.error.HTTPError:
        return None  # it answered
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ModelFileError(
            f"model.weights: the hub with imagenet weights cannot be reached ({reason}); {advice}"
        ) from error


def _check_fits(name: str, file: Path, options: dict[str, Any]) -> None:
    """Raise ModelFileError listing the tensors of `file` that do not fit timm's `name` (its classifier aside)."""
    from safetensors import SafetensorError, safe_open

    read_header(file)
    with torch.device("meta"):
        full = timm.create_model(name, **options)
    heads = full.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    wanted = {key: tuple(value.shape) for key, value in full.state_dict().items() if "num_batches_tracked" not in key}
    try:
        with safe_open(str(file), "pt") as stored:
            found = {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{file}: damaged or not a .safetensors file ({error})") from error
    faults = [
        f"{key}: {found.get(key, 'missing')}, expected {shape}"
        for key, shape in wanted.items()
        if found.get(key) != shape and not key.startswith(heads)
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ModelFileError(f"{file} does not fit encoder {name}: {'; '.join(faults[:5])}{more}")


def _tame_batch_norm(net: nn.Module) -> None:
    """Give plain BatchNorm2d layers the answer for a single value per channel (see Norm); subclasses keep theirs."""
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = Norm

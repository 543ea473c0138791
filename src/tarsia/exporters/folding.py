"""Batch normalisation taken into the convolution before it, as it is for every picture once a network is trained.

A file holds no more of it than that (torch's exporter does the same at its end), and tracing takes less time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def fold(model: nn.Module, *example: Tensor) -> None:
    """Take every normalisation of `model`, in evaluation, into the convolution whose map only it looks at.

    y = w * x, (y - mean) / sqrt(variance + eps) * scale + shift: w is multiplied by scale / sqrt(variance + eps), and
    what is left is a bias.  `example` is what the model is run with, once, to see what looks at what.
    """
    for convolution, norm in _pairs(model, *example):
        assert norm.running_mean is not None and norm.running_var is not None
        scale: Any = 1.0 if norm.weight is None else norm.weight
        shift: Any = 0.0 if norm.bias is None else norm.bias
        before: Any = 0.0 if convolution.bias is None else convolution.bias
        factor = (norm.running_var.double() + norm.eps).rsqrt() * scale
        weight = convolution.weight.double() * factor[:, None, None, None]
        bias = (before - norm.running_mean.double()) * factor + shift
        kind = convolution.weight.dtype
        convolution.weight, convolution.bias = (nn.Parameter(one.detach().to(kind)) for one in (weight, bias))
        norm.__class__ = _FoldedAct if isinstance(norm, BatchNormAct2d) else _Folded


class _Folded(nn.BatchNorm2d):
    """Nothing is left to do."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class _FoldedAct(BatchNormAct2d):
    """timm's, of which its activation is left."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.act(self.drop(x))
        return found


class _Uses(TorchFunctionMode):
    """How many of torch's functions take a tensor and make another of it, by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[int] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if not isinstance(made, (int, torch.Size, torch.dtype, torch.device)):
            self.of.update(map(id, _tensors((args, kwargs or {}))))
        return made


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, (tuple, list, dict)):
        for one in given.values() if isinstance(given, dict) else given:
            yield from _tensors(one)


def _pairs(model: nn.Module, *example: Tensor) -> list[_Pair]:
    """Convolutions and norms that are used once, the norm on the convolution's map, which nothing else looks at."""
    maps: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors as well: while they live, no other has their id
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d, int]] = []
    runs: Counter[nn.Module] = Counter()

    def convolved(part: Any, _: Any, made: Tensor) -> None:
        runs[part] += 1
        maps[id(made)] = part, made

    def normed(part: Any, given: tuple[Tensor, ...]) -> None:
        runs[part] += 1
        if id(given[0]) in maps:
            found.append((maps[id(given[0])][0], part, id(given[0])))

    hooks = []
    for part in model.modules():
        if type(part).forward is nn.Conv2d.forward:
            hooks.append(part.register_forward_hook(convolved))
        elif isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            hooks.append(part.register_forward_pre_hook(normed))
    try:
        with torch.no_grad(), _Uses() as uses:
            model(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return [(one, norm) for one, norm, seen in found if uses.of[seen] == runs[one] == runs[norm] == 1]

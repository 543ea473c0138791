"""Bilinear resizing in ONNX files: one operator from torch to the file.

Tracing torch's own for sizes that are unknown goes through its formula, over and over: ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

op: Any = opset18  # typed for running it, not for what is written


@torch.library.custom_op("tarsia::bilinear", mutates_args=())
def bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """B x C x h x w, resized as by functional.interpolate without `align_corners` -> B x C x height x width."""
    return functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


@bilinear.register_fake
def _shape(x: Tensor, height: int, width: int) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], height, width)


class AsOne(TorchFunctionMode):
    """Bilinear resizing to a size is this one operator within."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.interpolate and _to_a_size(given):
            return bilinear(args[0], *given["size"])
        return func(*args, **given)


def _to_a_size(given: dict[str, Any]) -> bool:
    """Whether interpolate is asked for what `bilinear` does: nothing else is switched on."""
    asked = {name: value for name, value in given.items() if value}
    return asked.keys() == {"size", "mode"} and asked["mode"] == "bilinear" and isinstance(asked["size"], (tuple, list))


def _translate(x: Any, height: Any, width: Any) -> Any:
    """The operator above, with its own names, in ONNX's."""
    sides = (
        op.Constant(value_ints=[one]) if isinstance(one, int) else op.Reshape(one, op.Constant(value_ints=[-1]))
        for one in (height, width)
    )
    size = op.Concat(op.Shape(x, start=0, end=2), *sides, axis=0)
    return op.Resize(x, None, None, size, mode="linear", coordinate_transformation_mode="pytorch_half_pixel")


# For torch.onnx.export's custom_translation_table.
TRANSLATIONS: dict[Any, Any] = {torch.ops.tarsia.bilinear.default: _translate}

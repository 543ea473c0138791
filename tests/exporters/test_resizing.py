"""Bilinear resizing as one operator: what it takes over, and that it answers as torch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from tarsia.exporters.resizing import AsOne, bilinear


class Seen(TorchDispatchMode):
    """The operators that were called within."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_resizing_to_a_size_is_the_operator_and_all_else_is_torchs() -> None:
    x = torch.arange(48.0).reshape(1, 2, 4, 6)
    expected = functional.interpolate(x, size=(7, 5), mode="bilinear", align_corners=False)
    with AsOne(), Seen() as seen:
        found = functional.interpolate(x, size=(7, 5), mode="bilinear", align_corners=False)
    assert torch.equal(found, expected)
    assert "tarsia.bilinear.default" in seen.names
    with AsOne(), Seen() as seen:
        functional.interpolate(x, size=(7, 5), mode="bilinear", align_corners=True)
        functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        functional.interpolate(x, size=(7, 5), mode="nearest")
    assert "tarsia.bilinear.default" not in seen.names
    torch.library.opcheck(bilinear, (x, 7, 5), test_utils=("test_schema", "test_faketensor"))

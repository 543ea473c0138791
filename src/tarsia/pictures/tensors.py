"""Pictures given as torch tensors, for a reader that does not import torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tarsia.errors import ImageError


def is_tensor(given: object) -> bool:
    """Whether it is torch's: nobody has one without having imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.Tensor)


def as_array(tensor: Any, bands: int) -> np.ndarray:
    """A tensor bands x H x W, as torch has pictures, or H x W x bands -> H x W x bands; with a batch before, likewise.

    Values stay as they are.  ImageError where both readings are possible, as for 3 x H x 3.
    """
    array = tensor.detach().cpu().numpy()
    if array.ndim < 3:
        return array
    first, last = array.shape[-3] == bands, array.shape[-1] == bands
    if first and last:
        raise ImageError(
            f"tensor {tuple(array.shape)} given as picture: bands x H x W or H x W x bands? Give it as a numpy array, "
            "which is H x W x bands"
        )
    return np.ascontiguousarray(np.moveaxis(array, -3, -1)) if first else array

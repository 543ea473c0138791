"""Many pictures given as one thing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.card import Spec
from tarsia.errors import ImageError
from tarsia.pictures.find import looked_for, pictures_in
from tarsia.pictures.tensors import as_array, is_tensor


def many(given: Any, spec: Spec) -> Iterable[Any] | None:
    """The pictures of a folder, a list or iterator, or an array or tensor with an axis in front; None for one picture.

    A folder's are all that lie in it and below, sorted, labels among them too.  ImageError for a folder without any.
    """
    if isinstance(given, str | Path):
        return _of_folder(Path(given), spec) if os.path.isdir(given) else None
    if is_tensor(given):
        return as_array(given, spec.bands) if given.ndim == 4 else None
    if isinstance(given, np.ndarray):
        return given if given.ndim == 4 else None
    if isinstance(given, bytes | Image.Image):
        return None
    return given if isinstance(given, list | tuple | Iterator) else None


def _of_folder(folder: Path, spec: Spec) -> list[Path]:
    found = [folder / name for name in sorted(pictures_in(folder, spec))]
    if not found:
        raise ImageError(f"{folder}: no pictures in this folder; looked for {looked_for(spec)}")
    return found

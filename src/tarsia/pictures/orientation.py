"""How a picture lies: the tag of EXIF and TIFF, and what makes an array upright by it."""

from __future__ import annotations

import numpy as np
from PIL import Image

ORIENTATION = 274  # the tag's number
# Whether rows and columns change places, and then whether the order of rows, and of columns, is reversed.
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orientation_of(image: Image.Image) -> int:
    """1 for a picture that is upright or says nothing sensible, 2 to 8 for one that is turned or mirrored."""
    found = image.getexif().get(ORIENTATION, 1)
    return found if found in _UPRIGHT else 1


def swaps_sides(orientation: int) -> bool:
    """Whether height and width change places on the way to upright."""
    return orientation in _UPRIGHT and _UPRIGHT[orientation][0]


def upright(array_HW: np.ndarray, orientation: int) -> np.ndarray:
    """A label or picture (H x W, or H x W x C) that lies as `orientation` says -> upright; itself where it is."""
    if orientation not in _UPRIGHT:
        return array_HW
    swap, rows, columns = _UPRIGHT[orientation]
    turned = array_HW.swapaxes(0, 1) if swap else array_HW
    return np.ascontiguousarray(turned[:: -1 if rows else 1, :: -1 if columns else 1])

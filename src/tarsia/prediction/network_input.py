"""What a network sees of a picture: resized, then padded; its size and its limits known before a pixel is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tarsia.card import Card, Input
from tarsia.errors import ImageError, TooLargeError
from tarsia.pictures import rgb as pictures
from tarsia.pictures.files import MAX_PIXELS, most_pixels
from tarsia.plain_text import number

_LONGEST = 64  # sides' ratio: a 1 x 5000 strip brought to a short side of 224 would be 250 million pixels


def network_size(size: tuple[int, int], settings: Input, scale: float = 1.0) -> tuple[int, int]:
    """The (height, width) a picture of `size` is resized to before padding: `size` or `short_side` times `scale`."""
    height, width = size
    if settings.size:
        height, width = settings.size
    elif settings.short_side:
        factor = settings.short_side / min(height, width)
        height, width = round(height * factor), round(width * factor)
    return max(1, round(height * scale)), max(1, round(width * scale))


def padded_size(size: tuple[int, int], settings: Input, scale: float = 1.0) -> tuple[int, int]:
    """The (height, width) that the network sees of a picture of `size`: `network_size`, in multiples of the stride."""
    height, width = network_size(size, settings, scale)
    return height + -height % settings.stride, width + -width % settings.stride


def pixels_seen(size: tuple[int, int], settings: Input, scales: Sequence[float] = (1.0,)) -> int:
    """How many pixels are worked on at a time for a picture of `size` (height, width).

    Those that the network sees, of the largest of the `scales` it sees the picture at; or the picture's own, which
    labels have, where these are more.  A row of N pixels may be 32 N to the network: it is what a limit has to count.
    """
    seen = (padded_size(size, settings, scale) for scale in scales)
    return max(size[0] * size[1], *(height * width for height, width in seen))


def check_size(size: tuple[int, int], card: Card, scales: Sequence[float] = (1.0,), limit: int = MAX_PIXELS) -> None:
    """ImageError for a picture of `size` (height, width) that this model must not see: nothing need be decoded.

    TooLargeError where it would be more than `limit` pixels (of three bands, and fewer for more bands).
    """
    settings, shape = card.input, f"{size[0]}x{size[1]} (height x width)"
    if settings.short_side and max(size) > _LONGEST * min(size):
        raise ImageError(
            f"picture of {shape} is too narrow for this model, which brings the short side to {settings.short_side}: "
            f"cut it into pieces at most {_LONGEST} times as long as wide"
        )
    limit, seen = most_pixels(card.spec, limit), pixels_seen(size, settings, scales)
    if seen > limit:
        raise TooLargeError(
            f"picture of {shape}: {seen:,} pixels to this model ({_shown(settings, scales)}), more than the {limit:,} "
            "allowed; cut it into smaller pictures"
        )


def prepared(images_BHWC: np.ndarray, card: Card, scale: float = 1.0) -> tuple[np.ndarray, tuple[int, int]]:
    """Pictures as the network sees them, resized and padded, and their size without the padding; as `check_size`."""
    height, width, bands = images_BHWC.shape[1:]
    if bands != card.bands:
        raise ImageError(
            f"a picture of {number(bands, 'band')}, the model takes {card.bands}: give it what it has learned"
        )
    check_size((height, width), card, (scale,))
    size = network_size((height, width), card.input, scale)
    resized = np.stack([pictures.resize(image, size) for image in images_BHWC])
    return pictures.pad_to_multiple(resized, card.input.stride), size


def _shown(settings: Input, scales: Sequence[float]) -> str:
    """Why they are as many."""
    if settings.size:
        said = f"brought to {settings.size[0]}x{settings.size[1]}"
    elif settings.short_side:
        said = f"short side brought to {settings.short_side}"
    else:
        said = "at its own size"
    scaled = f", times {max(scales):g}" if max(scales) > 1 else ""
    return f"{said}{scaled}, sides padded to multiples of {settings.stride}"

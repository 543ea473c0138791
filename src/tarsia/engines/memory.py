"""Memory that a program below keeps for the next picture, and gives back where it was one large picture's."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections import deque
from collections.abc import Iterator

_LATELY = 16  # pictures
_TIMES = 2  # as much as lately is needed may be kept: to have it anew costs up to 4 parts in 10 of a run
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_NEVER, _USUAL = 2**30, 32 * 2**20  # bytes
_LITTLE = 250_000  # pixels, whose memory is not worth the work


class Footprint:
    """How large the pictures of an engine are whose memory follows the largest one since it was last given back."""

    def __init__(self) -> None:
        self._lately: deque[int] = deque(maxlen=_LATELY)
        self._held = 0
        self._lock = threading.Lock()  # calls may run at once

    def outgrown_by(self, pixels: int) -> bool:
        """Whether after a run on `pixels` the memory is to be given back: it was needed once and not usually."""
        with self._lock:
            self._lately.append(pixels)
            usual = sorted(self._lately)[(len(self._lately) - 1) // 2]
            self._held = max(self._held, pixels)
            if self._held <= max(_LITTLE, _TIMES * usual):
                return False
            self._held = 0
            return True

    def forget(self) -> bool:
        """Whether there is more than a little to give back, now that no picture comes."""
        with self._lock:
            held, self._held = self._held, 0
        return held > _LITTLE


def trim() -> None:
    """Give back to the system what the C library has free: it keeps that for this process otherwise."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # other libraries than glibc have none, and need none
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within, what is freed stays with this process for the next step, where the C library is glibc.

    It gives large blocks back at once otherwise, and has fresh pages for the next step's: up to 3 parts in 10 of a
    training's on a processor.  The most that is needed at a time does not grow.
    """
    if not _set(_TRIM_THRESHOLD, _NEVER) or not _set(_MMAP_THRESHOLD, _NEVER):
        yield
        return
    try:
        yield
    finally:  # what glibc comes to by itself once it has given back blocks as large as it would ever keep
        _set(_MMAP_THRESHOLD, _USUAL)
        _set(_TRIM_THRESHOLD, 2 * _USUAL)
        trim()


def _set(parameter: int, value: int) -> bool:
    """glibc's mallopt; False where there is none, or it refuses."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    return False

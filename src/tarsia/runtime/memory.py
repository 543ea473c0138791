"""Memory that a program below keeps for the next picture, and gives back where it was one large picture's."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections import deque
from collections.abc import Callable

_LATELY = 16  # pictures
_TIMES = 2  # as much as lately is needed may be kept: to have it anew costs up to 4 parts in 10 of a run
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
    _trim()()


@functools.cache
def _trim() -> Callable[[], object]:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # other libraries than glibc have none, and need none
        return functools.partial(ctypes.CDLL(None).malloc_trim, 0)
    return lambda: None

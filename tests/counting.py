"""How much work something is, counted: seconds tell of the machine and of who else uses it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls(act: Callable[[], Any]) -> int:
    """How many functions `act` calls in this thread, in Python and in C: the same number on every machine."""
    made = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return made

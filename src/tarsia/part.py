"""Part: K of N, one share of a list that several processes or machines deal out among them."""

from __future__ import annotations

from tarsia.errors import OutputError

Part = tuple[int, int]
ALL: Part = (1, 1)


def places(count: int, part: Part) -> range:
    """Which of `count` things are part K of N: the Kth, and every Nth after it, counted from 0.

    OutputError where there is no such part.
    """
    number, of = part
    if not 1 <= number <= of:
        raise OutputError(f"`part` is {number}/{of}: expected K/N, as 2/8 for the second of eight")
    return range(number - 1, count, of)

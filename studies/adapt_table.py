"""The tables of studies/adapt.py: figures in percent, and over several seeds their means with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Student's t for 95 %, by degrees of freedom: one less than there are seeds.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def heads(*columns: str) -> list[str]:
    """The first two lines of a table in Markdown."""
    return [line(*columns), line(*["---"] * len(columns))]


def line(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def mean_and_margin(values: Sequence[float]) -> tuple[float, float]:
    """Of several trainings: their mean, and half of its 95 % interval by t; of one, NaN."""
    count = len(values)
    if count < 2:
        return float(np.mean(values)), float("nan")
    return float(np.mean(values)), T[count - 2] * float(np.std(values, ddof=1)) / count**0.5


def percent(values: Sequence[float], margin: bool = False) -> str:
    """The mean in percent, with the interval's half where it is asked for and known; - where there is no figure."""
    found, half = mean_and_margin(values)
    if np.isnan(found):
        return "-"
    return f"{100 * found:.1f}" + (f" ± {100 * half:.1f}" if margin and not np.isnan(half) else "")

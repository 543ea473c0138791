"""How many steps fit into a time."""

from __future__ import annotations

import pytest

from tarsia.learning.pace import Pace

PACE = Pace(step=1.0, read=0.5, validation=0.0, busy=1.0)


@pytest.mark.parametrize(
    ("seconds", "kept", "steps"),
    [
        (60.0, 0.0, 20.0),  # each step reads four pictures, half a second each
        (60.0, 1.0, 40.0),  # only the first ten do
        (15.0, 1.0, 5.0),  # and these are not over yet
        (60.0, 0.5, 5 + 45 / 2),
    ],
)
def test_reading_is_paid_for_once_where_pictures_are_kept(seconds: float, kept: float, steps: float) -> None:
    assert PACE.steps(seconds, 4, 40, kept) == pytest.approx(steps)

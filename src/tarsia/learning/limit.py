"""A training within a time limit: its plan is in steps, and is changed where the machine turns out slower or faster.

What was changed stands in the recipe (`train.replan`), so that a rerun follows the list and asks no clock.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

_RECENT = 12  # steps whose median is the pace
_FIRST = 6  # steps before anything is said of the pace
_OFTEN = 20  # times in a training that the clock is asked, and as often by time; in its last tenth after every step
_SLACK, _SLACK_AT_THE_END = 0.03, 0.01  # of the limit: less than this is no reason for a change
_FASTER = 0.15  # share of the time left that may stay unused before the plan grows
_STUB = 0.15  # share of an epoch that is too little for one of its own

Replans = Sequence[tuple[int, int]]


def end_of(replan: Replans, step: int, total: int) -> int:
    """How many steps the plan in force at `step` has, of a recipe with `total`."""
    return next((new for changed, new in reversed(replan) if changed <= step), total)


def share_done(replan: Replans, step: int, total: int, warmup: int) -> float:
    """How much of the schedule after the warm-up is over in `step`, 0 to 1: linear from each change to the new end."""
    done, since = 0.0, warmup
    for changed, new in replan:
        if changed > step:
            break
        if changed > since:
            done += (1 - done) * (changed - since) / max(1, total - since)
            since = changed
        total = new
    return min(1.0, max(0.0, done + (1 - done) * (step - since) / max(1, total - since)))


@dataclass
class Limit:
    """`seconds` of wall time, of which `used` were over at `started` (time.monotonic).

    `validation`: seconds of one, `scoring`: of all that follows the last step but its validation; estimates, until
    measured, for a machine whose steps take `pace`: where they take longer now, so will these.  Of these, and of the
    pace of the last steps, `advice` makes the plan that ends in time.  `most`: steps beyond which a plan does not grow,
    whatever is left.  `reading`: first steps that read pictures which stay in memory: their pace is not counted.
    """

    seconds: float
    used: float = 0.0
    started: float = field(default_factory=lambda: monotonic())
    validation: float = 0.0
    scoring: float = 0.0
    most: int = 10**9
    pace: float = 0.0
    reading: int = 0
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _asked: int = -1
    _asked_at: float = 0.0
    _seen: int = 0

    @property
    def spent(self) -> float:
        """Seconds used so far."""
        return self.used + monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds left; below 0 once it is over."""
        return self.seconds - self.spent

    def facts(self) -> dict[str, Any]:
        """What a resume point keeps: the arguments that make it again."""
        kept = {"validation": self.validation, "scoring": self.scoring, "most": self.most, "pace": self.pace}
        kept["reading"] = self.reading
        return {"seconds": self.seconds, "used": self.spent} | kept

    def took(self, seconds: float) -> None:
        """Take in what a step took, with everything beside it but validation."""
        self._seen += 1
        if self._seen > self.reading:
            self._paces.append(seconds)

    def validated(self, seconds: float) -> None:
        """Take in what a validation took; the score at the end takes as long, and a little more."""
        before = self._slower if self._paces else 1.0
        self.scoring = self.scoring * before + 1.1 * (seconds - self.validation * before)
        self.validation, self.pace = seconds, self._pace if self._paces else self.pace

    def advice(self, step: int, total: int, per_epoch: int) -> int | None:
        """A new number of steps in all, where `total` after `step` would not end in time or leave much of it; or None.

        At least one step more, so that the schedule ends whatever happens.
        """
        soon = step - self._asked < max(1, total // _OFTEN) and self.spent - self._asked_at < self.seconds / _OFTEN
        at_the_end = total - step <= total // 10
        if self._seen < _FIRST + self.reading or (soon and not at_the_end) or step >= total:
            return None
        self._asked, self._asked_at = step, self.spent
        have = self.left - self.scoring * self._slower
        slack = (_SLACK_AT_THE_END if at_the_end else _SLACK) * self.seconds
        need = self._needed(step, total, per_epoch)
        if have - slack <= need <= have + slack or (
            need < have and have - need < max(_SLACK * self.seconds, _FASTER * have)
        ):
            return None
        new = min(self._fitting(step, per_epoch, have), max(total, self.most))
        return None if new == total else new

    @property
    def _pace(self) -> float:
        """The median of the last steps, or the lesser of the last two where that is more: one stall is no pace."""
        return max(statistics.median(self._paces), min(list(self._paces)[-2:]))

    @property
    def _slower(self) -> float:
        """How many times as long as when `validation` and `scoring` were taken everything takes now."""
        return max(1.0, self._pace / self.pace) if self.pace else 1.0

    def _needed(self, step: int, total: int, per_epoch: int) -> float:
        validations = math.ceil(total / per_epoch) - step // per_epoch
        return (total - step) * self._pace + validations * self.validation * self._slower

    def _fitting(self, step: int, per_epoch: int, have: float) -> int:
        """The most steps in all that `have` seconds suffice for; an epoch that would be a stub is left away."""
        low, high = step + 1, step + 1 + max(0, math.floor(have / max(self._pace, 1e-9)))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._needed(step, middle, per_epoch) <= have else (low, middle - 1)
        stub = low % per_epoch
        return low - stub if stub < _STUB * per_epoch and low - stub > step else low

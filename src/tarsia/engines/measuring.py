"""Which of several ways to compute the same is the fastest here: measured in turns, in a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tarsia.engines.memory_limit import is_exhausted

T = TypeVar("T", bound=Hashable)

WORTH_IT = 1.1  # how many times as fast as the default another way must be to be chosen
_SLOWER, _FAR_SLOWER = 1.3, 2.0  # times the best, or cold times the cold default: not tried again
_ROUNDS = 3
_STEPS = 4  # of the default: as much time may go, where that is more than the seconds


@dataclass
class Measured(Generic[T]):
    """The seconds of every try of the candidates that fitted in memory.  The default is the first candidate."""

    candidates: Sequence[T]
    tries: dict[T, list[float]] = field(default_factory=dict)

    @property
    def seconds(self) -> dict[T, float]:
        """The least of each: what else the machine did can only have added to it."""
        return {one: min(tries) for one, tries in self.tries.items() if tries}

    @property
    def chosen(self) -> T:
        """The fastest, if it is 1.1 times as fast as the default; the last candidate where none fitted."""
        seconds, default = self.seconds, self.candidates[0]
        if not seconds:
            return self.candidates[-1]
        best = min(seconds, key=seconds.__getitem__)
        return default if seconds.get(default, float("inf")) < WORTH_IT * seconds[best] else best

    def ratios(self) -> str:
        """How many times as fast as the default each other one was: `float32 channels_last 0.71, ...`."""
        seconds = self.seconds
        default = seconds.get(self.candidates[0])
        return ", ".join(
            f"{one} {f'{default / seconds[one]:.2f}' if default and one in seconds else 'not measured'}"
            for one in self.candidates[1:]
        )


def measure(candidates: Sequence[T], run: Callable[[T], float], least_seconds: float) -> Measured[T]:
    """Let `run` give the seconds of each of the `candidates` in turns; the default, cold at first, begins with two.

    It ends after three rounds, or before a try that would go beyond `least_seconds` or four runs of the default,
    whichever is more (runs as long as its longest, so that a cold start leaves time for the others).  What is clearly
    slower, or does not fit in memory, is not tried again.
    """
    found = Measured(candidates, {one: [] for one in candidates})
    default, left, spent = candidates[0], set(candidates), 0.0
    for one in [default, *(one for _ in range(_ROUNDS) for one in candidates)]:
        usual, longest = found.seconds.get(default, 0.0), max(found.tries[default], default=0.0)
        if one not in left or spent + found.seconds.get(one, usual) > max(least_seconds, _STEPS * longest):
            continue
        try:
            seconds = run(one)
        except (RuntimeError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            left.remove(one)
            found.tries[one] = []
            continue
        spent += seconds
        found.tries[one].append(seconds)
        if one != default and _too_slow(found, one):
            left.remove(one)
    return found


def _too_slow(found: Measured[T], one: T) -> bool:
    tries, first = found.tries[one], found.tries[found.candidates[0]][:1]
    if len(tries) == 1:  # what is new to the machine is slow for that alone: compared with the default when it was
        return bool(first) and tries[0] > _FAR_SLOWER * first[0]
    return min(tries) > _SLOWER * min(found.seconds.values())

"""How far a job is, from its folder alone: whoever asks need not be who runs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from tarsia.errors import OutputError
from tarsia.jobs.job import Job, out_name
from tarsia.jobs.rows import counted
from tarsia.plain_text import first_line

_THREADS = 8
_RECENT_SECONDS = 600.0  # over which the rate is taken


@dataclass(frozen=True)
class Status:
    """Counts of a job: chunks, and pictures as rows.

    `pictures_a_second`: over the last ten minutes in which chunks were done, None where fewer than two were;
    `seconds_left`: at that rate.
    """

    chunks: int
    chunks_done: int
    rows: int
    rows_done: int
    errors: int
    pictures_a_second: float | None
    seconds_left: float | None

    @property
    def complete(self) -> bool:
        return self.chunks_done == self.chunks

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"complete": self.complete}


def status_of(job: Job) -> Status:
    """The status of a job: a listing of what is done, and the end of each of these files.

    Raises OutputError for one that is damaged.
    """
    done = sorted(job.done())

    def of(index: int) -> tuple[float, int, int]:
        name = out_name(index)
        with job.folder.open(name) as file:
            try:
                return (job.folder.finished(name), *counted(file))
            except (ValueError, OSError) as error:
                what = f"{job.folder}: {name} is damaged or cannot be read ({first_line(error)})"
                raise OutputError(f"{what}: delete it, and a run of the job makes it again") from error

    with ThreadPoolExecutor(_THREADS) as pool:
        found = sorted(pool.map(of, done))
    rows, errors = sum(count for _, count, _ in found), sum(count for _, _, count in found)
    rate = _rate([(when, count) for when, count, _ in found])
    left = None if rate is None else (job.pictures - rows) / rate
    return Status(job.chunks, len(done), job.pictures, rows, errors, rate, left)


def _rate(found: list[tuple[float, int]]) -> float | None:
    """Pictures a second, from when each chunk was done and how many it has, earliest first."""
    if not found:
        return None
    recent = [(when, count) for when, count in found if when >= found[-1][0] - _RECENT_SECONDS]
    seconds = recent[-1][0] - recent[0][0]
    return sum(count for _, count in recent[1:]) / seconds if seconds > 0 else None

"""The command `predict --job`: the chunks of a planned job, in processes that may be killed.

tarsia plan photos --out job
tarsia predict runs/demo --job job --processes 4
tarsia predict runs/demo --job job --part 2/8    # on the second of eight machines
tarsia predict --job job --status
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tarsia import console
from tarsia.engines.model_file import find_model_file
from tarsia.errors import OutputError, needs
from tarsia.inference import DEFAULT, Inference, load
from tarsia.jobs.job import Job, open_job
from tarsia.jobs.processes import Processes
from tarsia.jobs.sharing import Crew, Sharing
from tarsia.jobs.status import Status, status_of
from tarsia.jobs.storage import folder_of
from tarsia.jobs.worker import Opening, sum_of
from tarsia.part import ALL, Part, places
from tarsia.prediction.predictor import Predictor

__all__ = ["Status", "job_status", "predict_job"]


def predict_job(
    model: str | Path,
    job: str | Path,
    *,
    inference: Inference = DEFAULT,
    part: Part = ALL,
    processes: int = 1,
    ray: str | None = None,
    cores: int = 1,
    batch: int = 1,
    only: Sequence[str] = (),
    min_confidence: float = 0.0,
    load: Callable[[Path, Inference], Predictor] = load,
) -> Status:
    """Segment the pictures of a planned job, or `part` (K, N) of it, into its folder `job` -> how far that is by then.

        tarsia.plan("photos", "job")
        tarsia.predict_job("runs/demo", "job", part=(2, 8))

    `model`, `inference`, `only` and `min_confidence` are as for `predict`; the first run keeps them in the job, and
    another is refused.  `processes`: so many of this machine, on an equal share of its cores each.  With `ray` they are
    actors of the Ray there, "auto", "local" (begun for this run, on this machine, through loopback), "HOST:PORT" or
    "ray://HOST:PORT", with `cores` CPUs each (and a GPU, for a `device` of cuda).  `load` opens the model, in these
    processes.

    A chunk is a Parquet file that appears when it is done (jobs/rows.py); whatever is killed, what is there stays, and
    the next run does the rest.  A picture that cannot be segmented is a row with an error.  A chunk that kills its
    process twice is halved until the picture is found, which is such a row, too.

    Raises OutputError where there is no job, it was begun with other settings, or Ray is not there or has too few CPUs,
    what `tarsia.load` raises of a model, NoRoomError's message as TarsiaError where the disk is full, Interrupted after
    SIGTERM or Ctrl-C.
    """
    with needs("a job", "parquet"):
        import pyarrow  # noqa: F401
    if batch < 1 or processes < 1 or cores < 1:
        raise OutputError(f"`{batch=}`, `{processes=}` and `{cores=}`: expected 1 or more")
    places(0, part)
    planned = open_job(folder_of(job))
    file = find_model_file(Path(model))
    sha256 = sum_of(file)
    opening = Opening(
        planned,
        file,
        sha256,
        _settings(sha256, inference, batch, only, min_confidence),
        inference,
        tuple(only),
        min_confidence,
        batch,
        run=secrets.token_hex(8),
        load=load,
    )
    kept = planned.settings()
    if kept is not None:
        planned.agree(opening.settings | {"found": kept.get("found")})
    planned.folder.clean("plan", "out", "tries")
    _run(planned, opening, part, processes, None if ray is None else (ray, cores))
    return status_of(planned)


def job_status(job: str | Path) -> Status:
    """How far a job is: chunks, pictures and errors, and how fast it goes; OutputError where there is none."""
    with needs("a job", "parquet"):
        import pyarrow  # noqa: F401
    return status_of(open_job(folder_of(job)))


def _run(job: Job, opening: Opening, part: Part, processes: int, ray: tuple[str, int] | None) -> None:
    mine = places(job.chunks, part)
    there = job.done()
    left = [index for index in mine if index not in there]
    before, total = (sum(map(job.count, some)) for some in (set(mine) & there, mine))
    if not left:
        return
    count = min(processes, len(mine))  # not of what is left: the share of the cores is the same in each run
    with _crew(opening, count, ray) as crew, console.Work("predict", total, "pictures", before) as work:
        Sharing(crew, count, lambda index: work.step(job.count(index))).run(left)


def _crew(opening: Opening, count: int, ray: tuple[str, int] | None) -> contextlib.AbstractContextManager[Crew]:
    """Who runs the processes: this machine, or the Ray at an address, with so many cores each."""
    if ray is None:
        return contextlib.nullcontext(Processes(opening, count))
    from tarsia.jobs.ray_actors import actors

    return actors(ray[0], opening, count, ray[1])


def _settings(
    sha256: str, inference: Inference, batch: int, only: Sequence[str], min_confidence: float
) -> dict[str, Any]:
    """What decides about the content of the rows."""
    chosen: dict[str, Any] = {**asdict(inference), "only": sorted(only), "min_confidence": min_confidence}
    style = inference.style
    if style is not None and Path(style).is_file():
        chosen["style"] = f"{Path(style).name}, sha256 {sum_of(Path(style))}"
    settings: dict[str, Any] = json.loads(json.dumps({"model": sha256, "batch": batch, **chosen}))
    return settings

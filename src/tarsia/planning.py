"""The command `plan`: names of very many pictures, in chunks that `predict` does one by one, on as many machines as
there are.

What the folder of a job holds: jobs/job.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tarsia import console
from tarsia.errors import ImageError, OutputError
from tarsia.folder_lock import holding
from tarsia.jobs.job import JOB, Job, save_job
from tarsia.jobs.planning import names_of, write_plan
from tarsia.jobs.storage import Folder, LocalFolder, folder_of
from tarsia.pictures.files import shown
from tarsia.plain_text import some

__all__ = ["Job", "plan"]


def plan(
    pictures: Sequence[str | Path] | str | Path,
    out: str | Path,
    *,
    chunk: int = 1000,
    column: str = "path",
    files: bool = False,
) -> Job:
    """Plan a job: the names of `pictures`, in chunks of `chunk`, in the folder `out` -> the job.

        job = tarsia.plan("photos", "job")
        tarsia.predict_job("runs/demo", "job", processes=4)

    `pictures`: files, folders with those below them, patterns, lists (`@FILE`, a name a line) and tables (.parquet, a
    name in each row of `column`); or URLs, as is `out` (extra `scale`), a folder's with a slash at its end.  Names are
    kept as absolute paths, in the order in which they come, as often as they come; a picture is opened when its turn
    comes.  Memory does not grow with their number.  `files`: masks become PNG files of the job, which its rows name,
    else they are in the rows.

    Raises OutputError where `out` holds anything but a plan that was interrupted, ImageError where there is no picture
    and for folders that cannot be read, DatasetError for a table that cannot be.
    """
    if chunk < 1:
        raise OutputError(f"`chunk` is {chunk}: expected 1 picture or more")
    words = [pictures] if isinstance(pictures, str | Path) else pictures
    if not words:
        raise ImageError("no pictures given: name files, folders, lists or tables of names")
    folder, unread = folder_of(out), list[str]()
    folder.make()
    with holding(folder.path) if isinstance(folder, LocalFolder) else contextlib.nullcontext():
        _check_unused(folder)
        names = names_of(words, column, Path(out), lambda error: unread.append(f"{shown(error.filename)}"))
        with console.Work("plan", None, "pictures") as work:
            job = replace(write_plan(folder, names, chunk, work.step), files=files)
        if unread:
            raise ImageError(f"{some(unread)}: folders that cannot be read; give leave, or name what is to be read")
        save_job(job, {"given": [str(word) for word in words]})
    return job


def _check_unused(folder: Folder) -> None:
    """OutputError unless the folder is empty but for what a plan that was interrupted has left, which goes."""
    if folder.exists(JOB):
        raise OutputError(f"{folder}: holds a planned job already; choose another `out`")
    if set(folder.names("")) - {"plan"}:
        raise OutputError(f"{folder}: is not empty; choose another `out`")
    for name in folder.names("plan"):
        folder.remove(f"plan/{name}")

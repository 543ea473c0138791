"""`tarsia plan`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Quiet, at_least
from tarsia.plain_text import command, number


def plan(
    *pictures: Annotated[str, Parameter(help="pictures, folders, patterns, @LIST, tables of names (.parquet)")],
    out: Annotated[str, Parameter(help="the folder of the job, new or empty; a path or URL")],
    chunk: Annotated[int, Parameter(help="pictures that are done, or lost, together", validator=at_least(1))] = 1000,
    column: Annotated[str, Parameter(help="of tables: which holds the names")] = "path",
    files: Annotated[bool, Parameter(help="masks as PNG files, which the rows name", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan a job of very many pictures, in chunks that cannot be lost; nothing is segmented yet.

    Then `tarsia predict MODEL --job FOLDER` does the chunks, in as many processes and on as many machines as there are.

    Try: tarsia plan photos/ @more.txt --out job
    """
    from tarsia.planning import plan as run

    console.quiet(quiet)
    job = run(pictures, out, chunk=chunk, column=column, files=files)
    if json:
        console.data({"pictures": job.pictures, "chunk": job.chunk, "chunks": job.chunks, "job": str(out)})
        return
    console.say(
        f"{number(job.pictures, 'picture')} in {number(job.chunks, 'chunk')} of {job.chunk:,} at most; in {out}"
    )
    console.say(f"Next:  {command('predict', 'MODEL', '--job', out)}")

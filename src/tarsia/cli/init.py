"""`tarsia init`: a dataset.yaml from what lies in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Quiet, check_and_train


def init(
    folder: Annotated[Path, Parameter(help="with pictures and their labels, in whatever order")],
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Look at pictures and labels as they lie there, and write a dataset.yaml that says why each key is what it is.

    What a person has written there stays.  Exit code: 0 where all of it is clear, 1 where it can be read in more than
    one way and a person has to choose, 2 where there is nothing to describe.

    Try:
        tarsia init photos
        tarsia check folder:photos
    """
    from tarsia.describing import init as run

    console.quiet(quiet)
    done = run(folder)
    if json:
        console.data(done.facts())
        return done.exit_code
    for line in done.lines():
        console.say(line)
    if not done.undecided:
        console.say(check_and_train(folder))
    return done.exit_code

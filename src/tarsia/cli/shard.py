"""`tarsia shard`: a data set of many small files into a few large ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Data, Json, Overwrite, Quiet, at_least
from tarsia.plain_text import command, number


def shard(
    data: Data,
    *,
    to: Annotated[Path, Parameter(help="the exact folder that is written")],
    split: Annotated[tuple[str, ...], Parameter(help="default: all of train, val and test that there are")] = (),
    megabytes: Annotated[int, Parameter(help="of each tar, about", validator=at_least(1))] = 256,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a data set of many small files as tars with an index, which read fast from any disk: the data set `shards`.

    Try:
        tarsia shard camvid:data/camvid --to data/camvid-shards
        tarsia check shards:data/camvid-shards
    """
    from tarsia.sharding import shard as run

    console.quiet(quiet)
    counts = run(data, to, splits=split or None, part_megabytes=megabytes, overwrite=overwrite)
    if json:
        console.data({"folder": str(to), "splits": counts})
        return
    told = ", ".join(f"{name} {number(count, 'sample')}" for name, count in counts.items())
    console.say(f"{to}: {told}; next: {command('check', f'shards:{to}')}")

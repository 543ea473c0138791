"""How large the networks are with the defaults of their options: a table that comes with Tarsia, read without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box

from tarsia.console import Table
from tarsia.plain_text import number

STORED = Path(__file__).with_name("sizes.json")  # docs/reference.py writes it, tests/models/test_summary.py counts anew
PICTURE = (360, 480)  # CamVid's
CLASS_COUNT = 19  # Cityscapes', unless told


class Summary(NamedTuple):
    """A network with the defaults of its options."""

    name: str
    what: str  # in a line
    publication: str
    encoder: str | None  # timm's name, where it has one
    parameters: int
    multiply_adds: int  # of one picture of `size`
    size: tuple[int, int]  # PICTURE padded up to the stride
    stride: int
    classes: int = CLASS_COUNT


def stored() -> list[Summary]:
    """The summaries of all networks here, for CLASS_COUNT classes."""
    rows = json.loads(STORED.read_text(encoding="utf-8"))
    return [Summary(**row | {"size": (row["size"][0], row["size"][1])}) for row in rows]


def written(summaries: Sequence[Summary]) -> str:
    """The text of the file that `stored` reads."""
    rows = ",\n".join(json.dumps(one._asdict(), ensure_ascii=False) for one in summaries)
    return f"[\n{rows}\n]\n"


def table(summaries: Sequence[Summary]) -> Table:
    """What `tarsia models` shows, of networks for the same number of classes."""
    classes = number(summaries[0].classes, "class", "classes")
    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        leading=1,
        caption=f"Defaults, {classes}; multiply-adds of one picture of {PICTURE[0]}x{PICTURE[1]}, padded "
        "up to the stride.  Options: tarsia models NAME",
        caption_justify="left",
    )
    shown.add_column("network", no_wrap=True)
    shown.add_column("parameters", justify="right", no_wrap=True)
    shown.add_column("multiply-\nadds", justify="right", no_wrap=True)
    shown.add_column("stride", justify="right", no_wrap=True)
    shown.add_column("encoder", no_wrap=True)
    shown.add_column("publication")
    for one in summaries:
        shown.add_row(
            one.name,
            f"{one.parameters / 1e6:.2f} M",
            f"{one.multiply_adds / 1e9:.1f} G",
            str(one.stride),
            one.encoder or "its own",
            one.publication,
        )
    return shown

"""`tarsia models`: what a recipe can name."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Json, Quiet, needs_training
from tarsia.plain_text import number


def _countable(_: object, value: int) -> None:
    from tarsia.card import MAX_CLASSES

    if not 1 <= value <= MAX_CLASSES:
        raise ValueError(f"expected 1 to {MAX_CLASSES}")


def models(
    name: str | None = None,
    *,
    classes: Annotated[int, Parameter(help="that sizes are counted for", validator=_countable)] = 19,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The networks a recipe can name, their size and work; with NAME, the options of one.

    Try:
        tarsia models
        tarsia models msanet --classes 21
    """
    from tarsia import models as catalogue

    console.quiet(quiet)
    with needs_training():
        from tarsia.models import _summary
    if name is None:
        names = catalogue.known()
        found = [_summary.summarise(one, classes) for one in console.track(names, len(names), "networks")]
        if json:
            console.data([one._asdict() for one in found])
        else:
            console.show(_summary.table(found))
        return
    kind = catalogue.accept(name)
    network = _summary.describe(kind)
    size = _summary.summarise(kind, classes)
    if json:
        console.data(network | {key: getattr(size, key) for key in ("classes", "parameters", "multiply_adds", "size")})
        return
    what, picture = number(classes, "class", "classes"), "x".join(map(str, size.size))
    work = f"{size.multiply_adds / 1e9:.1f} G multiply-adds of a picture of {picture}"
    for line in (": ".join(filter(None, (network["name"], network["what"]))), network["publication"]):
        if line:
            console.say(line)
    console.say(f"With the defaults and {what}: {size.parameters:,} parameters, {work}")
    console.say("Options (model.OPTION):")
    for key, option in network["options"].items():
        meaning = f"  ({option['meaning']})" if option["meaning"] else ""
        console.say(f"    {key} = {option['default']}{meaning}")

"""`tarsia models`: what a recipe can name."""

from __future__ import annotations

from tarsia import console
from tarsia.cli._options import Json, Quiet, needs_training


def models(name: str | None = None, *, json: Json = False, quiet: Quiet = False) -> None:
    """The networks a recipe can name, their size and work; with NAME, the options of one.

    Try:
        tarsia models
        tarsia models pspnet
    """
    from tarsia import models as catalogue

    console.quiet(quiet)
    with needs_training():
        from tarsia.models import _summary
    if name is None:
        names = catalogue.names()
        found = [_summary.summarise(one) for one in console.track(names, len(names), "networks")]
        if json:
            console.data([one._asdict() for one in found])
        else:
            console.show(_summary.table(found))
        return
    network = _summary.describe(name)
    if json:
        console.data(network)
        return
    for line in (f"{name}: {network['what']}", network["publication"], "Options (model.OPTION):"):
        console.say(line)
    for key, option in network["options"].items():
        meaning = f"  ({option['meaning']})" if option["meaning"] else ""
        console.say(f"    {key} = {option['default']}{meaning}")

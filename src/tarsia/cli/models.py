"""`tarsia models`: what a recipe can name."""

from __future__ import annotations

import json as json_text

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
            print(json_text.dumps([one._asdict() for one in found], indent=2))
        else:
            console.out.print(_summary.table(found), soft_wrap=False)
        return
    network = _summary.describe(name)
    if json:
        print(json_text.dumps(network, indent=2))
        return
    console.out.print(f"{name}: {network['what']}\n{network['publication']}\nOptions (model.OPTION):", markup=False)
    for key, option in network["options"].items():
        meaning = f"  ({option['meaning']})" if option["meaning"] else ""
        console.out.print(f"    {key} = {option['default']}{meaning}", markup=False)

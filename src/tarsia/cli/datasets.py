"""`tarsia datasets`: what --data can name."""

from __future__ import annotations

from tarsia import console
from tarsia.cli._options import Json, Quiet


def datasets(*, json: Json = False, quiet: Quiet = False) -> None:
    """The data sets a recipe or --data can name.

    Try: tarsia datasets
    """
    import importlib

    from tarsia import data

    console.quiet(quiet)
    documents = {name: importlib.import_module(f"tarsia.data.{name}").__doc__ or "" for name in data.names()}
    found = {name: document.partition("\n")[0] for name, document in documents.items()}
    found |= {name: f"of an installed package, {point.value}" for name, point in data.installed().items()}
    if json:
        console.data([{"name": name, "what": what} for name, what in found.items()])
        return
    for name, what in found.items():
        console.say(f"{name}: {what}")

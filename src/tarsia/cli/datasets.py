"""`tarsia datasets`: what --data can name."""

from __future__ import annotations

from tarsia import console


def datasets() -> None:
    """The data sets a recipe or --data can name.

    Try: tarsia datasets
    """
    import importlib

    from tarsia import data

    for name in data.names():
        document = importlib.import_module(f"tarsia.data.{name}").__doc__ or ""
        console.say(f"{name}: {document.partition(chr(10))[0]}")

"""`inlay datasets`: what --data can name."""

from __future__ import annotations

from inlay import console


def datasets() -> None:
    """The data sets a recipe or --data can name.

    Try: inlay datasets
    """
    import importlib

    from inlay import data

    for name in data.names():
        document = importlib.import_module(f"inlay.data.{name}").__doc__ or ""
        console.out.print(f"{name}: {document.partition(chr(10))[0]}", markup=False)

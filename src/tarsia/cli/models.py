"""`tarsia models`: what a recipe can name, and what a training can be started from."""

from __future__ import annotations

from pathlib import Path
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
    weights: Annotated[
        bool | str,
        Parameter(help="what can be started from, with licence, size, source; --weights FOLDER", negative=""),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The networks a recipe can name, their size and work; with NAME, the options of one.

    NAME may be code of your own, as ./nets.py:Small.  With --weights: the weights of encoders in timm's hub, and the
    files of FOLDER; nothing is downloaded.

    Try:
        tarsia models
        tarsia models msanet --classes 21
        tarsia models --weights
    """
    console.quiet(quiet)
    if weights is not False:
        _weights(weights if isinstance(weights, str) else None, json)
    elif name is None:
        _all(classes, json)
    else:
        _one(name, classes, json)


def _all(classes: int, json: bool) -> None:
    from tarsia import models as catalogue
    from tarsia.models import _sizes

    names = catalogue.known()
    found = [one for one in _sizes.stored() if classes == one.classes and one.name in names]
    others = [one for one in names if one not in {known.name for known in found}]
    if others:
        with needs_training():
            from tarsia.models import _summary
        found += [_summary.summarise(one, classes) for one in console.track(others, len(others), "networks")]
    if json:
        console.data([one._asdict() for one in found])
    else:
        console.show(_sizes.table(found))


def _one(name: str, classes: int, json: bool) -> None:
    from tarsia import models as catalogue

    with needs_training():
        from tarsia.models import _summary
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


def _weights(folder: str | None, json: bool) -> None:
    with needs_training():
        from tarsia.models import _startable
    from tarsia.auto import rules

    found = [] if folder is None else _startable.of_folder(Path(folder))
    found += _startable.of_timm([*rules.LIGHT, *rules.HEAVY])
    if json:
        console.data([one._asdict() for one in found])
    else:
        console.show(_startable.table(found))

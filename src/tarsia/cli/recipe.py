"""`tarsia recipe`: the recipe that a data set and a time limit lead to, or one that comes with Tarsia, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Device, Offline, Quiet, above_zero, needs_training, stay_offline


def recipe(
    data: Annotated[str | None, Parameter(help="a folder, NAME[:ROOT][,key=value...], or a shipped recipe")] = None,
    *,
    minutes: Annotated[float | None, Parameter(help="of training, all told; default: 10", validator=above_zero)] = None,
    overrides: Annotated[
        tuple[str, ...], Parameter(name="--set", help="a setting that no rule may change", negative="")
    ] = (),
    weights: Annotated[Path | None, Parameter(help="a file or folder with ImageNet weights")] = None,
    out: Annotated[Path | None, Parameter(help="the file that is written; default: printed")] = None,
    list: Annotated[
        bool, Parameter(name="--list", help="the recipes and studies that come with Tarsia", negative="")
    ] = False,
    device: Device = "auto",
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Write the recipe that a data set and the minutes lead to, with a reason on each line, without training.

    Of a recipe that comes with Tarsia: print it, to be changed.

    Try:
        tarsia recipe photos --minutes 30 --out photos.yaml
        tarsia recipe camvid-fast --out mine.yaml
    """
    from tarsia.cli._options import process_seconds
    from tarsia.errors import RecipeError
    from tarsia.files import write_text
    from tarsia.given import resolve

    stay_offline(offline)
    console.quiet(quiet)
    if list:
        _list()
        return
    if data is None:
        raise RecipeError("recipe needs a folder or another data set, the name of a recipe, or --list")
    given = resolve(data)
    if given.kind == "data":
        with needs_training():
            from tarsia.deriving import derive
        asked: dict[str, Any] = {
            "overrides": overrides,
            "weights_at": weights,
            "device": device,
            "used": process_seconds(),
        }
        derived = derive(given.value, minutes, **asked)
        for line in derived.lines:
            console.note(line)
        text = derived.text
    else:
        text = given.file.read_text(encoding="utf-8")
    if out is None:
        for line in text.splitlines():
            console.say(line)
    else:
        write_text(out, text)
        console.say(f"Written: {out}")


def _list() -> None:
    """The recipes and studies that come with Tarsia, each with how its file begins."""
    import itertools
    import textwrap

    from tarsia import shipped

    kinds = {
        "Recipes, for `tarsia train`": shipped.recipes(),
        "Studies, for `tarsia compare --study`": shipped.studies(),
    }
    for heading, found in kinds.items():
        console.say(f"{heading}:")
        for name, path in found.items():
            head = itertools.takewhile(lambda line: line[:1] == "#", path.read_text(encoding="utf-8").splitlines())
            begins = textwrap.shorten(" ".join(line[1:] for line in head), 140, placeholder=" ...")
            console.say(f"  {name}: {begins}")

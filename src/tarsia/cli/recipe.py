"""`tarsia recipe`: the recipe that a data set and a time limit lead to, or one that comes with Tarsia, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    AcceptLicence,
    Device,
    Json,
    Offline,
    Quiet,
    above_zero,
    needs_training,
    process_seconds,
    stay_offline,
)


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
    accept_licence: AcceptLicence = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the recipe that a data set and the minutes lead to, with a reason on each line, without training.

    Of a recipe that comes with Tarsia: print it, to be changed.  With --json: settings, and the reasons by their keys.

    Try:
        tarsia recipe photos --minutes 30 --out photos.yaml
        tarsia recipe camvid-fast --out mine.yaml
    """
    from tarsia.errors import RecipeError
    from tarsia.given import resolve

    stay_offline(offline)
    console.quiet(quiet)
    if list:
        _list(json)
        return
    if data is None:
        raise RecipeError("recipe needs a folder or another data set, the name of a recipe, or --list")
    given = resolve(data)
    settings = [*overrides, *(["model.accept_licence=true"] if accept_licence else [])]
    if given.kind == "data":
        text = _derived(given.value, minutes, overrides=settings, weights_at=weights, device=device)
    elif minutes is not None or weights is not None or settings:
        said = "--minutes, --weights, --set and --accept-licence are for data"
        raise RecipeError(f"{said}: {data} is a recipe, which is given as it is: change what is written")
    else:
        text = given.file.read_text(encoding="utf-8")
    _give(text, out, json)


def _list(json: bool) -> None:
    """The recipes and studies that come with Tarsia, each with what its file says first."""
    from tarsia import shipped

    kinds = {"recipes": shipped.recipes(), "studies": shipped.studies()}
    found = {kind: {name: shipped.about(path) for name, path in paths.items()} for kind, paths in kinds.items()}
    if json:
        console.data(found)
        return
    for kind, does in (("recipes", "train"), ("studies", "compare --study")):
        console.say(f"{kind.capitalize()}, for `tarsia {does}`:")
        for name, what in found[kind].items():
            console.say(f"  {name}: {what}")


def _derived(data: str, minutes: float | None, **asked: Any) -> str:
    """The text of the recipe; what was seen and decided is noted."""
    with needs_training():
        from tarsia.deriving import derive
    derived = derive(data, minutes, used=process_seconds(), **asked)
    for line in derived.lines:
        console.note(line)
    return derived.text


def _give(text: str, out: Path | None, json: bool) -> None:
    """Write the recipe, where a file is named, and print it where none is, or as JSON."""
    from tarsia.files import write_text
    from tarsia.yaml_tree import Document, comments

    if out is not None:
        write_text(out, text)
    if json:
        facts = {"recipe": Document("recipe", text).tree, "reasons": comments(text)}
        console.data(facts | ({} if out is None else {"file": str(out)}))
    elif out is not None:
        console.say(f"Written: {out}")
    else:
        for line in text.splitlines():
            console.say(line)

"""`tarsia train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console, shipped
from tarsia.cli._options import (
    Device,
    Offline,
    Out,
    Overwrite,
    Quiet,
    above_zero,
    needs_training,
    process_seconds,
    stay_offline,
)
from tarsia.plain_text import command


def train(
    recipe: Annotated[str | None, Parameter(help="a recipe; or a folder or NAME[:ROOT][,key=value...]")] = None,
    *,
    minutes: Annotated[
        float | None, Parameter(help="of data: all that it may take; default: 10", validator=above_zero)
    ] = None,
    weights: Annotated[Path | None, Parameter(help="of data: a file or folder with ImageNet weights")] = None,
    overrides: Annotated[
        tuple[str, ...], Parameter(name="--set", help="override a setting: train.epochs=5", negative="")
    ] = (),
    resume: Annotated[Path | None, Parameter(help="a run folder to go on with")] = None,
    out: Out = None,
    device: Device = "auto",
    seed: Annotated[int | None, Parameter(help="short for --set seed=N")] = None,
    overwrite: Overwrite = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe; writes a run folder (runs/NAME) with the best model and its report.

    Of a folder with pictures and labels, or another data set, a recipe is derived that ends within the minutes.

    Try:
        tarsia train photos --minutes 30
        tarsia train recipes/camvid-fast.yaml --set data.root=data/camvid
        tarsia train --resume runs/camvid-fast
    """
    stay_offline(offline)
    from tarsia.errors import RecipeError
    from tarsia.evaluation.folder import tables
    from tarsia.evaluation.report import Report
    from tarsia.given import resolve
    from tarsia.recipe import Recipe
    from tarsia.yaml_tree import comments

    console.quiet(quiet)
    if resume is not None and (recipe is not None or overrides or seed is not None or out is not None):
        raise RecipeError("--resume goes on with a run as it is: leave out the recipe, --set, --seed and --out")
    if resume is None and recipe is None:
        raise RecipeError("train needs a recipe, as recipes/camvid-fast.yaml, or --resume RUN")
    with needs_training():
        from tarsia.training import train as run
    seeded = [f"seed={seed}"] if seed is not None else []
    given = None if recipe is None else resolve(recipe)
    more: dict[str, Any] = {}
    if given is not None and given.kind == "data":
        from tarsia.deriving import derive

        asked: dict[str, Any] = {"overrides": [*overrides, *seeded], "weights_at": weights, "device": device}
        derived = derive(given.value, minutes, used=process_seconds(), **asked)
        for line in derived.lines:
            console.note(line)
        settled, more = derived.recipe, {"limit": derived.limit, "reasons": derived.reasons}
    else:
        if minutes is not None or weights is not None:
            raise RecipeError("--minutes and --weights are for data: a recipe, or a run, says its length and weights")
        settled, file = None, None if given is None else given.file
        if file is not None:
            settled, more = Recipe.load(file, [*overrides, *seeded]), {"reasons": comments(shipped.find(file))}
    folder = run(settled, out=out, resume=resume, device=device, overwrite=overwrite, **more)
    if (folder / "report.json").is_file():
        console.show(tables(Report.read(folder)), wrapped=False)
    page = f" (open {folder / 'report.html'})" if (folder / "report.html").is_file() else ""
    console.say(f"Run folder: {folder}{page}")
    scored = Recipe.load(folder / "recipe.yaml").data.val is not None
    following = [*([command("evaluate", folder)] if scored else []), command("predict", folder, "PICTURE")]
    console.say(f"Next: {'; '.join(following)}")

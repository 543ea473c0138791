"""`tarsia train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Device, Offline, Out, Overwrite, Quiet, needs_training, stay_offline
from tarsia.plain_text import command


def train(
    recipe: Path | None = None,
    *,
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

    Try:
        tarsia train recipes/camvid-fast.yaml --set data.root=data/camvid
        tarsia train --resume runs/camvid-fast
    """
    stay_offline(offline)
    from tarsia.errors import RecipeError
    from tarsia.evaluation.folder import tables
    from tarsia.evaluation.report import Report
    from tarsia.recipe import Recipe

    console.quiet(quiet)
    if resume is not None and (recipe is not None or overrides or seed is not None or out is not None):
        raise RecipeError("--resume goes on with a run as it is: leave out the recipe, --set, --seed and --out")
    if resume is None and recipe is None:
        raise RecipeError("train needs a recipe, as recipes/camvid-fast.yaml, or --resume RUN")
    with needs_training():
        from tarsia.training import train as run
    seeded = [f"seed={seed}"] if seed is not None else []
    settled = Recipe.load(recipe, [*overrides, *seeded]) if recipe else None
    folder = run(settled, out=out, resume=resume, device=device, overwrite=overwrite)
    if (folder / "report.json").is_file():
        console.show(tables(Report.read(folder)), wrapped=False)
    page = f" (open {folder / 'report.html'})" if (folder / "report.html").is_file() else ""
    console.say(f"Run folder: {folder}{page}")
    scored = Recipe.load(folder / "recipe.yaml").data.val is not None
    following = [*([command("evaluate", folder)] if scored else []), command("predict", folder, "PICTURE")]
    console.say(f"Next: {'; '.join(following)}")

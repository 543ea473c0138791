"""`tarsia train`."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    AcceptLicence,
    Device,
    Json,
    Offline,
    Out,
    Overwrite,
    Quiet,
    above_zero,
    needs_training,
    process_seconds,
    processes,
    stay_offline,
)
from tarsia.plain_text import command, number

if TYPE_CHECKING:
    from tarsia.learning.limit import Limit
    from tarsia.recipe import Recipe


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
    accept_licence: AcceptLicence = False,
    json: Json = False,
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

    console.quiet(quiet)
    changed = recipe is not None or overrides or seed is not None or out is not None or accept_licence
    if resume is not None and changed:
        raise RecipeError(
            "--resume goes on with a run as it is: leave out the recipe, --set, --seed, --accept-licence and --out"
        )
    if resume is None and recipe is None:
        raise RecipeError("train needs a folder of pictures and labels, a recipe, as camvid-fast, or --resume RUN")
    rank, count, again = processes()
    with needs_training():
        from tarsia.training import train as run
    if again:
        resume, recipe, out, overwrite = _again(resume, recipe, out, overwrite)
    settings = [*overrides, *([f"seed={seed}"] if seed is not None else [])]
    settings += ["model.accept_licence=true"] if accept_licence else []
    settled, more = _settled(recipe, settings, minutes, weights, device, count)
    folder = run(settled, out=out, resume=resume, device=device, overwrite=overwrite, **more)
    if not rank:  # the first process tells
        _tell(folder, more.get("limit"), json)


def _tell(folder: Path, limit: Limit | None, json: bool) -> None:
    """What came of a training, and what to do with it; `limit`: of time, where it had one."""
    from tarsia.auto.told import FEW
    from tarsia.evaluation.folder import tables
    from tarsia.evaluation.report import Report
    from tarsia.own_data import OwnData
    from tarsia.own_parts import is_own
    from tarsia.recipe import Recipe

    scored = (folder / "report.json").is_file()
    if json:
        report = json_text.loads((folder / "report.json").read_text(encoding="utf-8")) if scored else None
        console.data({"folder": str(folder), "report": report})
        return
    if scored:
        report = Report.read(folder)
        console.show(tables(report), wrapped=False)
        if (scored_on := len(report.counts_NKK1)) < FEW:
            said = "few to judge by, and the best weights were chosen on them too: expect less on others"
            console.note(f"{number(scored_on, 'picture')}: {said}")
    if limit:
        console.say(f"Took {limit.spent:.0f} of {limit.seconds:.0f} s")
    page = f" (open {folder / 'report.html'})" if (folder / "report.html").is_file() else ""
    console.say(f"Run folder: {folder}{page}")
    trained = Recipe.load(folder / "recipe.yaml")
    code = ("--code", trained.model.name) if is_own(trained.model.name) else ()
    pictures = ("--data", OwnData.of(folder).held_out()) if trained.data.val and is_own(trained.data.name) else ()
    following = [command("evaluate", folder, *pictures, *code)] if trained.data.val is not None else []
    following.append(command("predict", folder, "PICTURE", *code))
    console.say(f"Next: {'; '.join(following)}")


def _again(
    resume: Path | None, recipe: str | None, out: Path | None, overwrite: bool
) -> tuple[Path | None, str | None, Path | None, bool]:
    """What a command means whose processes torchrun has ended and starts again: to go on, once there is a point to.

    What an earlier start has begun, and nothing else, is gone on with, or begun anew before its first resume point.
    """
    from tarsia.errors import RecipeError
    from tarsia.learning.processes import begun_before
    from tarsia.learning.resuming import has_point

    if resume is not None:
        return resume, recipe, out, overwrite
    if out is None:
        raise RecipeError(
            "torchrun has started this training again, which goes on in a folder that it knows: give --out"
        )
    if not begun_before(out):
        return None, recipe, out, overwrite
    return (out, None, None, False) if has_point(out) else (None, recipe, out, True)


def _settled(
    words: str | None, settings: list[str], minutes: float | None, weights: Path | None, device: str, count: int
) -> tuple[Recipe | None, dict[str, Any]]:
    """The recipe that RECIPE means, of data a derived one, and what else `train` takes with it; None for a resume."""
    from tarsia.errors import RecipeError
    from tarsia.given import resolve
    from tarsia.recipe import Recipe
    from tarsia.yaml_tree import comments

    given = None if words is None else resolve(words)
    if given is not None and given.kind == "data":
        if count > 1:
            raise RecipeError(
                f"{words}: a recipe is derived in one process: write it with `tarsia recipe`, then give it to torchrun"
            )
        from tarsia.deriving import derive

        asked: dict[str, Any] = {"overrides": settings, "weights_at": weights, "device": device}
        derived = derive(given.value, minutes, used=process_seconds(), **asked)
        for line in derived.lines:
            console.note(line)
        return derived.recipe, {"limit": derived.limit, "reasons": derived.reasons}
    if minutes is not None or weights is not None:
        raise RecipeError("--minutes and --weights are for data: a recipe, or a run, says its length and weights")
    if given is None:
        return None, {}
    return Recipe.load(given.file, settings), {"reasons": comments(given.file)}

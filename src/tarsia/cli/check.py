"""`tarsia check`: the doctor for data sets, and the contact sheet of augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Code,
    Data,
    Device,
    Json,
    Out,
    Overwrite,
    Quiet,
    at_least,
    needs_training,
    page_of,
    writing_to,
)
from tarsia.own_parts import stem


def check(
    data: Data,
    *,
    split: Annotated[str | None, Parameter(help="default: all of them; with --augment train")] = None,
    model: Annotated[Path | None, Parameter(help="a model file or run folder: which labels does it doubt?")] = None,
    code: Code = None,
    fix: Annotated[bool, Parameter(help="write a corrected copy into --out, never in place", negative="")] = False,
    threads: Annotated[int, Parameter(help="that read samples; 0: one a core", validator=at_least(0))] = 0,
    augment: Annotated[str | None, Parameter(help="a recipe: only draw what its augmentation does")] = None,
    seed: Annotated[int | None, Parameter(help="with --augment: other draws than the recipe's seed makes")] = None,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """The doctor for data sets: what is wrong, worst first, and what to do; check.json and check.html tell all.

    DATA may be a folder of pictures and labels too, as it lies there: `tarsia init` writes its dataset.yaml first.

    Exit code: 0 where nothing is wrong (notes aside), 1 with warnings, 2 with errors; with --fix, of what is left in
    the copy, where 1 is also what a person has to decide.  With --augment RECIPE nothing is checked: a contact sheet
    shows what each augmentation does alone, and all together as training sees them.

    Try:
        tarsia check camvid:data/camvid
        tarsia check folder:photos --fix --out data/photos-fixed
        tarsia check streets,count=20 --augment camvid-fast
    """
    from tarsia.checking import check as run
    from tarsia.data import meant, parse
    from tarsia.errors import RecipeError

    console.quiet(quiet)
    data = meant(data)
    if augment is not None:
        if model is not None or fix or json or threads:
            raise RecipeError("--augment only draws: leave out --model, --fix, --threads and --json")
        _draw_augmentation(data, augment, split, seed, out, overwrite)
        return 0
    if seed is not None:
        raise RecipeError("--seed is for --augment: a check draws nothing at random")
    if fix and out is None:
        raise RecipeError("--fix writes a corrected copy: say where with --out FOLDER")
    predictor = None
    if model is not None:
        from tarsia.inference import load

        predictor = load(model, device=device, code=code)
    with writing_to(out, f"check-{stem(parse(data)[0])}", overwrite) as folder:
        checkup = run(data, split=split, model=predictor, out=folder, fix=fix, threads=threads or None)
    if json:
        console.data((folder / "check.json").read_text(encoding="utf-8"))
        return checkup.exit_code
    for text, style in checkup.lines():
        console.say(text, style)
    console.say(f"Report: {page_of(folder, 'check')}")
    return checkup.exit_code


def _draw_augmentation(
    data: str, augment: str, split: str | None, seed: int | None, out: Path | None, overwrite: bool
) -> None:
    """The contact sheet of the recipe `augment`, of DATA's pictures, whatever data set the recipe names."""
    from tarsia.checking import augmentation_sheet
    from tarsia.data import open_spec, parse
    from tarsia.recipe import Recipe

    with needs_training():
        import tarsia.learning.loader  # noqa: F401
    recipe = Recipe.load(augment)
    dataset = open_spec(data, split=split, default_split="train")
    with writing_to(out, f"check-{stem(parse(data)[0])}", overwrite) as folder:
        path = augmentation_sheet(recipe, dataset, folder, seed=seed)
    console.say(f"Augmentation of {augment}: {path}")

"""`tarsia compare`: reports, or a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Device,
    Json,
    Out,
    Overwrite,
    Quiet,
    Seed,
    at_least,
    needs_training,
    page_of,
    part_of,
    writing_to,
)


def _level(_: object, value: float) -> None:
    if not 0.5 <= value < 1:
        raise ValueError("expected 0.5 or more, and less than 1")


@Parameter(name="*")
@dataclass(frozen=True)
class OfStudy:
    """How the trainings of a study are run."""

    only: Annotated[
        tuple[str, ...], Parameter(help="of a study: these runs or variations", consume_multiple=True, negative="")
    ] = ()
    overrides: Annotated[
        tuple[str, ...], Parameter(name="--set", help="of a study: a setting of all its recipes", negative="")
    ] = ()
    tiny: Annotated[
        bool, Parameter(help="of a study: on drawn streets, in seconds: does all of it work?", negative="")
    ] = False
    dry_run: Annotated[bool, Parameter(help="of a study: say what would be done", negative="")] = False
    processes: Annotated[int, Parameter(help="of a study: so many trainings at once", validator=at_least(1))] = 1
    part: Annotated[str | None, Parameter(help="of a study: K/N, to train only that share of it")] = None


OF_STUDY = OfStudy()


def compare(
    *reports: Annotated[Path, Parameter(help="run folders, report folders or report.json files: two or more")],
    study: Annotated[str | None, Parameter(help="STUDY.yaml or a name: train what it lacks, then compare")] = None,
    of_study: OfStudy = OF_STUDY,
    data: Annotated[str | None, Parameter(help="draw the pictures of this data set side by side")] = None,
    names: Annotated[str | None, Parameter(help="what to call them: A,B,... one for each report")] = None,
    pool: Annotated[
        bool, Parameter(negative="--no-pool", help="trainings that differ by their seed alone are one model")
    ] = True,
    reference_domain: Annotated[str | None, Parameter(help="the others' gap to it is shown; default: largest")] = None,
    level: Annotated[float, Parameter(help="of the intervals; tests are at 1 - level", validator=_level)] = 0.95,
    resamples: Annotated[int, Parameter(help="of the bootstrap", validator=at_least(100))] = 2000,
    permutations: Annotated[int, Parameter(help="of the paired tests", validator=at_least(100))] = 10_000,
    seed: Seed = 0,
    out: Out = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare models by their reports: intervals, paired tests, domains, pictures side by side.

    With --study, the trainings it lists are run first, as far as they are not finished.  Exit code 2: some failed.

    Try:
        tarsia compare runs/unet runs/pspnet
        tarsia compare runs/unet runs/pspnet --data camvid:data/camvid --out runs/unet-or-pspnet
        tarsia compare --study streets --dry-run
        tarsia compare --study streets --processes 2
    """
    from tarsia.comparing import compare as run
    from tarsia.errors import RecipeError

    console.quiet(quiet)
    if study is None and of_study != OF_STUDY:
        what = "--only, --set, --tiny, --dry-run, --processes and --part"
        raise RecipeError(f"{what} are for --study STUDY.yaml, which trains")
    if study is not None and (reports or names or data or reference_domain or not pool):
        raise RecipeError("--study says itself what is compared: leave out reports, and options on them")
    called = None if names is None else [name.strip() for name in names.split(",")]
    draws: dict[str, Any] = {"level": level, "resamples": resamples, "permutations": permutations, "seed": seed}
    shown: dict[str, Any] = {"names": called, "pool": pool, "data": data, "reference_domain": reference_domain}
    if study is not None:
        return _study(study, of_study, json, out=out, overwrite=overwrite, device=device, **draws)
    with writing_to(out, "compare", overwrite) as folder:
        found = run(reports, out=folder, device=device, **draws, **shown)
    if json:
        console.data((folder / "comparison.json").read_text(encoding="utf-8"))
    else:
        _print_comparison(folder, found)
    return 0


def _print_comparison(folder: Path, found: Any) -> None:
    from tarsia.comparison.table import tables

    for table in tables(found, console.out.width):
        console.show(table)
    for line in (found.verdict(), *found.notes):
        console.say(line, wrapped=True)
    console.say(f"Comparison: {page_of(folder, 'comparison')}")


def _study(word: str, of_study: OfStudy, json: bool, **options: Any) -> int:
    """Run a study and print what came of it; the exit code."""
    with needs_training():
        from tarsia.studies.study import Study
        from tarsia.studying import run_study
    of = of_study
    plan: dict[str, Any] = {"only": of.only, "tiny": of.tiny, "dry_run": of.dry_run, "processes": of.processes}
    result = run_study(Study.load(word, of.overrides, of.tiny), part=part_of(of.part), **plan, **options)
    if json:
        console.data(result.facts())
        return result.exit_code
    if result.plan is not None:
        console.show(result.plan)
    for folder, found in result.comparisons.items():
        _print_comparison(folder, found)
    for line in result.said:
        console.say(line)
    for line in result.failures():
        console.complain(line)
    return result.exit_code

"""`tarsia predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    RUNNING,
    Json,
    Model,
    Out,
    Overwrite,
    Quiet,
    Running,
    at_least,
    part_of,
    writing_to,
    zero_to_one,
)
from tarsia.plain_text import listed, number, some


@Parameter(name="*")
@dataclass(frozen=True)
class Results:
    """What is written of each picture."""

    save: Annotated[
        str | None,
        Parameter(help="of label,overlay,confidence,geojson,coco,cvat,label-studio,labelme,csv,attention,shares"),
    ] = None
    only: Annotated[str | None, Parameter(help="classes, as car,person; all other pixels are ignored (255)")] = None
    min_confidence: Annotated[float, Parameter(help="pixels less sure are ignored (255)", validator=zero_to_one)] = 0.0
    simplify: Annotated[
        float, Parameter(help="polygons without corners that cut off less than its square in pixels")
    ] = 0.0
    coding: Annotated[
        Literal["classes", "data"],
        Parameter(help="of label maps: class numbers, or what the label files of the model's data set hold"),
    ] = "classes"
    attention: Annotated[bool, Parameter(help="also draw what the network's attention modules do", negative="")] = False
    attention_at: Annotated[
        str | None, Parameter(help="X,Y: --attention, and what the position at that pixel attends to")
    ] = None

    def chosen(self) -> dict[str, Any]:
        """As the library's `predict` takes it; --attention-at asks for `attention` as well."""
        from tarsia.predicting import OUTPUTS

        kinds, at = None if self.save is None else _words(self.save), _pixel(self.attention_at)
        if self.attention or at:
            kinds = tuple(dict.fromkeys((*(OUTPUTS if kinds is None else kinds), "attention")))
        found = {"save": kinds, "only": _words(self.only), "attention_at": at}
        return found | {"min_confidence": self.min_confidence, "simplify": self.simplify, "coding": self.coding}

    def left_out(self) -> dict[str, Any]:
        """Which pixels are 255."""
        return {"only": _words(self.only), "min_confidence": self.min_confidence}


RESULTS = Results()


@Parameter(name="*")
@dataclass(frozen=True)
class OfJob:
    """The pictures of a planned job, in the place of PATHS."""

    job: Annotated[str | None, Parameter(help="a folder of `tarsia plan`: its pictures, into it")] = None
    part: Annotated[str | None, Parameter(help="of --job: K/N, as 2/8 for the second of eight machines")] = None
    processes: Annotated[int, Parameter(help="of --job: so many on this machine", validator=at_least(1))] = 1
    ray: Annotated[str | None, Parameter(help="of --job: on Ray's machines; ADDRESS, auto or local")] = None
    cores: Annotated[int, Parameter(help="of --ray: CPUs of each process", validator=at_least(1))] = 1
    status: Annotated[bool, Parameter(help="of --job: only say how far it is", negative="")] = False


OF_JOB = OfJob()


def predict(
    model: Model | None = None,
    *paths: Annotated[
        str, Parameter(help="pictures, TIFFs of any size, videos, folders, patterns, @LIST, a camera's number")
    ],
    out: Out = None,
    results: Results = RESULTS,
    tile: Annotated[int | None, Parameter(help="side of tiles, for large pictures", validator=at_least(1))] = None,
    overlap: Annotated[
        float | None, Parameter(help="part of a tile shared with the next [0.25]", validator=zero_to_one)
    ] = None,
    batch: Annotated[int, Parameter(help="pictures of one size, or tiles, at once", validator=at_least(1))] = 1,
    frames: Annotated[int | None, Parameter(help="so many frames of each video at most", validator=at_least(1))] = None,
    running: Running = RUNNING,
    of_job: OfJob = OF_JOB,
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="go on with an interrupted run into --out", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment pictures: label maps (index PNG), overlays with a legend, polygons, and class shares.

    A picture that cannot be read is one line, the rest go on; the exit code is then 2.  Of a planned job it is a row
    with an error, and the exit code stays 0.

    Try:
        tarsia predict runs/camvid-fast holiday.jpg photos/ --out seen
        tarsia predict runs/camvid-fast --job job --processes 4
        tarsia predict runs/camvid-fast --job job --ray auto --processes 64
        tarsia predict --job job --status
    """
    from tarsia.drawing.legend import percent
    from tarsia.errors import ImageError, OutputError
    from tarsia.inference import load
    from tarsia.predicting import predict as run
    from tarsia.predicting import require_folder_name

    console.quiet(quiet)
    inference = running.inference(tile=tile, overlap=overlap)  # first: --crf may have taken the pictures
    if of_job.job is not None:
        others = {"PATHS": paths, "--out": out, "--frames": frames, "--overwrite": overwrite, "--resume": resume}
        _refuse_beside_job(others, results)
        return _job(model, of_job, inference, {"batch": batch, **results.left_out()}, json)
    if of_job != OF_JOB:
        raise OutputError("--part, --processes, --ray, --cores and --status are for a planned job: name it with --job")
    if model is None or not paths:
        raise ImageError("predict needs pictures, or folders of pictures, after MODEL")
    if resume and not out:
        raise OutputError("--resume: say with --out which folder the interrupted run wrote")
    chosen = results.chosen()
    if json and chosen["save"] is not None and "shares" not in chosen["save"]:
        raise OutputError("--json prints shares.json: add `shares` to --save")
    if out is not None:
        require_folder_name(out)
    predictor = load(model, inference)
    console.note(f"{predictor.engine.describe()}")
    work: dict[str, Any] = {"batch": batch, "frames": frames, "overwrite": overwrite, "resume": resume}
    with writing_to(out, "predict", overwrite=True) as folder:  # what is there already, predict itself looks at
        result = run(predictor, paths, folder, **chosen, **work)
    if json:
        console.data((folder / "shares.json").read_text(encoding="utf-8"))
    else:
        before = f"{len(result.before)} done before, " if result.before else ""
        console.say(f"{before}{len(result.done)} done, {len(result.failed)} failed; results in {folder}")
        shown = sorted(((share, name) for name, share in result.shares.items() if share), reverse=True)
        if shown:
            console.say(f"Of all pixels: {some([f'{name} {percent(share)}' for share, name in shown])}")
    return result.exit_code


def _refuse_beside_job(others: dict[str, Any], results: Results) -> None:
    """OutputError for what is not for a job, whose rows are always the same."""
    from tarsia.errors import OutputError

    given = [name for name, value in others.items() if value]
    for name in ("save", "simplify", "coding", "attention", "attention_at"):
        if getattr(results, name) != getattr(RESULTS, name):
            given.append(f"--{name.replace('_', '-')}")
    if given:
        raise OutputError(f"--job: leave out {listed(given)}: a job has its pictures, and its rows, from its plan")


def _job(model: Path | None, of_job: OfJob, inference: Any, work: dict[str, Any], json: bool) -> int:
    """The chunks of a job, or with --status how far it is."""
    from tarsia.errors import OutputError
    from tarsia.processing import job_status, predict_job

    assert of_job.job is not None
    if of_job.status:
        status = job_status(of_job.job)
    elif model is None:
        raise OutputError("--job: name the MODEL that segments its pictures, or say --status")
    else:
        if of_job.ray is None and of_job.cores != OF_JOB.cores:
            raise OutputError("--cores are of each process on Ray's machines: name these with --ray")
        by: dict[str, Any] = {"processes": of_job.processes, "ray": of_job.ray, "cores": of_job.cores}
        status = predict_job(model, of_job.job, inference=inference, part=part_of(of_job.part), **by, **work)
    if json:
        console.data(status.to_dict())
        return 0
    console.say(
        f"{number(status.chunks_done, 'chunk')} of {status.chunks:,} done, {number(status.rows_done, 'row')} of "
        f"{status.rows:,}, {number(status.errors, 'error')}; results in {of_job.job}/out"
    )
    if status.pictures_a_second is not None and status.seconds_left:
        console.say(f"{status.pictures_a_second:.3g} pictures/s, {status.seconds_left:.0f} s left at that rate")
    return 0


def _pixel(text: str | None) -> tuple[int, int] | None:
    from tarsia.errors import OutputError

    if text is None:
        return None
    try:
        x, y = (int(word) for word in text.split(","))
    except ValueError as error:
        raise OutputError(
            f"--attention-at {text}: expected X,Y, pixels from the left and the top, as 120,80"
        ) from error
    return x, y


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())

"""`tarsia predict`."""

from __future__ import annotations

from dataclasses import dataclass
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
    writing_to,
    zero_to_one,
)


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


RESULTS = Results()


def predict(
    model: Model,
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
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="go on with an interrupted run into --out", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment pictures: label maps (index PNG), overlays with a legend, polygons, and class shares.

    A picture that cannot be read is one line, the rest go on; the exit code is then 2.

    Try: tarsia predict runs/camvid-fast holiday.jpg photos/ --out seen
    """
    from tarsia.drawing.legend import percent
    from tarsia.errors import ImageError, OutputError
    from tarsia.inference import load
    from tarsia.plain_text import some
    from tarsia.predicting import predict as run

    console.quiet(quiet)
    inference = running.inference(tile=tile, overlap=overlap)  # first: --crf may have taken the pictures
    if not paths:
        raise ImageError("predict needs pictures, or folders of pictures, after MODEL")
    if resume and not out:
        raise OutputError("--resume: say with --out which folder the interrupted run wrote")
    chosen = results.chosen()
    if json and chosen["save"] is not None and "shares" not in chosen["save"]:
        raise OutputError("--json prints shares.json: add `shares` to --save")
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

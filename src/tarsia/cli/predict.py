"""`tarsia predict`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Crf,
    Device,
    Engine,
    Json,
    KlLearningRate,
    KlSteps,
    Model,
    Out,
    Overwrite,
    Precision,
    Quiet,
    Reference,
    Style,
    at_least,
    crf_of,
    share,
    tta_of,
    writing_to,
)


def predict(
    model: Model,
    *paths: Annotated[
        str, Parameter(help="pictures, TIFFs of any size, videos, folders, patterns, @LIST, a camera's number")
    ],
    out: Out = None,
    save: Annotated[
        str | None,
        Parameter(help="of label,overlay,confidence,geojson,coco,cvat,label-studio,labelme,csv,attention,shares"),
    ] = None,
    only: Annotated[str | None, Parameter(help="classes, as car,person; all other pixels are ignored (255)")] = None,
    min_confidence: Annotated[float, Parameter(help="pixels less sure are ignored (255)", validator=share)] = 0.0,
    simplify: Annotated[
        float, Parameter(help="polygons without corners that cut off less than its square in pixels")
    ] = 0.0,
    tile: Annotated[int | None, Parameter(help="side of tiles, for large pictures", validator=at_least(1))] = None,
    overlap: Annotated[
        float | None, Parameter(help="part of a tile shared with the next [0.25]", validator=share)
    ] = None,
    batch: Annotated[int, Parameter(help="pictures of one size, or tiles, at once", validator=at_least(1))] = 1,
    frames: Annotated[int | None, Parameter(help="so many frames of each video at most", validator=at_least(1))] = None,
    tta: Annotated[str | None, Parameter(help="test-time augmentation: flip, or flip,0.75,1,1.25")] = None,
    crf: Crf = False,
    style: Style = None,
    reference: Reference = None,
    kl_steps: KlSteps = 0,
    kl_learning_rate: KlLearningRate = 1e-4,
    attention: Annotated[
        bool, Parameter(help="also draw what the network's attention modules do", negative="")
    ] = False,
    attention_at: Annotated[
        str | None, Parameter(help="X,Y: --attention, and what the position at that pixel attends to")
    ] = None,
    engine: Engine = "auto",
    precision: Precision = "float32",
    device: Device = "auto",
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="go on with an interrupted run into --out", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment pictures: label maps (index PNG), overlays with a legend, polygons, and class shares.

    A picture that cannot be read is one line, the rest go on; the exit code is then 2.

    Try: tarsia predict runs/camvid-fast holiday.jpg photos/ --out seen
    """
    from tarsia.errors import ImageError, OutputError
    from tarsia.inference import Inference, load
    from tarsia.predicting import OUTPUTS
    from tarsia.predicting import predict as run

    console.quiet(quiet)
    refinement = crf_of(crf)  # first: it may have taken the pictures for its settings
    if not paths:
        raise ImageError("predict needs pictures, or folders of pictures, after MODEL")
    if resume and not out:
        raise OutputError("--resume: say with --out which folder the interrupted run wrote")
    kinds = None if save is None else _words(save)
    at = _pixel(attention_at)
    if attention or at:
        kinds = tuple(dict.fromkeys((*(OUTPUTS if kinds is None else kinds), "attention")))
    if json and kinds is not None and "shares" not in kinds:
        raise OutputError("--json prints shares.json: add `shares` to --save")
    chosen = Inference(
        device,
        engine,
        precision,
        tta=tta_of(tta),
        crf=refinement,
        style=style,
        reference=reference,
        kl_steps=kl_steps,
        kl_learning_rate=kl_learning_rate,
        tile=tile,
        overlap=overlap,
    )
    predictor = load(model, chosen)
    console.note(f"{predictor.engine.describe()}")
    with writing_to(out, "predict", overwrite=True) as folder:  # what is there already, predict itself looks at
        result = run(
            predictor,
            paths,
            folder,
            overwrite=overwrite,
            resume=resume,
            save=kinds,
            only=_words(only),
            min_confidence=min_confidence,
            simplify=simplify,
            batch=batch,
            frames=frames,
            attention_at=at,
        )
    if json:
        console.data((folder / "shares.json").read_text(encoding="utf-8"))
    else:
        before = f"{len(result.before)} done before, " if result.before else ""
        line = f"{before}{len(result.done)} done, {len(result.failed)} failed; results in {folder}"
        console.say(line)
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

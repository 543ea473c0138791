"""`tarsia evaluate`: a model, or another system's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Crf,
    Device,
    Engine,
    Json,
    KlLearningRate,
    KlSteps,
    Out,
    Overwrite,
    Precision,
    Quiet,
    Reference,
    Style,
    at_least,
    crf_of,
    score_table,
    tta_of,
    writing_to,
)


def evaluate(
    model: Annotated[Path | None, Parameter(help="a model file or run folder; not with --predictions")] = None,
    *,
    data: Annotated[
        str | None, Parameter(help="NAME[:ROOT][,key=value...]; default: what MODEL was validated on")
    ] = None,
    split: Annotated[str | None, Parameter(help="default: its own split=, else val")] = None,
    predictions: Annotated[Path | None, Parameter(help="score this folder's index PNGs instead of a model")] = None,
    ignored_values: Annotated[
        tuple[int, ...], Parameter(help="values in --predictions that stand for no class", negative="")
    ] = (),
    coding: Annotated[
        Literal["classes", "data"] | None,
        Parameter(help="of --predictions: class numbers, or what the data set's label files hold"),
    ] = None,
    tta: Annotated[str | None, Parameter(help="test-time augmentation: flip, or flip,0.75,1,1.25, or 0.5,1")] = None,
    crf: Crf = False,
    style: Style = None,
    reference: Reference = None,
    kl_steps: KlSteps = 0,
    kl_learning_rate: KlLearningRate = 1e-4,
    calibrate: Annotated[
        bool, Parameter(help="also fit a temperature on this split, and store it in MODEL's card", negative="")
    ] = False,
    batch: Annotated[int, Parameter(help="pictures that go through the network together", validator=at_least(1))] = 1,
    pictures: Annotated[int, Parameter(help="how many panels to draw", validator=at_least(0))] = 8,
    out: Out = None,
    device: Device = "auto",
    engine: Engine = "auto",
    precision: Precision = "float32",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model (or the predictions of another system) on labelled pictures.

    Try:
        tarsia evaluate runs/camvid-fast
        tarsia evaluate runs/camvid-fast --data camvid:data/camvid --split test
        tarsia evaluate --predictions theirs/ --ignored-values 11 --data camvid:data/camvid --out scores
        tarsia evaluate runs/camvid-fast --calibrate
    """
    from tarsia import evaluating
    from tarsia.errors import RecipeError
    from tarsia.inference import Inference, load
    from tarsia.own_data import Labelled

    console.quiet(quiet)
    if (model is None) == (predictions is None):
        raise RecipeError("evaluate needs either MODEL or --predictions FOLDER")
    of_a_model = {"--tta": tta is not None, "--crf": crf is not False, "--calibrate": calibrate}
    of_a_model |= {"--style": style is not None, "--engine": engine != "auto", "--precision": precision != "float32"}
    option = next((name for name, given in of_a_model.items() if given), None)
    if predictions is not None and option:
        raise RecipeError(f"{option} is for a MODEL: predictions are scored as they are")
    if model is not None and ignored_values:
        raise RecipeError("--ignored-values is for --predictions: a MODEL predicts classes only")
    if model is not None and coding is not None:
        raise RecipeError("--coding is for --predictions: a MODEL predicts class numbers")
    if model is None and data is None:
        raise RecipeError("--predictions needs --data: which labelled pictures they are of")
    dataset, name, split = Labelled.of(data, model, split)
    if model is not None:
        restyled: dict[str, Any] = {"style": style, "reference": reference, "kl_steps": kl_steps}
        restyled["kl_learning_rate"] = kl_learning_rate
        chosen = Inference(device, engine, precision, tta=tta_of(tta), crf=crf_of(crf), **restyled)
        predictor = load(model, chosen)
    with writing_to(out, f"evaluate-{name}-{split}", overwrite) as folder:
        common: dict[str, Any] = {"dataset_name": name, "split": split, "out": folder, "pictures": pictures}
        if predictions is not None:
            common |= {"ignored_values": ignored_values, "coding": coding}
            report = evaluating.evaluate_predictions(predictions, dataset, **common)
        elif model is not None and calibrate:
            report, fitted = evaluating.calibrate(model, dataset, predictor=predictor, batch=batch, **common)
        else:
            report = evaluating.evaluate(predictor, dataset, batch=batch, **common)
    if json:
        console.data((folder / "report.json").read_text(encoding="utf-8"))
        return
    console.show(score_table(report), wrapped=False)
    page = folder / ("report.html" if (folder / "report.html").is_file() else "report.json")
    refined = " with the CRF" if crf else ""
    console.say(f"mIoU {report.metrics.miou:.4f}{refined}; report: {page}")
    if calibrate:
        gain = f"ECE {fitted.ece_before:.4f} without it, {fitted.ece_after:.4f} with it on these pictures"
        console.say(f"Temperature {fitted.temperature:g} is in {model}: {gain}; judge it on others")

"""`tarsia evaluate`: a model, or another system's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import RUNNING, Json, Out, Overwrite, Quiet, Running, Split, at_least, page_of, writing_to
from tarsia.errors import RecipeError

Data = Annotated[
    str | None, Parameter(help="a data set: NAME[:ROOT][,key=value...]; default: what MODEL was validated on")
]
IgnoredValues = Annotated[
    tuple[int, ...], Parameter(help="values in --predictions that stand for no class", negative="")
]
Coding = Annotated[
    Literal["classes", "data"] | None,
    Parameter(help="of --predictions: class numbers, or what the data set's label files hold"),
]
Calibrate = Annotated[
    bool, Parameter(help="also fit a temperature on this split, and store it in MODEL's card", negative="")
]
_OF_A_MODEL = ("tta", "crf", "style", "engine", "precision", "code")


def evaluate(
    model: Annotated[Path | None, Parameter(help="a model file or run folder; not with --predictions")] = None,
    *,
    data: Data = None,
    split: Split = None,
    predictions: Annotated[Path | None, Parameter(help="score this folder's index PNGs instead of a model")] = None,
    ignored_values: IgnoredValues = (),
    coding: Coding = None,
    running: Running = RUNNING,
    calibrate: Calibrate = False,
    batch: Annotated[int, Parameter(help="pictures that go through the network together", validator=at_least(1))] = 1,
    pictures: Annotated[int, Parameter(help="how many panels to draw", validator=at_least(0))] = 8,
    out: Out = None,
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
    from tarsia.evaluation.folder import tables
    from tarsia.inference import load
    from tarsia.own_data import Labelled

    console.quiet(quiet)
    given = [name for name in _OF_A_MODEL if getattr(running, name) != getattr(RUNNING, name)]
    given += ["calibrate"] if calibrate else []
    if (model is None) == (predictions is None):
        raise RecipeError("evaluate needs either MODEL or --predictions FOLDER")
    if model is None:
        _check_predictions(given, data)
    else:
        _check_model(ignored_values, coding)
    dataset, name, split = Labelled.of(data, model, split)
    if model is not None:
        predictor = load(model, running.inference())
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
    console.show(tables(report), wrapped=False)
    refined = " with the CRF" if running.crf else ""
    console.say(f"mIoU {report.metrics.miou:.4f}{refined}; report: {page_of(folder, 'report')}")
    if calibrate:
        gain = f"ECE {fitted.ece_before:.4f} without it, {fitted.ece_after:.4f} with it on these pictures"
        console.say(f"Temperature {fitted.temperature:g} is in {model}: {gain}; judge it on others")


def _check_predictions(of_a_model: list[str], data: str | None) -> None:
    """RecipeError for options that predictions, which are there already, have no use for."""
    if of_a_model:
        raise RecipeError(f"--{of_a_model[0]} is for a MODEL: predictions are scored as they are")
    if data is None:
        raise RecipeError("--predictions needs --data: which labelled pictures they are of")


def _check_model(ignored_values: tuple[int, ...], coding: str | None) -> None:
    """RecipeError for options that say what numbers mean, which a model's do by themselves."""
    if ignored_values:
        raise RecipeError("--ignored-values is for --predictions: a MODEL predicts classes only")
    if coding is not None:
        raise RecipeError("--coding is for --predictions: a MODEL predicts class numbers")

"""Tarsia: semantic image segmentation from labelled pictures to a scored model.

    import tarsia
    run = tarsia.train("recipes/camvid-fast.yaml", set={"data.root": "data/camvid"})
    predictor = tarsia.load(run)
    prediction = predictor("street.jpg")

The verbs are the command line's:

    init       a folder of pictures and labels -> its dataset.yaml
    check      what is wrong with a data set
    convert    polygons and coloured masks -> a data set
    derive     a data set and minutes -> a recipe with a reason for each setting
    train      a recipe, or a data set and minutes -> a run folder with a scored model
    evaluate   a model and labelled pictures -> a report; evaluate_predictions: another system's label maps
    calibrate  a model's confidence, as sure as it is right
    compare    reports -> who is better, and how sure that is
    study      a list of trainings -> all of them trained and compared
    adapt      a model -> one for other weather, light or place
    export     a model -> an ONNX file that is shown to answer as it does
    load       a model file or run folder -> a Predictor
    predict    pictures, rasters and videos -> label maps, overlays, polygons
    plan       very many pictures -> a job; predict_job does its chunks, job_status says how far it is
    serve      models behind an address; create_app: the same, to be mounted in another application

A name's module is imported when the name is first used, and torch and FastAPI when a verb that needs them is called:
`import tarsia` costs nothing, and `help(tarsia)` little.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tarsia.adapting import Adapted
    from tarsia.card import Card, Classes, Input
    from tarsia.checking import check
    from tarsia.comparing import compare
    from tarsia.comparison import Comparison
    from tarsia.converting import convert
    from tarsia.data import Dataset
    from tarsia.deriving import Derived
    from tarsia.describing import init
    from tarsia.errors import TarsiaError
    from tarsia.evaluating import calibrate, evaluate, evaluate_predictions
    from tarsia.evaluation.report import Report
    from tarsia.exporters.gate import Gate
    from tarsia.inference import Inference, load
    from tarsia.learning.augment import Extra
    from tarsia.planning import plan
    from tarsia.predicting import predict
    from tarsia.prediction.crf import CrfSettings
    from tarsia.prediction.prediction import Prediction
    from tarsia.prediction.predictor import Predictor, TestTimeAugmentation
    from tarsia.processing import job_status, predict_job
    from tarsia.recipe import Recipe
    from tarsia.service.hosts import Hosts
    from tarsia.service.limits import Limits
    from tarsia.sharding import shard
    from tarsia.studies.study import Study
    from tarsia.studying import StudyResult

__all__ = ["Card", "Classes", "Comparison", "CrfSettings", "Inference", "Input", "Prediction", "Predictor", "Recipe"]
__all__ += ["Report", "TarsiaError", "TestTimeAugmentation", "adapt", "calibrate", "check", "compare", "convert"]
__all__ += [
    "create_app",
    "derive",
    "evaluate",
    "evaluate_predictions",
    "export",
    "init",
    "job_status",
    "load",
    "plan",
    "predict",
    "predict_job",
    "serve",
    "shard",
    "study",
    "train",
]
# Where the names are that need neither torch nor FastAPI; the verbs that do stand below.
_HOME = {
    **dict.fromkeys(("Card", "Classes", "Input"), "card"),
    **dict.fromkeys(("Inference", "load"), "inference"),
    **dict.fromkeys(("Predictor", "TestTimeAugmentation"), "prediction.predictor"),
    **dict.fromkeys(("calibrate", "evaluate", "evaluate_predictions"), "evaluating"),
    "Comparison": "comparison",
    "Prediction": "prediction.prediction",
    "CrfSettings": "prediction.crf",
    "Recipe": "recipe",
    "Report": "evaluation.report",
    "TarsiaError": "errors",
    "check": "checking",
    "compare": "comparing",
    "convert": "converting",
    "init": "describing",
    "plan": "planning",
    "predict": "predicting",
    **dict.fromkeys(("job_status", "predict_job"), "processing"),
    "shard": "sharding",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"tarsia.{_HOME[name]}"), name)
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("tarsia")
        except metadata.PackageNotFoundError as error:
            raise AttributeError("tarsia is run from its folder, not installed, and has no version") from error
    raise AttributeError(f"module 'tarsia' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})


def derive(
    data: str | Path,
    minutes: float | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
) -> Derived:
    """The recipe that a data set and the minutes lead to, with a reason for each setting; nothing is trained.

        derived = tarsia.derive("photos", 30)
        print(derived.text)

    `data`: a folder, which gets a dataset.yaml if it has none, or NAME[:ROOT][,key=value...].  `minutes`: of wall time
    for everything, 10 unless told.  `set`: settings that no rule may change.  `weights`: a file or folder with ImageNet
    weights of encoders; the hub's unless told.  It measures steps on this machine, so two calls may differ.

    Raises DatasetError for what cannot be read, RecipeError for settings that contradict the rest.
    """
    run = _found("deriving", "derive")
    overrides = _overrides("", set or {})
    return run(_found("data", "meant")(data), minutes, overrides=overrides, weights_at=weights, device=device)


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    *,
    data: Dataset | str | Path | None = None,
    val: Dataset | None = None,
    model: Mapping[str, Any] | str | None = None,
    minutes: float | None = None,
    weights: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    augment: Extra | None = None,
) -> Path:
    """Train a recipe (or go on with the run folder `resume`) and score the best model -> the run folder.

        run = tarsia.train("recipes/camvid-fast.yaml", set={"data.root": "data/camvid", "train.epochs": 5})
        tarsia.train("photos", minutes=30)
        tarsia.train(data="folder:fields", model="unet", minutes=10)
        tarsia.train({"data": {"name": "streets", "count": 20}, "model": {"name": "fpn"}, "train": {"epochs": 2}})
        tarsia.train(resume=run)

    `recipe`: a file, one that comes with Tarsia, a run folder, a Recipe, or a dict of what a file says; or data, whose
    recipe is then derived (see `derive`, which `minutes` and `weights` are for), so that all of it ends in these
    minutes.  `data`, a folder, NAME[:ROOT][,key=value...] or a Dataset, with another to validate on as `val`, and
    `model`, a name or a dict with its options, stand in the place of the recipe's sections; without a recipe one is
    derived.  `set`: settings in place of the file's.  `out`: the exact folder; by default runs/NAME, runs/NAME-2 ...
    `augment`: a further augmentation, called as albumentations' are.

    A run on Dataset objects is resumed with them: `tarsia.train(resume=run, data=mine, val=others)`.

    Raises RecipeError, DatasetError, ModelFileError before the first step, OutputError where another process writes
    into the folder, TrainingError where the loss is not finite or memory runs out, Interrupted after SIGTERM or Ctrl-C,
    once the state is saved.
    """
    started = time.monotonic()
    run = _found("training", "train")
    more: dict[str, Any] = {"out": out, "device": device, "overwrite": overwrite, "augment": augment}
    asked = _found("given", "asked")(recipe, data, val, model, set, resume is not None)
    if asked.data is not None:
        how = {"overrides": asked.overrides, "weights_at": weights, "device": device}
        derived = _found("deriving", "derive")(asked.data, minutes, used=time.monotonic() - started, **how)
        return run(derived.recipe, limit=derived.limit, reasons=derived.reasons, **more)
    if minutes is not None or weights is not None:
        from tarsia.errors import RecipeError

        raise RecipeError("`minutes` and `weights` are for data: a recipe says its length and weights itself")
    return run(asked.recipe, resume=resume, **more)


def study(
    study: Study | str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    only: Sequence[str] = (),
    tiny: bool = False,
    dry_run: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    processes: int = 1,
    part: tuple[int, int] = (1, 1),
    **drawing: Any,
) -> StudyResult:
    """Train what is missing of a study (or of `only` some of it) below `out`, by default runs/NAME, then compare.

        print(tarsia.study("streets", dry_run=True).plan)

    `study`: a file, one that comes with Tarsia, or a Study.  `set`: settings of all its recipes, in place of theirs.  A
    finished training with the same recipe is skipped, a killed one resumed, one that fails is noted and the rest goes
    on; each runs in a process of its own.  With `overwrite`, trainings whose recipe has changed are begun anew.
    `tiny`: on drawn streets, in seconds, to see that all of it works.  `dry_run`: only what would be done.
    `processes`: so many trainings at once, on an equal share of the cores each.  `part`: (K, N), to train only the Kth
    of N shares and compare nothing.  `drawing`: level, resamples, permutations and seed of `compare`.

    Raises RecipeError for a faulty study and OutputError for trainings of another recipe, both before anything is
    trained; Interrupted after SIGTERM or Ctrl-C, once the training under way has saved.
    """
    run = _found("studying", "run_study")
    if set is not None:
        study = _found("studies.study", "Study").load(study, _overrides(study, set))
    many: dict[str, Any] = {"device": device, "processes": processes, "part": part}
    return run(study, out=out, only=only, tiny=tiny, dry_run=dry_run, overwrite=overwrite, **many, **drawing)


def adapt(
    model: str | Path,
    *,
    target: str | Path,
    out: str | Path,
    source: str | None = None,
    method: str = "style",
    style: str | Path | None = None,
    score: str | None = None,
    cache: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    code: str | None = None,
    **tuning: Any,
) -> Adapted:
    """Adapt a model from labelled `source` to unlabelled `target`, and write folder `out` -> its model file.

        tarsia.adapt("runs/streets", target="photos/night", out="runs/night", method="histogram", steps=200)

    `source`, and `score`: NAME[:ROOT][,key=value...] (splits train and val unless they say theirs); `source` is what
    the model was trained with unless told.  `target`: the same, or a folder of pictures; no label of it is read.
    `method`: none, batch-norm, histogram, fourier, style, self-training, source, or several joined by +, each starting
    from what the one before it made.  `style`: a style file for method style, which trains one otherwise.  `score`:
    labelled pictures that the models before and after are scored on and compared.  `tuning`: steps, batch,
    learning_rate, share, strength, kl_weight, least_confidence, seed, workers and style_steps, as in adapting.Tuning.
    `code` as in `Inference`.

    Raises RecipeError, DatasetError, ModelFileError for what does not fit together, before anything is written.
    """
    run, settings = _found("adapting", "adapt"), _found("adapting", "Tuning")(**tuning)
    if source is None:
        from tarsia.own_data import OwnData

        source = OwnData.of(Path(model), "source").training
    given = {"source": source, "target": target, "out": out, "method": method, "style": style, "score": score}
    given["code"] = code
    return run(model, tuning=settings, cache=cache, device=device, overwrite=overwrite, **given)


def export(
    model: str | Path,
    onnx: str | Path | None = None,
    *,
    check_on: str | Dataset | None = None,
    images: int = 32,
    tolerance: float | None = None,
    int8: str | Dataset | None = None,
    calibrate_on: int | None = None,
    probabilities: bool = False,
    triton: str | Path | None = None,
    overwrite: bool = False,
    code: str | None = None,
) -> Gate:
    """Write a model file (or run folder) as the file `onnx`, if it answers as before -> what was compared.

        tarsia.export("runs/demo", "demo.onnx")
        tarsia.export("runs/demo", "demo8.onnx", int8="streets,count=64,split=train")

    Answers are compared on `images` evenly spaced pictures of `check_on`: a Dataset, or NAME[:ROOT][,key=value...]; the
    data that the model was validated on unless told.  `tolerance`: the share of pixels that may change, with `int8` the
    loss of mIoU.  `int8`: in 8 bits, their ranges taken from `calibrate_on` pictures, 64 unless told, of that data set.
    `probabilities` adds the outputs `label` and `confidence`.  `code` as in `Inference`.  Beside `onnx` come
    NAME.export.json and, where pixels changed, NAME.export.png.  `triton`, in place of `onnx`: a folder, the model
    repository of NVIDIA Triton.

    Raises ExportError, and writes nothing, where the network cannot be exported or changes too much; OutputError where
    a file exists already (without `overwrite`), and ModelFileError and DatasetError as reading the two does.
    """
    run, ranges_of = _found("exporting", "export"), _found("exporting", "RangePictures")
    from tarsia.own_data import Labelled

    dataset, name, split = Labelled.of(check_on, model, option="check_on")
    ranges = None
    if int8 is not None:
        pictures, *named = Labelled.of(int8, None, default_split="train")
        ranges = ranges_of(pictures, name=" ".join(named), **({"images": calibrate_on} if calibrate_on else {}))
    checks = {"check_on": dataset, "dataset_name": name, "split": split, "images": images, "tolerance": tolerance}
    made = {"probabilities": probabilities, "triton": triton, "overwrite": overwrite, "code": code}
    return run(model, onnx, int8=ranges, **made, **checks)


def serve(
    *models: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    keys: Iterable[str] = (),
    allowed_hosts: Iterable[str] = (),
    inference: Inference | None = None,
    reload_on_change: bool = False,
    grace_seconds: float = 30.0,
    drain_seconds: float = 2.0,
    started: Callable[[str, Sequence[str]], object] | None = None,
) -> None:
    """Serve models until SIGTERM or SIGINT: files, run folders, folders of several, or NAME=MODEL.

        tarsia.serve("runs/demo", port=9000)

    The port opens when every model has seen a picture.  `limits`: tarsia.service.limits.Limits.  With `inference`'s
    streams a model computes several pictures at once, each on its share of the cores.  `reload_on_change`: a model file
    that is replaced takes over while requests go on.  `allowed_hosts`: names that requests may call it by, beside
    localhost.  `grace_seconds`: from SIGTERM to the end, `drain_seconds` of it still accepting.
    `started` is called with the address and the models' names once it answers.

    Raises what `load` raises, RecipeError for an address that cannot be had; after SIGINT, when all is done,
    KeyboardInterrupt.
    """
    until = {"reload_on_change": reload_on_change, "grace_seconds": grace_seconds, "drain_seconds": drain_seconds}
    who = {"host": host, "port": port, "limits": limits, "keys": keys, "allowed_hosts": allowed_hosts}
    how = {"started": started, **({} if inference is None else {"inference": inference})}
    _found("serving", "serve", "serve")(models, **who, **how, **until)


def create_app(
    predictors: Predictor | Mapping[str, Predictor],
    limits: Limits | None = None,
    *,
    keys: Iterable[str] = (),
    examples: Mapping[str, Sequence[Path]] | None = None,
    hosts: Hosts | None = None,
) -> FastAPI:
    """A predictor, or several by name (the first is the default), as a FastAPI application to be mounted in another.

        app.mount("/segmentation", tarsia.create_app(tarsia.load("runs/demo")))

    With `keys`, segmenting asks for one of them.  `examples`: pictures to try each model with, by its name; who may
    segment may see them.  `hosts`: the names that requests may call it by, any by default.  Each predictor has seen a
    picture when this returns; raises what it raises then, and RecipeError for an API key that could be guessed.
    """
    made = _found("serving", "create_app", "serve")
    return made(predictors, limits, keys=keys, examples=examples, hosts=hosts)


def _found(home: str, name: str, extra: str = "train") -> Any:
    """`name` in the module `home`; MissingExtraError where packages are not installed that it needs."""
    try:
        return getattr(importlib.import_module(f"tarsia.{home}"), name)
    except ModuleNotFoundError as error:
        from tarsia.errors import MissingExtraError

        if (error.name or "").partition(".")[0] == "tarsia":
            raise
        raise MissingExtraError(f"tarsia.{name}", extra) from error


def _overrides(source: object, settings: Mapping[str, Any]) -> list[str]:
    """`settings` as the command line's --set; RecipeError where there is no file that they could be set in."""
    if not isinstance(source, str | Path):
        from tarsia.errors import RecipeError

        raise RecipeError("set is for the file of a recipe or study: what is read already, or resumed, is as it is")
    made: list[str] = _found("yaml_tree", "as_overrides")(settings)
    return made

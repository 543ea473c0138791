"""The command line: a command parses, calls one function, prints.  Heavy imports stay inside the commands."""

from __future__ import annotations

import contextlib
import json as json_text
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from inlay import console
from inlay.errors import InlayError, MissingExtraError

app = App(
    name="inlay",
    help="Semantic image segmentation: from labelled pictures to a scored model.",
    help_epilogue=(
        "A data set is NAME[:ROOT][,key=value...], as camvid:data/camvid or streets,count=20.  MODEL is a model file "
        "(.safetensors or .onnx) or a run folder."
    ),
    help_format="plaintext",
    result_action="return_value",
)


def _at_least(least: int) -> Any:
    def check(_: object, value: int) -> None:
        if value < least:
            raise ValueError(f"expected {least} or more")

    return check


def _share(_: object, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError("expected 0 to 1")


def _level(_: object, value: float) -> None:
    if not 0.5 <= value < 1:
        raise ValueError("expected 0.5 or more, and less than 1")


Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Out = Annotated[Path | None, Parameter(help="the exact folder that is written")]
Overwrite = Annotated[bool, Parameter(help="write into a folder that is not empty", negative="")]
Json = Annotated[bool, Parameter(name="--json", help="print the result as JSON", negative="")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), help="no progress, no notes", negative="")]
Data = Annotated[str, Parameter(help="a data set: NAME[:ROOT][,key=value...]")]
Model = Annotated[Path, Parameter(help="a model file (.safetensors or .onnx) or a run folder")]
Crf = Annotated[
    bool | str,
    Parameter(help="refine labels by a dense CRF; other settings than its own: --crf key=value,...", negative=""),
]


@app.command
def demo(*, out: Path = Path("runs/demo"), device: Device = "auto", seed: int = 0, quiet: Quiet = False) -> None:
    """Draw street scenes, train a small network on them, score it, predict: the whole path, nothing to download.

    Try: inlay demo
    """
    console.quiet(quiet)
    with _needs_training():
        from inlay.demonstrating import demonstrate
    demonstrate(out, device=device, seed=seed)


@app.command
def train(
    recipe: Path | None = None,
    *,
    set: Annotated[tuple[str, ...], Parameter(help="override a setting: train.epochs=5", negative="")] = (),
    resume: Annotated[Path | None, Parameter(help="a run folder to go on with")] = None,
    out: Out = None,
    device: Device = "auto",
    seed: Annotated[int | None, Parameter(help="short for --set seed=N")] = None,
    overwrite: Overwrite = False,
    offline: Annotated[bool, Parameter(help="never ask a model hub", negative="")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe; writes a run folder (runs/NAME) with the best model and its report.

    Try:
        inlay train recipes/camvid-fast.yaml --set data.root=data/camvid
        inlay train --resume runs/camvid-fast
    """
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's library when it is first imported
    from inlay.errors import RecipeError
    from inlay.recipe import Recipe
    from inlay.scores import Report

    console.quiet(quiet)
    if resume is not None and (recipe is not None or set or seed is not None or out is not None):
        raise RecipeError("--resume goes on with a run as it is: leave out the recipe, --set, --seed and --out")
    if resume is None and recipe is None:
        raise RecipeError("train needs a recipe, as recipes/camvid-fast.yaml, or --resume RUN")
    with _needs_training():
        from inlay.training import train as run
    overrides = [*set, *([f"seed={seed}"] if seed is not None else [])]
    settled = Recipe.load(recipe, overrides) if recipe else None
    folder = run(settled, out=out, resume=resume, device=device, overwrite=overwrite)
    section = Recipe.load(folder / "recipe.yaml").data
    data = f"{section.name}:{section.root}" if section.root else section.name
    if (folder / "report.json").is_file():
        console.out.print(_table(Report.read(folder)))
    page = f" (open {folder / 'report.html'})" if (folder / "report.html").is_file() else ""
    console.out.print(f"Run folder: {folder}{page}", markup=False)
    console.out.print(f"Next: inlay evaluate {folder} --data {data}; inlay predict {folder} PICTURE", markup=False)


@app.command
def convert(
    source: Annotated[Path, Parameter(help="a COCO or labelme JSON, a data.yaml, or a folder with them or with masks")],
    *,
    to: Annotated[Path, Parameter(help="the exact folder that is written")],
    kind: Annotated[
        Literal["coco", "labelme", "yolo", "masks"] | None,
        Parameter(name="--from", help="what SOURCE is; found out where left away"),
    ] = None,
    images: Annotated[Path | None, Parameter(help="the folder of pictures; needed for masks")] = None,
    classes: Annotated[Path | None, Parameter(help="names and colours: name, r, g, b a line, or dataset.yaml")] = None,
    background: Annotated[
        str | None,
        Parameter(negative="--no-background", help="class of what no polygon covers; --no-background: ignored"),
    ] = "background",
    copy: Annotated[bool, Parameter(help="copy pictures instead of linking to them", negative="")] = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a data set of polygons (COCO, labelme, YOLO) or coloured masks: index masks with a dataset.yaml.

    Try:
        inlay convert annotations/instances_val.json --images photos --to data/photos
        inlay convert masks --images photos --classes colors.txt --to data/photos
    """
    from inlay.converting import convert as run

    console.quiet(quiet)
    options: dict[str, Any] = {"images": images, "classes": classes, "background": background}
    done = run(source, to, kind=kind, copy=copy, overwrite=overwrite, **options)
    if json:
        print(json_text.dumps(done.facts(), indent=2, ensure_ascii=False))
        return
    for line in done.lines():
        console.out.print(line, markup=False)
    wanted = f"--set data.name=folder --set data.root={to}"
    console.out.print(f"Next: inlay check folder:{to}; inlay train RECIPE {wanted}", markup=False)


@app.command
def check(
    data: Data,
    *,
    split: Annotated[str | None, Parameter(help="default: all of them; with --augment train")] = None,
    model: Annotated[Path | None, Parameter(help="a model file or run folder: which labels does it doubt?")] = None,
    fix: Annotated[bool, Parameter(help="write a corrected copy into --out, never in place", negative="")] = False,
    threads: Annotated[int, Parameter(help="that read samples; 0: one a core", validator=_at_least(0))] = 0,
    augment: Annotated[Path | None, Parameter(help="a recipe: only draw what its augmentation does")] = None,
    seed: Annotated[int | None, Parameter(help="with --augment: other draws than the recipe's seed makes")] = None,
    device: Device = "auto",
    out: Out = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """The doctor for data sets: what is wrong, worst first, and what to do; check.json and check.html tell all.

    Exit code: 0 where nothing is wrong (notes aside), 1 with warnings, 2 with errors.  With --augment RECIPE nothing is
    checked: a contact sheet shows what each augmentation does alone, and all together as training sees them.

    Try:
        inlay check camvid:data/camvid
        inlay check folder:photos --fix --out data/photos-fixed
        inlay check streets,count=20 --augment recipes/camvid-fast.yaml
    """
    from inlay.checking import check as run
    from inlay.data import parse
    from inlay.errors import RecipeError

    console.quiet(quiet)
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
        from inlay.runtime.predictor import load

        predictor = load(model, device)
    with _writing_to(out, f"check-{parse(data)[0]}", overwrite) as folder:
        checkup = run(data, split=split, model=predictor, out=folder, fix=fix, threads=threads or None)
    if json:
        print((folder / "check.json").read_text(encoding="utf-8"), end="")
        return checkup.exit_code
    for text, style in checkup.lines():
        console.out.print(text, style=style, markup=False)
    page = folder / ("check.html" if (folder / "check.html").is_file() else "check.json")
    console.out.print(f"Report: {page}", markup=False)
    return checkup.exit_code


def _draw_augmentation(
    data: str, augment: Path, split: str | None, seed: int | None, out: Path | None, overwrite: bool
) -> None:
    """The contact sheet of the recipe `augment`, of DATA's pictures, whatever data set the recipe names."""
    import importlib

    from inlay.checking import augmentation_sheet
    from inlay.data import open_spec, parse
    from inlay.recipe import Recipe

    with _needs_training():
        importlib.import_module("inlay.learning.loader")
    recipe = Recipe.load(augment)
    dataset = open_spec(data, split=split, default_split="train")
    with _writing_to(out, f"check-{parse(data)[0]}", overwrite) as folder:
        path = augmentation_sheet(recipe, dataset, folder, seed=seed)
    console.out.print(f"Augmentation of {augment}: {path}", markup=False)


@app.command
def evaluate(
    model: Annotated[Path | None, Parameter(help="a model file or run folder; not with --predictions")] = None,
    *,
    data: Data,
    split: Annotated[str | None, Parameter(help="default: val, or the data set's own split=")] = None,
    predictions: Annotated[Path | None, Parameter(help="score this folder's index PNGs instead of a model")] = None,
    ignored_values: Annotated[
        tuple[int, ...], Parameter(help="values in --predictions that stand for no class", negative="")
    ] = (),
    tta: Annotated[str | None, Parameter(help="test-time augmentation: flip, or flip,0.75,1,1.25, or 0.5,1")] = None,
    crf: Crf = False,
    calibrate: Annotated[
        bool, Parameter(help="also fit a temperature on this split, and store it in MODEL's card", negative="")
    ] = False,
    batch: Annotated[int, Parameter(help="pictures that go through the network together", validator=_at_least(1))] = 1,
    pictures: Annotated[int, Parameter(help="how many panels to draw", validator=_at_least(0))] = 8,
    out: Out = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model (or the predictions of another system) on labelled pictures.

    Try:
        inlay evaluate runs/camvid-fast --data camvid:data/camvid --split val
        inlay evaluate --predictions theirs/ --ignored-values 11 --data camvid:data/camvid --out scores
        inlay evaluate runs/camvid-fast --data camvid:data/camvid --split val --calibrate
    """
    from inlay import evaluating
    from inlay.data import open_spec, parse
    from inlay.errors import RecipeError
    from inlay.runtime.predictor import load

    console.quiet(quiet)
    if (model is None) == (predictions is None):
        raise RecipeError("evaluate needs either MODEL or --predictions FOLDER")
    if predictions is not None and (tta is not None or crf is not False or calibrate):
        option = "--tta" if tta is not None else "--crf" if crf is not False else "--calibrate"
        raise RecipeError(f"{option} is for a MODEL: predictions are scored as they are")
    if model is not None and ignored_values:
        raise RecipeError("--ignored-values is for --predictions: a MODEL predicts classes only")
    dataset = open_spec(data, split=split)
    name, _, options = parse(data)
    split = split or options.get("split", "val")
    if model is not None:
        predictor = load(model, device, _tta(tta), _crf(crf))
    with _writing_to(out, f"evaluate-{name}-{split}", overwrite) as folder:
        common: dict[str, Any] = {"dataset_name": name, "split": split, "out": folder, "pictures": pictures}
        if model is not None and calibrate:
            report, fitted = evaluating.calibrate(model, predictor, dataset, batch=batch, **common)
        elif model is not None:
            report = evaluating.evaluate(predictor, dataset, batch=batch, **common)
        else:
            assert predictions is not None
            report = evaluating.evaluate_predictions(predictions, dataset, ignored_values=ignored_values, **common)
    if json:
        print((folder / "report.json").read_text(encoding="utf-8"), end="")
        return
    console.out.print(_table(report))
    page = folder / ("report.html" if (folder / "report.html").is_file() else "report.json")
    refined = " with the CRF" if crf else ""
    console.out.print(f"mIoU {report.metrics.miou:.4f}{refined}; report: {page}", markup=False)
    if calibrate:
        gain = f"ECE {fitted.ece_before:.4f} without it, {fitted.ece_after:.4f} with it on these pictures"
        console.out.print(f"Temperature {fitted.temperature:g} is in {model}: {gain}; judge it on others", markup=False)


@app.command
def compare(
    *reports: Annotated[Path, Parameter(help="run folders, report folders or report.json files: two or more")],
    study: Annotated[Path | None, Parameter(help="a STUDY.yaml: train what is missing of it, then compare")] = None,
    only: Annotated[
        tuple[str, ...], Parameter(help="of a study: these runs or variations", consume_multiple=True, negative="")
    ] = (),
    set: Annotated[tuple[str, ...], Parameter(help="of a study: a setting of all its recipes", negative="")] = (),
    dry_run: Annotated[bool, Parameter(help="of a study: say what would be done", negative="")] = False,
    data: Annotated[str | None, Parameter(help="draw the pictures of this data set side by side")] = None,
    names: Annotated[str | None, Parameter(help="what to call them: A,B,... one for each report")] = None,
    pool: Annotated[
        bool, Parameter(negative="--no-pool", help="trainings that differ by their seed alone are one model")
    ] = True,
    reference_domain: Annotated[str | None, Parameter(help="the others' gap to it is shown; default: largest")] = None,
    level: Annotated[float, Parameter(help="of the intervals; tests are at 1 - level", validator=_level)] = 0.95,
    resamples: Annotated[int, Parameter(help="of the bootstrap", validator=_at_least(100))] = 2000,
    permutations: Annotated[int, Parameter(help="of the paired tests", validator=_at_least(100))] = 10_000,
    seed: Annotated[int, Parameter(validator=_at_least(0))] = 0,
    out: Out = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare models by their reports: intervals, paired tests, domains, pictures side by side.

    With --study, the trainings it lists are run first, as far as they are not finished.  Exit code 2: some failed.

    Try:
        inlay compare runs/unet runs/pspnet
        inlay compare runs/unet runs/pspnet --data camvid:data/camvid --out runs/unet-or-pspnet
        inlay compare --study studies/streets.yaml --dry-run
    """
    from inlay.comparing import compare as run
    from inlay.errors import RecipeError

    console.quiet(quiet)
    if study is None and (only or set or dry_run):
        raise RecipeError("--only, --set and --dry-run are for --study STUDY.yaml, which trains")
    if study is not None and (reports or names or data or reference_domain or not pool):
        raise RecipeError("--study says itself what is compared: leave out reports, and options on them")
    called = None if names is None else [name.strip() for name in names.split(",")]
    draws: dict[str, Any] = {"level": level, "resamples": resamples, "permutations": permutations, "seed": seed}
    shown: dict[str, Any] = {"names": called, "pool": pool, "data": data, "reference_domain": reference_domain}
    if study is not None:
        plan: dict[str, Any] = {"out": out, "only": only, "dry_run": dry_run, "overwrite": overwrite, "device": device}
        return _study(study, set, json, **plan, **draws)
    with _writing_to(out, "compare", overwrite) as folder:
        found = run(reports, out=folder, device=device, **draws, **shown)
    if json:
        print((folder / "comparison.json").read_text(encoding="utf-8"), end="")
    else:
        _print_comparison(folder, found)
    return 0


@app.command
def predict(
    model: Model,
    *paths: Annotated[Path, Parameter(help="pictures, or folders of pictures")],
    out: Out = None,
    tta: Annotated[str | None, Parameter(help="test-time augmentation: flip, or flip,0.75,1,1.25")] = None,
    crf: Crf = False,
    attention: Annotated[
        bool, Parameter(help="also draw what the network's attention modules do", negative="")
    ] = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Segment pictures: label maps (index PNG), overlays with a legend, and class shares as JSON.

    A picture that cannot be read is one line, the rest go on; the exit code is then 2.

    Try: inlay predict runs/camvid-fast holiday.jpg photos/ --out seen
    """
    from inlay.errors import ImageError
    from inlay.predicting import KINDS, OUTPUTS
    from inlay.predicting import predict as run
    from inlay.runtime.predictor import load

    console.quiet(quiet)
    refinement = _crf(crf)  # first: it may have taken the pictures for its settings
    if not paths:
        raise ImageError("predict needs pictures, or folders of pictures, after MODEL")
    predictor = load(model, device, _tta(tta), refinement)
    with _writing_to(out, "predict", overwrite=True) as folder:  # what is there already, predict itself looks at
        result = run(predictor, paths, folder, overwrite=overwrite, save=KINDS if attention else OUTPUTS)
    if json:
        print((folder / "shares.json").read_text(encoding="utf-8"), end="")
    else:
        console.out.print(f"{len(result.done)} done, {len(result.failed)} failed; results in {folder}", markup=False)
    return result.exit_code


@app.command
def export(
    model: Annotated[Path, Parameter(help="a model file (.safetensors) or a run folder")],
    *,
    check_on: Annotated[str, Parameter(help="a data set to compare answers on: NAME[:ROOT][,key=value...]")],
    split: Annotated[str | None, Parameter(help="default: val, or the data set's own split=")] = None,
    images: Annotated[int, Parameter(help="evenly spaced pictures of it to compare on", validator=_at_least(1))] = 32,
    tolerance: Annotated[
        float | None, Parameter(help="share of pixels that may change; default 0.0001", validator=_share)
    ] = None,
    out: Annotated[Path | None, Parameter(help="the .onnx file; default: MODEL's name and place")] = None,
    overwrite: Annotated[bool, Parameter(help="replace files of an earlier export", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as one ONNX file, which runs without torch, if it answers on real pictures as the model does.

    Beside it: what was compared (NAME.export.json), and a picture of pixels that changed, if any.

    Try:
        inlay export runs/camvid-fast --check-on camvid:data/camvid
        inlay predict runs/camvid-fast/model.onnx holiday.jpg
    """
    from inlay.card import find_model_file
    from inlay.data import open_spec, parse

    console.quiet(quiet)
    with _needs_training():
        from inlay.exporting import export as run
    name, _, options = parse(check_on)
    dataset = open_spec(check_on, split=split)
    split = split or options.get("split", "val")
    out = out or find_model_file(model).with_suffix(".onnx")
    checks: dict[str, Any] = {"images": images, "tolerance": tolerance, "dataset_name": name, "split": split}
    report = run(model, out, check_on=dataset, overwrite=overwrite, **checks)
    if json:
        print(out.with_suffix(".export.json").read_text(encoding="utf-8"), end="")
        return
    console.out.print(report.table(), soft_wrap=False)
    console.out.print(f"Exported: {out}; next: inlay predict {out} PICTURE", markup=False)


@app.command
def models(name: str | None = None, *, json: Json = False, quiet: Quiet = False) -> None:
    """The networks a recipe can name, their size and work; with NAME, the options of one.

    Try:
        inlay models
        inlay models pspnet
    """
    from inlay import models as catalogue

    console.quiet(quiet)
    with _needs_training():
        from inlay.models import _summary
    if name is None:
        names = catalogue.names()
        found = [_summary.summarise(one) for one in console.track(names, len(names), "networks")]
        if json:
            print(json_text.dumps([one._asdict() for one in found], indent=2))
        else:
            console.out.print(_summary.table(found), soft_wrap=False)
        return
    network = _summary.describe(name)
    if json:
        print(json_text.dumps(network, indent=2))
        return
    console.out.print(f"{name}: {network['what']}\n{network['publication']}\nOptions (model.OPTION):", markup=False)
    for key, option in network["options"].items():
        meaning = f"  ({option['meaning']})" if option["meaning"] else ""
        console.out.print(f"    {key} = {option['default']}{meaning}", markup=False)


@app.command
def datasets() -> None:
    """The data sets a recipe or --data can name.

    Try: inlay datasets
    """
    import importlib

    from inlay import data

    for name in data.names():
        document = importlib.import_module(f"inlay.data.{name}").__doc__ or ""
        console.out.print(f"{name}: {document.partition(chr(10))[0]}", markup=False)


@app.command
def info(model: Path | None = None, *, json: Json = False) -> None:
    """What a model file says of itself; without a file, what this machine and installation are.

    Try:
        inlay info
        inlay info runs/camvid-fast
    """
    from inlay import environment
    from inlay.card import find_model_file, read_card

    facts = environment.describe() if model is None else read_card(find_model_file(model)).model_dump(mode="json")
    if json:
        print(json_text.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in facts.items():
        shown = value if not isinstance(value, dict) else json_text.dumps(value, ensure_ascii=False)
        console.out.print(f"{key}: {shown}", markup=False)


def main() -> None:
    """The `inlay` program: exit code 0, 2 for anything a user can mend, 130 or 143 when asked to stop."""
    try:
        code = app(sys.argv[1:], exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (InlayError, CycloptsError) as error:
        console.quiet(False)
        console.err.print(f"inlay: {error}", markup=False)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except (BrokenPipeError, SystemExit):  # the reader went away; rich raises the latter then, and nothing else does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = getattr(error, "exit_code", None)  # learning.interrupt.Interrupted, which needs no torch to be known
        if code is None:
            raise
        console.quiet(False)
        console.err.print(f"inlay: {error}", markup=False)
    sys.exit(code if isinstance(code, int) else 0)


@contextlib.contextmanager
def _needs_training() -> Iterator[None]:
    """Imports within that fail for want of another's package say which extra has it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "inlay":
            raise
        raise MissingExtraError("training", "train") from error


@contextlib.contextmanager
def _writing_to(out: Path | None, name: str, overwrite: bool) -> Iterator[Path]:
    """`out`, or a new folder in runs/; where the work within fails, folders it has left empty are removed again."""
    from inlay.files import new_folder, require_new

    wanted = out or Path("runs") / name
    missing = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    folder = require_new(out, overwrite) if out else new_folder(wanted.parent, name)
    try:
        yield folder
    except BaseException:
        for made in missing if folder in missing else [folder, *missing]:
            with contextlib.suppress(OSError):  # not empty: what was written stays
                made.rmdir()
        raise


def _table(report: Any) -> Any:
    from inlay.report.folder import table

    return table(report)


def _print_comparison(folder: Path, found: Any) -> None:
    from inlay.report.comparison_table import tables

    for table in tables(found, console.out.width):
        console.out.print(table, soft_wrap=False)
    for line in (found.verdict(), *found.notes):
        console.out.print(line, markup=False, soft_wrap=False)
    page = folder / ("comparison.html" if (folder / "comparison.html").is_file() else "comparison.json")
    console.out.print(f"Comparison: {page}", markup=False)


def _study(path: Path, overrides: tuple[str, ...], json: bool, **options: Any) -> int:
    """Run a study and print what came of it; the exit code."""
    with _needs_training():
        from inlay.study import Study
        from inlay.studying import run_study
    result = run_study(Study.load(path, overrides), **options)
    if json:
        print(json_text.dumps(result.facts(), indent=2, ensure_ascii=False))
        return result.exit_code
    if result.plan is not None:
        console.out.print(result.plan, soft_wrap=False)
    for folder, found in result.comparisons.items():
        _print_comparison(folder, found)
    for line in result.said:
        console.out.print(line, markup=False)
    for line in result.failures():
        console.err.print(f"inlay: {line}", markup=False)
    return result.exit_code


def _tta(text: str | None) -> Any:
    from inlay.errors import RecipeError
    from inlay.runtime.predictor import TestTimeAugmentation

    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    try:
        scales = tuple(float(word) for word in words if word != "flip") or (1.0,)
    except ValueError as error:
        raise RecipeError(f"--tta {text}: expected flip and scales, as flip,0.75,1,1.25") from error
    if not all(0.1 <= scale <= 4 for scale in scales):
        raise RecipeError(f"--tta {text}: scales lie between 0.1 and 4")
    return TestTimeAugmentation(flip="flip" in words, scales=scales)


def _crf(given: bool | str) -> Any:
    from inlay.runtime.crf import CrfSettings

    if isinstance(given, str):
        return CrfSettings.parse(given)
    return CrfSettings() if given else None

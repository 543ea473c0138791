"""`tarsia export`: one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import Code, Json, Quiet, Split, at_least, needs_training, zero_to_one
from tarsia.plain_text import command

Tolerance = Annotated[
    float | None,
    Parameter(
        help="share of pixels that may change, default 0.0001; with --int8 the loss of mIoU, default 0.005",
        validator=zero_to_one,
    ),
]


def export(
    model: Annotated[Path, Parameter(help="a model file (.safetensors) or a run folder")],
    *,
    check_on: Annotated[
        str | None,
        Parameter(help="a data set to compare answers on: NAME[:ROOT][,key=value...]; default: MODEL's, validated on"),
    ] = None,
    split: Split = None,
    images: Annotated[int, Parameter(help="evenly spaced pictures of it to compare on", validator=at_least(1))] = 32,
    int8: Annotated[bool, Parameter(help="in 8 bits, but for the layers that cannot be", negative="")] = False,
    calibrate_on: Annotated[
        int | None, Parameter(help="with --int8: pictures its ranges are taken from, default 64", validator=at_least(1))
    ] = None,
    calibration_data: Annotated[
        str | None, Parameter(help="the data set they are of; default: --check-on's, its split train")
    ] = None,
    code: Code = None,
    probabilities: Annotated[
        bool, Parameter(help="also put labels and their calibrated confidence into the network", negative="")
    ] = False,
    tolerance: Tolerance = None,
    onnx: Annotated[
        Path | None, Parameter(name="--out", help="the .onnx file; default: MODEL's name and place")
    ] = None,
    triton: Annotated[
        Path | None,
        Parameter(help="in place of --out: a model repository of NVIDIA Triton, made or added to; gives labels too"),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="replace files of an earlier export", negative="")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as one ONNX file, which runs without torch, if it answers on real pictures as the model does.

    Beside it: what was compared (NAME.export.json), and a picture of pixels that changed, if any.

    Try:
        tarsia export runs/camvid-fast
        tarsia export runs/camvid-fast --check-on camvid:data/camvid --int8 --out fast8.onnx
        tarsia predict runs/camvid-fast/model.onnx holiday.jpg
    """
    from tarsia.errors import RecipeError
    from tarsia.own_data import Labelled

    console.quiet(quiet)
    with needs_training():
        from tarsia.exporting import export as run
        from tarsia.exporting import place
    if not int8 and (calibrate_on is not None or calibration_data is not None):
        raise RecipeError("--calibrate-on and --calibration-data are for --int8")
    dataset, name, split = Labelled.of(check_on, model, split, option="check_on")
    file = place(model, onnx, triton)
    calibration = _calibration(model, check_on, calibration_data, calibrate_on) if int8 else None
    checks: dict[str, Any] = {"images": images, "tolerance": tolerance, "dataset_name": name, "split": split}
    made: dict[str, Any] = {"int8": calibration, "probabilities": probabilities, "overwrite": overwrite, "code": code}
    gate = run(model, onnx, triton=triton, check_on=dataset, **checks, **made)
    if json:
        console.data(file.with_suffix(".export.json").read_text(encoding="utf-8"))
        return
    console.show(gate.table())
    console.say(f"Exported: {file}; next: {command('predict', file, 'PICTURE')}")


def _calibration(model: Path, check_on: str | None, named: str | None, images: int | None) -> Any:
    """The pictures to calibrate on: of the data set `named`, else of --check-on's; of split train unless it says so."""
    from tarsia import data
    from tarsia.exporting import CALIBRATION_IMAGES, RangePictures
    from tarsia.own_data import OwnData

    if check_on is None and named is None:
        named = OwnData.of(model).training
    name, root, options = data.parse(data.meant(named or str(check_on)))
    split = options.pop("split", "train") if named else "train"
    options.pop("split", None)
    return RangePictures(data.open(name, root, split, **options), images or CALIBRATION_IMAGES, f"{name} {split}")

"""`inlay export`: one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inlay import console
from inlay.cli._options import Json, Quiet, at_least, needs_training, share


def export(
    model: Annotated[Path, Parameter(help="a model file (.safetensors) or a run folder")],
    *,
    check_on: Annotated[str, Parameter(help="a data set to compare answers on: NAME[:ROOT][,key=value...]")],
    split: Annotated[str | None, Parameter(help="default: val, or the data set's own split=")] = None,
    images: Annotated[int, Parameter(help="evenly spaced pictures of it to compare on", validator=at_least(1))] = 32,
    tolerance: Annotated[
        float | None, Parameter(help="share of pixels that may change; default 0.0001", validator=share)
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
    with needs_training():
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

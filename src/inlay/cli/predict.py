"""`inlay predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from inlay import console
from inlay.cli._options import Crf, Device, Json, Model, Out, Overwrite, Quiet, crf_of, tta_of, writing_to


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
    refinement = crf_of(crf)  # first: it may have taken the pictures for its settings
    if not paths:
        raise ImageError("predict needs pictures, or folders of pictures, after MODEL")
    predictor = load(model, device, tta_of(tta), refinement)
    with writing_to(out, "predict", overwrite=True) as folder:  # what is there already, predict itself looks at
        result = run(predictor, paths, folder, overwrite=overwrite, save=KINDS if attention else OUTPUTS)
    if json:
        print((folder / "shares.json").read_text(encoding="utf-8"), end="")
    else:
        console.out.print(f"{len(result.done)} done, {len(result.failed)} failed; results in {folder}", markup=False)
    return result.exit_code

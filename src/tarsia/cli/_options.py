"""What several commands share: options, and what is done around each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia.errors import needs

needs_training = functools.partial(needs, "training", "train")


def at_least(least: int) -> Any:
    def check(_: object, value: float | None) -> None:
        if value is not None and not value >= least:
            raise ValueError(f"expected {least} or more")

    return check


def share(_: object, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError("expected 0 to 1")


def above_zero(_: object, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError("expected more than 0")


def level_of(_: object, value: float) -> None:
    if not 0.5 <= value < 1:
        raise ValueError("expected 0.5 or more, and less than 1")


Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Out = Annotated[Path | None, Parameter(help="the exact folder that is written")]
Overwrite = Annotated[bool, Parameter(help="write into a folder that is not empty", negative="")]
Json = Annotated[bool, Parameter(name="--json", help="print the result as JSON", negative="")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), help="no progress, no notes", negative="")]
Data = Annotated[str, Parameter(help="a data set: NAME[:ROOT][,key=value...]")]
Model = Annotated[Path, Parameter(help="a model file (.safetensors or .onnx) or a run folder")]
Engine = Annotated[str, Parameter(help="of an .onnx file: auto (onnxruntime), onnxruntime or openvino")]
Precision = Annotated[str, Parameter(help="of --engine openvino: float32 or bfloat16")]
Style = Annotated[
    str | None,
    Parameter(help="also see each picture in the style of --reference, and fuse both: a style file, or `histogram`"),
]
Reference = Annotated[str | None, Parameter(help="with --style: pictures like those of the training, a folder or DATA")]
KlSteps = Annotated[
    int,
    Parameter(help="with --style: steps on the KL of both answers first, anew each picture", validator=at_least(0)),
]
KlLearningRate = Annotated[float, Parameter(help="of --kl-steps", validator=above_zero)]
Crf = Annotated[
    bool | str,
    Parameter(help="refine labels by a dense CRF; other settings than its own: --crf key=value,...", negative=""),
]


@contextlib.contextmanager
def writing_to(out: Path | None, name: str, overwrite: bool) -> Iterator[Path]:
    """`out`, or a new folder in runs/, held; where the work within fails, folders it has left empty are removed."""
    from tarsia.files import new_folder, require_new
    from tarsia.folder_lock import holding

    wanted = out or Path("runs") / name
    missing = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    folder = require_new(out, overwrite) if out else new_folder(wanted.parent, name)
    try:
        with holding(folder):
            yield folder
    except BaseException:
        for made in missing if folder in missing else [folder, *missing]:
            with contextlib.suppress(OSError):  # not empty: what was written stays
                made.rmdir()
        raise


def score_table(report: Any) -> Any:
    from tarsia.evaluation.folder import tables

    return tables(report)


def tta_of(text: str | None) -> Any:
    from tarsia.errors import RecipeError
    from tarsia.prediction.predictor import TestTimeAugmentation

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


def crf_of(given: bool | str) -> Any:
    from tarsia.prediction.crf import CrfSettings

    if isinstance(given, str):
        return CrfSettings.parse(given)
    return CrfSettings() if given else None

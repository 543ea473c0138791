"""What several commands share: options, and what is done around each."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tarsia.errors import needs

needs_training = functools.partial(needs, "training", "train")


def processes() -> tuple[int, int, bool]:
    """Which process of how many this is, of those that torchrun has started, and whether it did so again."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1, False
    rank, count, again = (int(os.environ.get(key, 0)) for key in ("RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"))
    return rank, max(1, count), again > 0


def at_least(least: int) -> Any:
    def check(_: object, value: float | None) -> None:
        if value is not None and not value >= least:
            raise ValueError(f"expected {least} or more")

    return check


def part_of(text: str | None) -> tuple[int, int]:
    """--part as numbers; all where it is not said."""
    from tarsia.errors import OutputError

    words = (text or "1/1").split("/")
    if len(words) != 2 or not all(word.isascii() and word.isdecimal() for word in words):
        raise OutputError(f"--part {text}: expected K/N, as 2/8 for the second of eight")
    return int(words[0]), int(words[1])


def zero_to_one(_: object, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError("expected 0 to 1")


def above_zero(_: object, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError("expected more than 0")


Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Out = Annotated[Path | None, Parameter(help="the exact folder that is written")]
Overwrite = Annotated[bool, Parameter(help="write into a folder that is not empty", negative="")]
Json = Annotated[bool, Parameter(name="--json", help="print the result as JSON", negative="")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), help="no progress, no notes; warnings stay", negative="")]
Data = Annotated[str, Parameter(help="a data set: NAME[:ROOT][,key=value...], or a folder")]
Model = Annotated[Path, Parameter(help="a model file (.safetensors or .onnx) or a run folder")]
Engine = Annotated[str, Parameter(help="of an .onnx file: auto (onnxruntime), onnxruntime or openvino")]
Precision = Annotated[str, Parameter(help="of --engine openvino: float32 or bfloat16")]
Code = Annotated[
    str | None,
    Parameter(help="of a network that is not Tarsia's: FILE.py[:CLASS] or package.module:CLASS, which is run"),
]
Split = Annotated[str | None, Parameter(help="default: its own split=, else val")]
AcceptLicence = Annotated[
    bool, Parameter(help="of weights with a condition, or without a word: no warning", negative="")
]
Offline = Annotated[bool, Parameter(help="never ask a model hub", negative="")]
Seed = Annotated[int, Parameter(validator=at_least(0))]


@Parameter(name="*")
@dataclass(frozen=True)
class Running:
    """How a model is run on pictures, of all commands that take whatever may be chosen."""

    tta: Annotated[str | None, Parameter(help="test-time augmentation: flip, or flip,0.75,1,1.25, or 0.5,1")] = None
    crf: Annotated[
        bool | str,
        Parameter(help="refine labels by a dense CRF; other settings than its own: --crf key=value,...", negative=""),
    ] = False
    style: Annotated[
        str | None,
        Parameter(
            help="also see each picture in the style of --reference, and fuse both: a style file, or `histogram`"
        ),
    ] = None
    reference: Annotated[
        str | None, Parameter(help="with --style: pictures like those of the training, a folder or DATA")
    ] = None
    kl_steps: Annotated[
        int,
        Parameter(help="with --style: steps on the KL of both answers first, anew each picture", validator=at_least(0)),
    ] = 0
    kl_learning_rate: Annotated[float, Parameter(help="of --kl-steps", validator=above_zero)] = 1e-4
    engine: Engine = "auto"
    precision: Precision = "float32"
    device: Device = "auto"
    code: Code = None

    def inference(self, **tiles: Any) -> Any:
        """The library's Inference; RecipeError for a view or a CRF setting that there is not."""
        from tarsia.inference import Inference

        return Inference(**vars(self) | {"crf": _crf(self.crf), "tta": _tta(self.tta)} | tiles)


RUNNING = Running()


def stay_offline(offline: bool) -> None:
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's library when it is first imported


def process_seconds() -> float:
    """How long this process has run, its imports included; 0 where the system does not tell."""
    try:
        words = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0


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


def page_of(folder: Path, name: str) -> Path:
    """NAME.html, or NAME.json where what draws pages is not installed."""
    page = folder / f"{name}.html"
    return page if page.is_file() else page.with_suffix(".json")


def check_and_train(folder: Path) -> str:
    """What comes next for a data set that is in a folder now, as commands that run as they are printed."""
    from tarsia.data import spec
    from tarsia.given import word_for
    from tarsia.plain_text import command

    check, train = command("check", spec("folder", folder)), command("train", word_for(folder), "--minutes", 10)
    return f"Next: {check}; {train}"


def _tta(text: str | None) -> Any:
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


def _crf(given: bool | str) -> Any:
    from tarsia.prediction.crf import CrfSettings

    if isinstance(given, str):
        return CrfSettings.parse(given)
    return CrfSettings() if given else None

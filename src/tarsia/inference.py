"""How a model is run on pictures: all that may be chosen, as one value, and the predictor that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tarsia.engines.model_file import find_model_file, read_card
from tarsia.engines.open import open_engine
from tarsia.errors import RecipeError
from tarsia.prediction.crf import CrfSettings
from tarsia.prediction.predictor import Predictor, TestTimeAugmentation


@dataclass(frozen=True)
class Inference:
    """What may be chosen where a model is opened; the defaults are the network alone, on whole pictures.

    `device`: auto, cpu, cuda or cuda:N.  Of an .onnx file `engine`: auto, onnxruntime, or openvino, which computes in
    the `precision` float32 or bfloat16; `streams` calls to it may run at once, each on its share of the cores.

    `tta` averages the probabilities of several views, `crf` refines them.  `style`, a style file or `histogram`, also
    shows the network each picture in the look of `reference`: pictures like those it was trained on, a folder or
    NAME[:ROOT][,key=value...]; the two answers are fused.  Before, `kl_steps` at `kl_learning_rate` may bring them
    closer: on their KL divergence, over the scale and shift of the network's normalisation, anew for each picture.

    `tile`: side of the tiles that pictures larger than one go in, which share the part `overlap` of it; evaluate and
    serve take whole pictures and refuse tiles.

    `code`, where the network is not Tarsia's own: FILE.py[:CLASS] or package.module:CLASS.  A model file says which it
    was, and runs none.
    """

    device: str = "auto"
    engine: str = "auto"
    precision: str = "float32"
    streams: int = 1
    tta: TestTimeAugmentation | None = None
    crf: CrfSettings | None = None
    style: str | None = None
    reference: str | None = None
    fuse: bool = True  # else the restyled picture's answer alone
    kl_steps: int = 0
    kl_learning_rate: float = 1e-4
    tile: int | None = None
    overlap: float | None = None
    code: str | None = None


DEFAULT = Inference()


def load(path: str | Path, inference: Inference = DEFAULT, **chosen: Any) -> Predictor:
    """A model file or run folder -> a predictor.  `chosen`: fields of `Inference` by name, in its place or beside it.

        predictor = tarsia.load("runs/demo", tta=tarsia.TestTimeAugmentation(flip=True))

    Raises ModelFileError for what is no sound model file, MissingExtraError for an engine that is not installed, and
    RecipeError for choices that there are not or that do not go together.
    """
    if not isinstance(inference, Inference):
        raise RecipeError(f"{inference!r} in the place of an Inference: give what is chosen by name, as device='cpu'")
    how = replace(inference, **chosen)
    take_code(how.code, Path(path))
    engine = open_engine(Path(path), how.device, how.engine, how.precision, how.streams)
    style = None
    if how.style is not None or how.reference is not None:
        from tarsia.adaptation.test_time import Steps, open_style

        steps = Steps(how.kl_steps, how.kl_learning_rate)
        style = open_style(engine, how.style, how.reference, how.device, how.fuse, steps)
    elif how.kl_steps:
        raise RecipeError("`kl_steps` bring a picture and the restyled one closer: give `style` and `reference` too")
    return Predictor(engine, how.tta, how.crf, style).in_tiles(how.tile, how.overlap)


def take_code(code: str | None, model: Path) -> None:
    """Run `code`, which a person says the network of a model file is; RecipeError where there is none such."""
    from tarsia import models, own_parts

    if code is None:
        return
    card = read_card(find_model_file(model))
    part = models.accept(code)
    if isinstance(part, str):
        raise RecipeError(f"{code=}: expected FILE.py, FILE.py:NAME or package.module:NAME")
    if card.code is None:
        raise RecipeError(f"`code` is for a network that is not Tarsia's own, and {model} is a {card.architecture}")
    own_parts.stand_in(card.architecture, part)


def predictor_of(model: Predictor | str | Path, inference: Inference | None) -> Predictor:
    """A predictor itself, whose choices are made, or one of a model file or run folder; RecipeError for both."""
    if not isinstance(model, Predictor):
        return load(model, inference or DEFAULT)
    if inference is not None:
        raise RecipeError("`inference` is for a model file or run folder: a predictor has been opened already")
    return model

"""`tarsia adapt`: a model for another condition, or the style network for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Code,
    Device,
    Json,
    Offline,
    Out,
    Overwrite,
    Quiet,
    Seed,
    above_zero,
    at_least,
    needs_training,
    stay_offline,
    writing_to,
    zero_to_one,
)
from tarsia.plain_text import command


@Parameter(name="*")
@dataclass(frozen=True)
class Learning:
    """How long and how fast is learned, and of what."""

    steps: Annotated[int | None, Parameter(help="default 500; of a style network 2000", validator=above_zero)] = None
    batch: Annotated[int, Parameter(validator=at_least(1))] = 8
    learning_rate: Annotated[
        float | None, Parameter(help="default 0.0003; of a style network 0.001", validator=above_zero)
    ] = None
    share: Annotated[float, Parameter(help="of a batch that is restyled", validator=zero_to_one)] = 1.0
    strength: Annotated[float, Parameter(help="of the restyling, 0 to 1", validator=zero_to_one)] = 1.0
    kl_weight: Annotated[float, Parameter(help="of KL(p_original || p_restyled)", validator=at_least(0))] = 1.0


@Parameter(name="*")
@dataclass(frozen=True)
class Network:
    """The style network that --train-style makes."""

    encoder: Annotated[str, Parameter(help="with --train-style: a timm name, or a Tarsia model with one")] = "resnet50"
    weights: Annotated[str, Parameter(help="with --train-style: imagenet, none, or a .safetensors file")] = "imagenet"
    stride: Annotated[int, Parameter(help="with --train-style: of the code", validator=at_least(2))] = 8
    published: Annotated[
        bool, Parameter(help="with --train-style: all that follows as Song et al. 2021, unless given", negative="")
    ] = False
    generator: Annotated[
        Literal["mirrored", "plain"] | None, Parameter(help="with --train-style [plain]; published: mirrored")
    ] = None
    skips: Annotated[
        Literal["none", "maps", "picture"] | None,
        Parameter(help="with --train-style: what the generator gets beside the code [picture]; published: none"),
    ] = None
    stages_weight: Annotated[
        float | None, Parameter(help="with --train-style: of the style loss at finer maps [1]; published: 0")
    ] = None
    identity_weight: Annotated[
        float | None, Parameter(help="with --train-style: of the identity loss [1]; published: 0")
    ] = None
    norm: Annotated[
        Literal["rms", "l2"] | None, Parameter(help="with --train-style: of eq. 2 [rms]; published: l2")
    ] = None


Model = Annotated[Path | None, Parameter(help="a .safetensors model or a run folder; not with --train-style")]
Source = Annotated[str | None, Parameter(help="labelled pictures like those it was trained on: DATA; default: these")]
Method = Annotated[
    str, Parameter(help="none, batch-norm, histogram, fourier, style, self-training, source; several joined by +")
]
LEARNING, NETWORK = Learning(), Network()
_OF_A_NETWORK = ("published", "generator", "skips", "stages_weight", "identity_weight", "norm")


def adapt(
    model: Model = None,
    *,
    source: Source = None,
    target: Annotated[str | None, Parameter(help="pictures of the new condition: a folder, or DATA")] = None,
    method: Method = "style",
    style: Annotated[str | None, Parameter(help="a style file; with --train-style: pictures, a folder or DATA")] = None,
    score: Annotated[str | None, Parameter(help="labelled pictures to score before and after on: DATA")] = None,
    learning: Learning = LEARNING,
    code: Code = None,
    train_style: Annotated[bool, Parameter(help="train a style network instead", negative="")] = False,
    content: Annotated[str | None, Parameter(help="with --train-style: pictures, a folder or DATA")] = None,
    network: Network = NETWORK,
    out: Out = None,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Adapt a model to other weather, light or place, with pictures of it that need no labels.

    Writes a folder with the model, what was trained on the way and, with --score, reports before and after.  Method
    style takes a style file, or trains one first; --train-style does that alone, on two collections of pictures.

    Try:
        tarsia adapt runs/streets --source streets,condition=dawn --target photos/night --method histogram
        tarsia adapt --train-style --content streets,condition=dawn --style photos/night --out night.safetensors
        tarsia adapt runs/streets --target photos/night --style night.safetensors
    """
    stay_offline(offline)
    from tarsia.errors import RecipeError

    console.quiet(quiet)
    with needs_training():
        from tarsia import adapting
    common: dict[str, Any] = {"device": device, "overwrite": overwrite}
    if train_style:
        if content is None or style is None or out is None or model is not None:
            raise RecipeError("--train-style needs --content, --style and --out FILE, and no MODEL")
        steps, rate = learning.steps or 2000, learning.learning_rate or 1e-3
        how = vars(network) | {"batch": learning.batch, "seed": seed, "steps": steps, "learning_rate": rate}
        card = adapting.train_style(content, style, out, **how, **common)
        console.say(f"Style file: {out}, loss {card.provenance['loss']:.4f}")
        return
    if any(getattr(network, name) != getattr(NETWORK, name) for name in _OF_A_NETWORK):
        flags = [f"--{name.replace('_', '-')}" for name in _OF_A_NETWORK]
        raise RecipeError(f"{', '.join(flags[:-1])} and {flags[-1]} are for --train-style")
    if model is None or target is None:
        raise RecipeError("adapt needs MODEL and --target FOLDER or DATA; or --train-style")
    source = _own(model) if source is None else source
    given = {name: one for name, one in vars(learning).items() if one is not None}
    asked: dict[str, Any] = {
        "source": source,
        "target": target,
        "method": method,
        "style": style,
        "score": score,
        "code": code,
    }
    asked["tuning"] = adapting.Tuning(**given, seed=seed)
    with writing_to(out, f"adapt-{method}", overwrite) as folder:
        found = adapting.adapt(model, out=folder, **asked, **common)
    _print(found, json)


def _own(model: Path) -> str:
    """The data that the model was trained with, which is said."""
    from tarsia.own_data import OwnData

    own = OwnData.of(model, "source")
    source = own.training
    own.open(source)
    console.note(f"{source=}: the data that {model} was trained with")
    return source


def _print(found: Any, json: bool) -> None:
    if json:
        from tarsia.engines.model_file import read_card

        console.data(read_card(found.model).provenance["adapted"])
        return
    if found.comparison is not None:
        from tarsia.comparison.table import tables

        for table in tables(found.comparison, console.out.width):
            console.show(table)
        console.say(found.comparison.verdict(), wrapped=True)
    console.say(f"Adapted: {found.model}; next: {command('predict', found.model, 'PICTURE')}")

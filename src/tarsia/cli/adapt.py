"""`tarsia adapt`: a model for another condition, or the style network for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tarsia import console
from tarsia.cli._options import (
    Device,
    Json,
    Out,
    Overwrite,
    Quiet,
    above_zero,
    at_least,
    needs_training,
    share,
    writing_to,
)
from tarsia.plain_text import command


def adapt(
    model: Annotated[
        Path | None, Parameter(help="a .safetensors model or a run folder; not with --train-style")
    ] = None,
    *,
    source: Annotated[
        str | None, Parameter(help="labelled pictures like those it was trained on: DATA; default: these")
    ] = None,
    target: Annotated[str | None, Parameter(help="pictures of the new condition: a folder, or DATA")] = None,
    method: Annotated[
        str,
        Parameter(help="none, batch-norm, histogram, fourier, style, self-training, source; several joined by +"),
    ] = "style",
    style: Annotated[str | None, Parameter(help="a style file; with --train-style: pictures, a folder or DATA")] = None,
    score: Annotated[str | None, Parameter(help="labelled pictures to score before and after on: DATA")] = None,
    steps: Annotated[int | None, Parameter(help="default 500; of a style network 2000", validator=above_zero)] = None,
    batch: Annotated[int, Parameter(validator=at_least(1))] = 8,
    learning_rate: Annotated[
        float | None, Parameter(help="default 0.0003; of a style network 0.001", validator=above_zero)
    ] = None,
    restyled: Annotated[float, Parameter(name="--share", help="of a batch that is restyled", validator=share)] = 1.0,
    strength: Annotated[float, Parameter(help="of the restyling, 0 to 1", validator=share)] = 1.0,
    kl_weight: Annotated[float, Parameter(help="of KL(p_original || p_restyled)", validator=at_least(0))] = 1.0,
    train_style: Annotated[bool, Parameter(help="train a style network instead", negative="")] = False,
    content: Annotated[str | None, Parameter(help="with --train-style: pictures, a folder or DATA")] = None,
    encoder: Annotated[str, Parameter(help="with --train-style: a timm name, or a Tarsia model with one")] = "resnet50",
    weights: Annotated[str, Parameter(help="with --train-style: imagenet, none, or a .safetensors file")] = "imagenet",
    stride: Annotated[int, Parameter(help="with --train-style: of the code", validator=at_least(2))] = 8,
    published: Annotated[
        bool, Parameter(help="with --train-style: all that follows as Song et al. 2021, unless given", negative="")
    ] = False,
    generator: Annotated[
        Literal["mirrored", "plain"] | None, Parameter(help="with --train-style [plain]; published: mirrored")
    ] = None,
    skips: Annotated[
        Literal["none", "maps", "picture"] | None,
        Parameter(help="with --train-style: what the generator gets beside the code [picture]; published: none"),
    ] = None,
    stages_weight: Annotated[
        float | None, Parameter(help="with --train-style: of the style loss at finer maps [1]; published: 0")
    ] = None,
    identity_weight: Annotated[
        float | None, Parameter(help="with --train-style: of the identity loss [1]; published: 0")
    ] = None,
    norm: Annotated[
        Literal["rms", "l2"] | None, Parameter(help="with --train-style: of eq. 2 [rms]; published: l2")
    ] = None,
    out: Out = None,
    device: Device = "auto",
    seed: Annotated[int, Parameter(validator=at_least(0))] = 0,
    overwrite: Overwrite = False,
    offline: Annotated[bool, Parameter(help="never ask a model hub", negative="")] = False,
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
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's library when it is first imported
    from tarsia.errors import RecipeError
    from tarsia.own_data import OwnData

    console.quiet(quiet)
    with needs_training():
        from tarsia import adapting
    if train_style:
        if content is None or style is None or out is None or model is not None:
            raise RecipeError("--train-style needs --content, --style and --out FILE, and no MODEL")
        given: dict[str, Any] = {"encoder": encoder, "weights": weights, "stride": stride, "published": published}
        training: dict[str, Any] = {
            "generator": generator,
            "skips": skips,
            "stages_weight": stages_weight,
            "identity_weight": identity_weight,
            "norm": norm,
            "batch": batch,
            "learning_rate": learning_rate or 1e-3,
            "seed": seed,
            "steps": steps or 2000,
        }
        card = adapting.train_style(content, style, out, device=device, overwrite=overwrite, **given, **training)
        console.say(f"Style file: {out}, loss {card.provenance['loss']:.4f}")
        return
    if published or any(one is not None for one in (generator, skips, stages_weight, identity_weight, norm)):
        raise RecipeError(
            "--published, --generator, --skips, --stages-weight, --identity-weight and --norm are for --train-style"
        )
    if model is None or target is None:
        raise RecipeError("adapt needs MODEL and --target FOLDER or DATA; or --train-style")
    if source is None:
        own = OwnData.of(model, "source")
        source = own.training
        own.open(source)
        console.note(f"{source=}: the data that {model} was trained with")
    tuning = adapting.Tuning(
        steps=steps or 500,
        batch=batch,
        learning_rate=learning_rate or 3e-4,
        share=restyled,
        strength=strength,
        kl_weight=kl_weight,
        seed=seed,
    )
    asked: dict[str, Any] = {"source": source, "target": target, "method": method, "style": style, "score": score}
    with writing_to(out, f"adapt-{method}", overwrite) as folder:
        found = adapting.adapt(model, out=folder, tuning=tuning, device=device, overwrite=overwrite, **asked)
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

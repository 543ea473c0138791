"""What a training can be started from: encoders whose weights timm's hub has, and files of a folder; no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
import timm
import torch
from rich import box
from timm.models import PretrainedCfg

from tarsia import models
from tarsia.card import CARD_KEY, Card, read_header
from tarsia.console import Table
from tarsia.errors import ModelFileError, RecipeError
from tarsia.models._weights import stated, timm_knows

NOT_STATED = "not stated"
_CAPTION = (
    "imagenet: model.weights: imagenet, with model.encoder as here; a file: model.weights: FILE; a whole model: "
    "train.start_from: FILE.  What weights without a licence may be used for, look up."
)


class Startable(NamedTuple):
    """One source of weights: `where` is what a recipe writes as `model.weights`, or `train.start_from` of a model."""

    where: str
    encoder: str  # timm's name; of a Tarsia model its architecture; "" where the file's name says none
    licence: str  # "" where none is stated
    megabytes: float
    source: str
    here: bool  # on this machine


def of_timm(encoders: Iterable[str]) -> list[Startable]:
    """The `encoders`, and those that our networks have unless told, as timm is configured, lightest first."""
    fields = [models.config_class(name).model_fields.get("encoder") for name in models.names()]
    named = {*encoders, *(str(field.default) for field in fields if field)}
    found = [_of_hub(name) for name in named if timm.is_model(name) and timm_knows(name)]
    return sorted(found, key=lambda one: (one.megabytes, one.encoder))


def of_folder(folder: Path) -> list[Startable]:
    """The .safetensors files in a folder; RecipeError where there are none."""
    files = sorted(folder.expanduser().glob("*.safetensors"))
    if not files:
        what = "holds no .safetensors file" if folder.expanduser().is_dir() else "no such folder"
        raise RecipeError(f"weights={str(folder)!r}: {what}: expected a folder with weights of encoders")
    return [_of_file(file) for file in files]


def table(found: Sequence[Startable]) -> Table:
    """What `tarsia models --weights` shows."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_CAPTION, caption_justify="left")
    for name in ("weights", "encoder", "MB", "licence", "here", "source"):
        shown.add_column(name, justify="right" if name == "MB" else "left", overflow="fold")
    for one in found:
        size, here = f"{one.megabytes:.1f}", "yes" if one.here else "no"
        shown.add_row(
            Path(one.where).name, one.encoder or "?", size, one.licence or NOT_STATED, here, one.source or NOT_STATED
        )
    return shown


def _of_hub(name: str) -> Startable:
    config = timm.get_pretrained_cfg(name) or PretrainedCfg()
    with torch.device("meta"):
        parameters = sum(one.numel() for one in timm.create_model(name).parameters())
    hub, file, licence = config.hf_hub_id or "", config.hf_hub_filename or "model.safetensors", config.license or ""
    cached = bool(hub) and isinstance(huggingface_hub.try_to_load_from_cache(hub, file), str)
    return Startable("imagenet", name, str(licence), 4 * parameters / 1e6, str(hub or config.url), cached)


def _of_file(file: Path) -> Startable:
    size = file.stat().st_size / 1e6
    try:
        if CARD_KEY in read_header(file):
            card = Card.from_json(read_header(file)[CARD_KEY], str(file))
            return Startable(str(file), card.architecture, card.weights_licence, size, "a model of Tarsia", True)
        said = stated(file)
    except ModelFileError as error:
        return Startable(str(file), "", "", size, f"cannot be taken: {error}", True)
    return Startable(str(file), _encoder_of(file.stem), said.licence, size, said.source, True)


def _encoder_of(stem: str) -> str:
    """timm's network that a file is called by: the longest of its first words that is one."""
    ends = [*(found.start() for found in re.finditer("[._-]", stem)), len(stem)]
    known = set(timm.list_models())
    return next((stem[:end] for end in reversed(ends) if stem[:end] in known), "")

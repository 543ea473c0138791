"""What there is to say of a network before it is trained: its size, its work, where it is from, its options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from rich import box
from torch.utils.flop_counter import FlopCounterMode

from tarsia import models
from tarsia.console import Table
from tarsia.models._segmenter import ModelConfig
from tarsia.own_parts import Part
from tarsia.plain_text import number

PICTURE = (360, 480)  # CamVid's
CLASS_COUNT = 19  # Cityscapes', unless told


class Summary(NamedTuple):
    """A network with the defaults of its options."""

    name: str
    what: str  # in a line
    publication: str
    encoder: str | None  # timm's name, where it has one
    parameters: int
    multiply_adds: int  # of one picture of `size`
    size: tuple[int, int]  # PICTURE padded up to the stride
    stride: int
    classes: int = CLASS_COUNT


def summarise(name: str | Part, class_count: int = CLASS_COUNT) -> Summary:
    """The summary of network `name`, computed without memory or time for its weights; RecipeError for unknown names."""
    config = models.config_class(name)
    with torch.device("meta"):
        model = models.create(name, class_count).eval()
        height, width = (-(-side // model.stride) * model.stride for side in PICTURE)
        image = torch.zeros((1, model.bands, height, width), dtype=torch.uint8)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
    return Summary(
        name if isinstance(name, str) else name.title,
        _document(config),
        config.publication,
        config.model_fields["encoder"].default if "encoder" in config.model_fields else None,
        sum(parameter.numel() for parameter in model.parameters()),
        counter.get_total_flops() // 2,
        (height, width),
        model.stride,
        class_count,
    )


def table(summaries: Sequence[Summary]) -> Table:
    """What `tarsia models` shows, of networks for the same number of classes."""
    classes = number(summaries[0].classes, "class", "classes")
    shown = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        leading=1,
        caption=f"Defaults, {classes}; multiply-adds of one picture of {PICTURE[0]}x{PICTURE[1]}, padded "
        "up to the stride.  Options: tarsia models NAME",
        caption_justify="left",
    )
    shown.add_column("network", no_wrap=True)
    shown.add_column("parameters", justify="right", no_wrap=True)
    shown.add_column("multiply-\nadds", justify="right", no_wrap=True)
    shown.add_column("stride", justify="right", no_wrap=True)
    shown.add_column("encoder", no_wrap=True)
    shown.add_column("publication")
    for one in summaries:
        shown.add_row(
            one.name,
            f"{one.parameters / 1e6:.2f} M",
            f"{one.multiply_adds / 1e9:.1f} G",
            str(one.stride),
            one.encoder or "its own",
            one.publication,
        )
    return shown


def describe(name: str | Part) -> dict[str, Any]:
    """Network `name` in words: what it is, its publication, and each option's default and meaning."""
    config = models.config_class(name)
    options = {
        key: {"default": field.get_default(call_default_factory=True), "meaning": field.description or ""}
        for key, field in config.model_fields.items()
    }
    title = name if isinstance(name, str) else name.title
    return {"name": title, "what": _document(config), "publication": config.publication, "options": options}


def _document(config: type[ModelConfig]) -> str:
    """The first line of the model file, without the name before the colon."""
    line = (sys.modules[config.__module__].__doc__ or "").partition("\n")[0]
    return line.partition(": ")[2] or line

"""What there is to say of a network before it is trained: its size, its work, where it is from, its options."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tarsia import models
from tarsia.models._segmenter import ModelConfig
from tarsia.models._sizes import CLASS_COUNT, PICTURE, Summary
from tarsia.own_parts import Part


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

"""The catalogue of networks: every file here without a leading underscore is one architecture.

A model file holds `class Config(ModelConfig)` and `class Model(Segmenter)`; nothing else needs to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from tarsia.errors import MissingExtraError, RecipeError, nearest
from tarsia.yaml_tree import Fault, faults_of, unknown_key

if TYPE_CHECKING:
    from tarsia.models._segmenter import ModelConfig, Segmenter


# How the layers that give scores start: a standard deviation, or a word for one (models/_blocks.py: start_heads).
HeadStart = Annotated[float, Field(ge=0, le=100)] | Literal["fan_in", "he"]
HEAD_START: HeadStart = "fan_in"


def names() -> list[str]:
    """The architectures in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def config_class(name: str) -> type[ModelConfig]:
    """The configuration of architecture `name`; RecipeError with the nearest name where there is none."""
    return _module(name).Config


def create(
    name: str,
    class_count: int,
    *,
    seed: int = 0,
    weights: str = "none",
    head_start: HeadStart = HEAD_START,
    options: dict[str, Any] | None = None,
) -> Segmenter:
    """A network for `class_count` classes; the same seed gives the same weights.

    `options` are fields of the architecture's Config; `weights`: none, imagenet, or a file for the encoder;
    `head_start`: how the layers that give scores start, the recipe's `model.head_start`.
    Raises RecipeError for unknown names or options, ModelFileError for weights that cannot be had or do not fit.
    """
    import torch

    from tarsia.models._blocks import start_heads

    faults = option_faults(name, options or {}, [])
    if faults:
        raise RecipeError(*(f"model.{'.'.join(str(part) for part in where)}: {what}" for where, what in faults))
    module = _module(name)
    config = module.Config.model_validate(options or {})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # networks are made on the CPU; torch.manual_seed would seed GPUs too
        model: Segmenter = module.Model(config, class_count, weights)
        start_heads(model, head_start)  # last, so that another start leaves all other weights as they are
    return model


def option_faults(name: str, options: dict[str, Any], known: list[str]) -> list[Fault]:
    """What is wrong with `options` of architecture `name`; `known` are further keys allowed beside them."""
    if name not in names():
        return [(("name",), f"unknown model {name}{nearest(name, names())}")]
    schema = config_class(name)
    try:
        schema.model_validate(options)
    except ValidationError as error:
        faults = faults_of(error, schema)
        offered = [*schema.model_fields, *known]
        return [(where, _offering(where, what, offered, before)) for before, (where, what) in enumerate(faults)]
    return []


def _offering(where: tuple[str | int, ...], what: str, known: list[str], before: int) -> str:
    """A fault that offers the section's own keys too."""
    if len(where) == 1 and what.startswith("unknown key"):
        return unknown_key(str(where[0]), known, before)
    return what


def _module(name: str) -> Any:
    if name not in names():
        raise RecipeError(f"unknown model {name}{nearest(name, names())}")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        raise MissingExtraError(f"model {name}", "train") from error

"""The catalogue of networks: every file here without a leading underscore is one architecture.

A model file holds `class Config(ModelConfig)` and `class Model(Segmenter)`; nothing else needs to know of it.  A
network of the user's own is named by where its code is (own_parts.py); `accept` runs that, and nothing else here does.

What such a file builds on is here too: `from tarsia.models import EncoderConfig, EncoderSegmenter, Classifier`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from tarsia import own_parts
from tarsia.errors import RecipeError, nearest, needs
from tarsia.own_parts import Part
from tarsia.yaml_faults import Fault, faults_of, unknown_key

if TYPE_CHECKING:
    from tarsia.models._segmenter import ModelConfig, Segmenter


# How the layers that give scores start: a standard deviation, or a word for one (models/_blocks.py: start_heads).
HeadStart = Annotated[float, Field(ge=0, le=100)] | Literal["fan_in", "he"]
HEAD_START: HeadStart = "fan_in"
GROUP = "tarsia.models"  # of entry points
# What files of networks build on, and where it is.
_BASES = {
    **dict.fromkeys(("ModelConfig", "EncoderConfig", "Segmenter", "EncoderSegmenter"), "_segmenter"),
    **dict.fromkeys(("Classifier", "ConvNormReLU", "kaiming", "resize_as"), "_blocks"),
    "Encoder": "_encoders",
}


def __getattr__(name: str) -> Any:
    if name in _BASES:
        return getattr(importlib.import_module(f"{__name__}.{_BASES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """The architectures in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def installed() -> dict[str, EntryPoint]:
    """What installed packages bring as entry points, by name."""
    ours = set(names())
    return {name: point for name, point in sorted(own_parts.installed(GROUP).items()) if name not in ours}


def known() -> list[str]:
    """The architectures of this folder, then those of installed packages."""
    return [*names(), *installed()]


def cut() -> list[str]:
    """The architectures of this folder that are an encoder and a decoder which sees its maps alone."""
    kinds = {name: _module(name).Model for name in names()}
    return [name for name, kind in kinds.items() if hasattr(kind, "is_cut") and kind.is_cut()]


def accept(name: str) -> str | Part:
    """A recipe's `model.name` -> what `create` takes.  Code that it names is run: RecipeError where that fails."""
    if name in names() or not own_parts.is_own(name):
        return name
    with needs(f"model {name}", "train"):
        from tarsia.models import _own
    return own_parts.accept(name, _own.KIND)


def accept_installed(name: str) -> Part:
    """What an installed package brings as `name`: to have installed it is to have named it."""
    return own_parts.accept_installed(installed()[name])


def config_class(name: str | Part) -> type[ModelConfig]:
    """The configuration of architecture `name`; RecipeError with the nearest name where there is none."""
    return _module(name).Config


def create(
    name: str | Part,
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

    from tarsia.models._blocks import Classifier, start_heads

    faults = option_faults(name, options or {}, [])
    if faults:
        raise RecipeError(*(f"model.{'.'.join(str(part) for part in where)}: {what}" for where, what in faults))
    module = _module(name)
    config = module.Config.model_validate(options or {})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # networks are made on the CPU; torch.manual_seed would seed GPUs too
        model: Segmenter = module.Model(config, class_count, weights)
        if head_start != HEAD_START and not any(isinstance(part, Classifier) for part in model.modules()):
            what = name if isinstance(name, str) else name.title
            raise RecipeError(f"model.head_start: {what} says of no layer that it gives scores: leave it out")
        start_heads(model, head_start)  # last, so that another start leaves all other weights as they are
    return model


def option_faults(name: str | Part, options: dict[str, Any], known: list[str]) -> list[Fault]:
    """What is wrong with `options` of architecture `name`; `known` are further keys allowed beside them."""
    try:
        schema = config_class(name)
    except RecipeError as error:
        return [(("name",), str(error))]
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


def _module(name: str | Part) -> Any:
    """What holds the `Config` and `Model` of an architecture; code that nobody has named in this process is not run."""
    if isinstance(name, str) and name in names():
        with needs(f"model {name}", "train"):
            return importlib.import_module(f"{__name__}.{name}")
    part = own_parts.accepted(name, GROUP) or own_parts.titled(name) if isinstance(name, str) else name
    if part is None and isinstance(name, str) and name in known():
        part = accept_installed(name)
    if part is None:
        raise RecipeError(f"unknown model {name}{nearest(str(name), known())}")
    with needs(f"model {name}", "train"):
        from tarsia.models import _own
    return _own.architecture(part)

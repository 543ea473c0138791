"""Networks of the user's own: a Segmenter from anywhere, and any torch.nn.Module that maps B3HW to BKHW as one.

A module's constructor is told the number of classes by its parameter `classes` (or `num_classes`), and that of bands
by `in_channels` (or `in_chans`, `bands`) where it has one.  Its other parameters are the options of the recipe.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any, get_type_hints

import torch
from pydantic import Field, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, create_model
from torch import Tensor, nn

from tarsia.errors import RecipeError
from tarsia.models._segmenter import Deviation, ModelConfig, Segmenter
from tarsia.models._weights import refuse_weights
from tarsia.own_parts import Kind, Part
from tarsia.plain_text import first_line, listed, number

CLASSES, BANDS = ("classes", "num_classes"), ("in_channels", "in_chans", "bands")
# Keys of a recipe's `model` that mean something else, and what pydantic keeps to itself.
_TAKEN = {"name", "weights", "head_start", "licence", "accept_licence", "freeze", *dir(ModelConfig)}


def _is_network(found: Any) -> bool:
    if isinstance(found, type):
        return issubclass(found, nn.Module)
    return inspect.isroutine(found)


KIND = Kind("network", "Model", _is_network, "tarsia.models")


class PlainConfig(ModelConfig):
    """What can be said of any module, beside its own parameters."""

    mean: tuple[float, ...] | None = Field(None, description="of each band / 255, which is taken off; default: 0.5")
    std: tuple[Deviation, ...] | None = Field(None, description="of each band / 255, divided by; default: 0.25")
    stride: Annotated[int, Field(ge=1, le=1024)] = Field(
        32, description="pictures are padded to sides that are multiples of it"
    )


class Plain(Segmenter):
    """Any module behind the interface of a Segmenter."""

    def __init__(self, net: nn.Module, title: str, config: PlainConfig, class_count: int) -> None:
        mean, std = config.mean or (0.5,) * config.bands, config.std or (0.25,) * config.bands
        if len(mean) != config.bands or len(std) != config.bands:
            raise RecipeError(f"model.mean, model.std: expected {number(config.bands, 'value')}, one for each band")
        super().__init__(mean, std)
        self.net, self.stride = net, config.stride
        self.title, self.class_count = title, class_count
        self._try_out()

    def segment(self, image_B3HW: Tensor) -> Tensor:
        scores: Any = self.net(image_B3HW)
        if not isinstance(scores, Tensor) or scores.ndim != 4 or scores.shape[1] != self.class_count:
            found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise RecipeError(
                f"model.name: {self.title} answers pictures of {tuple(image_B3HW.shape)} with {found}, expected scores "
                f"(pictures, {self.class_count} classes, height, width)"
            )
        return scores

    def _try_out(self) -> None:
        """Raise RecipeError where a small picture gives no scores."""
        if any(one.is_meta for one in self.net.parameters()):
            return
        size = (2 * self.stride, 3 * self.stride)
        was_training = self.net.training
        self.net.eval()
        try:
            with torch.no_grad():
                self.segment(torch.zeros(1, self.bands, *size))
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            raise RecipeError(
                f"model.name: {self.title} fails on a picture of {size[0]}x{size[1]} and {number(self.bands, 'band')} "
                f"({type(error).__name__}: {first_line(error)}); sides are multiples of model.stride, {self.stride}"
            ) from error
        finally:
            self.net.train(was_training)


def architecture(part: Part) -> Any:
    """The `Config` and `Model` of a part, as of a file of this folder; RecipeError where it is no network."""
    found = part.found
    if isinstance(found, ModuleType):  # an entry point may name a file's module
        found = getattr(found, KIND.usual, None)
    if not _is_network(found):
        raise RecipeError(f"{part.title}: no network is there, expected a class of torch.nn.Module")
    if isinstance(found, type) and issubclass(found, Segmenter):
        return SimpleNamespace(Config=_config_of(found, part), Model=found)
    return _plain(found, part)


def _config_of(found: type[Segmenter], part: Part) -> type[ModelConfig]:
    """What the constructor of a Segmenter is configured by: as its first argument says."""
    first = next(iter(list(inspect.signature(found).parameters)), "")
    config = _hints(found).get(first)
    if not (isinstance(config, type) and issubclass(config, ModelConfig)):
        raise RecipeError(
            f"{part.title}: its constructor takes (config: Config, class_count, weights), with a Config that derives "
            "from tarsia.models.ModelConfig"
        )
    return config


def _plain(found: Callable[..., Any], part: Part) -> Any:
    parameters = inspect.signature(found).parameters
    classes = _first(CLASSES, parameters)
    if classes is None:
        raise RecipeError(f"{part.title}: takes no number of classes: call a parameter of it {' or '.join(CLASSES)}")
    bands = _first(BANDS, parameters)
    given = _given(found, [one for one in parameters.values() if one.name not in (classes, bands)], part)
    config_class = _config_class(found, given)

    def create(config: PlainConfig, class_count: int, weights: str = "none") -> Plain:
        refuse_weights(part.title, weights)
        if bands is None and config.bands != 3:
            raise RecipeError(f"model.bands: {part.title} has no parameter for them ({listed(BANDS)}): 3 alone")
        told = {name: getattr(config, name) for name in given} | {classes: class_count}
        net = found(**told, **({} if bands is None else {bands: config.bands}))
        if not isinstance(net, nn.Module):
            raise RecipeError(f"{part.title}: gives a {type(net).__name__}, expected a torch.nn.Module")
        return Plain(net, part.title, config, class_count)

    return SimpleNamespace(Config=config_class, Model=create)


def _first(names: tuple[str, ...], parameters: Any) -> str | None:
    return next((name for name in names if name in parameters), None)


def _given(found: Callable[..., Any], parameters: list[inspect.Parameter], part: Part) -> dict[str, Any]:
    """The options by name, each with its type and default as pydantic takes them.

    What has a default that no recipe could say, as a class, is left at it.
    """
    hints = _hints(found)
    fields: dict[str, Any] = {}
    for one in parameters:
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        required = one.default is one.empty
        if one.kind is one.POSITIONAL_ONLY or one.name in _TAKEN or one.name.startswith("_"):
            if required:
                raise RecipeError(f"{part.title}: its parameter {one.name} cannot be set by a recipe: rename it")
        elif required or _is_plain(one.default):
            fields[one.name] = (_type(hints.get(one.name, Any)), ... if required else one.default)
    return fields


def _config_class(found: Callable[..., Any], given: dict[str, Any]) -> type[PlainConfig]:
    own = {name: value for name, value in given.items() if name not in PlainConfig.model_fields}
    made = create_model("Config", __base__=PlainConfig, __module__=found.__module__, **own)
    made.publication = (found.__doc__ or "").strip().partition("\n")[0]
    return made


def _hints(found: Any) -> dict[str, Any]:
    """The types of the parameters, where they are said."""
    try:
        return get_type_hints(getattr(found, "__init__") if isinstance(found, type) else found, include_extras=True)  # noqa: B009
    except Exception:  # annotations may name what is there for type checkers alone: then their types are not checked
        return {}


def _type(annotation: Any) -> Any:
    """An annotation, or anything where pydantic makes nothing of it."""
    try:
        TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
        return Any
    return annotation


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, bool | int | float | str)

"""Data sets.  The folder is the catalogue: `NAME.py` here is the data set NAME, its class `Data` a split of it.

`Data(root, split, *, option=default, ...)` satisfies `Dataset`; its keyword-only parameters are the options that a
recipe or `NAME[:ROOT][,key=value...]` may set, checked against their annotations.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from tarsia.data._dataset import Dataset, Sample, bands_of, check_sample
from tarsia.errors import DatasetError, nearest

__all__ = ["Dataset", "Sample", "bands_of", "check_sample", "names", "open", "open_spec", "option_faults", "parse"]

Fault = tuple[tuple[str | int, ...], str]  # as in yaml_tree: where below the section, what is wrong
_FORM = "expected NAME[:ROOT][,key=value...], as camvid:data/camvid or folder:photos,split=val"


def names() -> list[str]:
    """The names of all data sets: the files of this folder without a leading underscore."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg and not module.name.startswith("_")
    )


def open(
    name: str, root: str | Path | None = None, split: str = "train", *, cache: str | Path | None = None, **options: Any
) -> Dataset:
    """Data set `name` below `root` -> its `split`, with `cache` (a folder) decoded once into a file there.

    Options may be text, as from a command line.  Raises DatasetError for unknown names and options (with the nearest
    known ones), wrong types, and whatever is missing on disk.
    """
    values, faults = _checked(name, options, ())
    if faults:
        listed = "; ".join(f"{'.'.join(str(part) for part in where)}: {what}" for where, what in faults)
        raise DatasetError(listed.removeprefix("name: ") if _unknown(name) else f"data set {name}: {listed}")
    dataset: Dataset = _constructor(name)(root, split, **values)
    if cache is None:
        return dataset
    from tarsia.data._cache import Cached

    return Cached(dataset, Path(cache))


def open_spec(
    spec: str, *, split: str | None = None, default_split: str = "val", cache: str | Path | None = None
) -> Dataset:
    """`NAME[:ROOT][,split=SPLIT][,key=value...]` -> the data set.

    The split is the spec's or `split` (DatasetError where both are given and differ), else `default_split`.
    """
    name, root, options = parse(spec)
    given = options.pop("split", None)
    if given and split and given != split:
        raise DatasetError(f"{spec}: split is {given} there but {split} is asked for: give it once")
    return open(name, root, given or split or default_split, cache=cache, **options)


def parse(spec: str) -> tuple[str, str | None, dict[str, str]]:
    """`NAME[:ROOT][,key=value...]` -> name, root or None, options as text.

    The root may contain `:` and `=` but no comma.  Raises DatasetError with the expected form; whether name and
    options exist is `open`'s to say.
    """
    head, *rest = spec.split(",")
    name, colon, root = head.partition(":")
    if not name.isidentifier():
        near = (
            f"; is it a folder? then write folder:{head} or another data set's name"
            if "/" in head or "." in head
            else ""
        )
        raise DatasetError(f"{spec!r}: no data set's name before ':'{near}; {_FORM}")
    if colon and not root:
        raise DatasetError(f"{spec!r}: no folder after ':'; {_FORM}")
    options: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier() or not value:
            raise DatasetError(f"{spec!r}: {part!r} is not key=value (a folder may not contain a comma); {_FORM}")
        if key in ("root", "name", "cache"):
            raise DatasetError(f"{spec!r}: {key} cannot be given as an option; {_FORM}")
        if key in options:
            raise DatasetError(f"{spec!r}: {key} is given twice")
        options[key] = value
    return name, root or None, options


def option_faults(name: str, options: Mapping[str, Any], known: Iterable[str] = ()) -> list[Fault]:
    """What is wrong with `options` of data set `name`, each with its place below the section.

    `known`: the section's own keys, offered too where an option is misspelt.
    """
    return _checked(name, options, known)[1]


def _checked(name: str, options: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], list[Fault]]:
    """The options in their declared types, and the faults."""
    if _unknown(name):
        return {}, [(("name",), f"unknown data set {name}{nearest(name, names())}")]
    annotations = _options(name)
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for key, value in options.items():
        if key not in annotations:
            near = nearest(key, [*annotations, *known]) or f", {name} has no options"
            faults.append(((key,), "unknown key" + near))
            continue
        try:
            values[key] = _coerced(annotations[key], value)
        except ValidationError as error:
            faults += [(_place(key, item["loc"]), f"{item['msg']}, got {value!r}") for item in error.errors()[:1]]
    return values, faults


def _unknown(name: str) -> bool:
    return name not in names()


def _constructor(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}").Data


def _options(name: str) -> dict[str, Any]:
    """The keyword-only parameters of a data set's constructor and their annotations."""
    constructor = _constructor(name).__init__
    hints = get_type_hints(constructor, include_extras=True)
    parameters = inspect.signature(constructor).parameters.values()
    return {item.name: hints.get(item.name, Any) for item in parameters if item.kind is item.KEYWORD_ONLY}


def _coerced(annotation: Any, value: Any) -> Any:
    # A comma separates options, so a size is written 240x320 on the command line.
    if isinstance(value, str) and _is_tuple(annotation):
        value = value.split("x")
    return TypeAdapter(annotation).validate_python(value)


def _is_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(part) is tuple for part in get_args(annotation))


def _place(key: str, where: tuple[int | str, ...]) -> tuple[str | int, ...]:
    return (key, *(part for part in where if isinstance(part, int)))

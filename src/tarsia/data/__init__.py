"""Data sets.  The folder is the catalogue: `NAME.py` here is the data set NAME, its class `Data` a split of it.

`Data(root, split, *, option=default, ...)` satisfies `Dataset`; its keyword-only parameters are the options that a
recipe or `NAME[:ROOT][,key=value...]` may set, checked against their annotations.  Every data set has the options of
`_folds` besides.

NAME may say where such a class is that is not Tarsia's (own_parts.py): `./mydata.py`, `./mydata.py:Data:ROOT`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from tarsia import own_parts
from tarsia.data import _folds, _words
from tarsia.data._dataset import Dataset, Sample, bands_of, check_sample
from tarsia.data._folders import require_root
from tarsia.data._handed_in import constructor, hand_in, is_handed_in
from tarsia.data._text import OWN, parse, quoted, written
from tarsia.errors import DatasetError, RecipeError, nearest
from tarsia.own_parts import Kind
from tarsia.yaml_faults import short, unknown_key

__all__ = [
    "Dataset",
    "Sample",
    "accept",
    "bands_of",
    "check_sample",
    "folds",
    "hand_in",
    "installed",
    "is_known",
    "is_own",
    "known",
    "meant",
    "names",
    "open",
    "open_incomplete",
    "open_spec",
    "option_faults",
    "parse",
    "require_root",
    "spec",
]

Fault = tuple[tuple[str | int, ...], str]  # as in yaml_tree: where below the section, what is wrong
GROUP = "tarsia.data"  # of entry points


def _is_data(found: Any) -> bool:
    return isinstance(found, type) and {"__len__", "__getitem__", "name"} <= set(dir(found))


_KIND = Kind("data set", "Data", _is_data, GROUP)


def names() -> list[str]:
    """The names of all data sets: the files of this folder without a leading underscore."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg and not module.name.startswith("_")
    )


def installed() -> dict[str, EntryPoint]:
    """What installed packages bring as entry points, by name."""
    ours = set(names())
    return {name: point for name, point in sorted(own_parts.installed(GROUP).items()) if name not in ours}


def known() -> list[str]:
    """The names of all data sets: those here, then of installed packages."""
    return [*names(), *installed()]


def is_known(name: str) -> bool:
    """Whether a name is that of a data set, or says where the code of one is."""
    return name in known() or own_parts.is_own(name) or is_handed_in(name)


def is_own(spec: str) -> bool:
    """Whether the name in `NAME[:ROOT][,key=value...]` says where code is."""
    return OWN.match(spec) is not None


def meant(word: str | Path) -> str:
    """NAME[:ROOT][,key=value...] that a person means: by the same, a folder as it lies there, or its dataset.yaml.

    Options may follow a folder too: `photos,split=val`.  DatasetError where a word can mean two things, with both
    spellings (`./streets`, `catalogue:streets`), and where it is a run or a recipe.
    """
    return _words.meant(word, known())


def accept(name: str) -> str:
    """A data set's name as it is.  Where it says where code is, that is run: RecipeError where this fails."""
    if name not in names() and own_parts.is_own(name):
        own_parts.accept(name, _KIND)
    return name


def open(
    name: str, root: str | Path | None = None, split: str = "train", *, cache: str | Path | None = None, **options: Any
) -> Dataset:
    """Data set `name` below `root` -> its `split`, with `cache` (a folder) decoded once into a file there.

    Options may be text, as from a command line.  Raises DatasetError for unknown names and options (with the nearest
    known ones), wrong types, and whatever is missing on disk.
    """
    values = _sound(name, options)
    divided = _folds.taken(values)

    def opened(split: str) -> Dataset:
        return _whole(name, root, split, values, cache)

    return divided.part(split, opened, _where(name, root)) if divided else opened(split)


def open_incomplete(name: str, root: str | Path | None, split: str, options: Mapping[str, Any]) -> Dataset:
    """As `open`, but with the pairs there are where pictures or labels have no partner, as long as there is one."""
    values = _sound(name, options)
    divided = _folds.taken(values)

    def opened(split: str) -> Dataset:
        dataset: Dataset = _constructor(name)(root, split, **values)
        return dataset

    return divided.part(split, opened, _where(name, root)) if divided else opened(split)


def folds(name: str, root: str | Path | None, options: Mapping[str, Any]) -> dict[str, int]:
    """The folds that `options`, which say `folds`, divide a data set into: names in order, and how many samples each.

    Raises DatasetError where it cannot be divided, and whatever `open` raises.
    """
    values = _sound(name, options)
    divided = _folds.taken(values)
    if divided is None:
        raise DatasetError(f"{_where(name, root)}: what its folds are divided by is not said: add folds=sequence")
    return divided.counts(lambda split: _whole(name, root, split, values, None), _where(name, root))


def _whole(
    name: str, root: str | Path | None, split: str, values: Mapping[str, Any], cache: str | Path | None
) -> Dataset:
    """A split as the data set itself has it, nothing missing, read through `cache` where there is one."""
    from tarsia.data._paired import PairedData
    from tarsia.data._pairing import require_complete

    dataset: Dataset = _constructor(name)(root, split, **values)
    if isinstance(dataset, PairedData):
        require_complete(dataset.pairing)
        if dataset.kinds_fault:
            raise DatasetError(dataset.kinds_fault)
    if cache is None:
        return dataset
    from tarsia.data._cache import Cached

    return Cached(dataset, Path(cache))


def _sound(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in their declared types; DatasetError with all that is wrong with them."""
    values, faults = _checked(name, options, ())
    if faults:
        listed = "; ".join(f"{'.'.join(str(part) for part in where)}: {what}" for where, what in faults)
        raise DatasetError(listed.removeprefix("name: ") if _unknown(name) else f"data set {name}: {listed}")
    return values


def _where(name: str, root: str | Path | None) -> str:
    return name if root is None else f"{name}:{root}"


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


def spec(name: str, root: str | Path | None = None, options: Mapping[str, Any] | None = None) -> str:
    """The text that `parse` and `open` read as this data set; the options may hold a `split`.

    DatasetError names the option whose value has no such text, and whatever `open` would refuse.
    """
    values = dict(options or {})
    split = {"split": values.pop("split")} if "split" in values else {}
    known, faults = _checked(name, values, ())
    if not faults and own_parts.is_own(name):
        name = own_parts.in_full(name, own_parts.accept(name, _KIND))
    if faults:
        raise DatasetError("; ".join(f"{'.'.join(map(str, where))}: {what}" for where, what in faults))
    texts = {key: written(value) for key, value in (split | values).items() if value is not None or key in split}
    found = ",".join([name + (f":{quoted(str(root))}" if root else ""), *(f"{k}={v}" for k, v in texts.items())])
    _, _, read = parse(found)
    again = _checked(name, {key: value for key, value in read.items() if key not in split}, ())[0]
    for key, value in known.items():
        if value is not None and (key not in again or again[key] != value or type(again[key]) is not type(value)):
            raise DatasetError(f"data set {name}: {key} = {value!r} cannot be written as {key}=value: give a recipe")
        if value is None and _defaults(name).get(key) is not None:
            raise DatasetError(f"data set {name}: {key} = null cannot be written as {key}=value: give a recipe")
    return found


def option_faults(name: str, options: Mapping[str, Any], known: Iterable[str] = ()) -> list[Fault]:
    """What is wrong with `options` of data set `name`, each with its place below the section.

    `known`: the section's own keys, offered too where an option is misspelt.
    """
    return _checked(name, options, known)[1]


def _checked(name: str, options: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], list[Fault]]:
    """The options in their declared types, and the faults."""
    if _unknown(name):
        return {}, [(("name",), f"unknown data set {name}{nearest(name, [*names(), *installed()])}")]
    annotations = _options(name) | _folds.OPTIONS
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for key, value in options.items():
        if key not in annotations:
            faults.append(((key,), unknown_key(key, [*annotations, *known], len(faults))))
            continue
        try:
            values[key] = _coerced(annotations[key], value)
        except ValidationError as error:
            faults += [(_place(key, item["loc"]), f"{item['msg']}, got {short(value)}") for item in error.errors()[:1]]
    return values, faults or list(_folds.faults(values))


def _unknown(name: str) -> bool:
    return not is_known(name)


def _constructor(name: str) -> Any:
    """The class of a data set: where code is named, a person has named it (own_data.py asks for that)."""
    if is_handed_in(name):
        return constructor(name)
    if name in names():
        return importlib.import_module(f"{__name__}.{name}").Data
    try:
        if own_parts.is_own(name):
            return own_parts.accept(name, _KIND).found
        return own_parts.accept_installed(installed()[name], _KIND).found
    except RecipeError as error:
        raise DatasetError(*error.args) from error


def _options(name: str) -> dict[str, Any]:
    """The keyword-only parameters of a data set's constructor and their annotations."""
    constructor = _constructor(name).__init__
    hints = get_type_hints(constructor, include_extras=True)
    parameters = inspect.signature(constructor).parameters.values()
    return {item.name: hints.get(item.name, Any) for item in parameters if item.kind is item.KEYWORD_ONLY}


def _defaults(name: str) -> dict[str, Any]:
    parameters = inspect.signature(_constructor(name).__init__).parameters.values()
    return {item.name: item.default for item in parameters}


def _coerced(annotation: Any, value: Any) -> Any:
    # A comma separates options, so a size is written 240x320 on the command line.
    if isinstance(value, str) and _is_tuple(annotation):
        value = value.split("x")
    return TypeAdapter(annotation).validate_python(value)


def _is_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(part) is tuple for part in get_args(annotation))


def _place(key: str, where: tuple[int | str, ...]) -> tuple[str | int, ...]:
    return (key, *(part for part in where if isinstance(part, int)))

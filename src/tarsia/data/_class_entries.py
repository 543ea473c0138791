"""The classes of a dataset.yaml, in every form that people write them in."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tarsia.card import MAX_CLASSES, Color
from tarsia.data._labels import MAX_VALUE

_FORMS = "a list, as [background, road], or keys and values, as {0: background, 1: road} or {road: '#804080'}"
_NUMBER = re.compile(r"\d{1,5}")
_HEX = re.compile(r"#([0-9a-fA-F]{6})")
_NUMBER_KEYS = ("id", "value", "index")  # what others call the one value of a class
_FEW = 64  # three different numbers below this, rising, are values as likely as a colour


def hex_color(found: Any) -> Any:
    """`#804080` as a colour; whatever is no text stays what it is."""
    code = _HEX.fullmatch(found) if isinstance(found, str) else None
    if isinstance(found, str) and code is None:
        raise ValueError("expected a colour, as [128, 64, 128] or '#804080'")
    return found if code is None else tuple(bytes.fromhex(code[1]))


def some_entries(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """As many as there may be classes, and one at least."""
    if not 1 <= len(found) <= MAX_CLASSES:
        raise ValueError(f"expected 1 to {MAX_CLASSES} entries, found {len(found)}")
    return found


def entries(found: Any) -> Any:
    """`classes` as a list with an item for each class, whatever way it is written in."""
    if isinstance(found, dict):
        return _of_mapping(found)
    if not isinstance(found, list | tuple):
        raise ValueError(f"expected {_FORMS}")
    return [_of_item(one) for one in found]


def _of_item(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    if len(found) == 1 and not found.keys() & {*ClassEntry.model_fields, *_NUMBER_KEYS}:
        (pair,) = found.items()
        return found if isinstance(pair[1], str) and not _HEX.fullmatch(pair[1]) else _of_pair(*pair)
    said = [key for key in _NUMBER_KEYS if type(found.get(key)) is int]
    if len(said) == 1 and "values" not in found and "name" in found:
        return {key: value for key, value in found.items() if key != said[0]} | {"values": [found[said[0]]]}
    return found


def _of_mapping(found: dict[str, Any]) -> list[Any]:
    numbered = [key for key in found if _NUMBER.fullmatch(key)]
    if numbered and len(numbered) < len(found):
        other = next(key for key in found if key not in numbered)
        raise ValueError(f"{numbered[0]} is a number and {other} is none: give every class its number, or none")
    ordered = sorted(found, key=int) if numbered else list(found)
    return [_of_pair(key, found[key]) for key in ordered]


def _of_pair(key: str, value: Any) -> dict[str, Any]:
    """A class of `1: road`, `road: 1`, `road: [128, 64, 128]`, `'#804080': road` or `road: {values: [1]}`."""
    if _NUMBER.fullmatch(key):
        more = value if isinstance(value, dict) else {"name": value}
        return {"values": [int(key)]} | more
    if _HEX.fullmatch(key):
        return {"color": key} | (value if isinstance(value, dict) else {"name": value})
    if isinstance(value, dict):
        return {"name": key} | value
    if isinstance(value, bool):
        raise ValueError(f"{key}: expected its number or colour; YAML reads yes, no, on and off as truth values")
    if value is None:
        return {"name": key}
    if isinstance(value, int):
        return {"name": key, "values": [value]}
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return {"name": key, "values": [int(value)]}
        return {"name": key, "color": value}
    if isinstance(value, list | tuple) and len(value) == 3 and all(type(part) is int for part in value):
        if value[0] < value[1] < value[2] < _FEW:
            raise ValueError(
                f"{key}: {list(value)} may be a colour or three values: write {key}: {{color: {list(value)}}} or "
                f"{key}: {{values: {list(value)}}}"
            )
        return {"name": key, "color": value}
    return {"name": key, "values": value}


def _name(found: Any) -> Any:
    if isinstance(found, bool | int | float):
        raise ValueError("expected a name; YAML reads yes, no, on, off and numbers otherwise: put it in quotes")
    if not isinstance(found, str):
        raise ValueError("expected a name, as road")
    return found


def _entry(found: Any) -> Any:
    return found if isinstance(found, dict) else {"name": found}


Value = Annotated[int, Field(ge=0, le=MAX_VALUE)]
HexOrColor = Annotated[Color, BeforeValidator(hex_color)]


class ClassEntry(BaseModel):
    """One class: its name, its colour, and what it is called in the masks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, BeforeValidator(_name), Field(min_length=1)]
    color: HexOrColor | None = None
    values: Annotated[tuple[Value, ...], AfterValidator(some_entries)] | None = None
    colors: Annotated[tuple[HexOrColor, ...], AfterValidator(some_entries)] | None = None


Entries = Annotated[
    tuple[Annotated[ClassEntry, BeforeValidator(_entry)], ...], BeforeValidator(entries), AfterValidator(some_entries)
]

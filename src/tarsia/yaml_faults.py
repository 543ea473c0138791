"""What is wrong in a tree that was read from YAML, in our words: where, what was expected, what is near."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tarsia.errors import TOLD, nearest
from tarsia.plain_text import shortened

Location = tuple[str | int, ...]
Fault = tuple[Location, str]  # where in the tree, what is wrong


def faults_of(error: ValidationError, schema: type[BaseModel]) -> list[Fault]:
    """Pydantic's errors as faults in our words."""
    faults: dict[Location, str] = {}
    items = [(_without_tags(item["loc"], item["type"]), item) for item in error.errors(include_url=False)]
    above = {where[:length] for where, _ in items for length in range(len(where))}
    for where, item in items:
        if where in above and item["type"] in ("literal_error", "too_short"):
            continue  # a list is no word, and a list of wrong items has too few: the items' own faults say more
        if item["type"] == "extra_forbidden":
            what = unknown_key(str(where[-1]), _fields_at(schema, where[:-1]), len(faults))
        elif item["type"] == "missing":
            what = "is missing"
        elif item["type"] == "too_short":
            what = f"expected at least {item['ctx']['min_length']}, got {short(item['input'])}"
        elif item["type"] in ("model_type", "model_attributes_type", "dict_type"):
            what = f"expected keys and values below it, got {short(item['input'])}"
        else:
            what = f"{item['msg'].removeprefix('Value error, ')}, got {short(item['input'])}"
        # The branches of a union complain one by one of the same value.
        faults[where] = what if where not in faults else f"{faults[where].rpartition(', got ')[0]}; or: {what}"
    return list(faults.items())


def unknown_key(key: str, known: Iterable[str], before: int) -> str:
    """The fault of a key that is not known, with what is near it unless so many come `before` that nobody reads it."""
    return "unknown key" + (nearest(key, known) if before < TOLD else "")


def _fields_at(schema: type[BaseModel], where: Location) -> list[str]:
    found: Any = schema
    for part in where:
        if isinstance(part, int):
            continue
        field = found.model_fields.get(part) if isinstance(found, type) and issubclass(found, BaseModel) else None
        found = model_within(field.annotation) if field else None
        if found is None:
            return []
    return list(found.model_fields)


def model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = model_within(part)
        if found:
            return found
    return None


def _without_tags(where: Location, kind: str) -> Location:
    written = where[-1:] if kind == "extra_forbidden" else ()  # a key a person wrote, however it looks
    return (*(part for part in where[: len(where) - len(written)] if not _is_tag(part)), *written)


def _is_tag(part: str | int) -> bool:
    """Pydantic names the branch of a union within the location; a person did not write it."""
    return isinstance(part, str) and (
        part.removeprefix("constrained-") in ("int", "float", "str", "bool") or re.match(r"[a-z-]+\[", part) is not None
    )


def short(value: Any) -> str:
    """A value as it stands in an error."""
    return shortened(repr(value))

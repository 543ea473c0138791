"""Writes docs/reference.md from the code: commands, recipe settings, models, data sets; and the sizes of networks.

`--check` only compares.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from tarsia import data, models
from tarsia.cli import app
from tarsia.models import _sizes, _summary
from tarsia.recipe import Recipe
from tarsia.recipe_augment import AugmentRecipe

TARGET = Path(__file__).with_name("reference.md")
HEAD = "# Reference\n\nWritten by `make docs` from the code; change the code, not this page.\n"


def commands() -> list[str]:
    """Each command with its first paragraph."""
    lines = ["## Commands", "", "| command | what it does |", "|---|---|"]
    for name in sorted(name for name in app if not name.startswith("-")):
        document = (app[name].default_command.__doc__ or "").split("\n\n")[0]
        lines.append(f"| `tarsia {name}` | {' '.join(document.split())} |")
    return lines


def settings(schema: Any, prefix: str = "") -> list[str]:
    """A table row for every leaf of a recipe, deepest last."""
    rows = []
    for name, field in schema.model_fields.items():
        inner = _model_of(field.annotation)
        if inner is not None:
            if prefix or name == "augment":
                document = " ".join((inner.__doc__ or "").split())
                default = "none" if schema is AugmentRecipe else ""
                rows.append(f"| `{prefix}{name}` | {default} | | {document} |")
            rows += settings(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else repr(field.default)
        rows.append(row(f"{prefix}{name}", default, field))
    return rows


def row(key: str, default: str, field: FieldInfo) -> str:
    """Of a table: a setting, its default, what it takes, and what it means."""
    cells = (default, takes(field), field.description or "")
    return f"| `{key}` | {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def takes(field: FieldInfo) -> str:
    """The values of a setting in words: choices, kind and bounds."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return _words(TypeAdapter(kind).json_schema(mode="validation"))


def _words(schema: dict[str, Any]) -> str:
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        found = [_words(one) for one in several]
        return " or ".join(dict.fromkeys(sorted(found, key="none".__eq__)))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "")
    if kind in ("integer", "number"):
        return " ".join(filter(None, ("whole number" if kind == "integer" else "number", _bounds(schema))))
    if kind == "array":
        parts = [_words(one) for one in schema.get("prefixItems", ())]
        return f"[{', '.join(parts)}]" if parts else f"list of {_words(schema.get('items', {})) or 'anything'}"
    return {"boolean": "true, false", "string": "text", "null": "none", "object": "keys and values"}.get(kind, "")


def _bounds(schema: dict[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    ends = ((">=", low), (">", above), ("<=", high), ("<", below))
    return ", ".join(f"{sign} {end}" for sign, end in ends if end is not None)


def catalogue() -> list[str]:
    """The networks and data sets with their options."""
    lines = ["## Models (`model.name`)", ""]
    for name in models.names():
        config = models.config_class(name)
        document = sys.modules[config.__module__].__doc__ or ""
        lines += [f"### {name}", "", document.strip(), "", "| option | default | takes | |", "|---|---|---|---|"]
        for key, field in config.model_fields.items():
            default = field.get_default(call_default_factory=True)
            lines.append(row(key, repr(default), field))
        lines.append("")
    lines += ["## Data sets (`data.name`)", "", "```", (data._folds.__doc__ or "").strip(), "```", ""]
    for name in data.names():
        document = importlib.import_module(f"tarsia.data.{name}").__doc__ or ""
        lines += [f"### {name}", "", "```", document.strip(), "```", ""]
    return lines


def sizes() -> str:
    """What `tarsia models` shows, counted."""
    return _sizes.written([_summary.summarise(name) for name in models.names()])


def page() -> str:
    """The whole page."""
    recipe = ["## Recipe settings", "", "| setting | default | takes | |", "|---|---|---|---|", *settings(Recipe)]
    return "\n".join([HEAD, *commands(), "", *recipe, "", *catalogue()]).rstrip() + "\n"


def _model_of(annotation: Any) -> Any:
    from tarsia.yaml_faults import model_within

    return model_within(annotation)


if __name__ == "__main__":
    if "--check" in sys.argv:
        for file, text in ((TARGET, page()), (_sizes.STORED, sizes())):
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                sys.exit(f"{file.name} is not what the code says: run make docs")
    else:
        TARGET.write_text(page(), encoding="utf-8")
        _sizes.STORED.write_text(sizes(), encoding="utf-8")

"""Writes docs/reference.md from the code: commands, recipe settings, models and data sets.  `--check` only compares."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from tarsia import data, models
from tarsia.cli import app
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
                rows.append(f"| `{prefix}{name}` | {default} | {document} |")
            rows += settings(inner, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else repr(field.default)
        description = (field.description or "").replace("|", "/")
        rows.append(f"| `{prefix}{name}` | {default.replace('|', '/')} | {description} |")
    return rows


def catalogue() -> list[str]:
    """The networks and data sets with their options."""
    lines = ["## Models (`model.name`)", ""]
    for name in models.names():
        config = models.config_class(name)
        document = sys.modules[config.__module__].__doc__ or ""
        lines += [f"### {name}", "", document.strip(), "", "| option | default | |", "|---|---|---|"]
        for key, field in config.model_fields.items():
            default = field.get_default(call_default_factory=True)
            lines.append(f"| `{key}` | {default!r} | {(field.description or '').replace('|', '/')} |")
        lines.append("")
    lines += ["## Data sets (`data.name`)", "", "```", (data._folds.__doc__ or "").strip(), "```", ""]
    for name in data.names():
        document = importlib.import_module(f"tarsia.data.{name}").__doc__ or ""
        lines += [f"### {name}", "", "```", document.strip(), "```", ""]
    return lines


def page() -> str:
    """The whole page."""
    recipe = ["## Recipe settings", "", "| setting | default | |", "|---|---|---|", *settings(Recipe)]
    return "\n".join([HEAD, *commands(), "", *recipe, "", *catalogue()]).rstrip() + "\n"


def _model_of(annotation: Any) -> Any:
    from tarsia.yaml_tree import model_within

    return model_within(annotation)


if __name__ == "__main__":
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != page():
            sys.exit("docs/reference.md is not what the code says: run make docs")
    else:
        TARGET.write_text(page(), encoding="utf-8")

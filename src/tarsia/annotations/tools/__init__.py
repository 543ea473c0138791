"""The programs that label maps are written for: `NAME.py` here is one of them, its `TOOL` says which."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tarsia.annotations.tool import Tool


@functools.cache
def all_tools() -> dict[str, Tool]:
    """Every tool by its name, sorted."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {tool.name: tool for tool in sorted((module.TOOL for module in modules), key=lambda tool: tool.name)}

"""The forms of annotations that are read: `NAME.py` here is one of them, its `FORM` says which."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tarsia.annotations.form import Form


@functools.cache
def all_forms() -> dict[str, Form]:
    """Every form by its name, sorted."""
    modules = (
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if module.name[0] != "_"
    )
    return {form.name: form for form in sorted((module.FORM for module in modules), key=lambda form: form.name)}

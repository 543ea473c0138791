"""Settings as the library names them, as flags of the command that runs: engine='openvin' is --engine openvin there.

The library names a setting as Python does: engine='openvin' with a text or a list of texts, in backquotes whatever else
(`tile=512`, `overwrite=True`, `tile` by itself), as a file, too, may be called tile=512.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from cyclopts import App

from tarsia.plain_text import quoted

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_SETTING = re.compile(rf"(?<![^\s(])(\w+)=({_TEXT}|\[{_TEXT}(?:, {_TEXT})*\])|`([\w.]+)(?:=([^`]+))?`")

# Settings of a recipe with a flag of their own, by the name that this has.
_OF_RECIPE = {"model.accept_licence": "accept_licence"}


class Flag(NamedTuple):
    """`--overlap`; `no` is `--no-overlap` where there is one."""

    name: str
    no: str = ""

    def given(self, value: object) -> str:
        """The words that give the option this value; none where no words do."""
        if value is True:
            return self.name
        if value is False or value is None:
            return self.no
        return " ".join(f"{self.name} {quoted(one)}" for one in (value if isinstance(value, list | tuple) else [value]))


def flags_of(command: App) -> dict[str, Flag]:
    """Each setting of a command, by its parameter's name and by its flag's -> its flag."""
    found = {}
    for option in command.assemble_argument_collection():
        if option.name.startswith("--"):
            flag = Flag(option.name, *option.negatives[:1])
            found[option.field_info.name] = found[option.name[2:].replace("-", "_")] = flag
    return found


def in_flags(text: str, flags: dict[str, Flag]) -> str:
    """`text` with a flag in place of each setting that has one; all else is as it was."""

    def put(found: re.Match[str]) -> str:
        name, value = found[1] or found[3], found[2] or found[4]
        name = _OF_RECIPE.get(name, name)
        if name not in flags:
            return found[0]
        if value is None:
            return flags[name].name
        try:
            return flags[name].given(ast.literal_eval(value)) or found[0]
        except (ValueError, SyntaxError):
            return found[0]

    return _SETTING.sub(put, text)

"""The command line: a command is a file here, which parses, calls one function and prints.

Heavy imports stay inside the commands.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from tarsia import console
from tarsia.cli._flags import Flag, flags_of, in_flags
from tarsia.cli._options import processes
from tarsia.errors import RecipeError, TarsiaError

# In the order in which they are used.
COMMANDS = (
    "demo",
    "init",
    "check",
    "convert",
    "shard",
    "recipe",
    "train",
    "evaluate",
    "compare",
    "adapt",
    "export",
    "plan",
    "predict",
    "serve",
    "models",
    "datasets",
    "info",
)


def _usage(name: str, command: Callable[..., Any]) -> str:
    """A command's first line of help, with its arguments by their names."""
    words = []
    for key, one in inspect.signature(command).parameters.items():
        label = key.upper()
        if one.kind is inspect.Parameter.VAR_POSITIONAL:
            words.append(f"[{label}...]")
        elif one.kind is not inspect.Parameter.KEYWORD_ONLY:
            words.append(label if one.default is inspect.Parameter.empty else f"[{label}]")
        elif one.default is inspect.Parameter.empty:
            words.append(f"--{key.replace('_', '-')} {label}")
    return " ".join(["Usage: tarsia", name, *words, "[OPTIONS]"])


def _default(value: object) -> str | None:
    """A default as help shows it; None where it is that there is nothing."""
    return None if value is None or value is False or value in ((), "") else str(value)


app = App(
    name="tarsia",
    help="Semantic image segmentation: from labelled pictures to a scored model.",
    help_epilogue=(
        "A data set is NAME[:ROOT][,key=value...], as camvid:data/camvid or streets,count=20, or a folder.  "
        "MODEL is a model file (.safetensors or .onnx) or a run folder."
    ),
    help_format="plaintext",
    version_flags=["--version", "-v"],
    default_parameter=Parameter(show_default=_default),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # else it is a SystemExit, which `main` takes for a reader that went away
)
for _name in COMMANDS:
    _command = getattr(importlib.import_module(f"tarsia.cli.{_name}"), _name)
    app.command(_command, usage=_usage(_name, _command))
app.register_install_completion_command(
    help="Have the shell complete commands and options by the Tab key; it writes into the shell's start file.",
)


def main() -> None:
    """The `tarsia` program: exit code 0, 2 for anything a user can mend, 129, 130 or 143 when asked to stop.

    Anything unforeseen is a traceback and exit code 1.
    """
    words = _in_options(sys.argv[1:])
    with console.worded(functools.partial(_with_flags, words[0] if words else "")):
        sys.exit(_exit_code(words))


def _in_options(words: list[str]) -> list[str]:
    """`help` and `help COMMAND`, as other programs take it, are the option --help."""
    return [*words[1:], "--help"] if words[:1] == ["help"] else words


def _with_flags(command: str, text: str) -> str:
    """What the library says, with the flags of `command` where it names its settings."""
    return in_flags(text, _flags_of(command)) if command in COMMANDS else text


@functools.cache
def _flags_of(command: str) -> dict[str, Flag]:
    return flags_of(app[command])


def _exit_code(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a letter is no reason to lose the result
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if words and words[0] in COMMANDS and words[0] != "train" and processes()[1] > 1:
            raise RecipeError(f"{words[0]}: torchrun is for `train` alone; start this by itself")
        code = app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (TarsiaError, CycloptsError) as error:
        console.complain(error)
        code = 2
    except MemoryError as error:
        console.complain(str(error) or "not enough memory: end other programs, or give it less at once")
        code = 2
    except KeyboardInterrupt:
        code = 130
    except (BrokenPipeError, SystemExit):  # the reader went away; rich raises the latter then, and nothing else does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = getattr(error, "exit_code", None)  # learning.interrupt.Interrupted, which needs no torch to be known
        if code is None:
            console.crash(error)
            return 1
        if processes()[0] == 0:  # several that stop together say it once
            console.complain(error)
    return code if isinstance(code, int) else 0

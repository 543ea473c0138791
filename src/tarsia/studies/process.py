"""Process: a call in a process of its own, so that its memory is its own and its end is nobody else's.

The processes are forked from a server that has only imported what they need: quick, and safe with threads and GPUs.
A pool (concurrent.futures) is broken for all calls to come once one is killed, as for want of memory.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tarsia import console
from tarsia.errors import TarsiaError
from tarsia.learning.interrupt import Interrupt, Interrupted

# What a training imports, at once or on its way.
IMPORTED = [
    "tarsia.training",
    "tarsia.models._encoders",
    "tarsia.evaluation.plots",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "torch.utils.tensorboard",
    "jinja2",
]
_POLL_SECONDS = 0.1
_LONGEST_MESSAGE = 4000  # well within what a pipe holds


def apart(function: Callable[..., str], *arguments: Any) -> str:
    """`function(*arguments)` in another process -> the text it returns.

    Raises TarsiaError with its message where it raised one, with the exception's type where it raised anything else
    (whose traceback is printed), and where the process was killed, as for memory; Interrupted, once it has ended, after
    SIGTERM or Ctrl-C.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, console.err.quiet, function, arguments))
    with Interrupt() as interrupt:
        process.start()
        theirs.close()
        passed_on = False
        while process.is_alive():
            process.join(_POLL_SECONDS)
            if interrupt.number is not None and not passed_on:
                # SIGTERM whatever came: a terminal sends Ctrl-C to both, and a second one would end it unsaved.
                process.terminate()
                passed_on = True
    with ours, contextlib.suppress(EOFError):  # killed: the pipe is closed, with nothing in it
        return _outcome(ours.recv(), interrupt.number, process.exitcode or 0)
    return _outcome(None, interrupt.number, process.exitcode or 0)


def _outcome(said: tuple[str, str, int] | None, asked: int | None, exit_code: int) -> str:
    kind, text, number = said or ("", "", 0)
    if kind == "interrupted" or asked is not None:
        number = asked if asked is not None else number
        raise Interrupted(number, text if kind == "interrupted" else "")
    if kind == "done":
        return text
    if kind == "failed":
        raise TarsiaError(text)
    what = f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with exit code {exit_code}"
    raise TarsiaError(f"{what}, and said nothing: was memory used up?")


def _run(answer: Connection, quiet: bool, function: Callable[..., str], arguments: tuple[Any, ...]) -> None:
    """What the other process does: whatever becomes of the call, `answer` gets one triple."""
    console.quiet(quiet)
    try:
        said = ("done", function(*arguments), 0)
    except Interrupted as stop:
        said = ("interrupted", str(stop), stop.number)
    except KeyboardInterrupt:
        said = ("interrupted", "", int(signal.SIGINT))
    except TarsiaError as error:
        said = ("failed", "; ".join(error.args), 0)
    except Exception as error:
        traceback.print_exc()
        said = ("failed", f"{type(error).__name__}: {error}", 0)
    answer.send((said[0], said[1][:_LONGEST_MESSAGE], said[2]))
    answer.close()

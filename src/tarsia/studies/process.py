"""Process: calls in processes of their own, so that the memory of each is its own and its end is nobody else's.

The processes are forked from a server that has only imported what they need: quick, and safe with threads and GPUs.
A pool (concurrent.futures) is broken for all calls to come once one is killed, as for want of memory.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tarsia import console, hardware
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


class Call(NamedTuple):
    """`function(*arguments)`, to be run in a process of its own; it returns a text."""

    function: Callable[..., str]
    arguments: tuple[Any, ...]


Work = Generator[Call, str, None]  # calls one after the other: it is sent what each returned, thrown what it raised


def carry_out(works: Iterable[Work], at_once: int = 1) -> None:
    """Do all of `works`, `at_once` of them at a time, each with its share of the cores and, of several, quietly.

    A call throws TarsiaError into its work, with the message where it raised one, with the exception's type where it
    raised anything else (whose traceback is printed), and where the process was killed, as for memory.  SIGTERM or
    Ctrl-C ends the calls that are under way, and no other begins: Interrupted, once the last of them has ended.
    """
    waiting, running = iter(works), dict[int, tuple[Work, _Running]]()
    stopped: Interrupted | None = None
    with Interrupt() as interrupt:
        while True:
            if interrupt.number is not None:
                for _, call in running.values():
                    call.stop()
            else:
                for place in range(at_once):
                    while place not in running and (work := next(waiting, None)) is not None:
                        _go_on(work, None, running, (place, at_once))
            if not running:
                break
            time.sleep(_POLL_SECONDS)
            for place, (work, call) in list(running.items()):
                if call.is_over():
                    del running[place]
                    outcome = call.outcome(interrupt.number)
                    stopped = outcome if isinstance(outcome, Interrupted) else stopped
                    _go_on(work, outcome, running, (place, at_once))
    if stopped is not None or interrupt.number is not None:
        raise stopped or Interrupted(interrupt.number or 0)


def _go_on(work: Work, outcome: str | Exception | None, running: dict[int, Any], share: tuple[int, int]) -> None:
    """Tell `work` what came of its last call, and begin the next one."""
    try:
        if isinstance(outcome, Exception):
            call = work.throw(outcome)
        else:
            call = next(work) if outcome is None else work.send(outcome)
    except (StopIteration, Interrupted):
        return
    running[share[0]] = (work, _Running(call, share))


class _Running:
    """A call under way; `share`: the place of its process among how many."""

    def __init__(self, call: Call, share: tuple[int, int]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self._ours, theirs = context.Pipe(duplex=False)
        quiet = console.err.quiet or share[1] > 1
        self._process = context.Process(target=_run, args=(theirs, quiet, share, call))
        self._process.start()
        theirs.close()
        self._stopped = False

    def is_over(self) -> bool:
        return not self._process.is_alive()

    def stop(self) -> None:
        """Ask it to end, once: by SIGTERM, for a terminal's Ctrl-C reaches it too, and a second one ends it unsaved."""
        if not self._stopped:
            self._process.terminate()
        self._stopped = True

    def outcome(self, asked: int | None) -> str | Exception:
        """What the call returned, or what is to be raised in its place; `asked`: the signal that all shall end by."""
        self._process.join()
        said = None
        with self._ours, contextlib.suppress(EOFError):  # killed: the pipe is closed, with nothing in it
            said = self._ours.recv()
        kind, text, number = said or ("", "", 0)
        if kind == "interrupted" or asked is not None:
            return Interrupted(asked if asked is not None else number, text if kind == "interrupted" else "")
        if kind == "done":
            return str(text)
        if kind == "failed":
            return TarsiaError(text)
        code = self._process.exitcode or 0
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return TarsiaError(f"{what}, and said nothing: was memory used up?")


def _run(answer: Connection, quiet: bool, share: tuple[int, int], call: Call) -> None:
    """What the other process does: whatever becomes of the call, `answer` gets one triple."""
    console.quiet(quiet)
    try:
        hardware.keep_to(*share)
        said = ("done", call.function(*call.arguments), 0)
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

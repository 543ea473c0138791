"""Worker processes of the loader: how they start and end, and the one error that comes of whatever stops them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import torch
from torch.utils.data import DataLoader

from tarsia.errors import TarsiaError, TrainingError
from tarsia.learning.interrupt import SIGNALS
from tarsia.plain_text import first_line
from tarsia.yaml_tree import as_override

# What torch and Linux say when a worker is gone, or when it has no memory to hand batches over in.
_SIGNS = (
    *("DataLoader worker", "shared memory(shm)", "shared memory object", "file </torch_", "ancdata"),
    *("Too many open files", "Cannot allocate memory"),
)


class Failure(NamedTuple):
    """An error on its way out of a worker: as a value, since torch would wrap it in a traceback of its own."""

    kind: type[TarsiaError]
    message: str
    trace: str

    @classmethod
    def of(cls, error: Exception, where: str) -> Failure:
        """A TarsiaError as it is; any other becomes a TrainingError that begins with `where`."""
        trace = "".join(traceback.format_exception(error))
        told = error if isinstance(error, TarsiaError) else dead_worker(error)
        if told is not None:
            return cls(type(told), str(told), trace)
        return cls(TrainingError, f"{where}: {type(error).__name__}: {error}", trace)

    def error(self) -> TarsiaError:
        """What the main process raises."""
        error = self.kind.__new__(self.kind, self.message)  # an __init__ may make its message of other arguments
        error.add_note(f"It came up here, perhaps in a worker process:\n{self.trace}")
        return error


def dead_worker(error: BaseException) -> TrainingError | None:
    """What to tell the user where `error` means that a worker process died; None where it means something else.

    torch notices a death by a signal, so the error may come up anywhere in the main process while a loader is open.
    """
    text = str(error)
    if not isinstance(error, RuntimeError | OSError) or not any(sign in text for sign in _SIGNS):
        return None
    return TrainingError(
        f"a worker process that reads pictures died, or cannot work ({first_line(error)}): the machine may be out "
        "of memory, or out of shared memory (/dev/shm; docker run --shm-size=2g); use fewer workers with "
        f"{as_override('train.workers=1')}, or none with {as_override('train.workers=0')}"
    )


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raise `dead_worker` of an error that has one."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        told = dead_worker(error)
        if told is None:
            raise
        raise told from error


def started(batches: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers of `batches` at once -> what they send.

    The iterator raises the error of a Failure among that, and TrainingError where a worker dies.
    """
    with explained(), _blocked(*SIGNALS):
        iterator = iter(batches)  # the workers' threads all inherit the block
    return _passed_on(iterator)


def set_up(_: int) -> None:
    """In a worker, as torch starts it: one thread of work; Ctrl-C and other signals, blocked here, are not for it.

    `timeout`, Slurm, systemd and a closed terminal signal every process of a job: workers that died of it would take
    the training down before it has saved.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """Leave on the parent's SIGTERM alone, which it sends to workers that are left over as it exits."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


@contextlib.contextmanager
def _blocked(*signals: int) -> Iterator[None]:
    """Hold signals to this thread back for a moment, and from the processes that it starts for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _passed_on(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        while True:
            with explained():
                batch = next(batches, None)
            if batch is None:
                return
            if isinstance(batch, Failure):
                raise batch.error()
            yield batch
    finally:
        del batches  # ends the workers, even where an error on its way keeps this frame

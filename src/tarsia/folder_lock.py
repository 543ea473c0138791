"""A folder that is written into has one writer: a lock that goes with the process which holds it, however it ends.

The lock is the kernel's (flock) on `.tarsia.lock` in the folder, so a killed process leaves none, though perhaps the
file.  What stands in the file, who and since when, is for people alone.  On NFS Linux makes a lock of the server's of
it, which holds between machines too; where a file system has no locks that is said, and nothing is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from pathlib import Path

from tarsia import console, environment
from tarsia.errors import OutputError
from tarsia.files import LOCK, remove_parts
from tarsia.plain_text import plain

# Which folders the call under way holds already: a command that calls another one is one writer.
_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class Busy(OutputError):
    """Another process writes into the folder."""


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Within, no other process or thread gets `folder`, which must exist; Busy where one has it already, and who.

    What a killed process was writing there, or in a folder in it, is removed.
    """
    where = Path(folder).resolve()
    if where in _HELD.get():
        yield
        return
    lock = _Lock(Path(folder))
    token = _HELD.set(_HELD.get() | {where})
    try:
        remove_parts([where], deep=True)
        yield
    finally:
        _HELD.reset(token)
        lock.release()


class _Lock:
    """The lock of a folder, taken."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._descriptor: int | None = None
        # A forked worker inherits the open file, and would hold the lock on when this process has been killed.
        os.register_at_fork(after_in_child=partial(_let_go, weakref.ref(self)))
        while not self._take(folder):
            pass

    def _take(self, folder: Path) -> bool:
        """False where the holder before has just removed the file that was opened."""
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}; choose another folder") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):  # a file system without locks
                console.note(
                    f"{plain(folder)}: its file system has no locks ({error.strerror}): see to it yourself that no "
                    "other process writes into it meanwhile"
                )
                return True
            self.close()
            raise Busy(f"{plain(folder)} is in use: {_holder(self._path)}") from None
        if not self._is_there():
            self.close()
            return False
        os.ftruncate(self._descriptor, 0)
        facts = {"command": environment.typed(), "process": os.getpid(), "host": platform.node()}
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        with contextlib.suppress(OSError):  # a full disk: for people alone
            os.write(self._descriptor, json.dumps(facts | {"since": since}).encode())
        return True

    def _is_there(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path, follow_symlinks=False))
        except OSError:
            return False

    def release(self) -> None:
        """Remove the file while it is still held, so that nobody can hold what is no longer there."""
        if self._descriptor is not None and self._is_there():
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _let_go(lock: weakref.ref[_Lock]) -> None:
    """In a forked process: close the file, which leaves the lock to the process that took it."""
    held = lock()
    if held is not None:
        held.close()


def _holder(path: Path) -> str:
    """Who holds a lock, in words, by what stands in its file."""
    advice = "wait until it has ended, or choose another folder"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        who = f"`{facts['command']}` (process {facts['process']} on {facts['host']}, since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"another process writes into it; {advice}"
    return f"{plain(who)} writes into it; {advice}"

"""A chunk in hand: that one process has it, and how often each piece of it was begun.

Both stand in `tries/chunk-000000.json`, locked (flock) by the process that has the chunk and removed when the chunk is
done.  A lock goes with its process however that ends, so what is there and not locked is of a process that was killed.
A piece that was begun twice and is not done is halved; a single picture gives up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tarsia.errors import OutputError
from tarsia.files import refusal
from tarsia.jobs.job import Job, tries_name

MOST = 2  # times that a piece is begun
Pieces = list[list[int]]  # [first, end, how often it was begun]


class Tries:
    """The pieces of a chunk that this process has."""

    def __init__(self, descriptor: int, path: Path, count: int) -> None:
        self._descriptor, self._path = descriptor, path
        self.pieces = _read(descriptor, count)
        self._in_hand: list[int] | None = None

    def begin(self, piece: list[int]) -> None:
        """A piece is about to be segmented; all before it are done."""
        self._in_hand = piece
        piece[2] += 1
        self._save()

    def take_back(self) -> None:
        """The piece in hand has failed, and its process lives: what is counted is the end of processes."""
        if self._in_hand is not None:
            self._in_hand[2] -= 1
            with contextlib.suppress(OutputError):  # a full disk, which is what it has failed of
                self._save()

    def halve(self, piece: list[int]) -> None:
        """Two halves in the place of a piece of several pictures."""
        first, end, _ = piece
        middle = (first + end) // 2
        place = self.pieces.index(piece)
        self.pieces[place : place + 1] = [[first, middle, 0], [middle, end, 0]]
        self._save()

    def _save(self) -> None:
        content = json.dumps(self.pieces).encode()
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:
            raise refusal(self._path, error) from error


@contextlib.contextmanager
def taken(job: Job, index: int) -> Iterator[Tries | None]:
    """Within, no other process of this machine, or of those that share the folder, has the chunk; None: one has it."""
    path = Path(job.folder.path, tries_name(index))
    descriptor = _open(path)
    try:
        if not _lock(descriptor) or not _is_there(descriptor, path):
            yield None
            return
        tries = Tries(descriptor, path, job.count(index))
        try:
            yield tries
        except BaseException:
            tries.take_back()
            raise
        if job.is_done(index):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise refusal(path, error) from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else a file system without locks
    return True


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether the file that is locked is not one that its holder before has just removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except OSError:
        return False


def _read(descriptor: int, count: int) -> Pieces:
    """The pieces in the file; the whole chunk where nothing stands there, begun once where it is not to be read."""
    content = os.pread(descriptor, 2**24, 0)
    if not content:
        return [[0, count, 0]]
    try:
        pieces = [[int(number) for number in piece] for piece in json.loads(content)]
        ends = [0, *(end for _, end, _ in pieces)]
        if [first for first, _, _ in pieces] == ends[:-1] and ends[-1] == count:
            return pieces
    except (ValueError, TypeError):
        pass
    return [[0, count, 1]]

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
from collections.abc import Callable, Iterator
from pathlib import Path

from tarsia.errors import OutputError
from tarsia.files import refusal
from tarsia.jobs.job import Job, tries_name
from tarsia.jobs.remote import RemoteFolder
from tarsia.jobs.storage import LocalFolder

MOST = 2  # times that a piece is begun
Pieces = list[list[int]]  # [first, end, how often it was begun]


class Tries:
    """The pieces of a chunk that this process has."""

    def __init__(self, pieces: Pieces, save: Callable[[Pieces], None]) -> None:
        self.pieces, self._keep = pieces, save
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
        self._keep(self.pieces)


@contextlib.contextmanager
def taken(job: Job, index: int, run: str) -> Iterator[Tries | None]:
    """Within, no other process of this machine, or of those that share the folder, has the chunk; None: one has it.

    In a store without locks many may have it.  There what is counted are the processes of one `run`: another's may
    live, and how it halved the chunk is as good as any.
    """
    name = tries_name(index)
    if isinstance(job.folder, LocalFolder):
        with _locked(job, job.folder.path / name, index) as tries, _counting(tries):
            yield tries
        return
    folder = job.folder

    def save(pieces: Pieces) -> None:
        folder.replace(name, json.dumps({"run": run, "pieces": pieces}).encode())

    tries = Tries(_of_run(folder, name, job.count(index), run), save)
    with _counting(tries):
        yield tries
    folder.remove(name)


@contextlib.contextmanager
def _counting(tries: Tries | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if tries is not None:
            tries.take_back()
        raise


@contextlib.contextmanager
def _locked(job: Job, path: Path, index: int) -> Iterator[Tries | None]:
    descriptor = _open(path)

    def save(pieces: Pieces) -> None:
        content = json.dumps(pieces).encode()
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        except OSError as error:
            raise refusal(path, error) from error

    try:
        if not _lock(descriptor) or not _is_there(descriptor, path):
            yield None
            return
        yield Tries(_pieces(os.pread(descriptor, 2**24, 0), job.count(index)), save)
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


def _of_run(folder: RemoteFolder, name: str, count: int, run: str) -> Pieces:
    try:
        kept = json.loads(folder.read(name))
        pieces = _pieces(json.dumps(kept["pieces"]).encode(), count)
    except (OSError, ValueError, KeyError, TypeError):
        return [[0, count, 0]]
    return pieces if kept.get("run") == run else [[first, end, 0] for first, end, _ in pieces]


def _pieces(content: bytes, count: int) -> Pieces:
    """The pieces that are kept; the whole chunk where nothing is, begun once where it is not to be read."""
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

"""Where a job and its pictures are kept: a folder of this machine, or of a file system that it shares.

A job's folder is asked for little, so that an object store (jobs/remote.py) can stand in its place: whole files by
short names, one of which may be created by one process alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from tarsia.errors import OutputError
from tarsia.files import refusal, remove_parts, writing
from tarsia.jobs.remote import URL, RemoteFolder


class LocalFolder:
    """A job's files below a folder, by names as `out/chunk-000012.parquet`."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def names(self, inside: str) -> Collection[str]:
        """The files of a folder in it; none where there is no such folder."""
        try:
            with os.scandir(self.path / inside) as entries:
                return {entry.name for entry in entries if not entry.name.startswith(".")}
        except FileNotFoundError:
            return set()

    def exists(self, name: str) -> bool:
        return (self.path / name).is_file()

    def finished(self, name: str) -> float:
        """When a file was put there, in seconds since 1970."""
        return (self.path / name).stat().st_mtime

    def read(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError where it is not there."""
        return (self.path / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """A file to read parts of; FileNotFoundError where it is not there."""
        return (self.path / name).open("rb")

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, in the place of what is there; NoRoomError where the disk is full."""
        with writing(self.path / name) as part:
            part.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; False, and nothing done, where it is, be it since a moment."""
        target = self.path / name
        part = target.parent / f".{target.name}.{secrets.token_hex(6)}.part"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise refusal(target, error) from error
        finally:
            part.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def clean(self, *inside: str) -> None:
        """Remove what killed processes were writing into these folders, and nothing that is being written."""
        remove_parts(self.path / name for name in inside)

    def make(self) -> None:
        """Make the folder; OutputError where it cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made a folder ({error.strerror}); choose another") from error


Folder = LocalFolder | RemoteFolder


def folder_of(path: str | Path) -> Folder:
    """A job's folder: a path, or a URL that fsspec knows."""
    return RemoteFolder(str(path)) if URL.match(str(path)) else LocalFolder(path)

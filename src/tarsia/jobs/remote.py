"""A job's folder, and pictures, in an object store or behind any other address that fsspec knows.

What a file there is, it is in one step: it is put under its name by one request, on the condition that there is none.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from tarsia.errors import ImageError, OutputError, TarsiaError, needs
from tarsia.pictures.files import shown
from tarsia.pictures.find import SUFFIXES

URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


class RemoteFolder:
    """As `LocalFolder`, below a URL as s3://bucket/jobs/june."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def __str__(self) -> str:
        return self.url

    def names(self, inside: str) -> Collection[str]:
        try:
            found = self._system.ls(self._path(inside), detail=False)
        except FileNotFoundError:
            return set()
        return {str(path).rstrip("/").rpartition("/")[2] for path in found}

    def exists(self, name: str) -> bool:
        return bool(self._system.exists(self._path(name)))

    def finished(self, name: str) -> float:
        return float(self._system.modified(self._path(name)).timestamp())

    def read(self, name: str) -> bytes:
        content: bytes = self._system.cat_file(self._path(name))
        return content

    def open(self, name: str) -> BinaryIO:
        file: BinaryIO = self._system.open(self._path(name), "rb")
        return file

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all; one that is there has the same bytes, and stays."""
        self.create(name, content)

    def create(self, name: str, content: bytes) -> bool:
        try:
            self._system.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)  # nothing, in an object store
            self._system.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise OutputError(f"cannot write {self.url}/{name}: {_reason(error)}") from error
        return True

    def replace(self, name: str, content: bytes) -> None:
        """Write a file in the place of what is there."""
        try:
            self._system.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(self._path(name), content)
        except Exception as error:
            raise OutputError(f"cannot write {self.url}/{name}: {_reason(error)}") from error

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def clean(self, *inside: str) -> None:
        """Nothing is left half written there."""

    def make(self) -> None:
        """A store has no empty folders."""

    @property
    def _system(self) -> Any:
        return system_of(self.url)

    def _path(self, name: str) -> str:
        return f"{self._system._strip_protocol(self.url)}/{name}"


def content_of(url: str) -> bytes:
    """What is behind a URL; ImageError, whose cause says whether to try again, where there is nothing to be had."""
    try:
        content: bytes = system_of(url).cat_file(url)
        return content
    except FileNotFoundError as error:
        raise ImageError(f"{shown(url)}: no such file") from error
    except TarsiaError:
        raise
    except Exception as error:  # each kind of store has errors of its own
        raise ImageError(f"{shown(url)}: cannot be read ({_reason(error)})") from error


def found_below(url: str) -> Iterator[str]:
    """The pictures below a URL that ends in a slash, as URLs, each folder's sorted; a folder's listing is held."""
    system = system_of(url)
    for folder, _, files in system.walk(url.rstrip("/")):
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield system.unstrip_protocol(f"{folder}/{name}")


@functools.lru_cache(maxsize=64)
def _system(protocol: str) -> Any:
    with needs(f"{protocol}://", "scale"):
        import fsspec
    try:
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:  # fsspec says which package knows that kind of address
        raise OutputError(f"{protocol}://: {error}") from error
    except ValueError as error:
        raise OutputError(f"{protocol}://: no kind of address that is known: {error}") from error


def system_of(url: str) -> Any:
    """The file system of fsspec behind a URL; OutputError where its package is not there."""
    return _system(url.partition("://")[0])


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Which files of a folder are pictures: the one walk, and the one set of suffixes, of every command."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from tarsia.card import Spec

ARRAY_SUFFIX = ".npy"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".jp2", ".bmp", ".gif", ".avif"}
    | {".heic", ".heif", ".hif", ".ppm", ".pgm", ".pnm", ".pbm"}
)  # what a folder is searched for; a file named outright is read whatever its suffix
BLOCK = 10_000  # entries of a folder that are sorted together


def suffixes(spec: Spec) -> frozenset[str]:
    """What a folder is searched for: pictures, and arrays where pictures are not 8-bit RGB."""
    return SUFFIXES if spec.plain else SUFFIXES | {ARRAY_SUFFIX}


def walk(
    folder: str | Path,
    suffixes: Collection[str] = SUFFIXES,
    left_out: Iterable[str | Path] = (),
    recursive: bool = True,
    refused: Callable[[OSError], None] | None = None,
) -> list[str]:
    """Files below `folder` with one of the suffixes (lower case) as paths relative to it, sorted, hidden ones left out.

    Links to folders are followed, but each real folder is entered once, none of `left_out` and none that contains
    `folder`.  `refused` is told of folders that cannot be read.
    """
    return sorted(stream(folder, suffixes, left_out, recursive, refused))


def stream(
    folder: str | Path,
    suffixes: Collection[str] = SUFFIXES,
    left_out: Iterable[str | Path] = (),
    recursive: bool = True,
    refused: Callable[[OSError], None] | None = None,
    block: int = BLOCK,
) -> Iterator[str]:
    """What `walk` finds, one by one, while folders are read; memory follows the number of folders, not of files.

    The order is that of `walk` where no folder has more than `block` entries.  Of one that has more, each `block` of
    them, as the file system lists them, is sorted by itself.
    """
    start = os.path.realpath(folder)
    seen = {start, *map(os.path.realpath, left_out)}

    def enter(directory: str) -> bool:
        inside = os.path.realpath(directory)
        if inside in seen or Path(start).is_relative_to(inside):
            return False
        seen.add(inside)
        return True

    def inside(directory: str, below: str) -> Iterator[str]:
        for entries in _listed(directory, block, refused):
            # All of the folders here before any that is linked to from within one of them.
            folders = [name for name in entries if recursive and name.endswith(os.sep)]
            entered = {name for name in folders if enter(os.path.join(directory, name))}
            for name in entries:
                if name in entered:
                    yield from inside(os.path.join(directory, name.removesuffix(os.sep)), below + name)
                elif os.path.splitext(name)[1].lower() in suffixes:  # a folder's name has none: it ends in a slash
                    yield below + name

    return inside(os.fspath(folder), "")


def _listed(directory: str, block: int, refused: Callable[[OSError], None] | None) -> Iterator[list[str]]:
    """What is in a folder, hidden entries aside, sorted by blocks; folders end in a slash, as in their files' paths."""
    try:
        with os.scandir(directory) as entries:
            visible = (_slashed(entry) for entry in entries if not entry.name.startswith("."))
            while found := sorted(itertools.islice(visible, block)):
                yield found
    except OSError as error:
        if refused is not None:
            refused(error)


def _slashed(entry: os.DirEntry[str]) -> str:
    try:
        return entry.name + os.sep if entry.is_dir() else entry.name
    except OSError:  # a link in a circle
        return entry.name


def pictures_in(
    folder: str | Path,
    spec: Spec,
    left_out: Iterable[str | Path] = (),
    recursive: bool = True,
    refused: Callable[[OSError], None] | None = None,
) -> Iterator[str]:
    """As `stream`, what are pictures of `spec`: of those whose bands are files of their own the first one's file."""
    found = stream(folder, suffixes(spec), left_out, recursive, refused)
    return (one for one in found if not spec.files or spec.stem_of(os.path.join(folder, one)) is not None)


def looked_for(spec: Spec) -> str:
    """What a folder is searched for, in words."""
    return spec.files[0].file if spec.files else ", ".join(sorted(suffixes(spec)))

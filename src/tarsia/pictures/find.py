"""Which files of a folder are pictures: the one walk, and the one set of suffixes, of every command."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from tarsia.card import Spec

ARRAY_SUFFIX = ".npy"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".jp2", ".bmp", ".gif", ".avif"}
    | {".heic", ".heif", ".hif", ".ppm", ".pgm", ".pnm", ".pbm"}
)  # what a folder is searched for; a file named outright is read whatever its suffix


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
    start = os.path.realpath(folder)
    seen = {start, *map(os.path.realpath, left_out)}

    def enter(directory: str) -> bool:
        inside = os.path.realpath(directory)
        if inside in seen or Path(start).is_relative_to(inside):
            return False
        seen.add(inside)
        return True

    found = []
    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        visible = [name for name in sorted(folders) if recursive and not name.startswith(".")]
        folders[:] = [name for name in visible if enter(os.path.join(place, name))]
        chosen = (name for name in files if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes)
        found += [os.path.relpath(os.path.join(place, name), folder) for name in chosen]
    return sorted(found)

"""What is named on the command line -> pictures, and the names of their results.

NAME is a file's name without its suffix; for a picture found in a folder, its path below that folder.  Where results of
two pictures would meet (x.jpg and x.png), these keep their suffix (x.jpg.png, x.png.png); where that is not enough, as
for two x.jpg of different folders, the later ones end in -2, -3 ... in the order they were given.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tarsia.card import Spec
from tarsia.errors import ImageError, OutputError
from tarsia.output.what_to_write import FILES, WhatToWrite
from tarsia.pictures.files import shown
from tarsia.pictures.find import suffixes, walk
from tarsia.pictures.reader import RGB

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})
ENDINGS = {
    "picture": {
        "label": ".png",
        "overlay": "_overlay.jpg",
        "confidence": "_confidence.png",
        "geojson": ".geojson",
        "labelme": ".json",
        "attention": "_attention.jpg",
    },
    "raster": {
        "label": ".tif",
        "overlay": "_overlay.jpg",
        "confidence": "_confidence.tif",
        "geojson": ".geojson",
        "labelme": ".json",
    },
    "video": {"overlay": "_overlay.mp4", "label": "_frames"},  # a folder of label maps
}
_RASTERS = frozenset({".tif", ".tiff", ".jp2", ".j2k"})  # what may lie on earth
_LONGEST_NAME_BYTES = 255  # of one file name, on every file system in use

Failed = list[tuple[Path, str]]


@dataclass(frozen=True)
class Source:
    """One thing to segment; `medium` is picture, raster (on earth, or a huge TIFF) or video (file or camera)."""

    path: Path
    relative: str  # below the folder that was searched; the file's name for a file given itself
    medium: str = "picture"
    name: str = ""  # NAME of the results

    def output(self, out: Path, kind: str) -> Path:
        """Where its result of a kind goes."""
        return out / (self.name + ENDINGS[self.medium][kind])

    def outputs(self, out: Path, what: WhatToWrite) -> list[Path]:
        """Where its results go, of the kinds that there are of its medium."""
        return [self.output(out, kind) for kind in ENDINGS[self.medium] if kind in what.kinds(self.medium)]


def find(
    words: Sequence[str | Path],
    out: Path,
    recursive: bool,
    failed: Failed,
    is_raster: Callable[[Path, Spec], bool],
    spec: Spec = RGB,
    no_pictures: Callable[[Path, Sequence[str]], Collection[str]] = lambda folder, names: (),
) -> list[Source]:
    """Every picture once, in the order of `words`, each folder's sorted; what has none is added to `failed`.

    A word is a file, a folder, a pattern (`photos/*.jpg`, `**` for folders at any depth), `@FILE` with a word a line,
    or a number, which is a camera.  What is there by that very name is never taken for anything else.  `spec`: of
    the pictures that are wanted.  `no_pictures`: which of the files found in a folder, by their paths in it, are none.
    """
    found: dict[str, Source] = {}

    def add(path: Path, relative: str) -> None:
        if os.path.abspath(path) not in found:
            found[os.path.abspath(path)] = Source(path, relative, _medium(path, is_raster, spec))

    def refused(error: OSError) -> None:
        failed.append((Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for path in _expanded(words, failed):
        if is_camera(path):
            found.setdefault(str(path), Source(path, f"camera-{path}", "video"))
            continue
        if not os.path.isdir(path):  # a file that is missing fails when its turn comes
            add(path, path.name)
            continue
        if out.exists() and real(out) == real(path):
            raise OutputError(f"{out}: results would lie among the pictures; choose an `out` of its own")
        inside = walk(path, suffixes(spec), (out,), recursive, refused)
        if not inside:
            failed.append((path, f"no pictures in this folder; looked for {', '.join(sorted(suffixes(spec)))}"))
        left_out = frozenset(no_pictures(path, inside))
        for relative in (one for one in inside if one not in left_out):
            add(path / relative, relative)
    return list(found.values())


def is_camera(path: Path) -> bool:
    """Whether a word is a camera's number."""
    return str(path).isdecimal() and str(path).isascii() and not os.path.lexists(path)


def named(sources: Sequence[Source], failed: Failed, save: Sequence[str]) -> list[Source]:
    """The sources with the NAMEs of their results, as the module's docstring says; no result twice, whatever the case.

    Names too long for a result's are added to `failed`.
    """
    folders = {_same(str(parent)) for source in sources for parent in Path(source.relative).parents}
    taken = set(map(_same, FILES.values())) if "labelme" in save else set()

    def results(name: str, medium: str) -> set[str]:
        return {_same(name + ending) for ending in ENDINGS[medium].values()}

    def free(name: str, medium: str) -> bool:
        return not any(result in taken or result in folders for result in results(name, medium))

    stems = [str(Path(source.relative).with_suffix("")) for source in sources]
    counts = Counter(map(_same, stems))
    names: dict[int, str] = {}
    for index, (stem, source) in enumerate(zip(stems, sources, strict=True)):
        if counts[_same(stem)] == 1 and free(stem, source.medium):
            names[index] = stem
            taken |= results(stem, source.medium)
    chosen = []
    for index, source in enumerate(sources):
        name, count = names.get(index, source.relative), 1
        while index not in names and not free(name, source.medium):
            count += 1
            name = f"{source.relative}-{count}"
        taken |= results(name, source.medium)
        endings = [ending for kind, ending in ENDINGS[source.medium].items() if kind in ("overlay", *save)]
        if len(os.fsencode(Path(name).name)) + max(map(len, endings)) > _LONGEST_NAME_BYTES:
            failed.append((source.path, "its name is too long for the results' names; give it a shorter one"))
        else:
            chosen.append(replace(source, name=name))
    return chosen


def check_outputs(planned: Sequence[Path], sources: Sequence[Source], out: Path) -> None:
    """Make `out`; OutputError where results would leave it or replace a source."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{shown(out)}: cannot be made a folder ({error.strerror}); choose another `out`") from error
    real_out = real(out)
    originals = {real(source.path) for source in sources}
    for path in planned:
        target = real(path.parent) / path.name
        if not target.is_relative_to(real_out):
            raise OutputError(f"{shown(path)}: a link leads out of {shown(out)}; choose another `out`")
        if target in originals:
            raise OutputError(f"{shown(path)}: a result would replace this picture; choose another `out`")


def real(path: Path) -> Path:
    """The path without links; unlike Path.resolve it says nothing against links that run in a circle."""
    return Path(os.path.realpath(path))


def text(path: str | Path) -> str:
    """A path for a JSON file: as it is, but for bytes that are no text in any encoding."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _expanded(words: Sequence[str | Path], failed: Failed) -> Iterator[Path]:
    for word in map(str, words):
        if os.path.lexists(word):
            yield Path(word)
        elif word.startswith("@"):
            yield from _expanded(_listed(Path(word[1:])), failed)
        elif glob.has_magic(word):
            matching = sorted(glob.glob(word, recursive=True))
            if not matching:
                failed.append((Path(word), "nothing matches this pattern"))
            yield from map(Path, matching)
        else:
            yield Path(word)


def _listed(path: Path) -> list[str]:
    """The lines of a list file; lists in lists are not followed."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise ImageError(f"@{shown(path)}: the list cannot be read ({error.strerror})") from error
    words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    inner = next((word for word in words if word.startswith("@") and not os.path.lexists(word)), None)
    if inner:
        raise ImageError(f"@{shown(path)}: names another list ({shown(inner)}); name that one on the command line")
    return words


def _medium(path: Path, is_raster: Callable[[Path, Spec], bool], spec: Spec) -> str:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "video"
    return "raster" if path.suffix.lower() in _RASTERS and is_raster(path, spec) else "picture"


def _same(name: str) -> str:
    """What two names share that some file system would not tell apart."""
    return unicodedata.normalize("NFC", name).casefold()

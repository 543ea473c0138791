"""What is named on the command line -> pictures, and where their results go by their NAMEs (output/naming.py)."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tarsia.card import Spec
from tarsia.errors import ImageError, OutputError
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import shown
from tarsia.pictures.find import BLOCK, looked_for, pictures_in
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

Failed = list[tuple[Path, str]]
NoPictures = Callable[[Path, Sequence[str], bool], Collection[str]]


@dataclass(frozen=True)
class Source:
    """One thing to segment; `medium` is picture, raster (on earth, or a huge TIFF) or video (file or camera).

    `called`: what the files of a picture are called that has several, one a band.
    """

    path: Path
    relative: str  # below the folder that was searched; the file's name for a file given itself
    medium: str = "picture"
    name: str = ""  # NAME of the results
    place: int = -1  # among all of a run
    called: str = ""

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
    no_pictures: NoPictures = lambda folder, names, all_of_them: (),
) -> Iterator[Source]:
    """The pictures in the order of `words`, each folder's sorted (as pictures/find.py says), one by one.

    What has none is added to `failed`.  One that is named twice comes twice.

    A word is a file, a folder, a pattern (`photos/*.jpg`, `**` for folders at any depth), `@FILE` with a word a line,
    or a number, which is a camera.  What is there by that very name is never taken for anything else.  `spec`: of
    the pictures that are wanted.  `no_pictures`: which of the files found in a folder, by their paths in it, are none;
    where there are too many for that at once it is asked for some, and told that these are not all.
    """

    def refused(error: OSError) -> None:
        failed.append((Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for path in _expanded(words, failed):
        if is_camera(path):
            yield Source(path, f"camera-{path}", "video")
            continue
        if not os.path.isdir(path):  # a file that is missing fails when its turn comes
            path = spec.first_of(path)  # as of a pattern, that finds all bands
            yield Source(path, path.name, _medium(path, is_raster, spec), called=_called(path, path.name, spec))
            continue
        refuse_among_pictures(path, out)
        inside, some = pictures_in(path, spec, (out,), recursive, refused), False
        while names := list(itertools.islice(inside, BLOCK)):
            all_of_them, some = not some and len(names) < BLOCK, True
            left_out = frozenset(no_pictures(path, names, all_of_them))
            for relative in (one for one in names if one not in left_out):
                one = path / relative
                yield Source(one, relative, _medium(one, is_raster, spec), called=_called(one, relative, spec))
        if not some:
            failed.append((path, f"no pictures in this folder; looked for {looked_for(spec)}"))


def check_words(words: Sequence[str | Path], out: Path) -> None:
    """ImageError for a list that cannot be read, OutputError where results would lie in a folder of pictures."""
    for word in map(str, words):
        if os.path.isdir(word):
            refuse_among_pictures(Path(word), out)
        elif word.startswith("@") and not os.path.lexists(word):
            next(_listed(Path(word[1:])), None)


def refuse_among_pictures(folder: Path, out: Path) -> None:
    """OutputError where `folder`, of pictures, is where results go."""
    if out.exists() and real(out) == real(folder):
        raise OutputError(f"{out}: results would lie among the pictures; choose an `out` of its own")


def _called(path: Path, relative: str, spec: Spec) -> str:
    """The name of a picture of several files, below the folder that was searched; "" for one of a single file."""
    stem = spec.stem_of(path)
    if stem is None:
        return ""
    parents = Path(relative).parent.parts
    return str(Path(*parents[: max(0, len(parents) - len(Path(spec.files[0].folder).parts))], stem))


def is_camera(path: Path) -> bool:
    """Whether a word is a camera's number."""
    return str(path).isdecimal() and str(path).isascii() and not os.path.lexists(path)


class Checked:
    """Whether results may be where they shall: within `out`, made a folder, and in no picture's place."""

    def __init__(self, out: Path) -> None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made a folder ({error.strerror})"
            raise OutputError(f"{shown(out)}: {reason}; choose another `out`") from error
        self._out, self._real = out, real(out)
        self._originals: set[Path] = set()  # pictures within `out`
        self._parents: dict[Path, Path] = {}

    def note(self, source: Source) -> None:
        """A picture, which no result may replace."""
        path = self._parent(source.path.parent) / source.path.name
        where = real(path) if path.is_symlink() else path
        if where.is_relative_to(self._real):
            self._originals.add(where)

    def check(self, path: Path) -> None:
        """OutputError where a result would leave `out`, or replace a picture that was noted."""
        target = self._parent(path.parent) / path.name
        if not target.is_relative_to(self._real):
            raise OutputError(f"{shown(path)}: a link leads out of {shown(self._out)}; choose another `out`")
        if target in self._originals:
            raise OutputError(f"{shown(path)}: a result would replace this picture; choose another `out`")

    def _parent(self, folder: Path) -> Path:
        if folder not in self._parents:
            self._parents[folder] = real(folder)
        return self._parents[folder]


def real(path: Path) -> Path:
    """The path without links; unlike Path.resolve it says nothing against links that run in a circle."""
    return Path(os.path.realpath(path))


def text(path: str | Path) -> str:
    """A path for a JSON file: as it is, but for bytes that are no text in any encoding."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _expanded(words: Iterable[str | Path], failed: Failed) -> Iterator[Path]:
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


def _listed(path: Path) -> Iterator[str]:
    """The lines of a list file; lists in lists are not followed."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            for word in (line.strip() for line in lines if not line.startswith("#")):
                if word.startswith("@") and not os.path.lexists(word):
                    reason = f"names another list ({shown(word)}); name that one on the command line"
                    raise ImageError(f"@{shown(path)}: {reason}")
                if word:
                    yield word
    except OSError as error:
        raise ImageError(f"@{shown(path)}: the list cannot be read ({error.strerror})") from error


def _medium(path: Path, is_raster: Callable[[Path, Spec], bool], spec: Spec) -> str:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "video"
    return "raster" if path.suffix.lower() in _RASTERS and is_raster(path, spec) else "picture"

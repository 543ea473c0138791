"""Images and labels on disk, matched by name, as a data set: what all but the drawn ones have in common."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tarsia.card import Classes
from tarsia.data._dataset import Sample, check_sample
from tarsia.data._labels import LabelTable
from tarsia.errors import DatasetError, nearest
from tarsia.pictures.bands import open_bands
from tarsia.pictures.files import ARRAY_SUFFIX
from tarsia.pictures.labels import read_label

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".ppm", ".pgm"))
BAND_SUFFIXES = SUFFIXES | {ARRAY_SUFFIX}  # where pictures are not RGB
_ADD_OR_MOVE = "add the missing files or move their partners away; names must be equal but for the file's suffix"
_SHOWN = 5  # names in an error message
_LOOKED_AT = 200  # folders of a parent that are tried where another one may have been meant
_LOOKED_INTO = 20  # of these, how many are opened
_LEVELS = 3  # upwards
_instead: ContextVar[Callable[..., list[Pair]] | None] = ContextVar("matching", default=None)


class Pair(NamedTuple):
    """An image and its label; `name` is their common path below their folders, without suffixes."""

    name: str
    image: str
    label: str


class PairedData:
    """Pairs of files as a data set: read, mapped by the table and checked one at a time."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        classes: Classes,
        table: LabelTable,
        domains: Sequence[str] = (),
        sequences: Sequence[str] = (),
        bands: int = 3,
    ) -> None:
        self.classes = classes
        self.bands = bands
        self.pairs = list(pairs)
        self.table = table
        self.domains = list(domains) or [""] * len(self.pairs)
        self.sequences = list(sequences) or [""] * len(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; ImageError or DatasetError naming the file where it is damaged or strange."""
        name, image, label = self.pairs[index]
        image_HWC = open_bands(image, self.bands)
        stored = self.read_label(label)
        if image_HWC.shape[:2] != stored.shape[:2]:
            raise DatasetError(
                f"{image} is {_size(image_HWC)} but its label {label} is {_size(stored)} (height x width): "
                "resize one of the two files, labels with nearest neighbour"
            )
        label_HW = self.table(stored, label)
        sample = Sample(image_HWC, label_HW, name, self.domains[index], self.sequences[index])
        return check_sample(sample, self.classes, self.bands)

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        return self.pairs[index].name

    def read_label(self, path: str) -> np.ndarray:
        """What stands in a label file: H x W values or H x W x 3 colours."""
        return read_label(path)

    def fingerprint(self) -> str:
        """Hex digest that changes with classes, table, bands and names, and with the size or date of any file."""
        table = [sorted(self.table.values.items()), sorted(self.table.colors.items())]
        more = () if self.bands == 3 else (self.bands,)
        digest = hashlib.sha256(repr((self.classes, table, *more)).encode())
        for index, (name, *paths) in enumerate(self.pairs):
            try:
                states = [os.stat(path) for path in paths]
            except OSError as error:
                raise DatasetError(f"{error.filename}: cannot be read ({error.strerror})") from error
            kept = [name, self.domains[index], self.sequences[index]]
            digest.update(repr([*kept, *((state.st_size, state.st_mtime_ns) for state in states)]).encode())
        return digest.hexdigest()


def match(
    images: Path,
    labels: Path,
    label_suffix: str = "",
    suffix_remedy: str = "",
    only: Sequence[str] | None = None,
    image_suffix: str = "",
    suffixes: Collection[str] = SUFFIXES,
) -> list[Pair]:
    """Every image below `images` with the label of the same name below `labels`, sorted by name.

    Labels carry `label_suffix` after the name and images `image_suffix`; others do not matter.  With `only`, just these
    names, and whatever else is there does not matter.  `suffixes`: what image files end in.  Raises DatasetError, one
    for all faults, where a folder is missing or empty, a name stands twice, an image has no label or a label no image.
    `suffix_remedy`: what to do where all labels turn out to have a suffix, `{found}`.
    """
    if (instead := _instead.get()) is not None:
        return instead(images, labels, label_suffix, suffix_remedy, only, image_suffix, suffixes)
    image_files = _by_name(images, beside=labels, suffixes=suffixes)
    label_files = _by_name(labels, beside=images)
    names_there = list(label_files)
    if label_suffix:
        if images.resolve() == labels.resolve():
            image_files = {name: path for name, path in image_files.items() if not name.endswith(label_suffix)}
        label_files = _with_suffix(label_files, label_suffix)
    image_files = _with_suffix(image_files, image_suffix)
    if only is not None:
        absent = [name for name in only if name not in image_files]
        if absent:
            raise DatasetError(f"{len(absent)} of {len(only)} listed names are not in {images}: {some(absent)}")
        image_files = {name: image_files[name] for name in only}
        label_files = {name: label_files[name] for name in only if name in label_files}
    if not image_files:
        named = f"names ending in {image_suffix} and " if image_suffix else ""
        looked = f"looked for {named}{', '.join(sorted(suffixes))}, subfolders too"
        raise DatasetError(f"{images}: no images found ({looked})")
    alone = sorted(image_files.keys() - label_files.keys())
    orphans = sorted(label_files.keys() - image_files.keys())
    if alone or orphans:
        found = _suffix_between(image_files, names_there) if len(alone) == len(image_files) else ""
        renamed = suffix_remedy.replace("{found}", found) or f"rename the labels without {found}"
        what = _unmatched(images, labels, alone, orphans, len(image_files), label_suffix)
        raise DatasetError(f"{what}.  Remedy: {renamed if found else _ADD_OR_MOVE}")
    return [Pair(name, image_files[name], label_files[name]) for name in sorted(image_files)]


@contextlib.contextmanager
def matching_by(instead: Callable[..., list[Pair]]) -> Iterator[None]:
    """Within, `match` is `instead`, called with the same arguments: for the doctor, who wants to see what is amiss."""
    token = _instead.set(instead)
    try:
        yield
    finally:
        _instead.reset(token)


def common_suffix(images: Path, labels: Path) -> str:
    """What all labels have after their image's name (as `_L`); "" where they have nothing or not the same."""
    return _suffix_between(_by_name(images, beside=labels), _by_name(labels, beside=images))


def require_root(root: str | Path | None, data: str, what: str) -> Path:
    """`root` as a path; DatasetError where none is given or nothing is there."""
    if root is None or not str(root):
        raise DatasetError(f"{data} needs a folder with {what}: write {data}:FOLDER, or data.root in the recipe")
    path = Path(root).expanduser()
    if not path.exists():
        siblings = [entry.name for entry in _folders(path.parent)]
        near = nearest(path.name, siblings)
        raise DatasetError(f"{path}: no such folder{near if near.startswith(', did') else ''} (expected {what})")
    return path


def require_folders(root: Path, folders: Sequence[str], reader: str) -> list[Path]:
    """`folders` below `root` as paths; DatasetError for missing ones: what is there, where they may be instead."""

    def whole(folder: Path) -> bool:
        return all((folder / name).is_dir() for name in folders)

    if not whole(root):
        lacking, below = [name for name in folders if not (root / name).is_dir()], _folders(root)
        apart = [f"{near.name}/{name} to {name}" for name in lacking for near in below if (near / name).is_dir()]
        hint = nearby(root, whole) if any(map(whole, below)) or not apart else f"; move or link {' and '.join(apart)}"
        held = "; ".join(dict.fromkeys(_held(root, name) for name in lacking))
        missing = " and ".join(f"no {name}/" for name in lacking)
        raise DatasetError(f"{root}: {missing}, which {reader} needs ({held}){hint}")
    return [root / name for name in folders]


def nearby(root: Path, fits: Callable[[Path], bool]) -> str:
    """`; did you mean PATH?` where a folder above, beside or below `root` is what was looked for, else ""."""
    absolute, below = root.absolute(), _folders(root)
    further = [folder for parent in below[:_LOOKED_INTO] for folder in _folders(parent)]
    tried = (*below, *absolute.parents[:_LEVELS], *further, *_folders(absolute.parent))
    found = [folder for folder in tried if fits(folder)]
    return f"; did you mean {found[0]}?" if found else ""


def read_names(path: Path) -> list[str]:
    """The names in a list file, one a line; blank lines and a picture's suffix do not count.

    Raises DatasetError where there is no such text, no name in it or a name twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: no list of names, one a line ({reason})") from error
    lines = [line for line in lines if line]
    names = [os.path.splitext(line)[0] if Path(line).suffix.lower() in BAND_SUFFIXES else line for line in lines]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or not names:
        raise DatasetError(f"{path}: {f'lists names twice: {some(twice)}' if twice else 'lists no names'}")
    return names


def some(names: Iterable[str]) -> str:
    """Up to five names, and how many more."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _unmatched(images: Path, labels: Path, alone: list[str], orphans: list[str], count: int, suffix: str) -> str:
    parts = []
    if alone:
        wanted = f" (as {alone[0]}{suffix}.png)" if suffix else ""
        which = f"all {count}" if len(alone) == count else f"{len(alone)} of {count}"
        parts.append(f"{which} images in {images} have no label in {labels}{wanted}: {some(alone)}")
    if orphans:
        parts.append(f"{len(orphans)} labels in {labels} have no image in {images}: {some(orphans)}")
    return "; ".join(parts)


def _with_suffix(files: dict[str, str], suffix: str) -> dict[str, str]:
    """The files whose names end in `suffix`, under their names without it."""
    return {name.removesuffix(suffix): path for name, path in files.items() if name.endswith(suffix)}


def _held(root: Path, name: str) -> str:
    """Which folders stand in the deepest folder on the way from `root` to `name`."""
    place = root / name
    while place != root and not place.is_dir():
        place = place.parent
    where = "there" if place == root else f"in {place.relative_to(root)}/"
    return f"folders {where}: {some(folder.name for folder in _folders(place)) or 'none'}"


def _suffix_between(images: Iterable[str], labels: Iterable[str]) -> str:
    """The one text that follows an image's name in every label's name, or ""."""
    known = set(images)
    found: set[str] = set()
    for label in labels:
        lengths = range(len(label), 0, -1)
        found.add(next((label[length:] for length in lengths if label[:length] in known), ""))
        if "" in found or len(found) > 1:
            return ""
    return found.pop() if found else ""


def _by_name(folder: Path, beside: Path, suffixes: Collection[str] = SUFFIXES) -> dict[str, str]:
    """Name (relative path without suffix) -> file, for every picture below `folder` but not below `beside`."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder" + nearby_name(folder))
    other = None if beside.resolve() == folder.resolve() else beside.resolve()
    found: dict[str, str] = {}
    twice: list[str] = []
    for path in _pictures(folder, other, suffixes):
        name = os.path.splitext(path[len(str(folder)) + 1 :])[0].replace(os.sep, "/")
        if name in found:
            twice.append(f"{found[name]} and {path}")
        found[name] = path
    if twice:
        raise DatasetError(f"{folder}: two files of one name: {some(twice)}.  Remedy: keep one of each")
    return found


def nearby_name(folder: Path) -> str:
    """`, did you mean X?` for a folder whose name is misspelt, else ""."""
    near = nearest(folder.name, [entry.name for entry in _folders(folder.parent)])
    return near if near.startswith(", did") else ""


def _pictures(folder: Path, left_out: Path | None, suffixes: Collection[str] = SUFFIXES) -> list[str]:
    """Files with one of `suffixes`, hidden ones left out; links to folders are followed, each folder once."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen or (left_out is not None and real == str(left_out)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            os.path.join(place, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    return sorted(found)


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            found = [parent / entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []
    return sorted(found)[:_LOOKED_AT]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"

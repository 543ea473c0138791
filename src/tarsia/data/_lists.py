"""List files of a split: a name a line, or an image and its label a line, as their publishers wrote the paths."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from tarsia.data._names import nfc
from tarsia.data._pairing import Pair, Pairing, require_complete
from tarsia.data._places import differing
from tarsia.errors import DatasetError
from tarsia.pictures.find import ARRAY_SUFFIX, SUFFIXES
from tarsia.plain_text import some

_KNOWN = SUFFIXES | {ARRAY_SUFFIX}
_ENDING = "|".join(sorted(re.escape(suffix) for suffix in _KNOWN))
_TWO = re.compile(rf"(.+?(?:{_ENDING}))\s*[\s,;]\s*(\S.*(?:{_ENDING}))", re.IGNORECASE)


def read_names(path: Path) -> list[str]:
    """The names in a list file, one a line; blank lines and a picture's suffix do not count.

    Raises DatasetError where there is no such text, no name in it or a name twice.
    """
    lines = _lines(path)
    names = [os.path.splitext(line)[0] if Path(line).suffix.lower() in _KNOWN else line for line in lines]
    return _once(path, names)


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """The lines of a list file that have an image and its label; [] where it has names.

    Raises DatasetError where some lines have two files and some have not, or an image stands there twice.
    """
    lines = _lines(path)
    found = [_TWO.fullmatch(line) for line in lines]
    if not any(found):
        return []
    if not all(found):
        line = lines[found.index(None)]
        raise DatasetError(f"{path}: {line!r} is no image with its label, as other lines have: write both, or names")
    pairs = [(one[1], one[2]) for one in found if one]
    _once(path, [image for image, _ in pairs])
    return pairs


def located(root: Path, text: str) -> Path | None:
    """The file that a list means, as `/SegNet/CamVid/train/a.png`: the longest end of it that is there below `root`."""
    parts = [part for part in PurePosixPath(text.replace("\\", "/")).parts if part not in ("/", ".")]
    if ".." in parts:
        return None
    ends = (root.joinpath(*parts[first:]) for first in range(len(parts)))
    return next((path for path in ends if path.is_file()), None)


def names_of(root: Path, paths: Sequence[Path]) -> list[str]:
    """The names of listed images: what distinguishes their paths, without suffix."""
    relative = [os.path.splitext(path.relative_to(root).as_posix())[0] for path in paths]
    folders = differing([f"{one.rpartition('/')[0]}/" for one in relative])
    return [
        f"{folder.rstrip('/')}/{one.rpartition('/')[2]}".lstrip("/")
        for folder, one in zip(folders, relative, strict=True)
    ]


def listed_pairs(root: Path, source: Path, rows: Sequence[tuple[str, str]], leave_out: Collection[str]) -> Pairing:
    """The images and labels that the list `source` names, wherever they are below `root`.

    Raises DatasetError where none of them is there.
    """
    found = [(located(root, image), located(root, label), image, label) for image, label in rows]
    names = iter(names_of(root, [image for image, *_ in found if image]))
    pairs: list[Pair] = []
    images_alone: list[str] = []
    absent: list[str] = []
    left_out = {nfc(name) for name in leave_out}
    for image, label, image_text, label_text in found:
        name = next(names) if image else image_text
        if nfc(name) in left_out:
            continue
        if image is None or label is None:
            absent.append(image_text if image is None else label_text)
            images_alone += [str(image)] if image else []
        else:
            pairs.append(Pair(name, str(image), str(label)))
    fault = f"{source}: {len(absent)} of the files that it lists are not below {root}: {some(absent)}" if absent else ""
    pairing = Pairing(sorted(pairs), images_alone, listed_alone=absent, fault=fault)
    if not pairs:
        require_complete(pairing)
    return pairing


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in map(str.strip, path.read_text(encoding="utf-8-sig").splitlines()) if line]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path}: no list of names, one a line ({reason})") from error


def _once(path: Path, names: list[str]) -> list[str]:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or not names:
        raise DatasetError(f"{path}: {f'lists names twice: {some(twice)}' if twice else 'lists no names'}")
    return names

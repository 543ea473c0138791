"""What stands in pictures and labels that belong together: numbers and colours with their shares, and what is bad."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tarsia import console
from tarsia.card import Spec
from tarsia.data._labels import Rgb
from tarsia.data._pairing import LABEL_SUFFIXES
from tarsia.doctor.perceptual_hash import Hashes, hashes
from tarsia.doctor.sample import FLAT, colors_of, distinct, thinned
from tarsia.errors import DatasetError, ImageError, TarsiaError
from tarsia.pictures import headers, reader
from tarsia.pictures.find import walk
from tarsia.pictures.labels import read_label

Stored = int | Rgb
SMEARED = 64  # values or colours in one label from which on it was smoothed, where most have fewer


@dataclass
class Label:
    """What one label holds."""

    path: str
    size: tuple[int, int]
    pixels: dict[Stored, int]
    colored: bool
    lossy: bool
    grey: bool  # of three equal channels


@dataclass
class Contents:
    """All labels that could be read, and their pictures.

    `pixels`, `labels`, `example`: of each number or colour its pixels, in how many labels it is and one of them.
    `spec`: how the pictures are read.  `bad`: pictures' paths with what is wrong.  `looks`: their hashes, by path.
    """

    pixels: Counter[Stored] = field(default_factory=Counter)
    labels: Counter[Stored] = field(default_factory=Counter)
    example: dict[Stored, str] = field(default_factory=dict)
    colored: int = 0
    plain: int = 0
    grey: int = 0  # of `colored`, those whose channels are equal
    lossy: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    looks: dict[str, Hashes] = field(default_factory=dict)
    palette: tuple[Rgb, ...] = ()
    smeared: list[Label] = field(default_factory=list)
    spec: Spec = reader.RGB

    @property
    def total(self) -> int:
        return sum(self.pixels.values())

    @property
    def smoothed(self) -> bool:
        """Whether most labels were saved with loss, or resized smoothly."""
        return len(self.smeared) > self.plain + self.colored - len(self.smeared)


def look_into(root: Path, pairs: Sequence[tuple[str, str]], joined: bool = False) -> Contents:
    """Reads every picture and label; nothing that they hold raises."""
    found = Contents(spec=_spec([root / picture for picture, _ in pairs]))
    drawn: list[tuple[str, Label]] = []
    for picture, label in console.track(pairs, len(pairs), "looking"):
        size = _picture(root, picture, found)
        if size is None:
            continue
        try:
            seen = _label(root / label, joined)
        except DatasetError as error:
            found.bad[picture] = _said(error, root / label)
            continue
        if seen.size != size:
            turned = seen.size == size[::-1]
            more = ": one of the two is turned" if turned else ""
            found.bad[picture] = f"the picture is {_text(size)}, its label {_text(seen.size)} (height x width){more}"
            continue
        drawn.append((picture, seen))
        found.plain += not seen.colored
        found.colored += seen.colored
        if len(seen.pixels) > SMEARED:
            found.smeared.append(seen)
    whole = found.smoothed
    for picture, seen in drawn:
        if len(seen.pixels) > SMEARED and not whole and (seen.colored or seen.lossy):
            what = "colours" if seen.colored else "values"
            found.bad[picture] = f"its label holds {len(seen.pixels):,} {what}: saved as JPEG, or resized smoothly"
        else:
            _count(found, seen)
    if drawn and not joined:
        found.palette = _palette(Path(drawn[0][1].path)) if not drawn[0][1].colored else ()
    return found


def _count(found: Contents, seen: Label) -> None:
    found.pixels.update(seen.pixels)
    found.labels.update(seen.pixels.keys())
    found.grey += seen.grey
    found.lossy += seen.lossy
    for one, pixels in seen.pixels.items():
        if pixels > 0:
            found.example.setdefault(one, os.path.basename(seen.path))


def _spec(pictures: Sequence[Path]) -> Spec:
    """How most of the pictures are to be read, by their headers: of how many bands, and in which kind of numbers.

    Four bands of which the last is transparency by its values are three.
    """
    shapes: Counter[tuple[int, str]] = Counter()
    example: dict[tuple[int, str], Path] = {}
    for path in pictures:
        with contextlib.suppress(ImageError):
            shape = headers.stored_bands(path), headers.stored_kind(path)
            shapes[shape] += 1
            example.setdefault(shape, path)
    if not shapes:
        return reader.RGB
    (bands, dtype), _ = shapes.most_common(1)[0]
    if bands in (1, 3):  # grey is shown to a network for colours as it is
        return Spec(dtype=dtype)
    if bands in (2, 4):
        with contextlib.suppress(ImageError):
            seen = reader.read(example[bands, dtype], Spec(dtype=dtype))
            if not seen.remarks:  # else of bands that were left out
                return Spec(dtype=dtype)
    return Spec(bands, dtype)


def _picture(root: Path, picture: str, found: Contents) -> tuple[int, int] | None:
    """The size of a picture, which is read whole; None where that cannot be done."""
    try:
        image_HWC = reader.read(root / picture, found.spec).values_HWC
    except ImageError as error:
        found.bad[picture] = _said(error, root / picture)
        return None
    thin = thinned(image_HWC)
    if thin.std() >= FLAT:
        found.looks[picture] = hashes(thin)
    else:
        found.bad[picture] = "the picture is of one colour"
    return image_HWC.shape[0], image_HWC.shape[1]


def _said(error: TarsiaError, path: Path) -> str:
    return str(error).removeprefix("label ").removeprefix(f"{path}: ").partition(";")[0]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _label(path: Path, joined: bool) -> Label:
    if not joined:
        try:
            return _of_stored(str(path), read_label(path), lossy=False)
        except DatasetError:
            return _of_stored(str(path), read_label(path, lossy=True), lossy=True)
    parts = [read_label(path / name, lossy=True) for name in walk(path, LABEL_SUFFIXES)]
    if len({part.shape for part in parts}) > 1:
        raise DatasetError(f"{path}: its masks differ in size")
    grey = [part[..., 0] if part.ndim == 3 else part for part in parts]
    return _of_stored(str(path), np.maximum.reduce(grey), lossy=False)


def _of_stored(path: str, stored: np.ndarray, lossy: bool) -> Label:
    colored = stored.ndim == 3
    grey = colored and bool((stored == stored[..., :1]).all())
    codes, _, counts = distinct(stored)
    kinds: list[Stored] = [colors_of(code) for code in codes] if colored else list(codes)
    size = stored.shape[0], stored.shape[1]
    return Label(path, size, dict(zip(kinds, counts, strict=True)), colored, lossy, grey)


def _palette(path: Path) -> tuple[Rgb, ...]:
    """The colours of a label's palette; none where it has no such."""
    try:
        with Image.open(path) as image:
            found = image.getpalette("RGB") if image.mode == "P" else None
    except (OSError, ValueError, SyntaxError):
        return ()
    flat = found or []
    return tuple((flat[k], flat[k + 1], flat[k + 2]) for k in range(0, len(flat) - 2, 3))

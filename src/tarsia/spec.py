"""What pictures are read as: bands, kind of numbers, range, and which files they lie in; of a card or a data set."""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from tarsia.plain_text import number

MAX_BANDS = 64  # of a picture
_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,20})?")  # of a card, whose text may be anyone's


class BandFile(BaseModel):
    """A band that lies in files of its own: its name, and what its files are called, `R20m/*_B05_20m.jp2`.

    What `*` stands for is the picture's name, the same in the files of all its bands.  A folder before it is relative
    to the one that the others' are relative to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    file: Annotated[str, Field(max_length=1000)]

    @field_validator("file")
    @classmethod
    def _a_pattern(cls, file: str) -> str:
        path = PurePosixPath(file)
        if "\\" in file or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{file}: expected a file's name, or folder/name, with forward slashes and no ..")
        if file.count("*") != 1 or "*" not in path.name or "?" in file or "[" in file:
            raise ValueError(f"{file}: expected one * for the picture's name, in the file's name, as *_B02.tif")
        return file

    @property
    def folder(self) -> str:
        """What stands before the file's name; "" for nothing."""
        parent = PurePosixPath(self.file).parent.as_posix()
        return "" if parent == "." else parent

    @property
    def ends(self) -> tuple[str, str]:
        """What the file's name has before and after the picture's."""
        before, _, after = PurePosixPath(self.file).name.partition("*")
        return before, after

    def stem_of(self, path: str | Path) -> str | None:
        """What `*` stands for in a path; None where that is no file of this band."""
        (before, after), found = self.ends, Path(path).name
        inside = not self.folder or self._parent(path).as_posix().endswith(f"/{self.folder}")
        fits = len(found) > len(before) + len(after) and found.startswith(before) and found.endswith(after)
        return found[len(before) : len(found) - len(after)] if fits and inside else None

    def base_of(self, path: str | Path) -> Path:
        """The folder that the patterns of all bands are relative to, of a file of this band."""
        parent = self._parent(path)
        return parent.parents[len(PurePosixPath(self.folder).parts) - 1] if self.folder else parent

    def at(self, base: Path, stem: str) -> Path:
        """The file of a picture called `stem`."""
        before, after = self.ends
        return base / self.folder / f"{before}{stem}{after}"

    def _parent(self, path: str | Path) -> Path:
        return Path(os.path.abspath(path) if self.folder else path).parent


def clash(files: Sequence[BandFile]) -> str:
    """What is wrong with the bands' names and patterns together; "" where nothing is."""
    names = [one.name for one in files]
    if len(set(names)) < len(names):
        return "band names repeat: give each band a name of its own"
    for k, one in enumerate(files):
        for other in files[k + 1 :]:
            (before, after), (their_before, their_after) = one.ends, other.ends
            begin = before.startswith(their_before) or their_before.startswith(before)
            end = after.endswith(their_after) or their_after.endswith(after)
            if begin and end and not (one.folder and other.folder and one.folder != other.folder):
                return f"{one.file} and {other.file} fit the same file: say more of what their names end in"
    return ""


def _float32(value: float) -> float:
    """The nearest float32, by Python alone, which reads cards; OverflowError beyond the largest."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _percent(text: str) -> Fraction:
    """Of a percentile's text; ValueError where it is none."""
    found = Fraction(text) if _DECIMAL.fullmatch(text) else Fraction(-1)
    if not 0 <= found <= 100:
        raise ValueError(f"percentile {text[:20]!r}: expected a decimal number, 0 to 100")
    return found


class Range(BaseModel):
    """Which values become 0 and 255, for each band (pictures/ranges.py), and how that was decided.

    `percentiles` of the values of the train split's `pixels`, of each band or of all together; `below` and `above`: how
    many values of each band lie beyond.  The rule `picture`: percentiles of each whole picture, so there is no more
    than these to say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["limits", "fixed", "percentiles", "picture"]
    low: tuple[float, ...] = Field((), max_length=MAX_BANDS)
    high: tuple[float, ...] = Field((), max_length=MAX_BANDS)
    percentiles: tuple[str, str] | None = None
    per: Literal["band", "all"] | None = None
    pixels: int | None = None
    below: tuple[int, ...] = ()
    above: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _rises(self) -> Range:
        if self.by_picture:
            if self.percentiles is None or self.per is None or self.low or self.high:
                raise ValueError("of each picture: expected percentiles and per, and neither low nor high")
            lower, upper = map(_percent, self.percentiles)
            if lower >= upper:
                raise ValueError(f"percentile {self.percentiles[0]} is not below {self.percentiles[1]}")
            return self
        if not self.low:
            raise ValueError("low: no values")
        if len(self.low) != len(self.high):
            raise ValueError(f"{len(self.low)} values of low and {len(self.high)} of high")
        for low, high in zip(self.low, self.high, strict=True):
            try:
                step = _float32((_float32(high) - _float32(low)) / 255)
            except OverflowError:
                step = 0.0
            if not 0 < step < math.inf:
                raise ValueError(f"low {low:g} and high {high:g}: expected low below high, both float32")
        return self

    @property
    def by_picture(self) -> bool:
        """Whether each picture has a range of its own."""
        return self.rule == "picture"

    @model_serializer(mode="wrap")
    def _as_said(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of each picture, without what only a range that is known has."""
        found: dict[str, Any] = serialize(self)
        return {name: found[name] for name in ("rule", "percentiles", "per")} if self.by_picture else found


@dataclass(frozen=True)
class Spec:
    """What a model, or a data set, takes pictures as (pictures/reader.py).

    `bands`: how many.  `dtype`: uint8, uint16, int16 or float32.  `alpha`: what a sample beyond the bands is: "none",
    "last" (where it is 0 there is no data), "drop"; None: by its values.  `take`: which samples of a file are the
    bands, counted from 1.  `nodata`: the value of no data; "none": there is none, whatever a file's tag says.
    `bits`: how many the values use where they are stored in more (uint16; None: as each file says).
    `low`: what other kinds than uint8 hold where there is no data, for each band; as stored where it is empty.
    `files`: the bands that lie in a file each; the first one's file stands for the picture.  `harmonise`: "sentinel2":
    on the scale of its later products (pictures/sentinel2.py).  `percentiles`: two of each picture's own values, which
    become 0 and 255, `per` "band" or "all" of them together; empty where all pictures have one range, or none.
    """

    bands: int = 3
    dtype: str = "uint8"
    alpha: str | None = None
    take: tuple[int, ...] = ()
    nodata: str | float | None = None
    low: tuple[float, ...] = ()
    bits: int | None = None
    files: tuple[BandFile, ...] = ()
    harmonise: str | None = None
    percentiles: tuple[str, ...] = ()
    per: str = ""

    @property
    def plain(self) -> bool:
        """Whether pictures are red, green and blue of 8 bits in one file, as a camera's."""
        return self.bands == 3 and self.dtype == "uint8" and not self.files

    @property
    def together(self) -> Spec:
        """For one file that holds a picture's bands together, with the values that it is read as."""
        return replace(self, files=(), harmonise=None)

    def stem_of(self, path: str | Path) -> str | None:
        """The name of the picture whose first band's file this is; None where it is none of several files."""
        return self.files[0].stem_of(path) if self.files else None

    def files_of(self, path: str | Path) -> list[Path]:
        """All files of the picture that `path` stands for, a band each; itself where it is the only one."""
        stem = self.stem_of(path)
        if stem is None:
            return [Path(path)]
        base = self.files[0].base_of(path)
        return [Path(path), *(one.at(base, stem) for one in self.files[1:])]

    def first_of(self, path: str | Path) -> Path:
        """The file that stands for the picture of which `path` is a band, where that is there; else `path` itself."""
        for one in self.files[1:]:
            stem = one.stem_of(path)
            if stem is not None and (first := self.files[0].at(one.base_of(path), stem)).is_file():
                return first
        return Path(path)

    def __str__(self) -> str:
        """`4 bands`, `3 bands of uint16`, `2 bands (B02, B05), a file each`."""
        kind = "" if self.dtype == "uint8" else f" of {self.dtype}"
        found = number(self.bands, "band") + kind + (f" ({self.bits} bits)" if self.bits else "")
        return f"{found}, a file each: {', '.join(one.name for one in self.files)}" if self.files else found

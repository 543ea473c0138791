"""What dataset.yaml says of how pictures are read: bands, kind of numbers, range, transparency, no data."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tarsia.card import MAX_BANDS, Range, Spec
from tarsia.errors import ImageError
from tarsia.pictures.find import ARRAY_SUFFIX, SUFFIXES
from tarsia.pictures.headers import Numbers, stored_numbers
from tarsia.pictures.sentinel2 import is_early
from tarsia.plain_text import number
from tarsia.spec import BandFile, clash


def _rising(found: tuple[float, float]) -> tuple[float, float]:
    if found[0] >= found[1]:
        raise ValueError(f"{found[0]:g} is not below {found[1]:g}")
    return found


_Percent = Annotated[float, Field(ge=0, le=100)]
_Taken = Annotated[int, Field(strict=True, ge=1, le=1024)]  # of a file's samples


_SCALES = {True: "baselines before 04.00", False: "baseline 04.00 or later", None: ""}


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Percentiles(_Node):
    """Which values become 0 and 255: at these percentiles of the train split, of each band or of all together."""

    percentiles: Annotated[tuple[_Percent, _Percent], AfterValidator(_rising)]
    per: Literal["band", "all"] | None = None


class OfPicture(_Node):
    """Which values become 0 and 255: at these percentiles of each picture, of each band or of all together."""

    picture: Annotated[tuple[_Percent, _Percent], AfterValidator(_rising)]
    per: Literal["band", "all"] | None = None


class Ends(_Node):
    """Which values become 0 and 255, one for all bands or one for each."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    @model_validator(mode="after")
    def _rise(self) -> Ends:
        low, high = (one if isinstance(one, tuple) else (one,) for one in (self.low, self.high))
        count = max(len(low), len(high))
        if {len(low), len(high)} <= {1, count}:
            Range(rule="fixed", low=low * (count // len(low)), high=high * (count // len(high)))
        return self


def of_picture(percentiles: Sequence[Any], per: str | None, bands: int) -> Range:
    """The rule of each picture's own range, as a card has it; `per` is chosen by the number of bands where not said."""
    lower, upper = (f"{Decimal(str(one)):f}" for one in percentiles)
    lower, upper = (one.rstrip("0").rstrip(".") if "." in one else one for one in (lower, upper))
    return Range.model_validate({"rule": "picture", "percentiles": (lower, upper), "per": per or usual_per(bands)})


def usual_per(bands: int) -> str:
    """Percentiles of all bands together where there are one or three, so that colours keep their balance; else each."""
    return "all" if bands in (1, 3) else "band"


def _which(value: object) -> str:
    """Which of the forms of a range is meant, so that the faults are of that one alone."""
    if isinstance(value, OfPicture) or (isinstance(value, dict) and "picture" in value):
        return "range[picture]"
    if isinstance(value, dict | BaseModel):
        percentiles = "percentiles" in value if isinstance(value, dict) else isinstance(value, Percentiles)
        return "range[percentiles]" if percentiles else "range[ends]"
    return "range[word]"


_Rule = Annotated[
    Annotated[Literal["limits"] | None, Tag("range[word]")]
    | Annotated[Percentiles, Tag("range[percentiles]")]
    | Annotated[OfPicture, Tag("range[picture]")]
    | Annotated[Ends, Tag("range[ends]")],
    Discriminator(_which),
]


def _known(found: tuple[BandFile, ...]) -> tuple[BandFile, ...]:
    if fault := clash(found):
        raise ValueError(fault)
    for one in found:
        if PurePosixPath(one.file).suffix.lower() not in SUFFIXES | {ARRAY_SUFFIX}:
            raise ValueError(f"{one.file}: expected the name of picture files, as *_B02.tif")
    return found


_Bands = Annotated[
    Annotated[int, Field(strict=True, ge=1, le=MAX_BANDS), Tag("bands[count]")]
    | Annotated[
        tuple[BandFile, ...],
        Field(min_length=1, max_length=MAX_BANDS),
        AfterValidator(_known),
        Tag("bands[files]"),
    ],
    Discriminator(lambda value: "bands[files]" if isinstance(value, list | tuple) else "bands[count]"),
]


class Reading(_Node):
    """The keys of dataset.yaml on how pictures are read (data/folder.py says what each means)."""

    bands: _Bands = 3
    dtype: Literal["uint8", "uint16", "int16", "float32"] | None = None
    bits: Annotated[int, Field(strict=True, ge=9, le=16)] | None = None
    range: _Rule = None
    alpha: Literal["none", "last", "drop"] | None = None
    take: Annotated[tuple[_Taken, ...], Field(min_length=1, max_length=MAX_BANDS)] | None = None
    nodata: Literal["none"] | float | None = None
    harmonise: Literal["sentinel2"] | None = None

    @model_validator(mode="after")
    def _bits_of_16(self) -> Reading:
        if self.bits is not None and self.dtype in ("int16", "float32"):
            raise ValueError(f"bits: of {self.dtype} all are used: leave `bits` out")
        if self.harmonise and self.dtype not in (None, "uint16"):
            raise ValueError(f"harmonise: of {self.dtype}, expected uint16, as products hold them: leave `dtype` out")
        if self.take and isinstance(self.bands, tuple):
            raise ValueError(
                "take: each band is a file of its own: leave `take` out, and list the files in their order"
            )
        return self

    @property
    def spec(self) -> Spec:
        """How pictures are read; of 8 bits where nothing is said of their numbers."""
        files = self.bands if isinstance(self.bands, tuple) else ()
        bands = len(self.take or files) or self.bands
        assert isinstance(bands, int)
        more: Any = {"bits": self.used_bits, "files": files, "harmonise": self.harmonise}
        if isinstance(self.range, OfPicture):
            rule = of_picture(self.range.picture, self.range.per, bands)
            more |= {"percentiles": rule.percentiles, "per": rule.per}
        return Spec(bands, self.dtype or "uint8", self.alpha, self.take or (), self.nodata, **more)

    @property
    def used_bits(self) -> int | None:
        """How many bits the values use, where that is said and fewer than they are stored in."""
        return None if self.bits == 16 else self.bits

    @property
    def range_rule(self) -> Any:
        """Which values become 0 and 255, as data/_range.py takes it; None where nothing is said."""
        return self.range if self.range is None or self.range == "limits" else self.range.model_dump()


def kinds(paths: Iterable[str | Path]) -> Counter[Numbers]:
    """How many pictures hold which numbers, by their headers; those that cannot be read are left aside."""
    found: Counter[Numbers] = Counter()
    for path in paths:
        with contextlib.suppress(ImageError):
            found[stored_numbers(path)] += 1
    return found


def several_kinds(found: Mapping[Numbers, int], said_bits: bool) -> str:
    """What is wrong with pictures of several kinds of numbers; empty where they are of one.

    `said_bits`: dataset.yaml says how many bits the values of all use, whatever the files say.
    """
    by_kind: Counter[str] = Counter()
    for one, count in found.items():
        by_kind[one.kind] += count
    if len(by_kind) > 1:
        return (
            f"pictures of several kinds of numbers ({_counts(by_kind)}): save all of one kind, or say which in "
            "dataset.yaml: dtype: uint8 takes 16 bits by their upper byte, dtype: float32 takes all as they are"
        )
    if len(found) > 1 and not said_bits:
        least, most = min(one.bits for one in found), max(one.bits for one in found)
        by_depth = Counter({f"{one.bits} bits": count for one, count in found.items()})
        return (
            f"pictures of several depths ({_counts(by_depth)}): say in dataset.yaml how many bits the values of all "
            f"use: bits: {least} where those of the others are on the same scale (a value beyond is an error), bits: "
            f"{most} to take all as stored; or save them with one depth"
        )
    return ""


def two_scales(paths: Iterable[str]) -> str:
    """What is wrong with pictures of Sentinel-2 products of both scales; empty where they are of one, or of none."""
    found: Counter[str] = Counter()
    for path in paths:
        with contextlib.suppress(ImageError):  # metadata that cannot be read are asked for with harmonise alone
            found[_SCALES[is_early(path)]] += 1
    del found[""]
    if len(found) < 2:
        return ""
    counts = ", ".join(f"{number(count, 'picture')} of {kind}" for kind, count in found.most_common())
    return (
        f"pictures of Sentinel-2 products on two scales ({counts}): say in dataset.yaml harmonise: sentinel2, which "
        "adds 1000 to the former, or leave one kind out"
    )


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{number(count, 'picture')} of {kind}" for kind, count in found.most_common())

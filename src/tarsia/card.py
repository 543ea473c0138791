"""The card: what a model file says of itself, readable without torch.

A model file is one .safetensors file: the weights, and in its header the card (JSON) and a sha256 over card and
weights.  `read_card` reads the header only; `engines/weights.py` writes the file and checks the sum.  Exported, it
is one .onnx file, with card and sum in its metadata (`engines/onnx_file.py`).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from tarsia import formerly
from tarsia.errors import ModelFileError
from tarsia.plain_text import first_line
from tarsia.spec import MAX_BANDS as MAX_BANDS
from tarsia.spec import BandFile, clash
from tarsia.spec import Range as Range
from tarsia.spec import Spec as Spec

IGNORED = 255  # the label value of pixels that are neither learned nor scored, in memory everywhere
MAX_CLASSES = 255  # labels are uint8 and 255 is taken
MAX_PIXELS = 178_000_000  # of a picture; just under the 178,956,970 at which Pillow itself refuses
MAX_STRIDE = 1024
MAX_SIDE = 16_384  # that a picture is resized to
CARD_KEY, SUM_KEY = "tarsia_card", "tarsia_sha256"
STYLE_KEY = "tarsia_style"  # of a style network's file (adaptation/style.py), in the place of a card
_MAX_HEADER_BYTES = 64 * 2**20

_MOST_WIDE, _MOST_LAYERS, _MOST_LISTED = 16_384, 512, 64  # of a network; a card must not ask for hours of building


_Channel = Annotated[int, Field(ge=0, le=255)]
Color = tuple[_Channel, _Channel, _Channel]
_Value = Annotated[int, Field(ge=0, le=65_535)]  # of a label file
_Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


# The fields of `Input` that came with format 2, and what says nothing there.
_NEW: dict[str, Any] = {"dtype": "uint8", "bits": None, "alpha": None, "take": [], "nodata": None, "range": None}
_NEW |= {"files": [], "harmonise": None}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Classes(_Frozen):
    """Names and RGB colours of classes 0 .. K-1; label value 255 is ignored and not among them."""

    names: tuple[str, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    colors: tuple[Color, ...] = Field(min_length=1, max_length=MAX_CLASSES)

    @model_validator(mode="after")
    def _consistent(self) -> Classes:
        if len(self.names) != len(self.colors):
            raise ValueError(f"{len(self.names)} names but {len(self.colors)} colors")
        if len(set(self.names)) != len(self.names):
            raise ValueError("class names repeat")
        if any("\ud800" <= character <= "\udfff" for name in self.names for character in name):
            raise ValueError("half of a surrogate pair in a class name is no text")
        return self

    def __len__(self) -> int:
        return len(self.names)


class Coding(_Frozen):
    """What stands in the label files of the data set that a model learned from: for each class a number, or a colour.

    Where several mean one class it is the first.  `ignored`: what stands for no class; None: nothing does.
    """

    classes: tuple[_Value, ...] | tuple[Color, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    ignored: _Value | Color | None = None

    @property
    def colored(self) -> bool:
        """Whether colours stand there."""
        return isinstance(self.classes[0], tuple)

    @model_validator(mode="after")
    def _of_one_kind(self) -> Coding:
        if self.ignored is not None and isinstance(self.ignored, tuple) != self.colored:
            raise ValueError("classes and what is ignored are numbers and colours, expected one of both")
        return self


class Input(_Frozen):
    """How a picture is brought to the network: resized (or not), then padded to multiples of `stride`.

    `size` (height, width) resizes to exactly that; `short_side` keeps the aspect ratio; with neither the picture
    keeps its size.  Scores are always brought back to the picture's own size.

    What pictures are read as: `dtype`, `bits`, `alpha`, `take`, `nodata`, `files` and `harmonise` (see `Spec`), and the
    `range` of their values; None: 8 bits as they are.
    """

    size: tuple[_Side, _Side] | None = None
    short_side: _Side | None = None
    tile: tuple[_Side, _Side] | None = None
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.25
    stride: Annotated[int, Field(ge=1, le=MAX_STRIDE)] = 32
    dtype: Literal["uint8", "uint16", "int16", "float32"] = "uint8"
    bits: Annotated[int, Field(ge=9, le=15)] | None = None
    alpha: Literal["none", "last", "drop"] | None = None
    take: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field((), max_length=MAX_BANDS)
    nodata: Literal["none"] | float | None = None
    range: Range | None = None
    files: tuple[BandFile, ...] = Field((), max_length=MAX_BANDS)
    harmonise: Literal["sentinel2"] | None = None

    @model_validator(mode="after")
    def _files_apart(self) -> Input:
        if fault := clash(self.files):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _has_a_range(self) -> Input:
        if self.dtype != "uint8" and self.range is None:
            raise ValueError(f"pictures of {self.dtype} without a range")
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What format 1 had no word for is left out where it says nothing: cards of before keep their text."""
        found: dict[str, Any] = serialize(self)
        return {name: value for name, value in found.items() if name not in _NEW or value != _NEW[name]}

    @model_validator(mode="after")
    def _some_picture_fits(self) -> Input:
        height, width = self.size or (self.short_side or 1,) * 2
        if math.ceil(height / self.stride) * math.ceil(width / self.stride) * self.stride**2 > MAX_PIXELS:
            raise ValueError(f"brings pictures to {height}x{width}, more than the {MAX_PIXELS:,} pixels allowed")
        return self


class Calibration(_Frozen):
    """A temperature: scores are divided by it before they become probabilities (Guo et al., ICML 2017, eq. 9).

    And what it was fitted on, and what came of it there: negative log-likelihood and expected calibration error of
    `pixels` labelled pixels, without it and with it.
    """

    temperature: Annotated[float, Field(ge=1e-3, le=1e3)]  # fitted ones are 0.02 to 50
    dataset: str
    split: str
    data_hash: str
    pixels: Annotated[int, Field(ge=1)]
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


class Code(_Frozen):
    """Where a network is that is not Tarsia's own: for a person to read, since nothing runs because a card says so."""

    name: str = Field(max_length=1000)  # FILE.py:CLASS, package.module:CLASS, or what an installed package calls it
    sha256: str = Field(max_length=64)  # of the file it was read from


class Card(_Frozen):
    """Everything but the weights: enough to rebuild, run and judge a model."""

    format: int = 1
    architecture: str
    model: dict[str, Any]
    classes: Classes
    code: Code | None = None  # of a network that is not Tarsia's own; new in format 3
    coding: Coding | None = None  # of the data set's label files, where it has any; new in format 2
    input: Input = Input()
    calibration: Calibration | None = None
    provenance: dict[str, Any] = {}

    @field_validator("model")
    @classmethod
    def _buildable(cls, model: dict[str, Any]) -> dict[str, Any]:
        waiting: list[tuple[str, Any]] = list(model.items())
        while waiting:
            key, value = waiting.pop()
            most = _MOST_LAYERS if "depth" in key or "layers" in key else _MOST_WIDE
            if isinstance(value, dict | list | tuple):
                if len(value) > _MOST_LISTED:
                    raise ValueError(f"{key}: {len(value)} entries, expected {_MOST_LISTED} at most")
                waiting += value.items() if isinstance(value, dict) else [(key, one) for one in value]
            elif isinstance(value, int | float) and not abs(value) <= most:
                raise ValueError(f"{key}: {str(value)[:20]}, expected {most} at most: no network is as large")
        bands = model.get("bands", 3)
        if type(bands) is not int or not 1 <= bands <= MAX_BANDS:
            raise ValueError(f"bands: {bands!r}, expected 1 to {MAX_BANDS}")
        return model

    @model_validator(mode="after")
    def _coded(self) -> Card:
        if self.coding is not None and len(self.coding.classes) != len(self.classes):
            raise ValueError(f"coding of {len(self.coding.classes)} classes, expected {len(self.classes)}")
        if self.input.files and len(self.input.files) != self.bands:
            raise ValueError(f"files of {len(self.input.files)} bands, expected {self.bands}")
        return self

    @property
    def bands(self) -> int:
        """How many bands the pictures have; 3 are red, green and blue, as in cards from before there were others."""
        return int(self.model.get("bands", 3))

    @property
    def spec(self) -> Spec:
        """What the model takes pictures as."""
        seen = self.input
        low = seen.range.low if seen.range else ()
        more: Any = {"low": low, "bits": seen.bits, "files": seen.files, "harmonise": seen.harmonise}
        if seen.range and seen.range.by_picture:
            more |= {"percentiles": seen.range.percentiles, "per": seen.range.per}
        return Spec(self.bands, seen.dtype, seen.alpha, seen.take, seen.nodata, **more)

    @property
    def weights_licence(self) -> str:
        """Of the weights that its training started from, as it was stated; "" where it was not, or from scratch."""
        return str(((self.provenance.get("recipe") or {}).get("model") or {}).get("licence") or "")

    def to_json(self) -> str:
        """The card as compact JSON, always the same text for the same card."""
        tree = self.model_dump(mode="json")
        if self.coding is None:
            del tree["coding"]  # as cards of before
        tree["format"] = 1 if "coding" not in tree and tree["input"].keys().isdisjoint(_NEW) else 2
        if self.code is None:
            del tree["code"]
        else:
            tree["format"] = 3
        if self.input.range and self.input.range.by_picture:
            tree["format"] = 4
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode()  # of a path that is no UTF-8

    @classmethod
    def from_json(cls, text: str, where: str) -> Card:
        """The card in `text`; ModelFileError naming `where` if it is not one."""
        try:
            found = json.loads(text)
            if found.get("format") not in (1, 2, 3, 4):
                what = found.get("format")
                raise ModelFileError(f"{where}: card format {what}, this Tarsia reads 1 to 4: update tarsia")
            return cls.model_validate(found)
        except (ValueError, AttributeError, RecursionError) as error:
            first = first_line(error)
            if isinstance(error, ValidationError):
                fault = error.errors(include_url=False)[0]
                first = f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            raise ModelFileError(f"{where}: the card inside is damaged ({first}): get the file again") from error


def read_header(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file; ModelFileError where it is cut, a pickle, or another format."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            # A pickle's or an archive's first bytes, read as a length, are far beyond the limit.
            if len(start) < 8 or not 2 <= length <= _MAX_HEADER_BYTES:
                expected = "expected a Tarsia model file (.safetensors or .onnx)"
                raise ModelFileError(f"{path}: {_what_it_is(start)}; {expected}")
            text = file.read(length)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(text) < length:
        raise ModelFileError(f"{path}: cut off within its header: get the file again")
    try:
        header = json.loads(text)
        metadata = header.get("__metadata__") or {}
        return {formerly.key(str(key)): str(value) for key, value in metadata.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path}: its header is damaged or it is no .safetensors file") from error


def _what_it_is(start: bytes) -> str:
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "a pickle (a .pth or .pt file), which could run code and is never loaded"
    if len(start) < 8:
        return "an empty or cut file"
    return "another file format"

"""Answers out: what a model saw in a picture, as one of four formats."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from tarsia.card import IGNORED, Classes
from tarsia.drawing import paint
from tarsia.polygons.formats import geojson
from tarsia.service.problems import Problem

Format = Literal["png", "overlay", "json", "geojson"]
FORMATS: tuple[Format, ...] = get_args(Format)
_LONGEST_OUTLINES = 1_000_000  # pixel edges between classes; a photograph of 12 million pixels has about a tenth


@dataclass(frozen=True)
class Ask:
    """What a request wants."""

    format: Format = "png"
    min_confidence: float | None = None  # pixels below it become ignored
    request_id: str = ""

    @property
    def needs_confidence(self) -> bool:
        return self.min_confidence is not None or self.format == "json"


@dataclass(frozen=True)
class Answer:
    """The content that goes back, and how long each stage took."""

    content: bytes
    media_type: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class Seen:
    """One picture and what a model made of it."""

    model: str
    classes: Classes
    image_HW3: np.ndarray
    label_HW: np.ndarray
    confidence_HW: np.ndarray | None
    seconds: dict[str, float]  # decode, queue, network
    remarks: list[str] = field(default_factory=list)  # what is to be known of the picture, as that it has more pages


def encode(seen: Seen, ask: Ask) -> Answer:
    """`seen` in the format that was asked for."""
    started = time.perf_counter()
    label_HW = seen.label_HW
    if ask.min_confidence is not None:
        assert seen.confidence_HW is not None
        label_HW = np.where(seen.confidence_HW < ask.min_confidence, np.uint8(IGNORED), label_HW)
    if ask.format == "png":
        content, media_type = paint.label_png(label_HW, seen.classes), "image/png"
    elif ask.format == "overlay":
        content, media_type = _overlay(seen, label_HW)
    elif ask.format == "geojson":
        _check_outlines(label_HW)
        content = json.dumps(geojson(label_HW, seen.classes), ensure_ascii=False).encode()
        media_type = "application/geo+json"
    else:
        parts = _described(seen, label_HW)
        parts["seconds"] = _rounded(seen.seconds | {"encode": time.perf_counter() - started})
        parts["request_id"] = ask.request_id
        content, media_type = json.dumps(parts, ensure_ascii=False).encode(), "application/json"
    return Answer(content, media_type, _rounded(seen.seconds | {"encode": time.perf_counter() - started}))


def _check_outlines(label_HW: np.ndarray) -> None:
    """Problem 413 for a label map so ragged that its polygons would fill the memory, as noise gives."""
    length = sum(int(np.count_nonzero(np.diff(label_HW, axis=axis))) for axis in (0, 1))
    if length > _LONGEST_OUTLINES:
        detail = f"the outlines are {length:,} pixels long, more than the {_LONGEST_OUTLINES:,} allowed: ask for png"
        raise Problem(413, "too-ragged", detail)


def _overlay(seen: Seen, label_HW: np.ndarray) -> tuple[bytes, str]:
    picture = paint.overlay(seen.image_HW3, label_HW, seen.classes, legend=False)
    if max(picture.size) > paint.LARGEST_JPEG_SIDE:
        return paint.png(picture), "image/png"
    return paint.jpeg(picture), "image/jpeg"


def _described(seen: Seen, label_HW: np.ndarray) -> dict[str, Any]:
    assert seen.confidence_HW is not None
    height, width = label_HW.shape
    grey_HW = np.rint(seen.confidence_HW * 255).clip(0, 255).astype(np.uint8)
    return {
        "model": seen.model,
        "width": width,
        "height": height,
        "classes": _classes(seen.classes, label_HW, seen.confidence_HW),
        "label": base64.b64encode(paint.label_png(label_HW, seen.classes)).decode(),
        "confidence": base64.b64encode(paint.png(Image.fromarray(grey_HW))).decode(),
        "remarks": seen.remarks,
    }


def _classes(classes: Classes, label_HW: np.ndarray, confidence_HW: np.ndarray) -> list[dict[str, Any]]:
    """Each class's pixels, share of the picture (0 .. 1) and mean confidence (None where it has no pixel)."""
    pixels_K = np.bincount(label_HW.ravel(), minlength=256)
    confidence_K = np.bincount(label_HW.ravel(), confidence_HW.ravel(), minlength=256)
    return [
        {
            "index": index,
            "name": name,
            "color": list(classes.colors[index]),
            "share": round(int(pixels_K[index]) / label_HW.size, 6),
            "pixels": int(pixels_K[index]),
            "mean_confidence": round(confidence_K[index] / pixels_K[index], 4) if pixels_K[index] else None,
        }
        for index, name in enumerate(classes.names)
    ]


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(value, 5) for stage, value in seconds.items()}

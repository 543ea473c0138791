"""What a run of `tarsia predict` shall write, and which pixels it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tarsia.annotations.tools import all_tools
from tarsia.card import IGNORED, Classes, Coding
from tarsia.errors import OutputError, nearest

OUTPUTS = ("label", "overlay", "shares")  # what is written unless something else is asked for
TOOLS = tuple(all_tools())  # programs to annotate with: coco, cvat, label-studio, labelme
KINDS = ("label", "overlay", "confidence", "geojson", *TOOLS, "csv", "attention", "shares")
FILES = {"shares": "shares.json", "csv": "shares.csv"}  # those that are one for all pictures
FILES |= {name: tool.file for name, tool in all_tools().items() if tool.file}


@dataclass(frozen=True)
class WhatToWrite:
    """What is asked for; `only` are class indices, all where empty; `default`: nothing was, `save` is what is usual.

    Raises OutputError where it makes no sense.
    """

    save: tuple[str, ...] = OUTPUTS
    only: tuple[int, ...] = ()
    min_confidence: float = 0.0
    simplify: float = 0.0  # tolerance of polygons, in pixels
    default: bool = False
    attention_at: tuple[int, int] | None = None  # (x, y) of the position whose attention is drawn
    coding: Coding | None = None  # what stands in label maps; None: class numbers

    def __post_init__(self) -> None:
        for kind in self.save:
            if kind not in KINDS:
                raise OutputError(f"cannot save {kind!r}{nearest(kind, KINDS)}")
        if not self.save:
            raise OutputError(f"nothing to save: name one or more of {', '.join(KINDS)}")
        if not 0 <= self.min_confidence <= 1:
            raise OutputError(f"the least confidence is {self.min_confidence}, expected 0 to 1")
        if self.simplify < 0:
            raise OutputError(f"the tolerance of polygons is {self.simplify} pixels, expected 0 or more")
        if self.attention_at is not None and "attention" not in self.save:
            raise OutputError("`attention_at` says whose attention is drawn: add `attention` to what is saved")
        if self.coding and "label" not in self.save:
            raise OutputError("`coding` says what stands in label maps: add `label` to what is saved")

    @property
    def needs_confidence(self) -> bool:
        """Whether the network's confidence is used at all; it costs time."""
        return self.min_confidence > 0 or "confidence" in self.save

    @property
    def outlines(self) -> tuple[str, ...]:
        """Those that are made of the whole label map at once."""
        return tuple(kind for kind in self.save if kind in ("geojson", *TOOLS))

    def kinds(self, medium: str) -> tuple[str, ...]:
        """What is written of a picture, raster or video; a label map of every frame of a video only where asked for."""
        return tuple(kind for kind in self.save if (kind, medium, self.default) != ("label", "video", True))

    def selected(self, label_HW: np.ndarray, confidence_HW: np.ndarray | None) -> np.ndarray:
        """Labels with 255 where the class is not among `only`, or its probability below `min_confidence`."""
        if self.only:
            kept = np.full(256, IGNORED, np.uint8)
            kept[list(self.only)] = self.only
            label_HW = kept[label_HW]
        if self.min_confidence > 0:
            assert confidence_HW is not None
            label_HW = np.where(confidence_HW < self.min_confidence, np.uint8(IGNORED), label_HW)
        return label_HW

    def settings(self) -> dict[str, Any]:
        """What decides about the content of the files: a run goes on with the same, or not at all."""
        return {
            "save": sorted(set(self.save)),
            "only": sorted(self.only),
            "min_confidence": self.min_confidence,
            "simplify": self.simplify,
            # Of these, runs of before say nothing.
            **({"attention_at": list(self.attention_at)} if self.attention_at else {}),
            **({"coding": "data"} if self.coding else {}),
        }


def class_indices(names: Sequence[str], classes: Classes) -> tuple[int, ...]:
    """Names of classes -> their indices; OutputError with the nearest name for one that is not there."""
    for name in names:
        if name not in classes.names:
            raise OutputError(f"only=[{name!r}]: the model has no such class{nearest(name, classes.names)}")
    return tuple(dict.fromkeys(classes.names.index(name) for name in names))

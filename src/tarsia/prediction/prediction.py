"""What a model sees in one picture, and the ways to look at it, count it and keep it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.card import Classes
from tarsia.drawing import paint
from tarsia.drawing.legend import percent
from tarsia.errors import ImageError, OutputError
from tarsia.files import write_text, writing
from tarsia.pictures.rgb import as_visible
from tarsia.polygons.formats import geojson

_NAMED = 3  # classes of the line that stands for a prediction
_NOTEBOOK_SIDE = 1024  # pixels of the longer side of what a notebook shows


@dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """What a model sees in one picture.

        prediction = tarsia.load("runs/demo")("street.jpg")
        prediction              # in a notebook, the picture with its classes over it
        prediction.show()       # the same in the system's viewer
        prediction.areas()      # {"road": 21340, ...} pixels
        prediction.save("street.png")

    `label_HW`: uint8 class indices at the picture's own size, 255 where it has no data.  `confidence_HW`: float32
    probability of the chosen class, calibrated where the model is, NaN without data; None unless asked for.
    `image_HWC`: the picture as it was read, H x W x bands of the model's kind of numbers, upright.
    """

    label_HW: np.ndarray
    classes: Classes
    confidence_HW: np.ndarray | None = None
    image_HWC: np.ndarray | None = None

    def __repr__(self) -> str:
        height, width = self.label_HW.shape
        shares = sorted(self.shares().items(), key=lambda item: -item[1])
        shown = [f"{name} {percent(share)}" for name, share in shares[:_NAMED] if share]
        return f"Prediction({height}x{width}: {', '.join(shown) or 'no data'})"

    def areas(self) -> dict[str, int]:
        """Each class's pixels, in class order."""
        counts = np.bincount(self.label_HW.ravel(), minlength=len(self.classes))
        return {name: int(counts[k]) for k, name in enumerate(self.classes.names)}

    def shares(self) -> dict[str, float]:
        """Each class's share of the pixels that have data, 0 .. 1, in class order."""
        areas = self.areas()
        every = max(1, sum(areas.values()))
        return {name: pixels / every for name, pixels in areas.items()}

    def polygons(self, tolerance: float = 0.0) -> dict[str, Any]:
        """Every region as a polygon: a GeoJSON FeatureCollection, x and y in pixels from the upper left corner.

        Exact along the borders of pixels where `tolerance` is 0; else with fewer corners, as `predict` simplifies.
        """
        return geojson(self.label_HW, self.classes, tolerance=tolerance)

    def overlay(self, legend: bool = True) -> Image.Image:
        """The picture with its classes over it, at its own size, and with `legend` their names and shares beside it.

        Raises ImageError where the prediction was made without its picture.
        """
        if self.image_HWC is None:
            raise ImageError("this prediction has no picture to lay its classes over: give it `image_HWC`")
        return paint.overlay(as_visible(self.image_HWC), self.label_HW, self.classes, legend)

    def show(self) -> None:
        """Open the overlay in the system's viewer; a notebook shows it by itself."""
        self.overlay().show()

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the overlay, made smaller where it is large."""
        if self.image_HWC is None:
            return None
        shown = self.overlay()
        shown.thumbnail((_NOTEBOOK_SIDE, _NOTEBOOK_SIDE))
        return paint.png(shown)

    def save(self, path: str | Path) -> None:
        """Write what the suffix says, whole or not at all.

        .png: the label map, an index PNG with the classes' palette; .npy: the same as an array; .jpg, .jpeg: the
        overlay; .geojson: the polygons.  Raises OutputError for another suffix and where it cannot be written.
        """
        path = Path(path)
        save = self._writers().get(path.suffix.lower())
        if save is None:
            known = ".png (label map), .npy (label map), .jpg (overlay) or .geojson (polygons)"
            raise OutputError(f"{path}: a prediction is saved as {known}, by its name's suffix")
        save(path)

    def _writers(self) -> dict[str, Callable[[Path], None]]:
        return {
            ".png": lambda path: paint.save_label(path, self.label_HW, self.classes),
            ".npy": self._save_array,
            ".jpg": self._save_overlay,
            ".jpeg": self._save_overlay,
            ".geojson": lambda path: write_text(path, json.dumps(self.polygons(), ensure_ascii=False) + "\n"),
        }

    def _save_array(self, path: Path) -> None:
        with writing(path) as part, part.open("wb") as file:
            np.save(file, self.label_HW, allow_pickle=False)

    def _save_overlay(self, path: Path) -> None:
        sheet = self.overlay()
        if max(sheet.size) > paint.LARGEST_JPEG_SIDE:
            raise ImageError(f"{path}: too large for a JPEG ({paint.LARGEST_JPEG_SIDE} pixels a side)")
        with writing(path) as part:
            part.write_bytes(paint.jpeg(sheet))

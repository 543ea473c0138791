"""How label maps are written: class numbers, or what the model's own data set has in its label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tarsia.card import IGNORED, Card, Classes, Coding
from tarsia.drawing import paint
from tarsia.errors import OutputError
from tarsia.files import writing

_NO_WORD = "the data set's label files have no {kind} for pixels that are of no class (255)"


def coding_for(card: Card, coding: str) -> Coding | None:
    """What `coding` ("classes" or "data") means of a model: None are class numbers.

    OutputError for a word that is neither, and where the model does not say what its data set's files hold.
    """
    if coding not in ("classes", "data"):
        raise OutputError(f"{coding=}: expected classes or data")
    if coding == "data" and card.coding is None:
        raise OutputError(
            "coding='data': the model does not say what stands in the label files of its data set (that has none, as "
            "drawn scenes, or it was trained before models did): leave it out, `evaluate` reads class numbers too"
        )
    return card.coding if coding == "data" else None


class LabelFiles:
    """Label maps H x W (0 .. K-1, 255) as they are stored.  Without a coding they are index PNGs of class numbers.

    Numbers up to 255 are index PNGs in the classes' colours, larger ones 16-bit grey; colours are RGB.
    """

    def __init__(self, classes: Classes, coding: Coding | None) -> None:
        self.classes, self.coding = classes, coding
        if coding is None:
            return
        known = [*coding.classes] + ([] if coding.ignored is None else [coding.ignored])
        self.dtype = np.dtype(np.uint8 if coding.colored or max(known) <= IGNORED else np.uint16)
        self._table = np.zeros((256, 3) if coding.colored else 256, self.dtype)
        self._table[: len(classes)] = coding.classes
        if coding.ignored is not None:
            self._table[IGNORED] = coding.ignored

    def stored(self, label_HW: np.ndarray) -> np.ndarray:
        """H x W numbers or H x W x 3 colours; OutputError for ignored pixels where nothing stands for them."""
        if self.coding is None:
            return label_HW
        if self.coding.ignored is None and (label_HW == IGNORED).any():
            kind = "colour" if self.coding.colored else "number"
            raise OutputError(f"coding='data': {_NO_WORD.format(kind=kind)}: write class numbers")
        return self._table[label_HW]

    def palette(self) -> np.ndarray | None:
        """256 x 3 uint8: the classes' colours at what stands for them; None for colours and for 16 bits."""
        of_classes = paint.palette(self.classes)
        if self.coding is None:
            return of_classes
        if self.coding.colored or self.dtype != np.uint8:
            return None
        palette = np.zeros((256, 3), np.uint8)
        palette[self._table[: len(self.classes)]] = of_classes[: len(self.classes)]
        if self.coding.ignored is not None:
            palette[self._table[IGNORED]] = of_classes[IGNORED]
        return palette

    def save(self, path: Path, label_HW: np.ndarray) -> None:
        """Write a PNG, whole or not at all."""
        if self.coding is None:
            paint.save_label(path, label_HW, self.classes)
            return
        picture, palette = Image.fromarray(self.stored(label_HW)), self.palette()
        if palette is not None:
            picture.putpalette(palette.tobytes())
        content = paint.png(picture)
        with writing(path) as part:
            part.write_bytes(content)

    def raster(self) -> dict[str, Any]:
        """The same for `writing_raster`."""
        if self.coding is None:
            return {"palette_256x3": self.palette(), "no_data": IGNORED}
        no_data = None if self.coding.colored else self.coding.ignored
        bands = 3 if self.coding.colored else 1
        return {"palette_256x3": self.palette(), "no_data": no_data, "bands": bands, "dtype": self.dtype.name}

"""The results of a georeferenced picture or a huge TIFF, written row by row while it is read (pictures/rasters.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.card import Spec
from tarsia.drawing import paint
from tarsia.errors import ImageError
from tarsia.output import summary
from tarsia.output.fitting import Fitting
from tarsia.output.label_files import LabelFiles
from tarsia.output.of_picture import as_bytes, save_jpeg, write_polygons
from tarsia.output.sources import Source
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import MAX_PIXELS, shown
from tarsia.pictures.ranges import Levels
from tarsia.pictures.rasters import Place, RowWriter, place_of, writing_raster
from tarsia.pictures.reader import ByRows, filled, masked, open_picture, own_levels, unsure
from tarsia.pictures.rgb import as_visible
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import Strip, strips


def write(
    predictor: Predictor, source: Source, out: Path, what: WhatToWrite, fitting: Fitting, batch: int
) -> dict[str, Any]:
    """Segment a raster and write its results; its row of the summaries, and what else the journal needs.

    A raster larger than a picture may be goes through the network in tiles, as `fitting` says.  Pixels without data get
    255.  Raises ImageError for a raster that cannot be read or is too large for polygons.
    """
    place = place_of(source.path)
    with open_picture(source.path, predictor.card.spec, limit=None) as picture:
        levels = own_levels(picture, predictor.card.spec)  # of all its rows, before any is segmented
        raster = _Raster(picture, predictor.card.spec, levels)
        predictor = predictor.at_levels(levels)
        polygons = what.outlines
        if "geojson" in what.save and place is not None and place.affine is None:
            raise ImageError(
                f"{raster.where}: lies on earth by control points alone, and polygons need a transform: warp it first "
                "(gdalwarp), or leave geojson out of what is saved"
            )
        pixels = raster.size[0] * raster.size[1]
        if polygons and pixels > MAX_PIXELS:
            raise ImageError(
                f"{raster.where}: {pixels:,} pixels are more than the {MAX_PIXELS:,} of which polygons are made: leave "
                f"{' and '.join(polygons)} out of what is saved"
            )
        found, tile = fitting.run(
            raster.where,
            raster,
            lambda: (_whole(predictor, raster, what, fitting), {}),
            lambda tiling: (
                strips(predictor, raster, tiling, what.needs_confidence, batch),
                {"tile": tiling.side},
            ),
        )
        counts = np.zeros(256, np.int64)
        preview = Preview(raster.size)
        kept: list[np.ndarray] = []
        labels = LabelFiles(predictor.classes, what.coding)
        with contextlib.ExitStack() as stack:
            writers = _writers(stack, labels, source, out, what, (raster.size, place))
            work = stack.enter_context(console.Work(shown(source.path), raster.size[0], "rows"))
            for strip in _as_written(found, raster, what):
                counts += summary.counted(strip.label_HW)
                for kind, writer in writers.items():
                    writer.write(labels.stored(strip.label_HW) if kind == "label" else _confidence(strip))
                if "overlay" in what.save:
                    preview.add(strip.top, as_visible(strip.image_HW3), strip.label_HW)
                if polygons:
                    kept.append(strip.label_HW)
                work.step(len(strip.label_HW))
            if "overlay" in what.save:
                save_jpeg(source.output(out, "overlay"), paint.overlay(*preview.arrays(), predictor.classes))
            for remark in picture.remarks():
                console.note(remark)
            more = {}
            if polygons:
                on_earth = {"transform": place.affine, "crs": place.crs_name} if place else {}
                more = write_polygons(np.concatenate(kept), source, out, what, predictor.classes, **on_earth)
        return {"row": summary.row_of(raster.size, counts.tolist(), predictor.card, **tile), **more}


def _writers(
    stack: contextlib.ExitStack,
    labels: LabelFiles,
    source: Source,
    out: Path,
    what: WhatToWrite,
    lies: _Lies,
) -> dict[str, RowWriter]:
    """The label map first, so that it is in place last."""
    writers = {}
    if "label" in what.save:
        path = source.output(out, "label")
        writers["label"] = stack.enter_context(writing_raster(path, *lies, **labels.raster()))
    if "confidence" in what.save:
        path = source.output(out, "confidence")
        writers["confidence"] = stack.enter_context(writing_raster(path, *lies))
    return writers


def _whole(predictor: Predictor, raster: _Raster, what: WhatToWrite, fitting: Fitting) -> Iterator[Strip]:
    """All its rows at once, which are there before any of them is written."""
    predictor.check_size(raster.size)
    image_HW3 = raster.read(0, raster.size[0])
    with fitting.measured(predictor.pixels_seen(raster.size)):
        prediction = predictor(image_HW3, what.needs_confidence)
    return iter([Strip(0, prediction.label_HW, prediction.confidence_HW, image_HW3)])


def _as_written(found: Iterator[Strip], raster: _Raster, what: WhatToWrite) -> Iterator[Strip]:
    """Finished rows, their labels as they are to be written."""
    for strip in found:
        label_HW = what.selected(strip.label_HW, strip.confidence_HW)
        nowhere_HW = raster.nowhere(strip.top, strip.top + len(label_HW))
        valid_HW = None if nowhere_HW is None else ~nowhere_HW
        yield strip._replace(label_HW=masked(label_HW, valid_HW), confidence_HW=unsure(strip.confidence_HW, valid_HW))


_Lies = tuple[tuple[int, int], Place | None]  # (height, width), and where on earth


class _Raster:
    """A picture that is open, as `tiles.Rows`; where there is no data is kept of the rows that were read last."""

    def __init__(self, picture: ByRows, spec: Spec, levels: Levels | None) -> None:
        self._spec, self._levels = spec, levels
        self._picture, self.where, self.size = picture, picture.where, picture.size
        self._seen: list[tuple[int, np.ndarray]] = []

    def read(self, top: int, bottom: int) -> np.ndarray:
        values, valid = self._picture.rows(top, bottom)
        values = filled(values, valid, self._spec, self._levels)
        if valid is not None:
            self._seen = [(begin, part) for begin, part in self._seen if begin + len(part) > top] + [(top, ~valid)]
        return values

    def nowhere(self, top: int, bottom: int) -> np.ndarray | None:
        """True where rows that were read have no data; None where all have."""
        found = None
        for begin, part in self._seen:
            first, last = max(top, begin), min(bottom, begin + len(part))
            if first < last:
                found = np.zeros((bottom - top, self.size[1]), bool) if found is None else found
                found[first - top : last - top] |= part[first - begin : last - begin]
        return found


def _confidence(strip: Strip) -> np.ndarray:
    assert strip.confidence_HW is not None
    return as_bytes(strip.confidence_HW)


class Preview:
    """Every n-th row and column of a raster, for an overlay that a person can open."""

    def __init__(self, size: tuple[int, int], longest: int = 2048) -> None:
        self.step = max(1, -(-max(size) // longest))
        self._images: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, top: int, image_hW3: np.ndarray, label_hW: np.ndarray) -> None:
        """The next rows, from `top`."""
        rows = slice(-top % self.step, None, self.step)
        self._images.append(image_hW3[rows, :: self.step].copy())
        self._labels.append(label_hW[rows, :: self.step].copy())

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The small picture and its labels."""
        return np.concatenate(self._images), np.concatenate(self._labels)

"""The results of a huge or georeferenced TIFF, written row by row while it is read (pictures/rasters.py)."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.card import IGNORED
from tarsia.drawing import paint
from tarsia.errors import ImageError
from tarsia.files import write_text
from tarsia.output import summary
from tarsia.output.fitting import Fitting
from tarsia.output.of_picture import as_bytes, save_jpeg
from tarsia.output.sources import Source
from tarsia.output.what_to_write import Wanted
from tarsia.pictures.files import MAX_PIXELS, shown
from tarsia.pictures.rasters import Raster, RowWriter, open_raster, writing_raster
from tarsia.pictures.rgb import as_visible
from tarsia.polygons.formats import coco_annotations, geojson
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import Band
from tarsia.prediction.tiles import bands as segmented


def write(
    predictor: Predictor, source: Source, out: Path, wanted: Wanted, fitting: Fitting, batch: int
) -> dict[str, Any]:
    """Segment a raster and write its results; its row of the summaries, and what else the journal needs.

    A raster larger than a picture may be goes through the network in tiles, as `fitting` says.  Pixels without data get
    255.  Raises ImageError for a raster that cannot be read or is too large for polygons.
    """
    bands = predictor.card.bands
    with open_raster(source.path, bands) as raster:
        polygons = not {"geojson", "coco"}.isdisjoint(wanted.save)
        pixels = raster.size[0] * raster.size[1]
        if polygons and pixels > MAX_PIXELS:
            raise ImageError(
                f"{raster.where}: {pixels:,} pixels are more than the {MAX_PIXELS:,} of which polygons are made: leave "
                "geojson and coco out of what is saved"
            )
        found, tile = fitting.run(
            raster.where,
            raster,
            lambda: (_whole(predictor, raster, wanted, fitting), {}),
            lambda tiling: (
                segmented(predictor, raster, tiling, wanted.needs_confidence, batch),
                {"tile": tiling.side},
            ),
        )
        counts = np.zeros(256, np.int64)
        preview = Preview(raster.size)
        kept: list[np.ndarray] = []
        with contextlib.ExitStack() as stack:
            writers = _writers(stack, predictor, source, out, wanted, raster)
            work = stack.enter_context(console.Work(shown(source.path), raster.size[0], "rows"))
            for band in _as_written(found, raster, wanted):
                counts += summary.counted(band.label_HW)
                for kind, writer in writers.items():
                    writer.write(band.label_HW if kind == "label" else _confidence(band))
                if "overlay" in wanted.save:
                    preview.add(band.top, as_visible(band.image_HW3), band.label_HW)
                if polygons:
                    kept.append(band.label_HW)
                work.step(len(band.label_HW))
            if "overlay" in wanted.save:
                save_jpeg(source.output(out, "overlay"), paint.overlay(*preview.arrays(), predictor.classes))
            remark = raster.remark()
            if remark:
                warnings.warn(remark, stacklevel=2)
            more = _polygons(np.concatenate(kept), predictor, source, out, wanted, raster) if polygons else {}
        return {"row": summary.row_of(source, raster.size, counts.tolist(), predictor.card, **tile), **more}


def _writers(
    stack: contextlib.ExitStack, predictor: Predictor, source: Source, out: Path, wanted: Wanted, raster: Raster
) -> dict[str, RowWriter]:
    """The label map first, so that it is in place last."""
    writers = {}
    if "label" in wanted.save:
        palette = paint.palette(predictor.classes)
        path = source.output(out, "label")
        writers["label"] = stack.enter_context(writing_raster(path, raster, palette, no_data=IGNORED))
    if "confidence" in wanted.save:
        path = source.output(out, "confidence")
        writers["confidence"] = stack.enter_context(writing_raster(path, raster))
    return writers


def _whole(predictor: Predictor, raster: Raster, wanted: Wanted, fitting: Fitting) -> Iterator[Band]:
    """All its rows at once, which are there before any of them is written."""
    predictor.check_size(raster.size)
    image_HW3 = raster.read(0, raster.size[0])
    with fitting.measured(predictor.pixels_seen(raster.size)):
        prediction = predictor(image_HW3, wanted.needs_confidence)
    return iter([Band(0, prediction.label_HW, prediction.confidence_HW, image_HW3)])


def _as_written(found: Iterator[Band], raster: Raster, wanted: Wanted) -> Iterator[Band]:
    """Finished rows, their labels as they are to be written."""
    for band in found:
        label_HW = wanted.selected(band.label_HW, band.confidence_HW)
        nowhere_HW = raster.nowhere(band.top, band.top + len(label_HW))
        if nowhere_HW is not None:
            label_HW = np.where(nowhere_HW, np.uint8(IGNORED), label_HW)
        yield band._replace(label_HW=label_HW)


def _confidence(band: Band) -> np.ndarray:
    assert band.confidence_HW is not None
    return as_bytes(band.confidence_HW)


def _polygons(
    label_HW: np.ndarray, predictor: Predictor, source: Source, out: Path, wanted: Wanted, raster: Raster
) -> dict[str, Any]:
    """Write GeoJSON in map coordinates; COCO's annotations, in pixels, for the journal."""
    if "geojson" in wanted.save:
        found = geojson(
            label_HW, predictor.classes, tolerance=wanted.simplify, transform=raster.transform, crs=raster.crs
        )
        write_text(source.output(out, "geojson"), json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n")
    if "coco" not in wanted.save:
        return {}
    return {"coco": coco_annotations(label_HW, predictor.classes, tolerance=wanted.simplify)}


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

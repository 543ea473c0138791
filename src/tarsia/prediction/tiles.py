"""A large picture through the network in overlapping tiles, a strip of them at a time: memory follows its width.

Scores are blended, not probabilities: that is what the network adds up inside, it costs no softmax per tile, and where
two tiles agree on a class so does their blend.  (With test-time augmentation or a CRF, logarithms of probabilities,
which are scores as well; a CRF sees a tile at a time.  What a predictor's other stages need the whole picture for,
it refuses in tiles: `Predictor.check_tiles`.)

Tiles and their places are multiples of the stride, so that the network's grid lies as in the whole picture, and they
are spread evenly.  In the middle quarter of every overlap a weight rises smoothly from one tile to the next, the two
adding up to 1; what lies nearer to a tile's rim is not used.  Outside of these zones every pixel is the
network's own answer for one tile.

Where a network's receptive field is finite, it says of a pixel in a tile what it says of it in the whole picture, as
far as the pixel's distance from the rim reaches: exactly from the field's radius on, nearly long before.  Global
pooling (PSPNet, image pooling in an ASPP, squeeze-and-excitation) and attention have none: there a tile is another
picture, and tiles as large as the pictures trained on are best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from tarsia.engines import resample
from tarsia.errors import RecipeError
from tarsia.pictures.ranges import levels_of
from tarsia.pictures.rgb import pad_to_multiple
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiling import Tiling


class Rows(Protocol):
    """A picture that is read by rows."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""

    def read(self, top: int, bottom: int) -> np.ndarray:
        """uint8 RGB (or the model's bands), bottom - top rows of full width."""


@dataclass(frozen=True)
class InMemory:
    """A picture held in memory, as `Rows`."""

    image_HW3: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.image_HW3.shape[:2]
        return height, width

    def read(self, top: int, bottom: int) -> np.ndarray:
        return self.image_HW3[top:bottom]


class Strip(NamedTuple):
    """Finished rows, from `top`: labels, where asked for the probability of each, and the picture itself there."""

    top: int
    label_HW: np.ndarray
    confidence_HW: np.ndarray | None
    image_HW3: np.ndarray


class TileLine(NamedTuple):
    """Tiles along one side of a picture: where each begins, and the zones [from, to) between one and the next."""

    starts: list[int]
    zones: list[tuple[int, int]]
    length: int

    def extent(self, index: int) -> tuple[int, int]:
        """What tile `index` has a part in: from the zone before it to the end of the zone after it."""
        first = self.zones[index - 1][0] if index else 0
        last = self.zones[index][1] if index < len(self.zones) else self.length
        return first, last


def spread(length: int, tiling: Tiling) -> TileLine:
    """The tiles along a side of `length` pixels."""
    over = math.ceil(max(0, length - tiling.side) / tiling.stride)  # in steps of the stride, beyond one tile
    step = (tiling.side - tiling.overlap) // tiling.stride
    gaps = math.ceil(over / step)
    starts = [k * over // max(1, gaps) * tiling.stride for k in range(gaps + 1)]
    # Zones must not meet: none is wider than the least step from one tile to the next.
    pairs = list(itertools.pairwise(starts))
    least = min((after - before for before, after in pairs), default=0)
    half = min(tiling.overlap // 4, least) // 2
    middles = [(after + before + tiling.side) // 2 for before, after in pairs]
    return TileLine(starts, [(middle - half, middle + half) for middle in middles], length)


def strips(
    predictor: Predictor, rows: Rows, tiling: Tiling, confidence: bool = False, batch: int = 1
) -> Iterator[Strip]:
    """Segment a picture of any height: its finished rows from top to bottom, each once.

    `batch` tiles go through the network at once.  Raises RecipeError for a predictor that needs whole pictures, or that
    has not been told the picture's own range where its model goes by that (`Predictor.at_levels`).
    """
    predictor.check_tiles()
    if predictor.card.spec.percentiles and predictor.levels is None:
        raise RecipeError("this model's range is each picture's own, and tiles have others: say it by `at_levels`")
    height, width = rows.size
    down, across = spread(height, tiling), spread(width, tiling)
    carry_KZW: np.ndarray | None = None  # the weighted rows that the last tiles left for the next
    for index, start in enumerate(down.starts):
        image_HW3 = pad_to_multiple(rows.read(start, min(start + tiling.side, height)), tiling.stride)
        top, bottom = down.extent(index)
        zone = down.zones[index] if index < len(down.zones) else None
        last = zone[0] if zone else height
        label_HW = np.empty((last - top, width), np.uint8)
        confidence_HW = np.empty((last - top, width), np.float32) if confidence else None
        left_over = None
        scored = _tiles(predictor, image_HW3, across, tiling.side, batch, confidence)
        for left, part_KHW in _blended(scored, across, (top - start, bottom - start)):
            columns = slice(left, left + part_KHW.shape[2])
            if index:
                assert carry_KZW is not None
                _add(part_KHW, carry_KZW[:, :, columns], _rise(carry_KZW.shape[1])[:, None])
            if zone:
                if left_over is None:
                    left_over = np.empty((len(part_KHW), zone[1] - zone[0], width), np.float32)
                fall = 1 - _rise(zone[1] - zone[0])[:, None]
                np.multiply(part_KHW[:, last - top :], fall, out=left_over[:, :, columns])
            _decide(predictor, part_KHW[:, : last - top], label_HW[:, columns], confidence_HW, columns)
        carry_KZW = left_over
        yield Strip(top, label_HW, confidence_HW, image_HW3[top - start : last - start, :width])


def segment(
    predictor: Predictor, image_HW3: np.ndarray, tiling: Tiling, confidence: bool = False, batch: int = 1
) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture in memory -> its labels, H x W uint8, and where asked for the probability of each."""
    if predictor.levels is None:
        predictor = predictor.at_levels(levels_of(predictor.card.input.range, image_HW3))
    found = list(strips(predictor, InMemory(image_HW3), tiling, confidence, batch))
    label_HW = np.concatenate([strip.label_HW for strip in found])
    if not confidence:
        return label_HW, None
    return label_HW, np.concatenate([strip.confidence_HW for strip in found if strip.confidence_HW is not None])


def _to_write(scores_KhW: Any) -> np.ndarray:
    """A part of an engine's scores as float32 in numpy, to be written into."""
    if hasattr(scores_KhW, "cpu"):  # torch's
        scores_KhW = scores_KhW.float().cpu().contiguous().numpy()
    part_KhW = np.asarray(scores_KhW, np.float32)
    return part_KhW if part_KhW.flags.writeable else part_KhW.copy()


def _blended(scored: Iterator[Any], across: TileLine, kept: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """The tiles of a strip from left to right, blended along it: (first column, K x rows x columns of scores)."""
    held_KHZ: np.ndarray | None = None
    for index, scores_KHW in enumerate(scored):
        start = across.starts[index]
        left, right = across.extent(index)
        part_KHW = _to_write(scores_KHW[:, slice(*kept), left - start : right - start])
        if index:
            assert held_KHZ is not None
            _add(part_KHW, held_KHZ, _rise(held_KHZ.shape[2]))
        if index < len(across.zones):
            width = across.zones[index][1] - across.zones[index][0]
            end = part_KHW.shape[2] - width
            held_KHZ = part_KHW[:, :, end:] * (1 - _rise(width))
            part_KHW = part_KHW[:, :, :end]
        yield left, part_KHW


def _tiles(
    predictor: Predictor, image_HW3: np.ndarray, across: TileLine, side: int, batch: int, confidence: bool
) -> Iterator[Any]:
    """The scores of the tiles of a strip; one by one where memory does not suffice for `batch`."""
    for first in range(0, len(across.starts), batch):
        tiles_BHW3 = np.stack([image_HW3[:, start : start + side] for start in across.starts[first : first + batch]])
        try:
            found = predictor.evidence(tiles_BHW3, confidence)
        except MemoryError:
            if len(tiles_BHW3) == 1:
                raise
            found = None
        if found is None:  # the error is gone by now, and with it what the network had
            found = (predictor.evidence(tile_HW3[None], confidence)[0] for tile_HW3 in tiles_BHW3)
        yield from found


def _rise(width: int) -> np.ndarray:
    """Weights of the later tile through a zone, half a cosine from 0 to 1; the earlier one's are 1 minus them."""
    return ((1 - np.cos(np.pi * (np.arange(width, dtype=np.float32) + 0.5) / max(1, width))) / 2).astype(np.float32)


def _add(part_KHW: np.ndarray, before: np.ndarray, weight: np.ndarray) -> None:
    """Blend what the tile before left over into the first rows, or columns, of a part."""
    zone = part_KHW[:, : before.shape[1], : before.shape[2]]
    zone *= weight
    zone += before


def _decide(
    predictor: Predictor, part_KHW: np.ndarray, label_HW: np.ndarray, confidence_HW: np.ndarray | None, columns: slice
) -> None:
    """Write the labels of blended scores (`Predictor.evidence`) and, where asked for, their probabilities."""
    size, count = (part_KHW.shape[1], part_KHW.shape[2]), len(predictor.classes)
    label_HW[:] = resample.labels(part_KHW[None, :count], size)[0]
    if confidence_HW is None:
        return
    if len(part_KHW) > count:
        scaled_KHW = part_KHW[count:]  # of the predictor's temperature already
    elif predictor.temperature == 1 or predictor.crf:
        scaled_KHW = part_KHW
    else:
        scaled_KHW = part_KHW / np.float32(predictor.temperature)
    shares_KHW = resample.probabilities(scaled_KHW[None], size)[0]
    confidence_HW[:, columns] = np.take_along_axis(shares_KHW, label_HW[None].astype(np.intp), 0)[0]

"""Whether a picture goes through the network whole or in tiles: as asked, or where memory would not suffice for it.

Tiles are of the model's own size, or 512 pixels, whatever memory there is, and what is decided stands in the journal: a
run that goes on makes the same of a picture, however busy the machine is by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from tarsia import console
from tarsia.engines import memory, memory_limit
from tarsia.errors import RecipeError, TooLargeError
from tarsia.output.journal import Journal
from tarsia.pictures.files import MAX_PIXELS, most_pixels
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import Rows
from tarsia.prediction.tiling import Tiling

T = TypeVar("T")
_TIMES = 4  # tiles: a trial of one is worth it for pictures larger than that; smaller ones are tried as they are
_REMEDY = "end other programs, choose a smaller `tile`, or make the picture smaller"


class Fitting:
    """Decides for one run, and learns from every picture how many bytes the network takes for a pixel."""

    def __init__(
        self,
        predictor: Predictor,
        asked: Tiling | None,
        journal: Journal,
        whole_only: str = "",
        free_bytes: Callable[[], int | None] = memory_limit.free_bytes,
        resident_bytes: Callable[[], int | None] = memory_limit.resident_bytes,
    ) -> None:
        """`asked`: the tiles that all pictures larger than one go in.  `whole_only`: what is asked for that wants whole
        pictures, and how to do without.
        """
        self._predictor, self._asked, self._journal = predictor, asked, journal
        self._whole_only = whole_only
        self._free, self._resident = free_bytes, resident_bytes
        self._before = resident_bytes() or 0  # with the network at rest
        self._largest = 0  # pixels that have gone through at once
        self._rate: float | None = None  # bytes a pixel

    def run(self, where: str, rows: Rows, whole: Callable[[], T], tiled: Callable[[Tiling], T]) -> T:
        """What `whole` gives for a picture; what `tiled` gives where that is asked for, or memory does not suffice.

        Raises TooLargeError where it does not and tiles are no way out, MemoryError where not even they fit.
        """
        tiling = self.tiling(where, rows)
        if tiling is None:
            try:
                return whole()
            except MemoryError as error:
                reason = str(error)
            tiling = self.retreat(where, rows, reason)  # not within `except`, which holds on to what the network had
        try:
            return tiled(tiling)
        except MemoryError as error:
            reason = str(error)
        raise TooLargeError(f"{where}: {_said(reason)}, not even for tiles of {tiling.side}: {_REMEDY}")

    def retreat(self, where: str, rows: Rows, reason: str) -> Tiling:
        """The tiles for a picture that memory did not suffice for; TooLargeError where they are no way out."""
        self._predictor.engine.give_back()
        memory.trim()
        tiling = self._possible()
        if tiling and max(rows.size) <= tiling.side:
            raise TooLargeError(f"{where}: {_said(reason)}, and it is no larger than a tile: {_REMEDY}")
        return self._tiles(where, rows, _said(reason))

    def tiling(self, where: str, rows: Rows) -> Tiling | None:
        """The tiles for a picture; None for a picture that goes whole.  Raises TooLargeError as `run` does."""
        if self._asked:
            return self._asked if max(rows.size) > self._asked.side else None
        reason = self._why_not(rows, 1)
        return self._tiles(where, rows, reason) if reason else None

    def together(self, rows: Rows, count: int) -> bool:
        """Whether `count` pictures, all like `rows`, may go through the network at once, whole."""
        if self._asked:
            return max(rows.size) <= self._asked.side
        return not self._why_not(rows, count)

    def _why_not(self, rows: Rows, count: int) -> str:
        """Why `count` pictures like `rows` should not go whole, in words; empty where they may."""
        pixels, most = self._predictor.pixels_seen(rows.size), most_pixels(self._predictor.card.spec, MAX_PIXELS)
        if pixels > most:
            return f"{pixels:,} pixels to the network, more than {most:,} at once"
        tiling, least = self._possible(), self._journal.tiled_from
        if tiling is None or (count == 1 and max(rows.size) <= tiling.side):
            return ""
        if least is not None and pixels >= least:
            return "as large as one that memory did not suffice for"
        return self._would_not_fit(rows, count, tiling)

    def _would_not_fit(self, rows: Rows, count: int, tiling: Tiling) -> str:
        """Why not, in words; empty where it does, or nobody knows (on a GPU it is tried: that harms nobody else)."""
        pixels = count * self._predictor.pixels_seen(rows.size)
        if self._predictor.engine.device != "cpu" or pixels <= max(self._largest, _TIMES * tiling.side**2):
            return ""
        if self._rate is None:
            crop_hw3 = np.ascontiguousarray(rows.read(0, min(tiling.side, rows.size[0]))[:, : tiling.side])
            with self.measured(self._predictor.pixels_seen((crop_hw3.shape[0], crop_hw3.shape[1]))):
                self._predictor.labels(crop_hw3[None])
        free, now = self._free(), self._resident()
        if free is None or now is None or self._rate is None:
            return ""
        needed, there = self._rate * pixels, free + max(0, now - self._before)
        if needed <= there:
            return ""
        return f"would take about {needed / 2**30:.3g} GiB of memory, and {there / 2**30:.3g} are there"

    @contextlib.contextmanager
    def measured(self, pixels: int) -> Iterator[None]:
        """The network sees so many pixels within: what memory that takes is known afterwards."""
        tiling = self._possible()
        if pixels <= self._largest or tiling is None or self._predictor.engine.device != "cpu":
            yield
        elif pixels < tiling.side**2 // 2:  # what the network takes once and for all would count as the pixels'
            yield
            self._largest = pixels
        else:
            with memory_limit.Peak(self._resident) as peak:
                yield
            self._largest = pixels
            if peak.bytes is not None:
                self._rate = max(0, peak.bytes - self._before) / pixels

    def _possible(self) -> Tiling | None:
        """The model's own tiles; None where it takes whole pictures only."""
        try:
            return self._own()
        except RecipeError:
            return None

    def _own(self) -> Tiling:
        if self._whole_only:
            raise RecipeError(self._whole_only)
        self._predictor.check_tiles()
        return Tiling.of(self._predictor.card.input, self._journal.tile)

    def _tiles(self, where: str, rows: Rows, reason: str) -> Tiling:
        try:
            tiling = self._own()
        except RecipeError as error:
            raise TooLargeError(f"{where}: {reason}; tiles are no way out: {error}") from error
        height, width = rows.size
        console.note(f"{where}: {height}x{width} (height x width), {reason}: in tiles of {tiling.side} (`tile`)")
        self._journal.note_tiles(self._predictor.pixels_seen(rows.size), tiling.side)
        return tiling


def _said(reason: str) -> str:
    return f"not enough memory for it ({reason})" if reason else "not enough memory for it"

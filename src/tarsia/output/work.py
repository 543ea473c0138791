"""The work of `predict`: picture after picture, those of one size together, where memory suffices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.errors import ImageError, MissingExtraError, ModelFileError, NoRoomError, OutputError
from tarsia.files import remove_parts
from tarsia.output import of_picture, of_raster, of_video, summary
from tarsia.output.fitting import Fitting
from tarsia.output.journal import Journal
from tarsia.output.of_picture import Segmented
from tarsia.output.plan import BEFORE, DONE, Plan
from tarsia.output.sources import ENDINGS, Failed, Source, text
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import shown
from tarsia.pictures.ranges import Levels, together
from tarsia.pictures.reader import masked, read, unsure
from tarsia.plain_text import be
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import InMemory, segment
from tarsia.prediction.tiling import Tiling

_NO_MEMORY = "not enough memory for it: end other programs, ask for fewer kinds of results, or make it smaller"


@dataclass(frozen=True)
class PredictionRun:
    """What became of the pictures: `done` (source, label file or None), `failed` (source, message).

    `before`: those that an interrupted run had finished.  Both are lists that are read from the disk a part at a time.
    `shares`: each class's share of all their pixels, 0 .. 1.
    """

    done: Sequence[tuple[Path, Path | None]]
    before: Sequence[Path]
    failed: Failed
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 where every picture was done, else 2."""
        return 2 if self.failed else 0


@dataclass(frozen=True)
class Work:
    """A run under way."""

    predictor: Predictor
    out: Path
    what: WhatToWrite
    journal: Journal
    run: PredictionRun
    batch: int
    fitting: Fitting
    frames: int | None
    look: Callable[[], None]  # again how much memory there is
    plan: Plan
    cleaned: set[Path] = field(default_factory=set)  # folders that results were written in
    valid: dict[Source, np.ndarray] = field(default_factory=dict)  # of pictures in hand: where they have data
    levels: dict[Source, Levels] = field(default_factory=dict)  # of pictures in hand: their own range

    def all(self) -> None:
        """Every source that is not finished; then the summaries, also of a run that is interrupted."""
        try:
            waiting: dict[tuple[int, ...], list[tuple[Source, np.ndarray]]] = {}
            with console.Work("predict", None) as shown_work:
                for source in self.plan:
                    self._look_ahead(shown_work)
                    if self.journal.finished(source):
                        self.plan.mark(source, BEFORE)
                        shown_work.skip()
                        continue
                    for group in self._grouped(source, waiting):
                        self._segment(group)
                    shown_work.step()
                for group in waiting.values():
                    self._segment(group)
        except BaseException as error:
            # Interrupted or out of room: what is done stays usable, and the first error is the one to show.
            try:
                self._sum_up(complete=False)
            except OutputError as another:
                console.note(another)
            if isinstance(error, NoRoomError):
                raise self._no_room(error) from error
            raise
        try:
            self._sum_up(complete=True)
        except NoRoomError as error:
            raise self._no_room(error) from error

    def _look_ahead(self, shown_work: console.Work) -> None:
        """With each picture find more of them, until all are known, and with that how long it takes."""
        if not self.plan.complete:
            self.plan.more()
        if self.plan.complete:
            shown_work.of(self.plan.count)

    def _no_room(self, error: NoRoomError) -> NoRoomError:
        """The same error, with what is there and how the run goes on."""
        written = len(self.run.done) + len(self.run.before)
        go_on = f"make room, then go on with out={str(self.out)!r} and `resume=True`"
        found = f"{self.plan.count}{'' if self.plan.complete else ' or more'}"
        return NoRoomError(
            f"{error.fault}; {written} of {found} pictures {be(written)} written and stay as they are", go_on
        )

    def _sum_up(self, complete: bool) -> None:
        card, sources = self.predictor.card, self.plan.known()
        self.run.shares.update(summary.shares(card, self.journal, sources))
        summary.write(self.what.save, self.out, card, self.journal, sources, self.run.failed, complete)

    def _grouped(
        self, source: Source, waiting: dict[tuple[int, ...], list[tuple[Source, np.ndarray]]]
    ) -> Iterator[list[tuple[Source, np.ndarray]]]:
        """Read a picture; pictures of one size where they are enough, or too many are held.

        Rasters and videos are done at once, and pictures of which `batch` are too many.
        """
        self.look()
        self._note_missing(source)
        if source.medium != "picture":
            self._attempt(source, lambda: self._large(source))
            return
        read = self._attempt(source, lambda: self._read(source))
        if read is None:
            return
        image_HW3, may_wait = read
        if not may_wait:
            yield [(source, image_HW3)]
            return
        same = waiting.setdefault(image_HW3.shape, [])
        same.append((source, image_HW3))
        if len(same) == self.batch:
            yield waiting.pop(image_HW3.shape)
        elif sum(map(len, waiting.values())) >= 2 * self.batch:
            yield waiting.pop(max(waiting, key=lambda size: len(waiting[size])))

    def _read(self, source: Source) -> tuple[np.ndarray, bool]:
        """The picture, and whether it may wait for others of its size."""
        picture = read(source.path, self.predictor.card.spec)
        image_HW3 = picture.values_HWC
        if picture.valid_HW is not None:
            self.valid[source] = picture.valid_HW
        if picture.levels is not None:
            self.levels[source] = picture.levels
        for remark in picture.remarks:
            console.note(remark)
        return image_HW3, self.batch > 1 and self.fitting.together(InMemory(image_HW3), self.batch)

    def _segment(self, group: list[tuple[Source, np.ndarray]]) -> None:
        """Segment and write pictures of one size; where they fail together, one by one."""
        if len(group) > 1:
            found = None
            with contextlib.suppress(ImageError, ModelFileError, MemoryError):
                seeing = self._seeing(*(source for source, _ in group))
                found = self._labelled(seeing, np.stack([image_HW3 for _, image_HW3 in group]))
            if found is None:  # the error is gone by now, and with it what the network had
                for one in group:
                    self._segment([one])
                return
            for (source, image_HW3), (label_HW, confidence_HW) in zip(group, found, strict=True):
                self._attempt(source, lambda: self._write(source, image_HW3, label_HW, confidence_HW, {}))  # noqa: B023
            return
        ((source, image_HW3),) = group
        self._attempt(source, lambda: self._one(source, image_HW3))

    def _one(self, source: Source, image_HW3: np.ndarray) -> None:
        """Segment and write one picture, whole or in tiles."""
        seeing = self._seeing(source)
        found, tile = self.fitting.run(
            shown(source.path),
            InMemory(image_HW3),
            lambda: (self._labelled(seeing, image_HW3[None])[0], {}),
            lambda tiling: (self._in_tiles(seeing, image_HW3, tiling), {"tile": tiling.side}),
        )
        self._write(source, image_HW3, *found, tile)

    def _seeing(self, *sources: Source) -> Predictor:
        """The predictor for these pictures."""
        return self.predictor.at_levels(together(self.levels.get(source) for source in sources))

    def _labelled(self, predictor: Predictor, images_BHW3: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
        size = images_BHW3.shape[1], images_BHW3.shape[2]
        with self.fitting.measured(len(images_BHW3) * predictor.pixels_seen(size)):
            if not self.what.needs_confidence:
                return [(label_HW, None) for label_HW in predictor.labels(images_BHW3)]
            return list(zip(*predictor.labels_and_confidence(images_BHW3), strict=True))

    def _in_tiles(
        self, predictor: Predictor, image_HW3: np.ndarray, tiling: Tiling
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return segment(predictor, image_HW3, tiling, self.what.needs_confidence, self.batch)

    def _write(
        self,
        source: Source,
        image_HW3: np.ndarray,
        label_HW: np.ndarray,
        confidence_HW: np.ndarray | None,
        tile: dict[str, int],
    ) -> None:
        valid_HW = self.valid.pop(source, None)
        label_HW = masked(self.what.selected(label_HW, confidence_HW), valid_HW)
        confidence_HW = unsure(confidence_HW, valid_HW)
        at = self.what.attention_at
        maps = self._seeing(source).attention(image_HW3, at) if "attention" in self.what.save else []
        self.levels.pop(source, None)
        self._note_memory_format()
        self._begin(source)
        one = Segmented(image_HW3, label_HW, confidence_HW, maps)
        more = of_picture.write(one, source, self.out, self.what, self.predictor.classes)
        row = summary.row_of(label_HW.shape, summary.counted(label_HW), self.predictor.card, **tile)
        self._finish(source, row, **more)

    def _begin(self, source: Source) -> None:
        """Its results are about to be written; what a killed run was writing there goes first."""
        folder = (self.out / source.name).parent
        if folder not in self.cleaned:
            remove_parts([folder])
            self.cleaned.add(folder)
        self.journal.begin(source)

    def _note_memory_format(self) -> None:
        self.journal.note_memory_format(self.predictor.engine.memory_format)

    def _large(self, source: Source) -> None:
        """A raster or a video, written while it is read."""
        self._begin(source)
        if source.medium == "raster":
            made = of_raster.write(self.predictor, source, self.out, self.what, self.fitting, self.batch)
        else:
            made = self._video(source)
        self._note_memory_format()
        self._finish(source, made.pop("row"), **made)

    def _video(self, source: Source) -> dict[str, Any]:
        """All frames whole, or all in tiles: where memory does not suffice for one of them it begins anew."""
        where = shown(source.path)
        first: list[InMemory] = []
        chosen: list[Tiling | None] = []

        def labelled(images_BHW3: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
            if not chosen:
                first.append(InMemory(images_BHW3[0]))
                chosen.append(self.fitting.tiling(where, first[0]))
            if chosen[0] is None:
                return self._labelled(self.predictor, images_BHW3)
            return [self._in_tiles(self.predictor, image_HW3, chosen[0]) for image_HW3 in images_BHW3]

        def write() -> dict[str, Any]:
            batch, card = self.batch, self.predictor.card
            return of_video.write(labelled, card, source, self.out, self.what, batch, self.frames)

        try:
            return write()
        except MemoryError as error:
            if not chosen or chosen[0] is not None:
                raise
            reason = str(error)
        chosen[0] = self.fitting.retreat(where, first[0], reason)
        return write()

    def _note_missing(self, source: Source) -> None:
        for kind in self.what.kinds(source.medium):
            if kind in ENDINGS["picture"] and kind not in ENDINGS[source.medium]:
                console.note(f"{shown(source.path)}: no {kind} of a {source.medium}")

    def _finish(self, source: Source, row: dict[str, Any], **more: Any) -> None:
        files = source.outputs(self.out, self.what)
        self.journal.finish(source, files, row, file_name=text(source.relative), **more)
        self.plan.mark(source, DONE)

    def _attempt(self, source: Source, work: Callable[[], Any]) -> Any:
        """What `work` gives; None where it fails for a picture's fault, which is noted, not raised."""
        try:
            return work()
        except NoRoomError:
            raise
        except (ImageError, MissingExtraError, ModelFileError, OutputError, MemoryError) as error:
            message = _NO_MEMORY if isinstance(error, MemoryError) else str(error)
            # The predictor has seen an array and cannot name the file.
            message = message if shown(source.path) in message else f"{shown(source.path)}: {message}"
            self.run.failed.append((source.path, message))
            console.note(message)
            return None

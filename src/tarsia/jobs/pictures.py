"""The pictures of a chunk to their rows: reading ahead, the network and writing at the same time, the rows in order.

What a row holds depends on its picture, the model and the settings alone, never on how busy the machine is: nothing
goes in tiles for want of memory, as it may in a folder of results.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tarsia.card import IGNORED
from tarsia.drawing.paint import label_png
from tarsia.errors import ImageError, ModelFileError, TooLargeError
from tarsia.jobs import remote
from tarsia.jobs.rows import row
from tarsia.output.sources import text
from tarsia.output.what_to_write import WhatToWrite
from tarsia.pictures.files import open_file, shown
from tarsia.pictures.ranges import Levels, together
from tarsia.pictures.reader import masked, read
from tarsia.prediction.predictor import Predictor
from tarsia.prediction.tiles import segment
from tarsia.prediction.tiling import Tiling

MOST_BYTES = 2**30  # of one file, which is held whole
_READERS, _AHEAD = 2, 4  # threads; pictures read beyond those of a batch
_WAITS_SECONDS = (0.1, 1.0, 5.0)  # before a file is read again that the system could not read
_PASSING = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
}
_PASSING |= {errno.EMFILE, errno.ENFILE, errno.EREMOTEIO, errno.EBUSY}
_NO_MEMORY = "not enough memory for it: plan a job with `tile`, with fewer processes, or make the picture smaller"


class _Read(NamedTuple):
    """A picture that is ready for the network; or why there is none."""

    path: str
    sha256: str | None
    error: str | None = None
    image_HWC: np.ndarray | None = None
    valid_HW: np.ndarray | None = None
    levels: Levels | None = None


@dataclass(frozen=True)
class Segmenting:
    """How a chunk's pictures become rows."""

    predictor: Predictor
    what: WhatToWrite  # which pixels are left out
    batch: int = 1

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """A row for each of the names, in their order; a picture that cannot be segmented has an `error`."""
        rows: list[Future[dict[str, Any]] | dict[str, Any]] = [{} for _ in names]
        with ThreadPoolExecutor(_READERS) as readers, ThreadPoolExecutor(1) as writer:
            for group in self._groups(self._read_ahead(names, readers)):
                for index, one, found in self._segmented(group):
                    if isinstance(found, str):
                        rows[index] = row(text(one.path), one.sha256, found)
                    else:
                        rows[index] = writer.submit(self._row, one, *found)
            return [one if isinstance(one, dict) else one.result() for one in rows]

    def _read_ahead(self, names: Sequence[str], readers: ThreadPoolExecutor) -> Iterator[tuple[int, _Read]]:
        waiting: deque[Future[_Read]] = deque()
        for index in range(len(names) + self.batch + _AHEAD):
            if index < len(names):
                waiting.append(readers.submit(self._read, names[index]))
            if index >= self.batch + _AHEAD:
                yield index - self.batch - _AHEAD, waiting.popleft().result()

    def _read(self, path: str) -> _Read:
        sha256, content = None, b""
        try:
            content = content_of(path)
            sha256 = hashlib.sha256(content).hexdigest()
            picture = read(content, self.predictor.card.spec)
        except ImageError as error:  # what is not installed ends the run: no other picture of the kind would do better
            return _Read(path, sha256, _said(error, shown(path), shown(content)))
        except MemoryError:
            return _Read(path, sha256, _NO_MEMORY)
        return _Read(path, sha256, None, picture.values_HWC, picture.valid_HW, picture.levels)

    def _groups(self, pictures: Iterator[tuple[int, _Read]]) -> Iterator[list[tuple[int, _Read]]]:
        """Pictures of one size together, as many as a batch; so many sizes wait at a time as a batch has pictures."""
        waiting: dict[tuple[int, ...], list[tuple[int, _Read]]] = {}
        for index, one in pictures:
            if one.image_HWC is None or self.batch == 1:
                yield [(index, one)]
                continue
            group = waiting.setdefault(one.image_HWC.shape, [])
            group.append((index, one))
            if len(group) == self.batch:
                yield waiting.pop(one.image_HWC.shape)
            elif sum(map(len, waiting.values())) > self.batch:
                yield waiting.pop(max(waiting, key=lambda size: len(waiting[size])))
        yield from waiting.values()

    def _segmented(self, group: list[tuple[int, _Read]]) -> Iterator[tuple[int, _Read, Any]]:
        """Label map and confidence of each picture of a group, or the error of it; together, or else one by one."""
        images = [one.image_HWC for _, one in group if one.image_HWC is not None]
        seeing = self.predictor.at_levels(together(one.levels for _, one in group if one.image_HWC is not None))
        found: list[Any] = []
        if len(images) > 1:
            with contextlib.suppress(ImageError, ModelFileError, MemoryError):
                found = list(zip(*seeing.labels_and_confidence(np.stack(images)), strict=True))
        for place, (index, one) in enumerate(group):
            if one.image_HWC is None:
                yield index, one, one.error
            else:
                yield index, one, found[place] if found else self._alone(one.image_HWC, one.levels)

    def _alone(self, image_HWC: np.ndarray, levels: Levels | None) -> tuple[np.ndarray, np.ndarray | None] | str:
        tiling, seeing = self._tiling(), self.predictor.at_levels(levels)
        try:
            if tiling is not None and max(image_HWC.shape[:2]) > tiling.side:
                return segment(seeing, image_HWC, tiling, True, self.batch)  # of its tiles
            label_BHW, confidence_BHW = seeing.labels_and_confidence(image_HWC[None])
            return label_BHW[0], confidence_BHW[0]
        except (ImageError, ModelFileError) as error:
            return str(error)
        except MemoryError:
            pass
        self.predictor.engine.give_back()  # not within `except`, which holds on to what the network had
        return _NO_MEMORY

    def _tiling(self) -> Tiling | None:
        settings = self.predictor.card.input
        if self.predictor.tile or settings.tile:
            return Tiling.of(settings, self.predictor.tile, self.predictor.overlap)
        return None

    def _row(self, one: _Read, label_HW: np.ndarray, confidence_HW: np.ndarray) -> dict[str, Any]:
        classes, valid_HW = self.predictor.classes, one.valid_HW
        label_HW = masked(self.what.selected(label_HW, confidence_HW), valid_HW)
        sure = confidence_HW if valid_HW is None else confidence_HW[valid_HW]
        counts = np.bincount(label_HW.reshape(-1), minlength=256).tolist()
        return row(
            text(one.path),
            one.sha256,
            mask=label_png(label_HW, classes),
            height=label_HW.shape[0],
            width=label_HW.shape[1],
            pixels=counts[: len(classes)],
            ignored=counts[IGNORED],
            confidence=float(sure.mean(dtype=np.float64)) if sure.size else None,
        )


def content_of(path: str) -> bytes:
    """The file of a path or URL; ImageError where there is none, or it cannot be read, not even at further tries."""
    return again(lambda: remote.content_of(path) if remote.URL.match(path) else _content(path))


def again(read: Callable[[], bytes]) -> bytes:
    """What `read` gives, tried again, later and later, where disk or network have failed and nothing else has."""
    for wait in _WAITS_SECONDS:
        try:
            return read()
        except ImageError as error:
            if not _may_pass(error.__cause__):
                raise
        time.sleep(wait)
    return read()


def _content(path: str) -> bytes:
    where = shown(path)
    try:
        with open_file(path, where) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise TooLargeError(f"{where}: {size:,} bytes, more than {MOST_BYTES:,}: predict it without a job")
            content: bytes = file.read()
            return content
    except OSError as error:
        raise ImageError(f"{where}: cannot be read ({error.strerror})") from error


def _may_pass(cause: BaseException | None) -> bool:
    if isinstance(cause, TimeoutError | ConnectionError):
        return True
    return isinstance(cause, OSError) and cause.errno in _PASSING


def _said(error: Exception, *names: str) -> str:
    """An error of a picture without its name, which is the row's path."""
    said = str(error)
    for name in names:
        said = said.removeprefix(f"{name}: ")
    return said

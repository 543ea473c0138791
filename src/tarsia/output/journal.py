"""What a run has done so far, a line a picture, so that an interrupted one can go on; and what is summed up from it.

`.predict.jsonl` in the output folder: first the settings; then a line when a picture's results are about to be written
and one when they are all in place, with their sizes.  A picture counts as finished where that last line is there, its
file has not changed since, and every result is on disk in its size (results are written whole or not at all).  A line
`tiled_from` says from how many pixels on pictures went through the network in tiles, for want of memory; one
`memory_format` in which layout torch computes.  Each line has a checksum, `sum`: a damaged one counts for nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tarsia.errors import NoRoomError, OutputError
from tarsia.output.numbers import Numbers
from tarsia.output.sources import Source, text
from tarsia.pictures.files import shown
from tarsia.pictures.reader import RGB
from tarsia.spec import Spec

FILE = ".predict.jsonl"


class Journal:
    """The record of one output folder, open for more lines; a context."""

    def __init__(self, out: Path, settings: dict[str, Any], resume: bool, spec: Spec = RGB) -> None:
        """`spec`: what pictures are read as, which may be of several files.

        Raises OutputError where there is nothing to resume, or it was begun with other settings.
        """
        self._spec = spec
        self.path = out / FILE
        self._out = out
        self._begun = Numbers()
        self.tiled_from: int | None = None  # pixels to the network
        self.tile: int | None = None  # the side of those tiles
        self.memory_format: str | None = None  # of torch, once that is chosen
        self._places = Numbers()  # of each source's last line in the file
        if resume:
            self._read(settings)
        # Not through a link, which could lead anywhere.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if resume else os.O_TRUNC)
        try:
            self._file = os.fdopen(os.open(self.path, flags, 0o666), "ab", buffering=0)
        except OSError as error:
            raise self._explained(error) from error
        self._lines: BinaryIO | None = None  # the same to be read
        self._append({} if resume else {"settings": settings})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take was said when it was written
            self._file.close()
        if self._lines is not None:
            self._lines.close()

    def may_replace(self, source: Source) -> bool:
        """Whether the results of `source` that are there already are this run's own, begun and perhaps not finished."""
        return text(source.name) in self._begun

    def finished(self, source: Source) -> bool:
        """Whether all results of `source` are in place."""
        record = self._last(source)
        if not record or record["name"] != text(source.name) or record["stamp"] != self._stamp(source.path):
            return False
        return all(_size(self._out / name) == size for name, size in record["files"].items())

    def begin(self, source: Source) -> None:
        """Its results are about to be written."""
        self._append({"begin": text(source.name)})

    def finish(self, source: Source, files: Sequence[Path], row: dict[str, Any], **more: Any) -> None:
        """Its results are in place: `row` for the summaries, and what else they need."""
        sizes = {text(path.relative_to(self._out)): _size(path) for path in files}
        record = {
            "source": text(source.path),
            "name": text(source.name),
            "stamp": self._stamp(source.path),
            "files": sizes,
        }
        self._places[text(source.path)] = self._append(record | {"row": row} | more)

    def note_tiles(self, pixels: int, side: int) -> None:
        """Pictures of so many pixels or more go in tiles of `side`, from now on and when the run goes on."""
        if self.tiled_from is None or pixels < self.tiled_from:
            self._append({"tiled_from": pixels, "tile": side})
            self.tiled_from, self.tile = pixels, side

    def note_memory_format(self, name: str | None) -> None:
        """The layout that torch has chosen, which stays when the run goes on: another's sums differ by rounding."""
        if name is not None and name != self.memory_format:
            self._append({"memory_format": name})
            self.memory_format = name

    def rows(self, sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """The last line of each of the `sources` that is finished, in the order of these, one in memory at a time."""
        for source in sources:
            record = self._last(source)
            if record is not None:
                yield record

    def _stamp(self, path: Path) -> list[int] | None:
        """What tells the files of a picture from what they were before; None for a camera."""
        try:
            found = [one.stat() for one in self._spec.files_of(path)]
        except OSError:
            return None
        return [number for one in found for number in (one.st_size, one.st_mtime_ns)]

    def _last(self, source: Source) -> dict[str, Any] | None:
        place = self._places.get(text(source.path))
        if place is None:
            return None
        if self._lines is None:
            self._lines = self.path.open("rb")
        self._lines.seek(place)
        record: dict[str, Any] = json.loads(self._lines.readline())
        return record

    def _read(self, settings: dict[str, Any]) -> None:
        if not self.path.is_file() or self.path.is_symlink():
            raise OutputError(f"{shown(self._out)}: holds no run to resume; leave `resume` out to begin one")
        for number, (place, record) in enumerate(_lines(self.path)):
            if number == 0:
                _compare(record.get("settings") or {}, settings, self._out)
            if "tiled_from" in record:
                self.tiled_from, self.tile = record["tiled_from"], record["tile"]
            if "memory_format" in record:
                self.memory_format = record["memory_format"]
            if "begin" in record:
                self._begun.add(record["begin"], 1)
            if "source" in record:
                self._places[record["source"]] = place
                self._begun.add(record["name"], 1)

    def _append(self, record: dict[str, Any]) -> int:
        """Write a line -> where in the file it begins."""
        # A line of its own whatever the last one, which may have been cut off.
        left = ("\n" + _written(record | {"sum": _sum(record)})).encode() if record else b""
        try:
            place = os.fstat(self._file.fileno()).st_size + 1
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._explained(error) from error
        return place

    def _explained(self, error: OSError) -> NoRoomError:
        """Whatever the reason: without its record the run cannot go on."""
        return NoRoomError(f"cannot write {shown(self.path)}: {error.strerror}")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The sound lines and where in the file each begins; a run that was killed may have left one cut off.

    Lines of versions before there were checksums have none.
    """
    with path.open("rb") as file:
        end, summed = 0, False
        for line in file:
            place, end = end, end + len(line)
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict):
                continue
            found = record.pop("sum", None)
            summed = summed or found is not None
            if not summed or found == _sum(record):
                yield place, record


def _written(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _sum(record: dict[str, Any]) -> int:
    return zlib.crc32(_written(record).encode("utf-8", "surrogatepass"))


def _compare(before: dict[str, Any], now: dict[str, Any], out: Path) -> None:
    for key, value in (dict.fromkeys(before) | json.loads(json.dumps(now))).items():
        if before.get(key) != value:
            raise OutputError(
                f"{shown(out)}: was begun with another {key.replace('_', ' ')} ({before.get(key)}, now {value}): "
                "resume it as it was begun, or choose another `out`"
            )


def _size(path: Path) -> int | None:
    """Bytes of a file, the number of files of a folder, None where there is neither."""
    if path.is_symlink():
        return None
    if path.is_dir():
        return len(os.listdir(path))
    return path.stat().st_size if path.is_file() else None

"""One chunk of a job to its file, whoever does it: a process of this machine, one of many, or one on another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tarsia.errors import ImageError
from tarsia.jobs import rows
from tarsia.jobs.job import Job, masks_folder, out_name, piece_name
from tarsia.jobs.pictures import Segmenting, content_of
from tarsia.jobs.tries import MOST, Tries, taken
from tarsia.output.sources import text

if TYPE_CHECKING:
    import pyarrow

_WRITERS = 8  # of masks that are files, which wait for disk or network
_KILLED = "killed each process that segmented it alone: damaged, or too large for memory"


@dataclass
class ChunkWork:
    """What makes chunks of a job's pictures."""

    job: Job
    segmenting: Segmenting
    model: str  # the model file's sha256
    run: str = ""  # whose processes are counted where they die, of stores without locks
    _tries: Tries | None = None  # of the chunk in hand

    def do(self, index: int) -> Literal["done", "held"]:
        """Do a chunk, or see that it is done; "held" where another process has it.

        Raises NoRoomError where the disk is full, and OutputError where the job's folder cannot be written.
        """
        with taken(self.job, index, self.run) as tries:
            self._tries = tries
            if self.job.is_done(index):
                return "done"
            if tries is None:
                return "held"
            table = rows.joined(self._pieces(index, self.job.names(index), tries))
            if self.job.files:
                table = self._masks_to_files(index, table)
            self.job.folder.put(out_name(index), rows.content(table))
            for first, end, _ in tries.pieces:
                self.job.folder.remove(piece_name(index, first, end))
            return "done"

    def give_back(self) -> None:
        """The process is about to be ended by who has begun it: for the chunk in hand that is none of its ends."""
        if self._tries is not None:
            self._tries.take_back()

    def _pieces(self, index: int, names: Sequence[str], tries: Tries) -> list[pyarrow.Table]:
        """The chunk's rows: all at once, or, where that has killed its process, piece by piece."""
        found: list[pyarrow.Table] = []
        while len(found) < len(tries.pieces):
            piece = tries.pieces[len(found)]
            first, end, begun = piece
            name = piece_name(index, first, end)
            if self.job.folder.exists(name):
                found.append(rows.read(self.job.folder.read(name)))
                continue
            if begun < MOST:
                tries.begin(piece)
                segmented = self.segmenting.rows(names[first:end])
            elif end - first > 1:
                tries.halve(piece)
                continue
            else:
                segmented = [self._given_up(names[first])]
            found.append(rows.table(segmented, self.segmenting.predictor.classes.names, self.model))
            if len(tries.pieces) > 1:
                self.job.folder.put(name, rows.content(found[-1]))
        return found

    def _masks_to_files(self, index: int, table: pyarrow.Table) -> pyarrow.Table:
        """The rows with their masks in files, which are all there before a row says so."""
        paths, masks = (table.column(name).to_pylist() for name in ("path", "mask"))
        files = [
            None if mask is None else self.job.mask_name(index, place, path)
            for place, (path, mask) in enumerate(zip(paths, masks, strict=True))
        ]
        self.job.folder.clean(masks_folder(index))
        with ThreadPoolExecutor(_WRITERS) as writers:
            put = self.job.folder.put
            for done in [writers.submit(put, file, mask) for file, mask in zip(files, masks, strict=True) if file]:
                done.result()
        return rows.with_files(table, files)

    def _given_up(self, name: str) -> dict[str, Any]:
        try:
            sha256 = hashlib.sha256(content_of(name)).hexdigest()
        except ImageError:
            sha256 = None
        return rows.row(text(name), sha256, _KILLED)

"""What the folder of a job holds, and reading and writing it.

    job.json                        how many pictures and chunks; written last, when the plan is whole
    plan/part-000000.parquet        names of pictures, a row group for each chunk
    model.json                      the model's sha256 and every setting of how it is run; written by the first run
    out/chunk-000000.parquet        a chunk that is done: a row for each of its pictures
    masks/chunk-000000/012-NAME.png  the masks of its rows, of a job that was planned with files
    tries/chunk-000000.json         of a chunk in hand: how often each piece of it was begun
    tries/chunk-000000.0-500.parquet  a piece that is done, of a chunk that has killed its process

A chunk is done when its file in `out` is there, which appears in one step.  So whatever is killed, what is finished
stays, and nothing else needs to be known to go on.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tarsia.errors import OutputError, needs
from tarsia.jobs.storage import Folder
from tarsia.plain_text import first_line

SCHEMA = 1  # of all that a job's folder holds
JOB, MODEL = "job.json", "model.json"
_ROWS_A_PART = 100_000  # of the plan, about
_LONGEST_STEM = 200  # bytes of a picture's name in that of its mask: file systems take 255


@dataclass(frozen=True)
class Job:
    """A planned job: `pictures` of them in chunks of `chunk` (the last may have fewer); `files`: masks are files."""

    folder: Folder
    pictures: int
    chunk: int
    files: bool = False

    @property
    def chunks(self) -> int:
        return -(-self.pictures // self.chunk)

    def count(self, index: int) -> int:
        """How many pictures a chunk has."""
        return min(self.chunk, self.pictures - index * self.chunk)

    def names(self, index: int) -> list[str]:
        """The names of a chunk's pictures.

        Raises OutputError where the file that holds them is damaged.
        """
        with needs("a job", "parquet"):
            from pyarrow import parquet
        a_part = chunks_a_part(self.chunk)
        name = part_name(index // a_part)
        with self.folder.open(name) as file:
            try:
                table = parquet.ParquetFile(file).read_row_group(index % a_part)
            except (ValueError, OSError) as error:
                what = f"{self.folder}: {name} is damaged or cannot be read ({first_line(error)})"
                raise OutputError(f"{what}: plan the pictures again into another folder") from error
        return [name.decode("utf-8", "surrogateescape") for name in table.column("name").to_pylist()]

    def mask_name(self, index: int, place: int, path: str) -> str:
        """The file of the mask of a chunk's picture at a place, named after it; no other's has the same name."""
        stem = os.path.splitext(path.rpartition("/")[2])[0].encode()[:_LONGEST_STEM].decode(errors="ignore")
        return f"{masks_folder(index)}/{place:0{len(str(self.chunk - 1))}}-{stem}.png"

    def done(self) -> set[int]:
        """The chunks that are done."""
        found = set()
        for name in self.folder.names("out"):
            number = name.removeprefix("chunk-").removesuffix(".parquet")
            if number.isdecimal() and name == f"chunk-{number}.parquet":
                found.add(int(number))
        return {index for index in found if index < self.chunks}

    def is_done(self, index: int) -> bool:
        return self.folder.exists(out_name(index))

    def agree(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The job's settings: `settings`, kept, where none are kept yet, else those of the first run.

        OutputError, by name, where one of them is another now.  What only the first run can know, as in which layout
        torch computes, stands under `found` and is taken as it is there.
        """
        content = json.dumps({"schema": SCHEMA} | settings, indent=2, ensure_ascii=False) + "\n"
        if self.folder.create(MODEL, content.encode("utf-8", "backslashreplace")):
            return settings
        kept = self.settings()
        if kept is None:
            raise OutputError(f"{self.folder}: {MODEL} is damaged: plan the pictures again into another folder")
        for key, value in json.loads(content).items():
            if key != "found" and kept.get(key) != value:
                raise OutputError(
                    f"{self.folder}: was begun with another {key.replace('_', ' ')} ({kept.get(key)}, now {value}): "
                    "go on as it was begun, or plan the pictures again into another folder"
                )
        return kept

    def settings(self) -> dict[str, Any] | None:
        """What the first run has kept; None where there was none."""
        try:
            kept = json.loads(self.folder.read(MODEL))
        except (FileNotFoundError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None


def open_job(folder: Folder) -> Job:
    """The job in a folder; OutputError where there is none, or one of another schema."""
    try:
        facts = json.loads(folder.read(JOB))
        job = Job(folder, int(facts["pictures"]), int(facts["chunk"]), bool(facts.get("files", False)))
        schema = facts["schema"]
        if job.chunk < 1 or job.pictures < 0:
            raise ValueError(f"{job.pictures} pictures in chunks of {job.chunk}")
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(f"{folder}: holds no planned job: make one with `tarsia plan`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder}: {JOB} cannot be read ({error}): plan the pictures again") from error
    if schema != SCHEMA:
        raise OutputError(f"{folder}: a job of schema {schema}, expected {SCHEMA}: plan the pictures again")
    return job


def save_job(job: Job, facts: dict[str, Any]) -> None:
    """Write job.json, from when on there is a job; OutputError where there is one."""
    content = {"schema": SCHEMA, "pictures": job.pictures, "chunk": job.chunk, "chunks": job.chunks}
    content |= {"files": job.files} | facts
    if not job.folder.create(JOB, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()):
        raise OutputError(f"{job.folder}: another process has planned a job there; choose another folder")


def write_part(folder: Folder, number: int, chunks: Iterable[Sequence[str]]) -> None:
    """A file of the plan: names as bytes, for a file's name need be no text; a row group for each chunk."""
    with needs("a job", "parquet"):
        import pyarrow
        from pyarrow import parquet
    schema, content = pyarrow.schema([("name", pyarrow.binary())]), io.BytesIO()
    with parquet.ParquetWriter(content, schema, compression="zstd", use_dictionary=False) as writer:
        for names in chunks:
            column = pyarrow.array([name.encode("utf-8", "surrogateescape") for name in names], pyarrow.binary())
            writer.write_table(pyarrow.table([column], schema=schema), row_group_size=len(names))
    folder.put(part_name(number), content.getvalue())


def chunks_a_part(chunk: int) -> int:
    """How many chunks the files of the plan have each."""
    return max(1, _ROWS_A_PART // chunk)


def part_name(number: int) -> str:
    return f"plan/part-{number:06d}.parquet"


def out_name(index: int) -> str:
    return f"out/chunk-{index:06d}.parquet"


def masks_folder(index: int) -> str:
    return f"masks/chunk-{index:06d}"


def tries_name(index: int) -> str:
    return f"tries/chunk-{index:06d}.json"


def piece_name(index: int, first: int, end: int) -> str:
    return f"tries/chunk-{index:06d}.{first}-{end}.parquet"

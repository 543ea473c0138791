"""Samples in uncompressed tar files, a split in several, and where each of them lies: written and read.

    shards.json            classes, what pictures are, how many samples each split has
    train-000000.tar       members in the layout of WebDataset, one key a sample, one after the other:
                           000000000012.json (its name, domain, sequence), .jpg (the picture's file), .label.png
    train.index            a row for each sample (`ROW`): in which tar, where each member's content begins, its length

A sample is one read of one place (pread), whatever its number: nothing is unpacked, kept open or kept in memory.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tarsia.errors import DatasetError

FORMAT, WITH_OWN_RANGES = 1, 2  # 2: dataset.yaml said `range: {picture: ..}`, of which readers of 1 know nothing
FACTS = "shards.json"
ROW = np.dtype(
    [("part", "<u4"), ("sum", "<u4")]
    + [(f"{one}{what}", kind) for one in ("said", "image", "label") for what, kind in (("", "<u8"), ("_bytes", "<u4"))]
)


class Member(NamedTuple):
    """One sample as a tar has it: JSON of what it is called, the picture's file and its suffix, the label's file."""

    said: bytes
    image: bytes
    label: bytes
    suffix: str


def write_split(folder: Path, split: str, samples: Iterable[Member], part_bytes: int) -> tuple[int, int]:
    """The tars and the index of a split -> how many samples and tars; a tar ends with the sample that fills it."""
    count = parts = 0
    with (folder / f"{split}.index").open("wb") as index:
        for part in _parts(samples, part_bytes):
            with (folder / part_name(split, parts)).open("wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                    for one in part:
                        index.write(_add(tar, f"{count:012d}", one, parts).tobytes())
                        count += 1
                _sync(file)
            parts += 1
        _sync(index)
    return count, parts


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _parts(samples: Iterable[Member], part_bytes: int) -> Iterator[Iterator[Member]]:
    """The samples of each tar, which are taken in turn."""
    left = iter(samples)

    def filling(first: Member) -> Iterator[Member]:
        size = 0
        one: Member | None = first
        while one is not None:
            yield one
            size += sum(map(len, one[:3]))
            one = next(left, None) if size < part_bytes else None

    while (first := next(left, None)) is not None:
        yield filling(first)


def _add(tar: tarfile.TarFile, key: str, one: Member, part: int) -> np.ndarray:
    row = np.zeros((), ROW)
    row["part"] = part
    total = 0
    for what, suffix in (("said", ".json"), ("image", one.suffix), ("label", ".label.png")):
        content: bytes = getattr(one, what)
        info = tarfile.TarInfo(f"{key}{suffix}")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        row[what], row[f"{what}_bytes"] = tar.offset - -(-len(content) // 512) * 512, len(content)
        total = zlib.crc32(content, total)
    row["sum"] = total
    return row


def part_name(split: str, part: int) -> str:
    return f"{split}-{part:06d}.tar"


def read_row(folder: Path, split: str, index: int) -> np.ndarray:
    """Where sample `index` lies."""
    return np.frombuffer(_pread(folder / f"{split}.index", index * ROW.itemsize, ROW.itemsize), ROW)[0]


def read_said(folder: Path, split: str, row: np.ndarray) -> dict[str, str]:
    """What a sample is called."""
    path = folder / part_name(split, int(row["part"]))
    return _said(path, _pread(path, int(row["said"]), int(row["said_bytes"])))


def read_sample(folder: Path, split: str, row: np.ndarray) -> tuple[dict[str, str], bytes, bytes]:
    """What a sample is called, its picture's file and its label's: one read."""
    path, start = folder / part_name(split, int(row["part"])), int(row["said"])
    content = _pread(path, start, int(row["label"] + row["label_bytes"]) - start)
    found = [content[int(row[key]) - start :][: int(row[f"{key}_bytes"])] for key in ("said", "image", "label")]
    total = 0
    for one in found:
        total = zlib.crc32(one, total)
    if total != row["sum"]:
        raise _damaged(path, f"what lies from byte {start:,} on is not what was written")
    return _said(path, found[0]), found[1], found[2]


def _said(path: Path, content: bytes) -> dict[str, str]:
    try:
        said = json.loads(content)
        return {key: str(said[key]) for key in ("name", "domain", "sequence")}
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "what a sample is called cannot be read") from error


def _pread(path: Path, offset: int, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            there = 0 <= count <= os.fstat(file.fileno()).st_size - offset
            found = os.pread(file.fileno(), count, offset) if there else b""
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    if not there or len(found) < count:
        raise _damaged(path, f"ends before byte {offset + count:,}")
    return found


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(f"{path}: {what}: get the file again, or write the shards again")

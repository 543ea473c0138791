"""A data set decoded once: all pictures and labels in one file of raw bytes, read through memory maps.

FOLDER/NAME-KEY/samples.bin holds each sample's image and label, H x W x 3 (the data set's bands, in its kind of
numbers) and H x W uint8, one after the other; index.json says where each begins, with sums of it and of each sample.
KEY follows from what the data set is, so a changed one is decoded anew beside it.  Formats for data sets (LMDB,
WebDataset) hold encoded samples that are decoded or copied again each time; these are arrays where they lie.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tarsia import console
from tarsia.card import Spec
from tarsia.data._dataset import Dataset, Sample, check_sample, picture_of, read_as, spec_of
from tarsia.errors import DatasetError, OutputError
from tarsia.pictures.ranges import Levels
from tarsia.pictures.reader import Picture

_FORMAT = 3  # raised whenever what is stored, or how it is decoded, changes
_SAMPLES, _INDEX = "samples.bin", "index.json"
_BUILDING = ".building-"
_PLAIN = (str, int, float, bool, tuple, list, dict, Path, type(None))


class Cached:
    """`dataset`, decoded once into `folder` and read from there: the same samples, without decoding.

    The first one to open it decodes (others wait); any number of processes may read.  Each sample is mapped, copied and
    unmapped again, so memory does not grow with the file and the object holds nothing a fork or a pickle would upset.
    Raises OutputError where the folder cannot be written or the disk is full, and whatever the data set raises.
    """

    def __init__(self, dataset: Dataset, folder: str | Path) -> None:
        self.classes, self.spec = dataset.classes, spec_of(dataset)
        self.source, self.range_rule = dataset, getattr(dataset, "range_rule", None)
        name = type(dataset).__module__.rpartition(".")[2].strip("_")
        self.folder = Path(folder).expanduser() / f"{name}-{key_of(dataset)}"
        entries = _opened(self.folder, len(dataset))
        self._entries = _build(dataset, self.folder) if entries is None else entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; DatasetError where the cache was damaged or removed meanwhile."""
        name, domain, sequence, height, width, offset, told, *own = self._entries[index]
        path, pixels = self.folder / _SAMPLES, height * width
        deep = self.spec.bands * np.dtype(self.spec.dtype).itemsize  # bytes a pixel
        try:
            stored = np.array(np.memmap(path, np.uint8, "r", offset, (pixels * (deep + 1),)))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: removed or cut while in use ({error}): start again, it is rebuilt") from error
        if zlib.crc32(stored.data) != told:
            (self.folder / _INDEX).unlink(missing_ok=True)  # so that it is not taken for whole again
            raise DatasetError(f"{path}: damaged ({name} is not what was stored): start again, it is rebuilt")
        image_HWC = stored[: deep * pixels].view(self.spec.dtype).reshape(height, width, self.spec.bands)
        label_HW = stored[deep * pixels :].reshape(height, width)
        levels = Levels(*(np.array([one], np.float32) for one in own)) if own else None
        return check_sample(Sample(image_HWC, label_HW, name, domain, sequence, levels), self.classes, self.spec)

    def read_as(self, spec: Spec) -> Cached:
        """The same with pictures read by `spec`, in a cache of their own."""
        return Cached(read_as(self.source, spec), self.folder.parent)

    def picture(self, index: int) -> Picture:
        """The picture of sample `index` as the file has it."""
        return picture_of(self.source, index)

    @property
    def sequences(self) -> list[str]:
        """The sequence of each sample."""
        return [str(entry[2]) for entry in self._entries]

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        return str(self._entries[index][0])

    def fingerprint(self) -> str:
        """Hex digest of what the data set is (the part of the cache's name after the last hyphen)."""
        return self.folder.name.rpartition("-")[2]


def key_of(dataset: Dataset) -> str:
    """Hex digest of what a data set is: its own fingerprint, or class, arguments, all names and first sample."""
    digest = hashlib.sha256(f"{_FORMAT} {type(dataset).__module__} {dataset.classes!r}".encode())
    fingerprint = getattr(dataset, "fingerprint", None)
    if fingerprint is not None:
        digest.update(str(fingerprint()).encode())
        return digest.hexdigest()[:20]
    plain = {key: value for key, value in vars(dataset).items() if isinstance(value, _PLAIN)}
    digest.update(repr(sorted(plain.items())).encode())
    digest.update(repr([dataset.name(index) for index in range(len(dataset))]).encode())
    for part in dataset[0][:2] if len(dataset) else ():
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:20]


def _opened(folder: Path, count: int) -> list[Any] | None:
    """The entries of a cache; None where there is none, or one that is seen to be damaged."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        whole = (folder / _SAMPLES).stat().st_size == index["bytes"] and len(index["samples"]) == count
        return list(index["samples"]) if whole and index["sum"] == _sum(index["samples"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sum(entries: list[Any]) -> int:
    return zlib.crc32(json.dumps(entries).encode())


def _build(dataset: Dataset, folder: Path) -> list[Any]:
    """Decode everything into a temporary folder beside `folder`, then rename it: whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as alone:
            entries = _opened(folder, len(dataset))  # another process may have built it meanwhile
            if entries is not None:
                return entries
            if folder.exists():
                console.note(f"the cache {folder} is damaged (cut or changed) and is rebuilt")
            for left in folder.parent.glob(f"{_BUILDING}{folder.name}-*") if alone else ():
                shutil.rmtree(left, ignore_errors=True)  # of a build that was killed
            part = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{folder.name}-", dir=folder.parent))
            try:
                entries = _decode(dataset, part)
                _replace(part, folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            return entries
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise OutputError(
            f"cannot write the cache {folder}: {reason}; nothing is left of it: make room, choose another folder, or "
            "work without a cache"
        ) from error


def _decode(dataset: Dataset, folder: Path) -> list[Any]:
    entries: list[Any] = []
    offset = 0
    with (folder / _SAMPLES).open("wb") as file:
        for index in console.track(range(len(dataset)), len(dataset), "decoding into the cache"):
            sample = check_sample(dataset[index], dataset.classes, spec_of(dataset))
            image_HWC, label_HW, name, domain, sequence, levels = sample
            told = 0
            for part in (image_HWC, label_HW):
                content = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
                file.write(content)
                told = zlib.crc32(content, told)
            own = [] if levels is None else [one[0].tolist() for one in levels]
            entries.append([name, domain, sequence, *label_HW.shape, offset, told, *own])
            offset += image_HWC.nbytes + label_HW.nbytes
        _sync(file)
    with (folder / _INDEX).open("w", encoding="utf-8") as file:
        whole = {"format": _FORMAT, "bytes": offset, "sum": _sum(entries), "samples": entries}
        json.dump(whole, file, ensure_ascii=False)
        _sync(file)
    return entries


def _replace(part: Path, folder: Path) -> None:
    """Put `part` in the place of `folder`, which is absent or damaged; processes that read the old one keep it."""
    os.chmod(part, 0o755)
    if folder.exists():
        os.rename(folder, part / "damaged")
    try:
        os.rename(part, folder)
    except OSError as error:
        # Where files cannot be locked, another process may have been faster: its cache is the same.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    shutil.rmtree(folder / "damaged", ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the lock for building `folder`, which falls when the process ends, however it ends; whether that worked."""
    locked = True
    with (folder.parent / f".{folder.name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.note(f"another process is filling the cache {folder}: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            locked = False  # a file system without locks: both build, one result stays
        yield locked


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())

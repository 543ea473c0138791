"""A data set of any kind in a few large files, as `tarsia shard` writes it: no small files to open, memory flat.

    tarsia shard camvid:data/camvid --to data/camvid-shards
    tarsia train recipe.yaml --set data.name=shards --set data.root=data/camvid-shards

Splits are those that were written.  Pictures and labels are read to the same arrays as from the data set itself, so a
training learns the same.  The tars are in the layout of WebDataset (data/_shards.py), for other programs to read.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from tarsia.card import Classes, Spec
from tarsia.data import _shards
from tarsia.data._dataset import Sample, check_sample
from tarsia.data._folders import require_root
from tarsia.errors import DatasetError, NoSplitError, nearest
from tarsia.pictures.labels import read_label
from tarsia.pictures.reader import Picture, read
from tarsia.plain_text import first_line
from tarsia.spec import BandFile


class Data:
    """One split of the shards below `root`; DatasetError where there are none, or they are damaged."""

    def __init__(self, root: str | Path | None, split: str = "train") -> None:
        self.folder = require_root(root, "shards", f"a {_shards.FACTS} in it")
        facts = _Facts.read(self.folder / _shards.FACTS)
        if split not in facts.counts:
            raise NoSplitError(f"{self.folder} has no split {split}{nearest(split, facts.counts)}")
        self.split, self._count = split, facts.counts[split]
        self.classes, self.spec, self.range_rule = facts.classes, facts.spec, facts.range_rule
        self.bands = self.spec.bands
        try:
            size = (self.folder / f"{split}.index").stat().st_size
        except OSError as error:
            raise DatasetError(f"{error.filename}: cannot be read ({error.strerror}): get it again") from error
        if size != self._count * _shards.ROW.itemsize:
            raise DatasetError(f"{self.folder}/{split}.index: damaged: get it again, or write the shards again")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; DatasetError naming the tar where it is damaged."""
        said, image, label = self._read(index)
        found = read(image, self.spec.together)
        sample = Sample(
            found.values_HWC, read_label(label), said["name"], said["domain"], said["sequence"], found.levels
        )
        return check_sample(sample, self.classes, self.spec)

    def picture(self, index: int) -> Picture:
        """The picture of sample `index`."""
        return read(self._read(index)[1], self.spec.together)

    def read_as(self, spec: Spec) -> Self:
        """The same with pictures read by `spec`."""
        other = copy.copy(self)
        other.spec, other.bands = spec, spec.bands
        return other

    def name(self, index: int) -> str:
        """The name of sample `index` without reading it."""
        return self._said(index)["name"]

    @property
    def sequences(self) -> Sequence[str]:
        """The sequence of each sample, read as it is asked for."""
        return [self._said(index)["sequence"] for index in range(len(self))]

    def fingerprint(self) -> str:
        """Hex digest of the split: its index holds a sum of every sample."""
        digest = hashlib.sha256((self.folder / _shards.FACTS).read_bytes())
        for block in _blocks(self.folder / f"{self.split}.index"):
            digest.update(block)
        return digest.hexdigest()

    def _row(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return _shards.read_row(self.folder, self.split, index)

    def _said(self, index: int) -> dict[str, str]:
        return _shards.read_said(self.folder, self.split, self._row(index))

    def _read(self, index: int) -> tuple[dict[str, str], bytes, bytes]:
        return _shards.read_sample(self.folder, self.split, self._row(index))


class _Facts(NamedTuple):
    """What shards.json says; `counts`: the samples of each split."""

    classes: Classes
    spec: Spec
    range_rule: Any
    counts: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> _Facts:
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if facts["format"] not in (_shards.FORMAT, _shards.WITH_OWN_RANGES):
                found = f"shards of format {facts['format']}, expected {_shards.FORMAT} or {_shards.WITH_OWN_RANGES}"
                raise DatasetError(f"{path}: {found}: write them again")
            spec: dict[str, Any] = {
                key: tuple(one) if isinstance(one, list) else one for key, one in facts["spec"].items()
            }
            spec["files"] = tuple(map(BandFile.model_validate, spec.get("files", ())))
            counts = {str(split): int(one["samples"]) for split, one in facts["splits"].items()}
            return cls(Classes.model_validate(facts["classes"]), Spec(**spec), facts["range"], counts)
        except FileNotFoundError as error:
            raise DatasetError(f"{path.parent}: no {path.name} in it: `tarsia shard` writes one") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{path}: damaged ({first_line(error)}): write the shards again") from error


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block

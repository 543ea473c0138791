"""Pictures that are learned from and held out alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tarsia
from small_data import write_folder
from tarsia import data
from tarsia.auto.splits import also_learned
from tarsia.errors import DatasetError


def test_a_recipe_is_refused_where_the_score_would_say_nothing(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "photos", 4, 2)
    splits = [data.open("folder", root, split) for split in ("train", "val")]
    assert also_learned(*splits) == [] == also_learned(splits[0], data.open("streets", count=2))
    held_out = next((root / "val/images").iterdir())
    held_out.rename(tmp_path / "gone")  # told of by what reads it
    assert also_learned(*splits) == []
    (tmp_path / "gone").rename(held_out)
    first = next((root / "train/images").iterdir())
    shutil.copy(first, next((root / "val/images").iterdir()))
    assert len(also_learned(*splits)) == 1
    with pytest.raises(DatasetError, match=r"1 picture of val is also in train, as .*tarsia check .*lists them"):
        tarsia.derive(root, 0.5)

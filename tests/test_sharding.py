"""Shards: the samples of a data set from a few large files, to the last bit; what is said where they are damaged."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from small_data import same_weights, tiny, write_folder
from tarsia import cli, data, training
from tarsia.data import Dataset, _shards
from tarsia.errors import DatasetError, NoSplitError, OutputError
from tarsia.recipe import Recipe
from tarsia.sharding import shard


def same(one: Dataset, other: Dataset) -> bool:
    """Whether two splits have the same samples in the same order."""
    assert len(one) == len(other) and one.classes == other.classes
    for index in range(len(one)):
        a, b = one[index], other[index]
        assert a[2:] == b[2:] and one.name(index) == other.name(index)
        assert a.image.dtype == b.image.dtype and np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label)
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("shards") / "data", 7, 3, (32, 40))


@pytest.fixture(scope="module")
def shards(folder: Path) -> Path:
    out = folder.parent / "shards"
    assert not cli.app(["shard", f"folder:{folder}", "--to", str(out), "-q"], exit_on_error=False, print_error=False)
    return out


def test_samples_are_those_of_the_data_set(folder: Path, shards: Path) -> None:
    for split in ("train", "val"):
        whole = data.open("folder", folder, split)
        read = data.open("shards", shards, split)
        assert same(whole, read)
    with pytest.raises(NoSplitError, match="no split vall, did you mean val"):
        data.open("shards", shards, "vall")


def test_a_training_learns_the_same(folder: Path, shards: Path, tmp_path: Path) -> None:
    both = ("folder", folder), ("shards", shards)
    recipes = [tiny({"name": name, "root": str(root)}, workers=2) for name, root in both]
    one, other = (training.train(Recipe.model_validate(r), out=tmp_path / str(k)) for k, r in enumerate(recipes))
    assert same_weights(one / "last.safetensors", other / "last.safetensors")


def test_the_tars_are_in_the_layout_of_webdataset(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard(f"folder:{folder}", out)
    assert sorted(path.name for path in out.iterdir()) == [
        *("shards.json", "train-000000.tar", "train.index", "val-000000.tar", "val.index")
    ]
    with tarfile.open(out / "val-000000.tar") as tar:
        members = [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    assert [name for name, _ in members[:4]] == [
        *("000000000000.json", "000000000000.png", "000000000000.label.png", "000000000001.json")
    ]
    assert json.loads(members[0][1]) == {"name": "val00", "domain": "", "sequence": ""}
    assert members[1][1] == (folder / "val/images/val00.png").read_bytes()
    written = _shards.write_split(tmp_path, "x", [_shards.Member(b"{}", b"y" * 900, b"z", ".jpg")] * 5, 1500)
    assert written == (5, 3) and [_shards.read_row(tmp_path, "x", k)["part"] for k in range(5)] == [0, 0, 1, 1, 2]


def test_other_kinds_of_pictures_and_drawn_ones(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    for place in ("images", "labels"):
        (root / place).mkdir(parents=True)
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 4000, (20, 24, 4), np.uint16)
        values[:4] = 0
        tifffile.imwrite(root / f"images/{number}.tif", values, photometric="minisblack", planarconfig="contig")
        Image.fromarray(np.full((20, 24), number % 2, np.uint8)).save(root / f"labels/{number}.png")
    said = "classes: [a, b]\nbands: 4\nnodata: 0\nrange: {low: 0, high: 3000}\nsplit: {val: 0.25}\n"
    (root / "dataset.yaml").write_text(said)
    assert shard(f"folder:{root}", tmp_path / "out") == {"train": 3, "val": 1}
    whole, read = (data.open(name, place, "train") for name, place in (("folder", root), ("shards", tmp_path / "out")))
    assert same(whole, read) and (read[0].label[:4] == 255).all()
    assert read.spec == whole.spec and read.range_rule == whole.range_rule  # type: ignore[attr-defined]
    assert shard("streets,count=2,size=32x32", tmp_path / "drawn", splits=["train"]) == {"train": 2}
    assert same(data.open("streets", split="train", count=2, size=(32, 32)), data.open("shards", tmp_path / "drawn"))


def test_damage_is_told_by_file(folder: Path, tmp_path: Path) -> None:
    shard(f"folder:{folder}", out := tmp_path / "out")
    tar, index = out / "train-000000.tar", out / "train.index"
    row = _shards.read_row(out, "train", 2)
    content, rows = bytearray(tar.read_bytes()), index.read_bytes()
    content[int(row["image"]) + 5] ^= 1
    tar.write_bytes(content)
    read: Any = data.open("shards", out)
    assert read[1].name == "train01"
    with pytest.raises(DatasetError, match=r"train-000000\.tar: what lies from byte .* is not what was written"):
        read[2]
    tar.write_bytes(content[: int(row["image"]) + 5])
    with pytest.raises(DatasetError, match=r"train-000000\.tar: ends before byte"):
        read[2]
    wild = np.frombuffer(rows, _shards.ROW).copy()
    wild[0]["said"], wild[3]["label"], wild[4]["image"], wild[5]["label"] = 2**63, 0, 2**40, 2**62
    index.write_bytes(wild.tobytes())
    for index_of in (0, 3, 4, 5):
        with pytest.raises(DatasetError, match=r"train-000000\.tar: "):
            read[index_of]
    facts = json.loads((out / "shards.json").read_text())
    for key, value in (("classes", {"names": 1}), ("spec", {"bandz": 3}), ("splits", []), ("format", 9)):
        (out / "shards.json").write_text(json.dumps(facts | {key: value}))
        with pytest.raises(DatasetError, match=r"shards\.json: "):
            data.open("shards", out)
    (out / "shards.json").write_text(json.dumps(facts))
    index.write_bytes(rows[:-1])
    with pytest.raises(DatasetError, match=r"train\.index: damaged"):
        data.open("shards", out)
    index.unlink()
    with pytest.raises(DatasetError, match=r"train\.index: cannot be read"):
        data.open("shards", out)
    with pytest.raises(DatasetError, match="`tarsia shard` writes one"):
        data.open("shards", folder)


def test_nothing_else_is_replaced(folder: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else than shards"):
        shard(f"folder:{folder}", tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="not empty"):
        shard(f"folder:{folder}", shards)
    with pytest.raises(DatasetError, match="no split"):
        shard(f"folder:{folder}", tmp_path / "out", splits=["train", "other"])
    assert not (tmp_path / "out").exists()

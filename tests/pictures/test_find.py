"""One walk and one set of suffixes for every command."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tarsia import data
from tarsia.card import Spec
from tarsia.data._unlabelled import open_unlabelled
from tarsia.output.sources import find
from tarsia.pictures.find import SUFFIXES, stream, suffixes, walk


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_sorted_relative_and_nothing_hidden(tmp_path: Path) -> None:
    root = touched(tmp_path / ".here", "b.PNG", "deep/er/a.jpg", ".c.png", ".d/e.png", "notes.txt", "f.npy")
    assert walk(root) == ["b.PNG", os.path.join("deep", "er", "a.jpg")]
    assert walk(root, recursive=False) == ["b.PNG"] and walk(root, (".txt",)) == ["notes.txt"]
    assert walk(root, left_out=[root / "deep/er"]) == ["b.PNG"] and walk(root / "missing") == []
    assert walk(root, suffixes(Spec(4))) == [*walk(root), "f.npy"] and ".npy" not in SUFFIXES


def test_links_are_followed_once_and_never_upwards(tmp_path: Path) -> None:
    root = touched(tmp_path, "images/a.png", "elsewhere/b.png", "labels/a.png") / "images"
    (root / "first").symlink_to(tmp_path / "elsewhere")
    (root / "second").symlink_to(tmp_path / "elsewhere")
    (root / "up").symlink_to(tmp_path)
    (root / "self").symlink_to(root)
    assert walk(root) == ["a.png", os.path.join("first", "b.png")]


def test_a_stream_has_the_order_of_the_walk_where_a_folder_is_no_larger_than_a_block(tmp_path: Path) -> None:
    names = ("a/z.png", "a.png", "a-b.png", "b/c/d.png", "b/c.png", "c.png", "c/a.png")
    root = touched(tmp_path / "here", *names)
    (root / "a" / "link").symlink_to(root / "c")  # c has its own name: it is seen before what is below a
    assert list(stream(root)) == walk(root) == sorted(names)
    assert sorted(stream(root, block=1)) == sorted(stream(root, block=2)) != []
    assert {os.path.basename(name) for name in stream(root, block=1)} == {os.path.basename(name) for name in names}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folders_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    root, told = touched(tmp_path, "a.png", "shut/b.png"), []
    (root / "shut").chmod(0)
    try:
        assert walk(root, refused=told.append) == ["a.png"] and [error.filename for error in told] == [f"{root}/shut"]
    finally:
        (root / "shut").chmod(0o700)


def test_every_command_finds_the_same(tmp_path: Path) -> None:
    """A folder of .jfif was three pictures to `predict` and none to `check`."""
    for name in ("images/a.jfif", "images/b.JPE", "images/c.pbm"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("1" if name.endswith("pbm") else "L", (4, 4)).save(path, "PPM" if name.endswith("pbm") else "JPEG")
        (tmp_path / "labels").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "labels" / f"{path.stem}.png")
    (tmp_path / "dataset.yaml").write_text("classes: [ground, thing]\n")
    images = tmp_path / "images"
    expected = ["a.jfif", "b.JPE", "c.pbm"]
    assert [source.path.name for source in find([images], tmp_path / "out", True, [], lambda *_: False)] == expected
    dataset = data.open("folder", tmp_path)
    assert [Path(pair.image).name for pair in dataset.pairs] == expected and dataset[1].image.shape == (4, 4, 3)
    assert open_unlabelled(images).names == expected

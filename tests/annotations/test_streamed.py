"""A JSON that is read value by value says what it says when it is read whole, also where it is damaged."""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tarsia import converting, data
from tarsia.annotations import scratch, streamed
from tarsia.annotations.forms import coco as coco_form
from tarsia.annotations.look import Look
from tarsia.annotations.source import frame
from tarsia.annotations.streamed import parts
from tarsia.annotations.trees import load_json
from tarsia.converting import convert
from tarsia.errors import DatasetError, NoRoomError

ENTRIES = [{"id": k, "name": 'a "b" \\ [{ ü😀', "ring": [[1.5, -2e-3]], "annotations": [k]} for k in range(5)]
TREE = {"info": {"annotations": [7]}, "annotations": ENTRIES, "": [], "n": -12, "images": [[1, [2]], 3, None, "x"]}
TEXTS = [
    *(json.dumps(TREE, **how) for how in ({}, {"indent": 1}, {"separators": (",", ":"), "ensure_ascii": False})),
    '{"a": [1], "a": [NaN, -Infinity, 1e999, 123456789012345678901234567890]}',
    *("{}", " [ ] ", "[1, 2, {}]", "-12.5e3", '"a"', '{"a": {"a": 1, "a": 2}}'),
]
DAMAGED = [
    *(
        "",
        "{",
        '{"a"',
        '{"a":',
        '{"a": [',
        '{"a": [1',
        '{"a": [1,',
        '{"a": 1}}',
        '{"a": [1] 2}',
        '{"a": ["b]}',
        "[1 2]",
    ),
    *('{"a": tru}', '{"a": "\\u12"}', '{"a": "b\nc"}', "{a: 1}", '{"a" 1}', '{"a": [{"b": ' + " " * 99 + "}]}"),
    *("[" * 200_000, '{"a": ' + "[" * 200_000, "9" * 5000, '{"b": 1,\n "a": [\n{"c": 1},\n{"c" 1}, {}, {}, {}, {}]}'),
]


def whole(path: Path) -> Any:
    """A file's tree, of its parts."""
    tree: Any = {}
    for key, value, span in parts(path):
        assert span is None or json.loads(path.read_bytes()[span.at : span.at + span.length]) == value or value != value
        if key is None:
            tree = value if span is None else [*tree, value]
        elif span is None:
            tree[key] = value
        else:
            tree[key].append(value)
    return tree


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_parts_are_those_of_the_whole(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_BLOCK", block)
    path = tmp_path / "a.json"
    for text in TEXTS:
        for mark in ("", "\ufeff"):
            path.write_text(mark + text, encoding="utf-8")
            assert repr(whole(path)) == repr(load_json(path)), text
    for text in DAMAGED if block > 1 else DAMAGED[:-4]:
        path.write_text(text)
        with pytest.raises(DatasetError) as wanted:
            load_json(path)
        with pytest.raises(DatasetError) as found:
            whole(path)
        assert str(found.value) == str(wanted.value)
    for content in ('{"a": "ü"}'.encode("utf-16"), b'{"a": ["bcd", "\xfc"]}'):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"a\.json: no UTF-8 \(byte 0xf[fc] at (0|15)\): save it") as found:
            whole(path)


# ---- COCO


def coco(root: Path, count: int, points: int = 3) -> Path:
    """So many pictures in folders of a hundred, all of one file, every other named by a URL; a triangle in each."""
    root.mkdir()
    Image.new("RGB", (8, 6)).save(root / "one.png")
    names = [f"{k // 100}/{k}.png" for k in range(count)]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        os.link(root / "one.png", root / name)
    names[::2] = [f"https://store/{name}" for name in names[::2]]
    images = [{"id": k, "file_name": name, "height": 6, "width": 8} for k, name in enumerate(names)]
    ring = [0.5, 0.5, 7.25, 0.5, *[0.5, 5.125] * (points - 2)]
    entries = [{"id": k, "image_id": k, "category_id": 1, "segmentation": [ring]} for k in reversed(range(count))]
    tree = {"annotations": entries, "images": images, "categories": [{"id": 1, "name": "leaf"}]}
    (root / "coco.json").write_text(json.dumps(tree))
    return root / "coco.json"


def test_memory_does_not_follow_the_number_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's blocks, one or more of each object, of six times as many pictures; of a label map no file is written."""
    monkeypatch.setattr(scratch, "_AT_ONCE", 10)
    most = calls = 0

    def counted(found: Any = None) -> Any:
        nonlocal most, calls
        calls += 1
        if calls % 200 == 0:
            gc.collect()
            most = max(most, sys.getallocatedblocks())
        return found

    def touched(path: Path, *_: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        counted()

    monkeypatch.setattr(converting, "save_label", touched)
    monkeypatch.setattr(converting.console, "track", lambda items, *_: items)  # which keeps 1000 times of day
    monkeypatch.setattr(coco_form, "frame", lambda *given: counted(frame(*given)))
    found = []
    for count in (150, 200, 1200):  # the first fills what is kept of so many names and no more
        file, most = coco(tmp_path / str(count), count), 0
        done = convert(file, tmp_path / f"out{count}")
        assert done.pictures == done.objects == count
        found.append(most)
    assert found[2] - found[1] < 1000, "less than an object a picture"


def test_pictures_and_their_annotations_in_any_order(tmp_path: Path) -> None:
    """A key that stands twice, ids of all kinds, annotations by turns, and a file that changes meanwhile."""
    file = coco(tmp_path / "a", 4)
    tree = json.loads(file.read_text())
    ids: list[Any] = [7, 10**30, "1" * 30, "ab\ud800"]
    for image, number in zip(tree["images"], ids, strict=True):
        image["id"] = number
    entries = [dict(tree["annotations"][0], image_id=number, id=k) for k, number in enumerate(["7", *ids[1:], *ids])]
    entries[1]["segmentation"] = [[0, 0, 8, 0, 8, 6, 0, 6]]
    text = json.dumps({"annotations": entries, "categories": tree["categories"], "images": tree["images"]})
    file.write_text(text.replace('{"ann', '{"annotations": [3, {}], "images": 3, "ann', 1), newline="\r\n")
    done = convert(file, tmp_path / "out")
    shares = {sample.name: float((sample.label == 1).mean()) for sample in data.open("folder", tmp_path / "out", "all")}
    assert done.objects == 8 and shares.keys() == {f"0/{k}" for k in range(4)}
    assert shares["0/1"] == 1 and shares["0/0"] == shares["0/2"] == shares["0/3"] < 0.6


def test_a_coco_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = coco(tmp_path / "a", 2)
    written = converting._write

    def cut(*given: Any) -> np.ndarray:
        file.write_text("{}")
        return written(*given)

    monkeypatch.setattr(converting, "_write", cut)
    with pytest.raises(DatasetError, match=r"coco\.json: changed while it was read: convert it again"):
        convert(file, tmp_path / "out")


def test_no_room_for_what_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = coco(tmp_path / "a", 2)
    tables = sqlite3.connect("")
    tables.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    monkeypatch.setattr(scratch.sqlite3, "connect", lambda *_, **__: tables)
    with pytest.raises(NoRoomError, match=r"cannot keep a temporary table on disk \(.*make room, or .* TMPDIR"):
        convert(file, tmp_path / "out")


def test_a_look_keeps_nothing_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"info": {str(k): k for k in range(400)}, "x": TREE["annotations"]}))
    file = coco(tmp_path / "a", 3, points=20_000)
    looked: list[Path] = []
    monkeypatch.setattr("tarsia.annotations.look._of_parts", lambda path: looked.append(path) or set())
    convert(file, tmp_path / "out")
    assert looked == [], "its beginning tells"
    monkeypatch.undo()
    monkeypatch.setattr("tarsia.annotations.look._PEEK_BYTES", 64)
    assert {"x[]", "x[].ring[]", "info.399"} <= Look(tmp_path / "a.json").more

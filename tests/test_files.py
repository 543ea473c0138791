"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tarsia.errors import NoRoomError, OutputError
from tarsia.files import (
    LOCK,
    holds_files,
    new_folder,
    remove_parts,
    require_new,
    write_json,
    write_text,
    writing,
    writing_folder,
)
from tarsia.folder_lock import holding


def test_the_file_appears_at_the_end_and_only_then(tmp_path):
    target = tmp_path / "deep" / "er" / "a.txt"
    with writing(target) as part:
        part.write_text("new")
        assert not target.exists() and part.parent == target.parent
    assert target.read_text() == "new" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_inside_leaves_the_old_content_and_no_part(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)), writing(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("replaced", [False, True], ids=["written", "made anew"])
def test_the_content_is_on_disk_before_the_name_and_the_name_before_it_is_done(tmp_path, monkeypatch, replaced):
    """Else a power cut may leave an empty file under the name, in the place of the one before."""
    told = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        told.append(("sync", path, Path(path).read_text() if os.path.isfile(path) else ""))
        fsync(descriptor)

    def renamed(source, target):
        told.append(("rename", str(source), str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    target = tmp_path / "a.txt"
    with writing(target) as part:
        if replaced:
            part.unlink()
        part.write_text("new")
    assert told == [
        ("sync", str(part), "new"),
        ("rename", str(part), str(target)),
        ("sync", str(tmp_path), ""),
    ]


def test_a_part_that_its_writer_replaced_is_the_one_that_counts(tmp_path):
    with writing(tmp_path / "a.txt") as part:
        other = tmp_path / "other"
        other.write_text("by renaming")
        other.replace(part)
    assert (tmp_path / "a.txt").read_text() == "by renaming"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_file_has_the_rights_any_new_file_has(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "only be read"),
        (errno.EACCES, "Permission"),
    ],
)
def test_a_disk_that_refuses_is_one_output_error(tmp_path, number, words):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match=rf"cannot write {target}: .*{words}") as caught, writing(target):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value, NoRoomError) == (number != errno.EACCES), "whether the next will be refused too"
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_file_where_a_folder_should_be_is_one_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "folder", "x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder"]
    for make in (lambda: new_folder(tmp_path / "file", "run"), lambda: require_new(tmp_path / "file", False)):
        with pytest.raises(OutputError, match="cannot write"):
            make()


def test_long_names_and_text_beyond_ascii(tmp_path):
    target = tmp_path / ("ü" * 100 + ".txt")
    write_text(target, "Straße\n")
    assert target.read_bytes() == "Straße\n".encode()


KILLED = """
import os, sys
from pathlib import Path
from tarsia.files import writing, writing_folder
with writing(Path(sys.argv[1]) / "a.png"), writing(Path(sys.argv[1]) / "in" / "b.txt"):
    with writing_folder(Path(sys.argv[1]) / "frames") as part:
        (part / "1").write_text("")
        os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_was_writing_goes_and_nothing_else(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)]).returncode == -9
    assert len(list(tmp_path.rglob("*.part"))) == 3
    assert not holds_files(tmp_path / "in"), "no reason to refuse a folder"
    theirs = [".a.png.part", "a.png.0123456789ab.part", ".a.0123456789AB.part", ".a.png.0123456789abc.part"]
    for name in theirs:
        (tmp_path / name).write_text("a user's")
    (tmp_path / ".l.0123456789ab.part").symlink_to(tmp_path / theirs[0])
    with writing(tmp_path / "c.txt") as part:  # by another process, or thread: it is at work
        part.write_text("c")
        remove_parts([tmp_path, tmp_path / "is not there"], deep=True)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == sorted([*theirs, ".l.0123456789ab.part", "c.txt", "in"])


def test_who_holds_a_folder_clears_it(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    with holding(require_new(tmp_path / "in", overwrite=False)):
        assert [path.name for path in (tmp_path / "in").iterdir()] == [LOCK]
    with holding(tmp_path):
        assert not list(tmp_path.rglob("*.part"))


def test_a_folder_takes_its_place_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "frames"
    for text in ("1", "2"):
        with writing_folder(target) as part:
            (part / text).write_text("")
        assert [path.name for path in target.iterdir()] == [text]
    with pytest.raises(NoRoomError, match="the disk is full"), writing_folder(target) as part:
        (part / "3").write_text("")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [str(path.relative_to(target.parent)) for path in target.parent.rglob("*")] == ["frames", "frames/2"]


def test_json_has_null_for_numbers_it_cannot_have(tmp_path):
    value = {
        "nan": float("nan"),
        "inf": [np.float32("inf"), -float("inf")],
        "array": np.array([[1.5, np.nan]]),
        "whole": np.int64(3),
        "zero": np.array(2.0),
        "true": True,
        7: ("a", None),
    }
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, None],
        "array": [[1.5, None]],
        "whole": 3,
        "zero": 2.0,
        "true": True,
        "7": ["a", None],
    }


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", [object()])
    assert json.loads((tmp_path / "a.json").read_text()) == [1]


def test_new_folders_are_numbered(tmp_path):
    names = [new_folder(tmp_path / "runs", "a").name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]
    (tmp_path / "runs" / "b").write_text("")  # a file of that name counts too
    assert new_folder(tmp_path / "runs", "b").name == "b-2"


def test_require_new_refuses_a_folder_with_content_unless_told(tmp_path):
    folder = tmp_path / "deep" / "out"
    assert require_new(folder, False) == folder and folder.is_dir()
    assert require_new(folder, False) == folder  # empty is as good as new
    (folder / "a.txt").write_text("kept")
    with pytest.raises(OutputError, match=r"not empty: choose another `out` or add `overwrite=True`"):
        require_new(folder, False)
    assert require_new(folder, True) == folder and (folder / "a.txt").read_text() == "kept"

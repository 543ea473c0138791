"""Plans: what is named becomes chunks of names, however it is named, and nothing is held but one of them."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import tarsia
from tarsia.errors import DatasetError, ImageError, OutputError
from tarsia.jobs import pictures
from tarsia.jobs.job import chunks_a_part, open_job
from tarsia.jobs.planning import write_plan
from tarsia.jobs.storage import LocalFolder

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra parquet)")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")


def planned_names(job: Path) -> list[str]:
    opened = open_job(LocalFolder(job))
    chunks = [opened.names(index) for index in range(opened.chunks)]
    assert [len(names) for names in chunks] == [opened.count(index) for index in range(opened.chunks)]
    return [*itertools.chain(*chunks)]


def touched(root: Path, *names: str) -> list[str]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return [str(root / name) for name in names]


def test_folders_lists_tables_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos = touched(tmp_path / "photos", "a.png", "b/c.JPG", "d.tif")
    touched(tmp_path / "photos", "notes.txt", ".hidden.png")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    Path("list.txt").write_bytes(b"# of today\nphotos\n\nmissing.png \r\n" + os.fsencode(odd) + b"\ns3://store/e.png\n")
    table = pyarrow.table({"file": ["photos/d.tif", "gs://store/f.png"], "size": [1, 2]})
    parquet.write_table(table, "names.parquet")
    words = ["@list.txt", "photos/*.png", "names.parquet"]
    job = tarsia.plan(words, "job", chunk=2, column="file")
    listed = [*photos, str(tmp_path / "missing.png"), odd, "s3://store/e.png"]
    expected = [*listed, photos[0], photos[2], "gs://store/f.png"]
    assert (job.pictures, job.chunks) == (9, 5) and planned_names(tmp_path / "job") == expected


def test_a_plan_of_several_files(tmp_path: Path) -> None:
    """A file of the plan has many chunks; names are taken as they are asked for, a chunk ahead."""
    taken, most = 0, 0

    def names() -> Iterator[str]:
        nonlocal taken
        for taken in range(250_001):
            yield f"/photos/{taken}.png"

    def step(count: int) -> None:
        nonlocal most
        stepped[0] += count
        most = max(most, taken + 1 - stepped[0])

    stepped = [0]
    job = write_plan(LocalFolder(tmp_path), names(), 30_000, step)
    assert chunks_a_part(30_000) == 3 and len(list((tmp_path / "plan").iterdir())) == 3
    assert (job.pictures, job.chunks, job.count(8), most) == (250_001, 9, 10_001, 0)
    assert job.names(0)[0] == "/photos/0.png" and job.names(4)[1] == "/photos/120001.png"
    assert job.names(8)[-1] == "/photos/250000.png"


@pytest.mark.parametrize(
    "change", [{"chunk": 0}, {"pictures": -1}, {"pictures": "many"}, {"schema": 9}, {"chunk": None}], ids=str
)
def test_a_damaged_plan_is_one_error(change: dict[str, object], tmp_path: Path) -> None:
    facts = {"schema": 1, "pictures": 3, "chunk": 2} | change
    (tmp_path / "job.json").write_text(json.dumps(facts))
    with pytest.raises(OutputError, match="plan the pictures again"):
        open_job(LocalFolder(tmp_path))


def test_what_cannot_be_planned_is_said_and_leaves_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touched(tmp_path / "photos", "a.png")
    Path("empty").mkdir()
    Path("again.txt").write_text("@list.txt\n")
    parquet.write_table(pyarrow.table({"name": ["a.png", None], "size": [1, 2]}), "names.parquet")
    Path("no.parquet").write_bytes(b"no table")
    for words, options, message in (
        (["photos", "empty"], {}, "empty: no pictures there; looked for"),
        (["*.gif"], {}, r"\*.gif: no pictures there"),
        (["@again.txt"], {}, r"@again.txt: names another list \(@list.txt\)"),
        (["@missing.txt"], {}, "@missing.txt: the list cannot be read"),
        (["names.parquet"], {}, "column='path' is not there; columns of text: 'name'"),
        (["names.parquet"], {"column": "size"}, "column='size' is no text"),
        (["names.parquet"], {"column": "name"}, "a row without a name"),
        (["no.parquet"], {}, "no.parquet: damaged, or no parquet"),
        ([], {}, "no pictures given"),
        (["photos"], {"chunk": 0}, "`chunk` is 0"),
    ):
        with pytest.raises((ImageError, DatasetError, OutputError), match=message):
            tarsia.plan(words, "job", **options)
        with pytest.raises(OutputError, match="holds no planned job"):
            tarsia.job_status("job")
    assert tarsia.plan("photos", "job").pictures == 1, "what plans that failed have left is in nobody's way"
    with pytest.raises(OutputError, match="holds a planned job already"):
        tarsia.plan("photos", "job")
    with pytest.raises(OutputError, match="is not empty"):
        tarsia.plan("photos", "photos")


def test_reading_is_tried_again_where_a_disk_or_network_failed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pictures, "_WAITS_SECONDS", (0.0, 0.0))
    left = [errno.EIO, errno.ESTALE]

    def read() -> bytes:
        if left:
            raise ImageError("cannot be read") from OSError(left.pop(), "it failed")
        return b"content"

    assert pictures.again(read) == b"content" and not left
    left += [errno.EIO] * 4
    with pytest.raises(ImageError):
        pictures.again(read)
    assert len(left) == 1
    left[:] = [errno.EACCES] * 2
    with pytest.raises(ImageError):
        pictures.again(read)
    assert len(left) == 1
    with pytest.raises(ImageError, match="no such file"):
        pictures.content_of(str(tmp_path / "missing.png"))
